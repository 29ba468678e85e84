#include "proc_bypass.h"
#include <netinet/in.h>
#include <stdio.h>

#define DNS_PORT 53

static const char *protocol_name(uint8_t protocol, char buf[32])
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_ICMPV6:
		return "icmpv6";
	case IPPROTO_SCTP:
		return "sctp";
	case IPPROTO_DCCP:
		return "dccp";
	case IPPROTO_UDPLITE:
		return "udplite";
	default:
		(void) snprintf(buf, 32, "protocol %u", protocol);
		return buf;
	}
}

/* What to do about it (spec/process 4): three cases, and the policy line for the one that can be
 * allowed. */
static void add_hint(
	const struct proc_packet *p, const char *address, const char *exe, struct text *t)
{
	if (p->protocol == IPPROTO_UDP && p->destination_port == DNS_PORT) {
		text_add(t,
			"names are looked up by the proxy: let the program send the name to "
			"HTTP_PROXY or HTTPS_PROXY instead of resolving it");
		return;
	}
	if (p->protocol != IPPROTO_TCP) {
		text_add(t,
			"only TCP is carried, through the proxy; turn off QUIC or whatever else "
			"needs it");
		return;
	}
	text_addf(t,
		"let the program honour HTTP_PROXY, HTTPS_PROXY and ALL_PROXY (node: "
		"NODE_USE_ENV_PROXY=1), and allow the destination with endpoints: [{host: %s, "
		"port: %u}]",
		address, p->destination_port);
	if (exe[0])
		text_addf(t, ", binaries: [{path: %.256s}]", exe);
}

void proc_bypass_event(const struct proc_packet *p, const struct identity_caller *caller,
	uint32_t uid, struct event *ret)
{
	char address[ADDR_TEXT_MAX], buf[32], reason[EVENT_TEXT_MAX];
	const char *name = protocol_name(p->protocol, buf);
	bool known = caller && caller->assurance != IDENTITY_NONE;
	struct text t;

	event_init(ret, OPENSHELL__EVENT__KIND__DENIAL, OPENSHELL__EVENT__SEVERITY__MEDIUM);
	(void) addr_text(&p->destination, address);
	text_init(&t, reason, sizeof reason);
	text_addf(&t, "direct %s past the proxy is refused", name);
	if (!known && uid != UINT32_MAX)
		text_addf(&t, " (a program of uid %u: %s)", uid,
			caller && caller->reason[0] ? caller->reason
						    : "it could not be told in time");
	text_add(&t, "; ");
	add_hint(p, address, known ? caller->exe : "", &t);
	ret->msg.stage = event_text(ret, "bypass");
	ret->msg.group = event_text(ret, "bypass");
	ret->msg.engine = event_text(ret, "fence");
	ret->msg.host = event_text(ret, address);
	ret->msg.address = ret->msg.host;
	ret->msg.port = p->destination_port;
	ret->msg.source_port = p->source_port;
	ret->msg.reason = event_text(ret, reason);
	ret->msg.message = event_textf(
		ret, "BYPASS_DETECT %s:%u %s reject", address, p->destination_port, name);
	if (!known)
		return;
	ret->msg.binary = event_text(ret, caller->exe);
	ret->msg.pid = (uint32_t) caller->pid;
	event_set_ancestors(ret, caller->ancestors, caller->n_ancestors);
}
