/* core_log.h - one line, one event, on stderr.  Only *_main.c and dispatchers log.
 *
 * A leaf's stderr is the orchestrator's.  Lines are cut at LOG_LINE_MAX, and
 * control characters, escapes and invalid UTF-8 from peers are neutralised.
 */
#pragma once
#include "core_err.h"

#define LOG_LINE_MAX 1024 /* bytes, newline included */

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* who is borrowed for ever (a literal).  Default level is warn. */
void log_open(const char *who);
void log_set_level(enum log_level level);

/* "error", "warn", "info", "debug" (also "trace", read as debug); -EINVAL otherwise. */
int log_level_parse(const char *text, enum log_level *ret);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Write the error and return EXIT_FAILURE, for main(). */
int log_fatal(const struct err *e);
