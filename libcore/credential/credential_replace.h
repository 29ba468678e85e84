/* credential_replace.h - the one replacing loop; files of this folder only. */
#pragma once
#include "credential_write.h"

struct credential_manner {
	enum credential_code code;
	bool decode; /* look at the text once percent-decoded */
};

/* Everything but the placeholders stays byte by byte what it was. */
int credential_replace(struct credential_use *u, const char *text, size_t len,
	const struct credential_manner *m, struct text *out);
int credential_lookup(struct credential_use *u, const char *text, const struct credential_found *f,
	enum credential_code code, const struct credential_value **ret);
/* Returns -EACCES. */
int credential_refuse(struct credential_use *u, enum credential_verdict verdict, const char *why);
