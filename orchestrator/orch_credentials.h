/* orch_credentials.h - the credentials of --credentials: values, handles, and what each leaf gets.
 *
 * The workload gets placeholders (orch_credentials_env), the network leaf a
 * sealed memory file with the values (orch_credentials_fd), nobody else
 * anything.  Values are held in core_secret memory only.  A variable named by
 * from_env is taken out of this process's environment when it is read.
 *
 * Each credential has a random handle for this run, which stays while name,
 * source, endpoints and prefix stay: then a new value is a rotation and the
 * workload's placeholder goes on.  Otherwise it gets a new handle, and what was
 * given out before is dead.
 *
 * A file that can't be read or has problems revokes all (spec/network 5.2); the
 * next good reading of the same credentials revives them.  A single source
 * that fails makes that credential unavailable.
 */
#pragma once
#include <stdbool.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"
#include "orch_credential_read.h"
#include "orch_env.h"
#include "orch_watch.h"

struct orch_credentials;

struct orch_credentials_reach { /* of the workload */
	uint32_t uid, gid;
	const char *dirs[ORCH_REACH_MAX];
	size_t n_dirs;
};

struct orch_credentials_calls {
	/* serious: something is refused from now on.  text may be of several lines. */
	void (*say)(void *owner, bool serious, const char *text);
	void (*changed)(void *owner); /* send orch_credentials_fd() again */
};

/* Reads everything, waiting at most ORCH_CREDENTIALS_READ_MS; any problem is an error, with all of
 * them said.  source->file must outlive it. */
int orch_credentials_new(struct loop *l, const struct orch_credential_source *source,
	const struct orch_credentials_calls *calls, void *owner, struct orch_credentials **ret,
	struct err *e);
void orch_credentials_free(struct orch_credentials *c);

/* Placeholders, as variables of the workload. */
int orch_credentials_env(const struct orch_credentials *c, struct orch_vars *ret, struct err *e);
/* Is that the name of a variable that a credential was taken from? */
bool orch_credentials_took(const struct orch_credentials *c, const char *name, size_t len);
/* A fresh sealed memory file with NetCredentials; the caller's to close at once after sending. */
int orch_credentials_fd(const struct orch_credentials *c, int *ret, struct err *e);
/* Read again, without waiting; changed() or say() tells the result. */
void orch_credentials_reload(struct orch_credentials *c);
/* The reader has ended (from the dispatcher of SIGCHLD). true: it was ours. */
bool orch_credentials_reaped(struct orch_credentials *c, pid_t pid);
/* Watch the file and every from_file, as far as the watch has room; also after a reading that named
 * new ones. */
void orch_credentials_watch(struct orch_credentials *c, struct orch_watch *w);
/* Has the file changed since it was read? */
bool orch_credentials_is_stale(const struct orch_credentials *c);
/* The first of the files that a process of this user and group could read, if only these folders
 * are open to it; NULL: none.  Borrowed. */
const char *orch_credentials_exposed(
	const struct orch_credentials *c, const struct orch_credentials_reach *reach);
DEFINE_AUTO(struct orch_credentials, orch_credentials_free)
