#include "orch_jsonout.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_text.h"

#define ESCAPED_MAX 6 /* bytes that one byte of a string may become */

static bool reserve(struct orch_jsonout *j, size_t more)
{
	size_t size = j->len + more + 1;
	char *at;

	if (j->failed)
		return false;
	if (size <= j->size)
		return true;
	at = realloc(j->at, 2 * size);
	if (!at) {
		j->failed = true;
		return false;
	}
	j->at = at;
	j->size = 2 * size;
	return true;
}

static void add(struct orch_jsonout *j, const char *s)
{
	size_t n = strlen(s);

	if (!reserve(j, n))
		return;
	(void) memcpy(j->at + j->len, s, n + 1);
	j->len += n;
}

static void add_quoted(struct orch_jsonout *j, const char *s)
{
	size_t n = strlen(s);
	struct text t;

	add(j, "\"");
	if (!reserve(j, ESCAPED_MAX * n + 1))
		return;
	text_init(&t, j->at + j->len, j->size - j->len);
	text_add_json(&t, s, n, n);
	j->len += t.len;
	add(j, "\"");
}

static void begin(struct orch_jsonout *j, const char *name)
{
	if (j->comma)
		add(j, ",");
	if (name) {
		add_quoted(j, name);
		add(j, ":");
	}
	j->comma = true;
}

void orch_jsonout_open(struct orch_jsonout *j, const char *name, char bracket)
{
	begin(j, name);
	add(j, bracket == '{' ? "{" : "[");
	j->comma = false;
}

void orch_jsonout_close(struct orch_jsonout *j, char bracket)
{
	add(j, bracket == '}' ? "}" : "]");
	j->comma = true;
}

void orch_jsonout_text(struct orch_jsonout *j, const char *name, const char *value)
{
	begin(j, name);
	add_quoted(j, value);
}

void orch_jsonout_number(struct orch_jsonout *j, const char *name, long long value)
{
	char buf[32];

	(void) snprintf(buf, sizeof buf, "%lld", value);
	begin(j, name);
	add(j, buf);
}

void orch_jsonout_flag(struct orch_jsonout *j, const char *name, bool value)
{
	begin(j, name);
	add(j, value ? "true" : "false");
}

void orch_jsonout_null(struct orch_jsonout *j, const char *name)
{
	begin(j, name);
	add(j, "null");
}

bool orch_jsonout_print(struct orch_jsonout *j)
{
	struct err e = { 0 };
	bool good;

	add(j, "\n");
	good = !j->failed && fd_write_all(STDOUT_FILENO, j->at, j->len, &e) == 0;
	free(j->at);
	*j = (struct orch_jsonout){ 0 };
	return good;
}
