/* orch_console.h - what the supervisor writes on stderr, without ever waiting for it.
 *
 * stderr may be a terminal in raw mode (then lines end in CR LF), or a pipe
 * that nobody empties (then lines are dropped and counted: a full pipe must not
 * stop the boundary).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct orch_console {
	int fd;
	bool raw; /* the operator's terminal is in raw mode */
	unsigned long dropped;
};

/* One line, or several separated by newlines, each with our name in front.  The text must be
 * escaped already; a last newline is optional. */
void orch_console_say(struct orch_console *c, const char *text);
void orch_console_sayf(struct orch_console *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
