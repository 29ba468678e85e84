#include "core_log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core_text.h"

/* The one global of libcore: where and how loud this process logs. */
static const char *log_who = "openshell";
static enum log_level log_max = LOG_LEVEL_WARN;

void log_open(const char *who)
{
	log_who = who;
}

void log_set_level(enum log_level level)
{
	log_max = level;
}

int log_level_parse(const char *text, enum log_level *ret)
{
	static const char *const names[] = { "error", "warn", "info", "debug", "trace" };

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		if (!text_ieq(text, strlen(text), names[i], strlen(names[i])))
			continue;
		*ret = i > LOG_LEVEL_DEBUG ? LOG_LEVEL_DEBUG : (enum log_level) i;
		return 0;
	}
	return -EINVAL;
}

/* One write(2), so that lines of several processes on one descriptor stay whole. */
static void write_line(const char *s)
{
	char line[LOG_LINE_MAX];
	struct text t;

	text_init(&t, line, sizeof line - 1);
	text_addf(&t, "%s: ", log_who);
	for (const char *p = s; *p && !t.cut;) {
		size_t plain = strcspn(p, "\"\\");

		/* Quotes and backslashes are ours here; only controls are escaped. */
		text_add_quoted(&t, p, plain, plain);
		p += plain;
		if (*p)
			text_add_n(&t, p++, 1);
	}
	line[t.len] = '\n';
	(void) !write(STDERR_FILENO, line, t.len + 1);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	char text[LOG_LINE_MAX];
	va_list ap;

	if (level > log_max)
		return;
	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	write_line(text);
}

int log_fatal(const struct err *e)
{
	write_line(e->text[0] ? e->text : "failed without a reason; this is a defect");
	return EXIT_FAILURE;
}
