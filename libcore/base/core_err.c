#include "core_err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (e) {
		va_list ap;
		e->code = code;
		va_start(ap, fmt);
		(void) vsnprintf(e->text, sizeof e->text, fmt, ap);
		va_end(ap);
	}
	return -code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char inner[ERR_TEXT_MAX];
	va_list ap;
	int n;

	if (!e)
		return -EIO;
	(void) memcpy(inner, e->text, sizeof inner);
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	if (n >= 0 && n < ERR_TEXT_MAX - 3)
		(void) snprintf(e->text + n, sizeof e->text - (size_t) n, ": %.*s",
			(int) (ERR_TEXT_MAX - n - 3), inner);
	return e->code ? -e->code : -EIO;
}
