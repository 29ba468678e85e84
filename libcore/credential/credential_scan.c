#include "core_credential_scan.h"
#include <string.h>
#include "credential_inner.h"

static const char *const markers[2] = { CREDENTIAL_MARKER, CREDENTIAL_ALIAS };

/* One decoded byte that took width bytes of the stream. */
static void take_unit(struct credential_scan *s, char c, size_t width)
{
	(void) memmove(s->widths + 1, s->widths, sizeof s->widths - 1);
	s->widths[0] = (uint8_t) width;
	for (int i = 0; i < 2; i++) {
		s->matched[i] = (uint8_t) credential_step(markers[i], s->matched[i], c);
		s->hit |= s->matched[i] == CREDENTIAL_MARKER_LEN;
	}
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static void take_byte(struct credential_scan *s, char c)
{
	char whole[3] = { '%', s->escape, c }, decoded;
	uint8_t open = s->n_escape;

	if (open == 0 && c != '%') {
		take_unit(s, c, 1);
	} else if (open == 0) {
		s->n_escape = 1;
	} else if (open == 1 && is_hex(c)) {
		s->escape = c;
		s->n_escape = 2;
	} else if (open == 2 && is_hex(c)) {
		s->n_escape = 0;
		(void) credential_unit(whole, 3, 0, &decoded);
		take_unit(s, decoded, 3);
	} else { /* no escape after all: its bytes stand for themselves */
		s->n_escape = 0;
		take_unit(s, '%', 1);
		if (open == 2)
			take_unit(s, whole[1], 1);
		take_byte(s, c);
	}
}

/* Bytes of the stream that a begun marker and a begun escape have taken. */
static size_t begun(const struct credential_scan *s)
{
	unsigned deepest = s->matched[0] > s->matched[1] ? s->matched[0] : s->matched[1];
	size_t n = s->n_escape;

	for (unsigned i = 0; i < deepest; i++)
		n += s->widths[i];
	return n;
}

static bool is_dull(char c)
{
	return c != CREDENTIAL_MARKER[0] && c != CREDENTIAL_ALIAS[0] && c != '%';
}

bool credential_scan_feed(
	struct credential_scan *s, const char *in, size_t len, char *out, size_t *ret_len)
{
	size_t keep, pass, from_held;

	*ret_len = 0;
	for (size_t i = 0; i < len && !s->hit; i++) {
		if (is_dull(in[i]) && !s->n_escape && !s->matched[0] && !s->matched[1])
			continue;
		take_byte(s, in[i]);
	}
	if (s->hit)
		return false;
	keep = begun(s);
	pass = s->n_held + len - keep;
	from_held = pass < s->n_held ? pass : s->n_held;
	(void) memcpy(out, s->held, from_held);
	(void) memcpy(out + from_held, in, pass - from_held);
	(void) memmove(s->held, s->held + from_held, s->n_held - from_held);
	(void) memcpy(
		s->held + s->n_held - from_held, in + (pass - from_held), len - (pass - from_held));
	s->n_held = (uint8_t) keep;
	*ret_len = pass;
	return true;
}

size_t credential_scan_finish(struct credential_scan *s, char *out)
{
	size_t n = s->hit ? 0 : s->n_held;

	(void) memcpy(out, s->held, n);
	*s = (struct credential_scan){ .hit = s->hit };
	return n;
}
