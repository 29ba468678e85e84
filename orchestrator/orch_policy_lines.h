/* orch_policy_lines.h - JSON lines in, JSON lines out: the loop behind "policy eval" and --batch.
 *
 * One answer per line, in order.  Answers are kept back only while another whole line is at hand, so
 * that a peer which waits for each answer gets it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_text.h"
#include "orch_json.h"

#define ORCH_LINE_BYTES_MAX (1024 * 1024) /* one question, newline included */
#define ORCH_ANSWER_BYTES_MAX 32768	  /* one answer */

/* question is a map.  Write one line without its newline; false: it was no good question, and what
 * was written says so. */
typedef bool (*orch_line_fn)(void *owner, const struct orch_json *j,
	const struct orch_json_node *question, struct text *t);

/* Until end of input.  Returns the exit status: 0; 1 when some question was no good; 2 when input or
 * output failed. */
int orch_policy_lines(int in, int out, const char *word, orch_line_fn answer, void *owner);

/* "id": as the question has it, null without. */
void orch_line_id(struct text *t, const struct orch_json *j, const struct orch_json_node *question);
/* ,"name":"value" */
void orch_line_text(struct text *t, const char *name, const char *value, size_t len);
/* Decimal digits; faster than a format. */
void orch_line_number(struct text *t, uint64_t v);
/* A string of the question; false when it is there but no string.  Absent and null: *ret NULL. */
bool orch_line_string(const struct orch_json *j, const struct orch_json_node *o, const char *name,
	const struct orch_json_node **ret);
/* true, false; absent and null: the default. */
bool orch_line_flag(const struct orch_json *j, const struct orch_json_node *o, const char *name,
	bool otherwise);
