#include "proc_fence.h"
#include <errno.h>
#include <malloc.h>
#include <nftables/libnftables.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_text.h"
#include "proc_probe.h"

#define RULES_MAX 8192	/* bytes */
#define SEEN_MAX "4096" /* connections refused once, remembered for 10 s */
#define LOG_LIMIT "limit rate 5/second burst 10 packets"

uint16_t proc_fence_group(const char *tag)
{
	uint32_t h = 2166136261u;

	for (; *tag; tag++)
		h = (h ^ (unsigned char) *tag) * 16777619u;
	return (uint16_t) (h % 65535 + 1);
}

/* What the kernel itself sends to refuse a packet (resets, unreachable messages) passes the same
 * hook: without accepting it, a refused connect would hang.  The workload can't send such packets,
 * as it has no raw sockets. */
static void write_sets(struct text *t)
{
	static const char *const families[] = { "4", "ipv4_addr", "6", "ipv6_addr" };

	for (size_t i = 0; i < 4; i += 2)
		text_addf(t,
			"set seen%s {\ntype %s . %s . inet_service . inet_service\nflags "
			"dynamic,timeout\ntimeout 10s\nsize " SEEN_MAX "\n}\n",
			families[i], families[i + 1], families[i + 1]);
}

/* The first packet of a connection goes to the monitor, which answers it.  The repetition, and all
 * beyond the limit, are refused by the rules that follow.  UDP is refused at once. */
static void write_log_rules(const char *tag, struct text *t)
{
	static const char *const families[] = { "4", "ip", "6", "ip6" };
	char log[64];

	(void) snprintf(log, sizeof log, "log prefix \"openshell:bypass:%s:\" group %u", tag,
		proc_fence_group(tag));
	for (size_t i = 0; i < 4; i += 2)
		text_addf(t,
			"%s saddr . %s daddr . tcp sport . tcp dport @seen%s reject with tcp "
			"reset\n",
			families[i + 1], families[i + 1], families[i]);
	for (size_t i = 0; i < 4; i += 2)
		text_addf(t,
			"tcp flags & (syn|ack) == syn " LOG_LIMIT " add @seen%s { %s saddr . %s "
			"daddr . tcp sport . tcp dport } %s drop\n",
			families[i], families[i + 1], families[i + 1], log);
	text_addf(t, "meta l4proto udp " LOG_LIMIT " %s\n", log);
	text_addf(t, "meta l4proto != { tcp, udp, icmp, icmpv6 } " LOG_LIMIT " %s\n", log);
}

static void write_rules(const struct proc_netns *n, const char *tag, bool watched, struct text *t)
{
	text_add(t,
		"add table inet openshell_fence\nflush table inet openshell_fence\n"
		"table inet openshell_fence {\n");
	if (watched)
		write_sets(t);
	text_add(t,
		"chain refuse {\n"
		"meta l4proto tcp reject with tcp reset\n"
		"reject with icmpx type port-unreachable\n}\n"
		"chain output {\n"
		"type filter hook output priority 0; policy drop;\n");
	text_add(t,
		"oifname \"lo\" ip daddr { 127.0.0.0/8, " PROC_PROXY_ADDRESS " } accept\n"
		"oifname \"lo\" ip6 daddr ::1 accept\n");
	if (n->workload_link[0])
		text_addf(t,
			"oifname \"%s\" ct direction reply ct state established,related accept\n"
			"oifname \"lo\" ip daddr %s accept\n",
			n->workload_link, n->workload_address);
	text_add(t,
		"tcp flags & rst == rst accept\n"
		"icmp type destination-unreachable accept\n"
		"icmpv6 type destination-unreachable accept\n");
	/* The probe's packets are refused as all others are, but not reported. */
	text_add(t,
		"ip daddr " PROC_PROBE_OUTSIDE4 " jump refuse\n"
		"ip6 daddr " PROC_PROBE_OUTSIDE6 " jump refuse\n");
	if (watched)
		write_log_rules(tag, t);
	text_add(t,
		"jump refuse\n}\n"
		"chain input {\ntype filter hook input priority 0; policy drop;\n"
		"iifname \"lo\" accept\n");
	if (n->workload_link[0])
		text_addf(t, "iifname \"%s\" accept\n", n->workload_link);
	text_add(t, "}\nchain forward { type filter hook forward priority 0; policy drop; }\n}\n");
}

