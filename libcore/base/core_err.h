/* core_err.h - why something failed, for the operator who will read it.
 *
 * The caller owns the struct (normally on its stack); it holds no pointers, so
 * it needs no cleanup and may be copied into a message as it stands.
 * Success leaves it untouched.
 */
#pragma once

#define ERR_TEXT_MAX 512 /* bytes, NUL included; longer text is cut at a character boundary */

struct err {
	int code;		 /* positive errno value, 0 = unset */
	char text[ERR_TEXT_MAX]; /* "outer: inner", no trailing newline */
};

/* Set e (which may be NULL) and return -code, so that
 * "return err_set(e, ENOENT, ...)" is the whole failure path. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prefix the text already in e with context; keep its code; return -code. */
int err_wrap(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
