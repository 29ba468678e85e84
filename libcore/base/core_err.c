#include "core_err.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core_text.h"

/* vsnprintf may cut inside a UTF-8 character; what is left must stay printable. */
static void mend_cut(struct err *e, int wanted)
{
	if (wanted >= ERR_TEXT_MAX)
		e->text[text_utf8_cut(e->text, strlen(e->text), ERR_TEXT_MAX - 1)] = '\0';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
	if (e) {
		va_list ap;

		e->code = code;
		va_start(ap, fmt);
		mend_cut(e, vsnprintf(e->text, sizeof e->text, fmt, ap));
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
		mend_cut(e, n + snprintf(e->text + n, sizeof e->text - (size_t) n, ": %s", inner));
	return e->code ? -e->code : -EIO;
}
