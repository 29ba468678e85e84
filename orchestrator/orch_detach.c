#include "orch_detach.h"

#define CTRL_P 0x10
#define CTRL_Q 0x11

size_t orch_detach_filter(
	struct orch_detach *d, const char *in, size_t len, char *out, bool *ret_detached)
{
	size_t n = 0;

	*ret_detached = false;
	for (size_t i = 0; i < len; i++) {
		if (d->held && in[i] == CTRL_Q) {
			d->held = false;
			*ret_detached = true;
			return n;
		}
		if (d->held)
			out[n++] = CTRL_P;
		d->held = in[i] == CTRL_P;
		if (!d->held)
			out[n++] = in[i];
	}
	return n;
}
