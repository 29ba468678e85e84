#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core_text.h"
#include "orch_console.h"

#define NAME "openshell-supervisor: "
#define LINE_BYTES 4096 /* PIPE_BUF: written whole or not at all */

static bool is_writable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

static void write_line(struct orch_console *c, const char *s, size_t len)
{
	char line[LINE_BYTES];
	struct text t;

	text_init(&t, line, sizeof line - 2);
	if (c->dropped)
		text_addf(&t, NAME "%lu lines lost, stderr was full\n", c->dropped);
	text_add(&t, NAME);
	text_add_n(&t, s, len);
	if (c->raw)
		line[t.len++] = '\r';
	line[t.len++] = '\n';
	if (is_writable(c->fd) && write(c->fd, line, t.len) == (ssize_t) t.len)
		c->dropped = 0;
	else
		c->dropped++;
}

void orch_console_say(struct orch_console *c, const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		write_line(c, text, len);
		text += len + (text[len] == '\n');
	}
}

void orch_console_sayf(struct orch_console *c, const char *fmt, ...)
{
	char buf[LINE_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(buf, sizeof buf, fmt, ap);
	va_end(ap);
	orch_console_say(c, buf);
}
