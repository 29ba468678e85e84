/* core_failure.h - the steps that a host may refuse, and who may tolerate that.
 *
 * An outer sandbox (gVisor, Kata, a container runtime) may refuse three steps
 * because it does them itself.  The default is strict: a refusal ends the start.
 * A program may register one handler, once, before the steps are taken; it is
 * asked for each refusal.  Only refusals are asked about: EPERM, EACCES, ENOSYS
 * and EINVAL.  Lack of memory and the like is never tolerated.
 *
 * The handler decides and does nothing else, as it also runs in children just
 * forked.  Whoever goes on without a step must report that as a High event.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core_err.h"

enum failure_kind { /* bit numbers of a mask on the wire; append only */
	FAILURE_NETWORK_NAMESPACE,
	FAILURE_SUPERVISOR_SECCOMP,
	FAILURE_WORKLOAD_SECCOMP,
	FAILURE_KIND_MAX,
};
#define FAILURE_BIT(kind) (1u << (kind))
#define FAILURE_NAMES_MAX 64 /* bytes of all names, commas and NUL included */

/* true: go on without it. */
typedef bool (*failure_fn)(void *owner, enum failure_kind kind, int code);

/* -EALREADY when there is one. */
int failure_set_handler(failure_fn fn, void *owner, struct err *e);
/* May this refusal (positive errno) be tolerated?  Without a handler: no. */
bool failure_is_tolerated(enum failure_kind kind, int code);

const char *failure_kind_name(enum failure_kind kind);
/* "network-namespace,workload-seccomp", blanks around names allowed; -EINVAL for another word. */
int failure_parse_kinds(const char *list, uint32_t *ret_mask, struct err *e);
/* The same list back. */
const char *failure_write_kinds(uint32_t mask, char ret[FAILURE_NAMES_MAX]);
