#include "core_event.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void event_init(struct event *ev, Openshell__Event__Kind kind, Openshell__Event__Severity severity)
{
	struct timespec t;

	openshell__event__event__init(&ev->msg);
	ev->used = 0;
	ev->msg.kind = kind;
	ev->msg.severity = severity;
	(void) clock_gettime(CLOCK_REALTIME, &t);
	ev->msg.time_ms = (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

char *event_text(struct event *ev, const char *s)
{
	size_t room = sizeof ev->arena - ev->used, len;
	char *at = ev->arena + ev->used;

	if (room < 2)
		return (char *) protobuf_c_empty_string;
	len = text_utf8_cut(
		s, strlen(s), EVENT_TEXT_MAX - 1 < room - 1 ? EVENT_TEXT_MAX - 1 : room - 1);
	(void) memcpy(at, s, len);
	at[len] = '\0';
	ev->used += len + 1;
	return at;
}

char *event_textf(struct event *ev, const char *fmt, ...)
{
	char text[EVENT_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return event_text(ev, text);
}

void event_set_ancestors(struct event *ev, const char *const *paths, size_t n)
{
	if (n > EVENT_ANCESTORS_MAX)
		n = EVENT_ANCESTORS_MAX;
	for (size_t i = 0; i < n; i++)
		ev->ancestors[i] = event_text(ev, paths[i]);
	ev->msg.ancestors = ev->ancestors;
	ev->msg.n_ancestors = n;
}

static const char *severity_tag(Openshell__Event__Severity s)
{
	static const char *const tags[] = { "INFO", "LOW", "MED", "HIGH", "CRIT" };

	return (unsigned) s < sizeof tags / sizeof *tags ? tags[s] : "INFO";
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void add_quoted(struct text *t, const char *s, size_t max)
{
	text_add_quoted(t, s, strlen(s), max);
}

/* A value in brackets: what could end it early is escaped. */
static void add_bracketed(struct text *t, const char *s, size_t max)
{
	size_t end = text_utf8_cut(s, strlen(s), max);

	for (const char *p = s; p < s + end;) {
		size_t plain = strcspn(p, "[]");

		if (plain > (size_t) (s + end - p))
			plain = (size_t) (s + end - p);
		text_add_quoted(t, p, plain, plain);
		p += plain;
		if (p < s + end)
			text_addf(t, "\\%c", *p++);
	}
	if (s[end])
		text_add(t, "...");
}

static void add_context(struct text *t, const Openshell__Event__Event *ev)
{
	text_add(t, " [policy:");
	add_bracketed(t, ev->policy[0] ? ev->policy : "-", 128);
	text_add(t, " engine:");
	add_bracketed(t, ev->engine[0] ? ev->engine : "policy", 32);
	text_add(t, "]");
	if (ev->reason[0]) {
		text_add(t, " [reason:");
		add_bracketed(t, ev->reason, 768);
		text_add(t, "]");
	}
}

static void add_traffic(struct text *t, const Openshell__Event__Event *ev)
{
	const char *action = ev->kind == OPENSHELL__EVENT__KIND__DENIAL ? "DENIED" : "ALLOWED";

	if (ev->method[0]) {
		text_add(t, "HTTP:");
		add_quoted(t, ev->method, 32);
	} else {
		text_add(t, "NET:OPEN");
	}
	text_addf(t, " [%s] %s ", severity_tag(ev->severity), action);
	add_quoted(t, ev->binary[0] ? base_name(ev->binary) : "-", 128);
	text_addf(t, "(%u) -> ", ev->pid);
	if (ev->method[0]) {
		add_quoted(t, ev->method, 32);
		text_add(t, ev->secure ? " https://" : " http://");
	}
	add_quoted(t, ev->host[0] ? ev->host : "-", 256);
	if (ev->port)
		text_addf(t, ":%u", ev->port);
	if (ev->method[0])
		add_quoted(t, ev->path[0] ? ev->path : "/", 256);
	add_context(t, ev);
}

void event_line(const Openshell__Event__Event *ev, struct text *ret)
{
	if (ev->kind != OPENSHELL__EVENT__KIND__NOTICE) {
		add_traffic(ret, ev);
		return;
	}
	text_add(ret, "CONFIG:");
	add_quoted(ret, ev->stage[0] ? ev->stage : "notice", 32);
	text_addf(ret, " [%s] ", severity_tag(ev->severity));
	add_quoted(ret, ev->message, 768);
	if (ev->reason[0]) {
		text_add(ret, ": ");
		add_quoted(ret, ev->reason, 768);
	}
}

static void json_text(struct json *j, const char *name, const char *value)
{
	if (value[0])
		json_add_bytes(j, name, value, strlen(value), EVENT_TEXT_MAX);
}

static void json_number(struct json *j, const char *name, uint64_t value)
{
	if (value)
		json_add_number(j, name, value);
}

static void json_ancestors(struct json *j, const Openshell__Event__Event *ev)
{
	if (!ev->n_ancestors)
		return;
	json_open(j, "ancestors", '[');
	for (size_t i = 0; i < ev->n_ancestors && i < EVENT_ANCESTORS_MAX; i++)
		json_add_bytes(j, NULL, ev->ancestors[i], strlen(ev->ancestors[i]), 256);
	json_close(j, ']');
}

void event_json_members(const Openshell__Event__Event *ev, struct json *ret)
{
	static const char *const kinds[] = { "unspecified", "denial", "activity", "notice" };
	static const char *const severities[] = { "informational", "low", "medium", "high",
		"critical" };

	json_add_number(ret, "time_ms", ev->time_ms);
	json_add_text(ret, "kind", kinds[(unsigned) ev->kind < 4 ? ev->kind : 0]);
	json_add_text(ret, "severity", severities[(unsigned) ev->severity < 5 ? ev->severity : 0]);
	json_text(ret, "stage", ev->stage);
	json_text(ret, "group", ev->group);
	json_text(ret, "host", ev->host);
	json_number(ret, "port", ev->port);
	json_text(ret, "address", ev->address);
	json_number(ret, "source_port", ev->source_port);
	json_text(ret, "method", ev->method);
	if (ev->method[0])
		json_text(ret, "scheme", ev->secure ? "https" : "http");
	json_text(ret, "path", ev->path);
	json_text(ret, "binary", ev->binary);
	json_number(ret, "pid", ev->pid);
	json_ancestors(ret, ev);
	json_text(ret, "policy", ev->policy);
	json_text(ret, "engine", ev->engine);
	json_text(ret, "reason", ev->reason);
	json_text(ret, "message", ev->message);
	json_number(ret, "generation", ev->generation);
	json_number(ret, "bytes_up", ev->bytes_up);
	json_number(ret, "bytes_down", ev->bytes_down);
}

void event_json(const Openshell__Event__Event *ev, struct text *ret)
{
	struct json j;

	json_init(&j, ret);
	json_open(&j, NULL, '{');
	event_json_members(ev, &j);
	json_close(&j, '}');
}
