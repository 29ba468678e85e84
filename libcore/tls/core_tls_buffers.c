/* Record buffers are a stream's while one of its calls runs, or while something is in them.  In
 * between they lie with what all streams of one side share, so that an idle connection has none and a
 * busy one finds those that the processor's cache still has. */
#include "core_tls_inner.h"

#ifndef TLS_MBEDTLS_SYSTEM
int tls_buffers_want(struct tls_stream *t)
{
	struct tls_common *c = t->common;
	struct tls_buffers b;

	if (!t->lent)
		return 0;
	if (c->n_spare)
		b = c->spare[--c->n_spare];
	else if (!tls_buffers_new(&b))
		return MBEDTLS_ERR_SSL_ALLOC_FAILED;
	tls_buffers_give(&t->ssl, b, t->record_number);
	t->lent = false;
	return 0;
}

void tls_buffers_spare(struct tls_stream *t)
{
	struct tls_common *c = t->common;
	struct tls_buffers b;

	if (t->lent || !tls_buffers_take(&t->ssl, &b, t->record_number))
		return;
	t->lent = true;
	if (c->n_spare < TLS_SPARE_MAX)
		c->spare[c->n_spare++] = b;
	else
		tls_buffers_free(&b);
}

void tls_buffers_done(struct tls_common *c)
{
	while (c->n_spare)
		tls_buffers_free(&c->spare[--c->n_spare]);
}

void tls_buffers_handshake_over(struct tls_stream *t)
{
	tls_buffers_forget_handshake(&t->ssl);
}
#else
/* The system's mbedTLS hides where its buffers are: each stream keeps its own. */
int tls_buffers_want(struct tls_stream *t)
{
	(void) t;
	return 0;
}
void tls_buffers_spare(struct tls_stream *t)
{
	(void) t;
}
void tls_buffers_done(struct tls_common *c)
{
	(void) c;
}
void tls_buffers_handshake_over(struct tls_stream *t)
{
	(void) t;
}
#endif
