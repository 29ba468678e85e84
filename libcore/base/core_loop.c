#include "core_loop.h"
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct loop {
	struct event_base *base;
};

struct loop_io {
	struct loop *loop;
	struct event *event;
	loop_io_fn fn;
	void *owner;
	int fd;
	unsigned watching;
};

struct loop_timer {
	struct event *event;
	loop_fn fn;
	void *owner;
};

struct loop_signal {
	struct event *event;
	loop_signal_fn fn;
	void *owner;
};

int loop_new(struct loop **ret, struct err *e)
{
	AUTO_FREE struct loop *l = calloc(1, sizeof *l);
	struct event_config *config = event_config_new();

	if (!l || !config)
		return err_set(e, ENOMEM, "event loop");
	/* The change list turns several changes of one turn into one epoll_ctl(2). */
	(void) event_config_set_flag(config, EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	(void) event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	(void) event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	(void) event_config_require_features(config, EV_FEATURE_ET);
	l->base = event_base_new_with_config(config);
	event_config_free(config);
	if (!l->base)
		return err_set(e, EIO, "event loop: epoll is not available");
	*ret = TAKE_PTR(l);
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	event_base_free(l->base);
	free(l);
}

int loop_run(struct loop *l, struct err *e)
{
	if (event_base_dispatch(l->base) < 0)
		return err_set(e, EIO, "event loop failed");
	return 0;
}

void loop_stop(struct loop *l)
{
	(void) event_base_loopbreak(l->base);
}

uint64_t loop_now_ms(struct loop *l)
{
	struct timespec t;

	(void) l;
	(void) clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t) t.tv_sec * 1000 + (uint64_t) t.tv_nsec / 1000000;
}

static void on_io(evutil_socket_t fd, short what, void *arg)
{
	struct loop_io *io = arg;
	unsigned ready = 0;

	if (what & EV_READ)
		ready |= LOOP_READ;
	if (what & EV_WRITE)
		ready |= LOOP_WRITE;
	io->fn(io->owner, (int) fd, ready);
}

int loop_io_new(
	struct loop *l, int fd, loop_io_fn fn, void *owner, struct loop_io **ret, struct err *e)
{
	AUTO_FREE struct loop_io *io = calloc(1, sizeof *io);

	if (!io)
		return err_set(e, ENOMEM, "watch a descriptor");
	*io = (struct loop_io){ .loop = l, .fn = fn, .owner = owner, .fd = fd };
	io->event = event_new(l->base, fd, 0, on_io, io);
	if (!io->event)
		return err_set(e, ENOMEM, "watch a descriptor");
	*ret = TAKE_PTR(io);
	return 0;
}

int loop_io_watch(struct loop_io *io, unsigned events)
{
	short what = EV_PERSIST;

	if (events == io->watching)
		return 0;
	if (io->watching && event_del(io->event) < 0)
		return -EIO;
	io->watching = events;
	if (!(events & (LOOP_READ | LOOP_WRITE)))
		return 0;
	if (events & LOOP_READ)
		what |= EV_READ;
	if (events & LOOP_WRITE)
		what |= EV_WRITE;
	if (events & LOOP_EDGE)
		what |= EV_ET;
	if (event_assign(io->event, io->loop->base, io->fd, what, on_io, io) < 0 ||
		event_add(io->event, NULL) < 0) {
		io->watching = 0;
		return -EIO;
	}
	return 0;
}

void loop_io_free(struct loop_io *io)
{
	if (!io)
		return;
	event_free(io->event);
	free(io);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop_timer *t = arg;

	(void) fd;
	(void) what;
	t->fn(t->owner);
}

int loop_timer_new(struct loop *l, loop_fn fn, void *owner, struct loop_timer **ret, struct err *e)
{
	AUTO_FREE struct loop_timer *t = calloc(1, sizeof *t);

	if (!t)
		return err_set(e, ENOMEM, "timer");
	t->fn = fn;
	t->owner = owner;
	t->event = event_new(l->base, -1, 0, on_timer, t);
	if (!t->event)
		return err_set(e, ENOMEM, "timer");
	*ret = TAKE_PTR(t);
	return 0;
}

int loop_timer_start(struct loop_timer *t, uint64_t after_ms)
{
	struct timeval tv = { (time_t) (after_ms / 1000), (suseconds_t) (after_ms % 1000 * 1000) };

	return event_add(t->event, &tv) < 0 ? -EIO : 0;
}

void loop_timer_stop(struct loop_timer *t)
{
	(void) event_del(t->event);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	event_free(t->event);
	free(t);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct loop_signal *s = arg;

	(void) what;
	s->fn(s->owner, (int) signo);
}

int loop_signal_new(struct loop *l, int signo, loop_signal_fn fn, void *owner,
	struct loop_signal **ret, struct err *e)
{
	AUTO_FREE struct loop_signal *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(e, ENOMEM, "signal %d", signo);
	s->fn = fn;
	s->owner = owner;
	s->event = event_new(l->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, s);
	if (!s->event)
		return err_set(e, ENOMEM, "signal %d", signo);
	if (event_add(s->event, NULL) < 0) {
		event_free(s->event);
		return err_set(e, EIO, "watch signal %d", signo);
	}
	*ret = TAKE_PTR(s);
	return 0;
}

void loop_signal_free(struct loop_signal *s)
{
	if (!s)
		return;
	event_free(s->event);
	free(s);
}
