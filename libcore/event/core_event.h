/* core_event.h - denials, activity and notices: bounded construction and the two written forms.
 *
 * An event is the protobuf message of proto/event; this module fills, packs and
 * renders it.  Strings given to event_text() are copied and cut at
 * EVENT_TEXT_MAX; nothing else of a peer reaches a log.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "core_err.h"
#include "core_json.h"
#include "core_text.h"
#include "event.pb-c.h"

#define EVENT_TEXT_MAX 1024    /* bytes of one string */
#define EVENT_ANCESTORS_MAX 16 /* levels that are reported */
#define EVENT_LINE_MAX 4096    /* bytes of the one-line form */
#define EVENT_JSON_MAX 12288   /* bytes of the JSON form */

/* A stack-allocated event: strings live in the arena, so it needs no cleanup. */
struct event {
	Openshell__Event__Event msg; /* string members point into arena or to literals */
	char *ancestors[EVENT_ANCESTORS_MAX];
	size_t used;
	char arena[12 * EVENT_TEXT_MAX];
};

void event_init(struct event *ev, Openshell__Event__Kind kind, Openshell__Event__Severity severity);
/* Copy s into the arena, cut; returns what to assign to a member of msg. */
char *event_text(struct event *ev, const char *s);
char *event_textf(struct event *ev, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void event_set_ancestors(struct event *ev, const char *const *paths, size_t n);

/* NET:OPEN [MED] DENIED curl(123) -> evil.test:443 [policy:- engine:policy] [reason:...]
 * (spec/network 9.3; NOTICE is CONFIG:...).  Peer text is escaped. */
void event_line(const Openshell__Event__Event *ev, struct text *ret);
/* Its members in a JSON map that is open; empty ones are left out. */
void event_json_members(const Openshell__Event__Event *ev, struct json *ret);
/* The map as a whole, without newline. */
void event_json(const Openshell__Event__Event *ev, struct text *ret);
