/* core_secret.h - memory for secrets: page-aligned, locked, left out of core dumps and forks,
 * wiped when freed.  mlock(2) being refused is an error, not a warning. */
#pragma once
#include <stddef.h>
#include "core_cleanup.h"
#include "core_err.h"

#define SECRET_BYTES_MAX (1024 * 1024) /* one secret */

struct secret;

/* A copy of these bytes, at most SECRET_BYTES_MAX (-EFBIG); the caller wipes its own. */
int secret_new(const void *bytes, size_t len, struct secret **ret, struct err *e);
/* The same with len zero bytes, to be filled in through secret_edit(). */
int secret_new_empty(size_t len, struct secret **ret, struct err *e);
char *secret_edit(struct secret *s);
const char *secret_bytes(const struct secret *s); /* NUL-terminated after len bytes */
size_t secret_len(const struct secret *s);
/* Wiped. */
void secret_free(struct secret *s);

/* Memory for a foreign unpacker inside one secret: nothing is given back before the whole is freed.
 * The two functions have the form of protobuf-c's allocator. */
struct secret_arena {
	struct secret *memory;
	size_t used;
};
/* NULL when it is used up. */
void *secret_arena_take(void *arena, size_t size);
/* Does nothing. */
void secret_arena_give(void *arena, void *at);
/* explicit_bzero(3), for buffers that held one on the way. */
void secret_wipe(void *bytes, size_t len);
DEFINE_AUTO(struct secret, secret_free)
