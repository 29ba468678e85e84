/* confine_child.h - run a step in a child, so that what it takes away is missing there only. */
#pragma once
#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>
#include "test.h"

/* What the function returns becomes the exit status (0 = as expected); a signal is 1000 + signo. */
static inline int in_child(int (*run)(void *), void *arg)
{
	int status;
	pid_t pid = fork();

	ASSERT(pid >= 0);
	if (pid == 0)
		_exit(run(arg));
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* In a child: a line number as the reason, as a child can't abort the harness. */
#define MUST(c) \
	do { \
		if (!(c)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #c, errno); \
			return 1; \
		} \
	} while (0)
