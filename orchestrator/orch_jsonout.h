/* orch_jsonout.h - JSON for standard output, built in memory.
 *
 * Zero-initialise; names may be NULL inside a list.  Without memory the output is lost as a whole
 * and orch_jsonout_print() says so.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct orch_jsonout {
	char *at;
	size_t len, size;
	bool comma, failed;
};

void orch_jsonout_open(struct orch_jsonout *j, const char *name, char bracket); /* '{' or '[' */
void orch_jsonout_close(struct orch_jsonout *j, char bracket);			/* '}' or ']' */
void orch_jsonout_text(struct orch_jsonout *j, const char *name, const char *value);
void orch_jsonout_number(struct orch_jsonout *j, const char *name, long long value);
void orch_jsonout_flag(struct orch_jsonout *j, const char *name, bool value);
void orch_jsonout_null(struct orch_jsonout *j, const char *name);
/* With a newline, to standard output; frees.  false: nothing was printed. */
bool orch_jsonout_print(struct orch_jsonout *j);