static int tag_is_plain(const char *tag)
{
	return tag[0] && strspn(tag, "0123456789abcdef") == strlen(tag);
}

static int run(struct nft_ctx *ctx, const struct proc_netns *n, const char *tag, bool watched)
{
	char rules[RULES_MAX];
	struct text t;

	text_init(&t, rules, sizeof rules);
	write_rules(n, tag, watched, &t);
	return t.cut ? -1 : nft_run_cmd_from_buffer(ctx, rules);
}

int proc_fence_install(
	const struct proc_netns *n, const char *tag, bool watched, bool *ret_watched, struct err *e)
{
	struct nft_ctx *ctx;
	int r = -1;

	if (!tag_is_plain(tag))
		return err_set(e, EINVAL, "sandbox tag is not hexadecimal");
	if (proc_netns_enter(n, e) < 0)
		return -e->code;
	/* The context's socket stays in the namespace in which it was opened. */
	ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (proc_netns_leave(n, e) < 0) {
		if (ctx)
			nft_ctx_free(ctx);
		return -e->code;
	}
	if (!ctx)
		return err_set(e, ENOMEM, "nftables context");
	(void) nft_ctx_buffer_error(ctx);
	if (watched)
		r = run(ctx, n, tag, true);
	*ret_watched = r == 0;
	/* A kernel without packet log refuses as well, but tells nobody (spec/process 3.1). */
	if (r != 0)
		r = run(ctx, n, tag, false);
	if (r != 0)
		(void) err_set(e, EIO,
			"the network fence can't be installed, so nothing is started; the kernel "
			"needs nf_tables with reject: %.300s",
			nft_ctx_get_error_buffer(ctx));
	nft_ctx_free(ctx);
	/* The parser's memory is not needed again, and children would inherit it. */
	(void) malloc_trim(0);
	return r != 0 ? -EIO : 0;
}

struct proc_fence_host {
	struct nft_ctx *ctx; /* its socket owns the table */
};

static void write_host_chain(
	const struct proc_netns *n, const char *tag, const char *hook, struct text *t)
{
	text_addf(t,
		"chain %s {\ntype filter hook %s priority -10; policy accept;\n"
		"iifname != \"%s\" return\n"
		"ct direction reply ct state established,related accept\n",
		hook, hook, n->host_link);
	write_log_rules(tag, t);
	text_add(t,
		"meta l4proto tcp reject with tcp reset\n"
		"reject with icmpx type admin-prohibited\n}\n");
}

int proc_fence_host_new(
	const struct proc_netns *n, const char *tag, struct proc_fence_host **ret, struct err *e)
{
	AUTO(proc_fence_host_free) struct proc_fence_host *h = calloc(1, sizeof *h);
	char rules[RULES_MAX];
	struct text t;

	if (!h || !tag_is_plain(tag))
		return err_set(e, h ? EINVAL : ENOMEM, "fence on the host's side");
	text_init(&t, rules, sizeof rules);
	text_addf(&t, "table inet openshell_%s {\nflags owner\n", tag);
	write_sets(&t);
	write_host_chain(n, tag, "input", &t);
	write_host_chain(n, tag, "forward", &t);
	text_add(&t, "}\n");
	h->ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (!h->ctx || t.cut)
		return err_set(e, ENOMEM, "fence on the host's side");
	(void) nft_ctx_buffer_error(h->ctx);
	if (nft_run_cmd_from_buffer(h->ctx, rules) != 0)
		return err_set(e, EIO,
			"the host's side of the veth pair can't be fenced, so nothing is started; "
			"use --network-link sealed: %.300s",
			nft_ctx_get_error_buffer(h->ctx));
	*ret = TAKE_PTR(h);
	return 0;
}

void proc_fence_host_free(struct proc_fence_host *h)
{
	if (!h)
		return;
	if (h->ctx)
		nft_ctx_free(h->ctx);
	free(h);
}
