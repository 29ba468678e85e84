#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "ssh_state.h"

int ssh_buf_reserve(struct ssh_buf *b, size_t size)
{
	if (b->at)
		return 0;
	b->at = malloc(size);
	if (!b->at)
		return -ENOMEM;
	b->size = size;
	return 0;
}

size_t ssh_buf_room(const struct ssh_buf *b)
{
	return b->size - b->len;
}

size_t ssh_buf_add(struct ssh_buf *b, const void *bytes, size_t len)
{
	if (len > ssh_buf_room(b))
		len = ssh_buf_room(b);
	if (len && b->start + b->len + len > b->size) {
		(void) memmove(b->at, b->at + b->start, b->len);
		b->start = 0;
	}
	if (len)
		(void) memcpy(b->at + b->start + b->len, bytes, len);
	b->len += len;
	return len;
}

void ssh_buf_drop(struct ssh_buf *b, size_t len)
{
	b->start += len;
	b->len -= len;
	if (b->len == 0)
		b->start = 0;
}
