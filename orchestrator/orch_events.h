/* orch_events.h - where events of the leaves go: one line on stderr, one JSON object in --log-file.
 *
 * stderr shows denials and serious notices at level warn, all notices and
 * activity at info.  A denial equal to one shown within the window is counted,
 * and the count is shown when the window ends; a flood beyond a rate is counted
 * too.  The file gets every event up to a rate and a size; what is left out is
 * counted there.  No timer runs while nothing was held back.
 */
#pragma once
#include "core_cleanup.h"
#include "core_event.h"
#include "core_log.h"
#include "core_loop.h"
#include "orch_console.h"

struct orch_events;

struct orch_events_config {
	enum log_level level;
	const char *log_file;	      /* NULL: none */
	const char *sandbox_id;	      /* NULL: none; goes into each record */
	struct orch_console *console; /* borrowed */
};

/* Opens the file: created 0600, never through a symbolic link, regular files only. */
int orch_events_new(struct loop *l, const struct orch_events_config *c, struct orch_events **ret,
	struct err *e);
void orch_events_take(struct orch_events *ev, const Openshell__Event__Event *event);
/* A notice of our own; text may be of several lines, and is shown whatever the level. */
void orch_events_notice(struct orch_events *ev, Openshell__Event__Severity severity,
	const char *stage, const char *text);
/* Show what is still counted, then free. */
void orch_events_free(struct orch_events *ev);
DEFINE_AUTO(struct orch_events, orch_events_free)
