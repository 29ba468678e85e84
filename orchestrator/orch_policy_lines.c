#include "orch_policy_lines.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "orch_policy_cmd.h"

#define OUT_BYTES (256 * 1024)

struct lines {
	int in, out;
	char *buf; /* ORCH_LINE_BYTES_MAX + 1 */
	size_t from, to;
	char *answers; /* OUT_BYTES + ORCH_ANSWER_BYTES_MAX */
	size_t n_answers;
	struct orch_json *json;
	orch_line_fn answer;
	void *owner;
	bool bad;
};

#define SHOWN_MAX 1024 /* bytes of one value that an answer repeats */

void orch_line_text(struct json *out, const char *name, const char *value, size_t len)
{
	json_add_bytes(out, name, value, len, SHOWN_MAX);
}

void orch_line_open(
	struct json *out, const struct orch_json *j, const struct orch_json_node *question)
{
	const struct orch_json_node *id = orch_json_get(j, question, "id");

	json_open(out, NULL, '{');
	if (id && id->kind == ORCH_JSON_STRING)
		orch_line_text(out, "id", id->at, id->len);
	else if (id && id->kind == ORCH_JSON_NUMBER && id->len < 64)
		json_add_raw(out, "id", id->at, id->len);
	else
		json_add_null(out, "id");
}

bool orch_line_string(const struct orch_json *j, const struct orch_json_node *o, const char *name,
	const struct orch_json_node **ret)
{
	*ret = orch_json_get(j, o, name);
	if (*ret && (*ret)->kind == ORCH_JSON_NULL)
		*ret = NULL;
	return !*ret || (*ret)->kind == ORCH_JSON_STRING;
}

bool orch_line_flag(
	const struct orch_json *j, const struct orch_json_node *o, const char *name, bool otherwise)
{
	const struct orch_json_node *v = orch_json_get(j, o, name);

	if (!v || (v->kind != ORCH_JSON_TRUE && v->kind != ORCH_JSON_FALSE))
		return otherwise;
	return v->kind == ORCH_JSON_TRUE;
}

static int flush(struct lines *l, struct err *e)
{
	size_t n = l->n_answers;

	l->n_answers = 0;
	return n ? fd_write_all(l->out, l->answers, n, e) : 0;
}

static void refuse(struct json *out, const char *why)
{
	json_open(out, NULL, '{');
	json_add_null(out, "id");
	json_add_text(out, "error", why);
	json_close(out, '}');
}

static int on_line(struct lines *l, char *line, size_t len, struct err *e)
{
	struct err why = { 0 };
	struct json out;
	struct text t;

	if (len && line[len - 1] == '\r')
		len--;
	if (len == 0)
		return 0;
	text_init(&t, l->answers + l->n_answers, ORCH_ANSWER_BYTES_MAX);
	json_init(&out, &t);
	if (orch_json_read(l->json, line, len, &why) < 0) {
		refuse(&out, why.text);
		l->bad = true;
	} else if (l->json->nodes[0].kind != ORCH_JSON_MAP) {
		refuse(&out, "a question is a JSON map");
		l->bad = true;
	} else if (!l->answer(l->owner, l->json, &l->json->nodes[0], &out)) {
		l->bad = true;
	}
	if (t.cut)
		return err_set(
			e, EMSGSIZE, "an answer of more than %d bytes", ORCH_ANSWER_BYTES_MAX);
	l->n_answers += t.len;
	l->answers[l->n_answers++] = '\n';
	return l->n_answers >= OUT_BYTES ? flush(l, e) : 0;
}

/* Whole lines that are at hand; at the end of input also a last one without newline. */
static int on_bytes(struct lines *l, bool end, struct err *e)
{
	while (l->from < l->to) {
		char *line = l->buf + l->from;
		char *newline = memchr(line, '\n', l->to - l->from);
		size_t len = newline ? (size_t) (newline - line) : l->to - l->from;

		if (!newline && !end)
			break;
		l->from += len + (newline != NULL);
		if (on_line(l, line, len, e) < 0)
			return -e->code;
	}
	(void) memmove(l->buf, l->buf + l->from, l->to - l->from);
	l->to -= l->from;
	l->from = 0;
	return flush(l, e);
}

static int run(struct lines *l, struct err *e)
{
	for (;;) {
		ssize_t n;

		if (l->to == ORCH_LINE_BYTES_MAX)
			return err_set(
				e, E2BIG, "a line of more than %d bytes", ORCH_LINE_BYTES_MAX - 1);
		n = read(l->in, l->buf + l->to, ORCH_LINE_BYTES_MAX - l->to);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "read questions: %s", strerror(errno));
		l->to += (size_t) n;
		if (on_bytes(l, n == 0, e) < 0)
			return -e->code;
		if (n == 0)
			return 0;
	}
}

int orch_policy_lines(int in, int out, const char *word, orch_line_fn answer, void *owner)
{
	AUTO_FREE char *buf = malloc(ORCH_LINE_BYTES_MAX + 1);
	AUTO_FREE char *answers = malloc(OUT_BYTES + ORCH_ANSWER_BYTES_MAX);
	AUTO_FREE struct orch_json *json = calloc(1, sizeof *json);
	struct lines l = { .in = in, .out = out, .buf = buf, .answers = answers, .json = json };
	struct err e = { 0 };

	l.answer = answer;
	l.owner = owner;
	if (!buf || !answers || !json)
		(void) err_set(&e, ENOMEM, "out of memory");
	else
		(void) run(&l, &e);
	if (e.code)
		return orch_policy_complain(word, &e);
	return l.bad ? 1 : 0;
}
