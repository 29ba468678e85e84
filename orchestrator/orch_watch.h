/* orch_watch.h - tell when one of a few files has changed, by inotify(7) on its folder.
 *
 * The folder is watched, not the file: editors and configuration tools write a
 * new file and rename it.  Only finished changes count (closed after writing,
 * moved here), so that no half-written file is read.  The file is watched as well,
 * as one that is mounted alone changes without its folder.  All events that are
 * waiting are read first, then each file that they touched is reported once:
 * that is the debounce.  Nothing wakes up while nothing changes.
 */
#pragma once
#include "core_cleanup.h"
#include "core_err.h"
#include "core_loop.h"

#define ORCH_WATCH_ANY "" /* as path: every file of the folder */

struct orch_watch;
/* May not free the watch. */
typedef void (*orch_watch_fn)(void *owner);

int orch_watch_new(struct loop *l, struct orch_watch **ret, struct err *e);
/* path: folder and name; a symbolic link is watched in both places.  dir_fd: the folder when it is
 * open already (the path's folder part is ignored then), else -1. */
int orch_watch_add(struct orch_watch *w, int dir_fd, const char *path, orch_watch_fn fn,
	void *owner, struct err *e);
void orch_watch_free(struct orch_watch *w);
DEFINE_AUTO(struct orch_watch, orch_watch_free)
