/* orch_spec.h - OPENSHELL_MAIN_PROCESS_SPEC (spec/orchestrator 1.4): which command runs.
 *
 * JSON {"version":1,"command":["..."],"tty":bool}, or "base64url:" and the
 * unpadded base64url form of it.  Pure: bytes in, words out.  Unknown members
 * are skipped, repeated ones refused; a word may not contain NUL.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_err.h"

struct orch_spec {
	char **command; /* malloc'd, NULL-terminated; free with orch_spec_free_words() */
	bool tty;
};

int orch_spec_parse(const char *text, size_t len, struct orch_spec *ret, struct err *e);
void orch_spec_free_words(char **words);
