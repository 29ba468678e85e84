/* core_loop.h - one event loop per process (libevent behind it, nobody else includes it).
 *
 * Callbacks run on the loop, never concurrently, and must not block.  A
 * callback may free the object that it was called for; it then returns at
 * once.  The objects are owned by whoever made them and must be freed before
 * the loop.  Times are milliseconds of CLOCK_MONOTONIC.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "core_cleanup.h"
#include "core_err.h"

struct loop;
struct loop_io;
struct loop_timer;
struct loop_signal;

enum loop_events {
	LOOP_READ = 1 << 0,
	LOOP_WRITE = 1 << 1,
	LOOP_EDGE = 1 << 2, /* edge-triggered: go on until EAGAIN */
};

typedef void (*loop_io_fn)(void *owner, int fd, unsigned ready);
typedef void (*loop_fn)(void *owner);
typedef void (*loop_signal_fn)(void *owner, int signo);

/* Opens epoll and whatever else it needs, so that it can run under a seccomp
 * filter that is installed afterwards. */
int loop_new(struct loop **ret, struct err *e);
void loop_free(struct loop *l);

/* Runs until loop_stop(), or until nothing is left to wait for. */
int loop_run(struct loop *l, struct err *e);
/* loop_run() returns when the callback that called this has. */
void loop_stop(struct loop *l);
/* Now, by CLOCK_MONOTONIC: not the time of day. */
uint64_t loop_now_ms(struct loop *l);

/* Watch fd (borrowed; close it after loop_io_free).  Watches nothing until
 * loop_io_watch() names the events; 0 means none. */
int loop_io_new(
	struct loop *l, int fd, loop_io_fn fn, void *owner, struct loop_io **ret, struct err *e);
int loop_io_watch(struct loop_io *io, unsigned events);
void loop_io_free(struct loop_io *io);

/* A one-shot timer; starting it again moves it. */
int loop_timer_new(struct loop *l, loop_fn fn, void *owner, struct loop_timer **ret, struct err *e);
int loop_timer_start(struct loop_timer *t, uint64_t after_ms);
void loop_timer_stop(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/* fn runs on the loop, not in a signal handler (signal(7)).  One object per signal and process; equal
 * signals that are pending merge. */
int loop_signal_new(struct loop *l, int signo, loop_signal_fn fn, void *owner,
	struct loop_signal **ret, struct err *e);
void loop_signal_free(struct loop_signal *s);

DEFINE_AUTO(struct loop, loop_free)
DEFINE_AUTO(struct loop_io, loop_io_free)
DEFINE_AUTO(struct loop_timer, loop_timer_free)
DEFINE_AUTO(struct loop_signal, loop_signal_free)
