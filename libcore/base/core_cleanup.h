/* core_cleanup.h - scope-bound ownership.
 *
 * A local that owns something says so in its declaration; the owner gives it
 * away with TAKE_PTR()/TAKE_FD().  Nothing here logs or fails.
 */
#pragma once
#include <stdlib.h>
#include <unistd.h>

static inline void core_freep(void *p)
{
	free(*(void **) p);
}

static inline void core_closep(int *fd)
{
	if (*fd >= 0)
		(void) close(*fd);
}

#define AUTO_FREE __attribute__((cleanup(core_freep)))
#define AUTO_CLOSE __attribute__((cleanup(core_closep)))
#define AUTO(free_fn) __attribute__((cleanup(free_fn##_p)))
#define DEFINE_AUTO(type, free_fn) \
	static inline void free_fn##_p(type **p) \
	{ \
		if (*p) \
			free_fn(*p); \
	}

#define TAKE_PTR(p) \
	({ \
		__typeof__(p) t_ = (p); \
		(p) = NULL; \
		t_; \
	})
#define TAKE_FD(fd) \
	({ \
		int t_ = (fd); \
		(fd) = -1; \
		t_; \
	})
