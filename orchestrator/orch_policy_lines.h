/* orch_policy_lines.h - JSON lines in, JSON lines out: the loop behind "policy eval" and --batch.
 *
 * One answer per line, in order.  Answers are kept back only while another whole line is at hand, so
 * that a peer which waits for each answer gets it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_json.h"
#include "orch_json.h"

#define ORCH_LINE_BYTES_MAX (1024 * 1024) /* one question, newline included */
#define ORCH_ANSWER_BYTES_MAX 32768	  /* one answer */

/* question is a map.  Write one JSON map; false: it was no good question, and what was written says
 * so. */
typedef bool (*orch_line_fn)(void *owner, const struct orch_json *j,
	const struct orch_json_node *question, struct json *out);

/* Until end of input.  Returns the exit status: 0; 1 when some question was no good; 2 when input or
 * output failed. */
int orch_policy_lines(int in, int out, const char *word, orch_line_fn answer, void *owner);

/* Begins an answer; "id" is as the question has it, null without. */
void orch_line_open(
	struct json *out, const struct orch_json *j, const struct orch_json_node *question);
/* A value that may be a peer's: a thousand bytes of it at the most. */
void orch_line_text(struct json *out, const char *name, const char *value, size_t len);
/* A string of the question; false when it is there but no string.  Absent and null: *ret NULL. */
bool orch_line_string(const struct orch_json *j, const struct orch_json_node *o, const char *name,
	const struct orch_json_node **ret);
/* true, false; absent and null: the default. */
bool orch_line_flag(const struct orch_json *j, const struct orch_json_node *o, const char *name,
	bool otherwise);
