/* core_identity.h - which program owns the other end of a connection.
 *
 * Linux only.  sock_diag (sock_diag(7)) in the workload's network namespace
 * turns the 4-tuple into a socket inode; one scan of /proc, limited to
 * processes of that namespace, finds EVERY owner for a whole batch of
 * questions; each owner's executable, hash, start time and ancestors are read,
 * and the start times checked again.  Owners that differ, a socket without an
 * owner, or a changed executable mean: no identity, so deny.
 *
 * The finder needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH over the workload and
 * blocks (bounded): it runs in the identity worker, not in a proxy.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "core_addr.h"
#include "core_cleanup.h"
#include "core_err.h"

#define IDENTITY_ANCESTORS_MAX 64     /* levels */
#define IDENTITY_BATCH_MAX 256	      /* questions answered by one scan */
#define IDENTITY_TEXT_MAX (16 * 1024) /* bytes of all strings of one answer */
#define IDENTITY_PROCESSES_MAX 65536  /* processes looked at per scan */
#define IDENTITY_FDS_MAX 200000	      /* descriptors looked at per scan; beyond: deny */
#define IDENTITY_SCAN_MS 1500	      /* time for one scan; beyond: deny */
#define IDENTITY_HASH_BYTES_MAX (1024ull * 1024 * 1024) /* larger executables: deny */
#define IDENTITY_HASHES_MAX 4096 /* trust-on-first-use entries; beyond: deny new ones */
#define IDENTITY_HASH_TEXT 65	 /* SHA-256 in hex, NUL included */

enum identity_assurance { /* wire values, append only */
	IDENTITY_NONE = 0,
	IDENTITY_CLAIMED = 1, /* not verified by the kernel (delegated topologies) */
	IDENTITY_OBSERVED = 2,
};

/* A caller as policy sees it; strings are borrowed from whoever filled it in. */
struct identity_caller {
	enum identity_assurance assurance;
	const char *exe; /* "" when assurance is none */
	const char *sha256;
	const char *const *ancestors; /* nearest first */
	size_t n_ancestors;
	const char *const *cmdline_paths; /* for logs, never a grant */
	size_t n_cmdline_paths;
	pid_t pid;
	uint32_t uid;
	const char *reason; /* why there is no identity; "" otherwise */
};

enum identity_socket { /* what kind of socket is asked about; wire values, append only */
	IDENTITY_TCP_CONNECTED = 0,
	IDENTITY_TCP_OPENING = 1, /* in SYN_SENT too: a connect that is still waiting */
	IDENTITY_UDP = 2,	  /* connected or not: only its own end need match */
};

struct identity_question {
	enum identity_socket kind;
	struct addr peer, local; /* the workload's end, the proxy's end */
	uint16_t peer_port, local_port;
};

struct identity_answer { /* owns its strings */
	struct identity_caller caller;
	char *strings;
	char **pointers;
};

struct identity_finder;

/* netns_fd and proc_fd are borrowed until the finder is freed.  anchor is where
 * the ancestor walk ends (the entrypoint); 0 = not yet known, every answer is then "none". */
int identity_finder_new(int netns_fd, int proc_fd, struct identity_finder **ret, struct err *e);
void identity_finder_free(struct identity_finder *f);
void identity_finder_set_anchor(struct identity_finder *f, pid_t anchor);
/* The anchor's root directory is the caller's own: look there instead of in /proc/ANCHOR/root, which
 * a user namespace may not open before the anchor has executed its program. */
void identity_finder_share_root(struct identity_finder *f);
/* Fills ret[0..n); always succeeds: failure is an answer with assurance none and a reason.
 * Free each with identity_answer_done(). */
void identity_find(struct identity_finder *f, const struct identity_question *q,
	struct identity_answer *ret, size_t n);
void identity_answer_done(struct identity_answer *a);
/* Follow path inside /proc/ANCHOR/root, at most 40 hops of the last component, relative targets
 * lexically (spec/network 2.6); what exists then gets the name that the kernel has for it, folders
 * that are links resolved.  Also hashes it ahead of need.  -ENOENT etc. leave the literal. */
int identity_resolve(struct identity_finder *f, const char *path, char ret[4096], struct err *e);
DEFINE_AUTO(struct identity_finder, identity_finder_free)
