#include "net_report.h"
#include <stdio.h>
#include "core_credential.h"
#include "core_event.h"
#include "ipc_network.h"

static bool may_send(struct net_leaf *n)
{
	uint64_t second = loop_now_ms(n->loop) / 1000;

	if (n->events_second != second) {
		n->events_second = second;
		n->events_sent = 0;
	}
	if (n->events_sent < NET_EVENTS_PER_S && channel_queued(n->up) < NET_EVENTS_QUEUE_MAX) {
		n->events_sent++;
		return true;
	}
	n->events_dropped++;
	return false;
}

static void post(struct net_leaf *n, const struct event *ev)
{
	struct err e = { 0 };

	if (channel_send(n->up, NET_EVENT, 0, &ev->msg.base, &e) < 0)
		n->events_dropped++;
}

static void send_dropped(struct net_leaf *n)
{
	struct event ev;

	event_init(&ev, OPENSHELL__EVENT__KIND__NOTICE, OPENSHELL__EVENT__SEVERITY__MEDIUM);
	ev.msg.stage = event_text(&ev, "events");
	ev.msg.message = event_textf(
		&ev, "%u events were not reported: too many at a time", n->events_dropped);
	n->events_dropped = 0;
	post(n, &ev);
}

static char *slice_text(struct event *ev, struct net_slice s)
{
	return event_textf(ev, "%.*s", (int) (s.len < 512 ? s.len : 512), s.at ? s.at : "");
}

/* No placeholder is in an event. */
static char *path_text(struct event *ev, struct net_slice path)
{
	char shown[513];
	struct text t;

	if (!path.at)
		return event_text(ev, "");
	text_init(&t, shown, sizeof shown);
	credential_redact_target(path.at, path.len, &t);
	return event_text(ev, shown);
}

static void report(struct net_leaf *n, const struct net_report *r)
{
	struct event ev;

	if (n->events_dropped)
		send_dropped(n);
	event_init(&ev,
		r->denied ? OPENSHELL__EVENT__KIND__DENIAL : OPENSHELL__EVENT__KIND__ACTIVITY,
		r->denied	   ? OPENSHELL__EVENT__SEVERITY__MEDIUM
			: r->audit ? OPENSHELL__EVENT__SEVERITY__LOW
				   : OPENSHELL__EVENT__SEVERITY__INFORMATIONAL);
	ev.msg.stage = event_text(&ev, r->stage);
	ev.msg.group = event_text(&ev, r->group);
	ev.msg.engine = event_text(&ev, r->engine);
	ev.msg.host = event_text(&ev, r->host);
	ev.msg.port = r->port;
	ev.msg.policy = event_text(&ev, r->policy ? r->policy : "");
	ev.msg.reason = event_text(&ev, r->reason ? r->reason : "");
	ev.msg.address = event_text(&ev, r->address ? r->address : "");
	ev.msg.source_port = r->source_port;
	ev.msg.generation = r->generation;
	ev.msg.method = slice_text(&ev, r->method);
	ev.msg.secure = r->secure;
	ev.msg.path = path_text(&ev, r->path);
	if (r->caller) {
		ev.msg.binary = event_text(&ev, r->caller->exe);
		ev.msg.pid = (uint32_t) r->caller->pid;
		event_set_ancestors(&ev, r->caller->ancestors, r->caller->n_ancestors);
	}
	post(n, &ev);
}

/* An event is large: most requests are not reported, and should not pay for one. */
void net_report(struct net_leaf *n, const struct net_report *r)
{
	if ((r->denied || r->audit || n->report_activity) && may_send(n))
		report(n, r);
}

void net_report_notice(struct net_leaf *n, const char *stage, const char *text)
{
	struct event ev;

	if (!may_send(n))
		return;
	event_init(&ev, OPENSHELL__EVENT__KIND__NOTICE, OPENSHELL__EVENT__SEVERITY__MEDIUM);
	ev.msg.stage = event_text(&ev, stage);
	ev.msg.message = event_text(&ev, text);
	post(n, &ev);
}
