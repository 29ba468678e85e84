#include "proc_fence.h"
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <string.h>
#include "core_text.h"

#define RULES_MAX 4096 /* bytes */

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
static void write_rules(const struct proc_netns *n, const char *tag, struct text *t)
{
	text_add(t,
		"add table inet openshell_fence\nflush table inet openshell_fence\n"
		"table inet openshell_fence {\nchain output {\n"
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
	text_addf(t,
		"limit rate 5/second burst 10 packets log prefix \"openshell:bypass:%s:\" group "
		"%u\n",
		tag, proc_fence_group(tag));
	text_add(t,
		"meta l4proto tcp reject with tcp reset\n"
		"reject with icmpx type port-unreachable\n}\n"
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

int proc_fence_install(const struct proc_netns *n, const char *tag, struct err *e)
{
	char rules[RULES_MAX];
	struct nft_ctx *ctx;
	struct text t;
	int r;

	if (!tag_is_plain(tag))
		return err_set(e, EINVAL, "sandbox tag is not hexadecimal");
	text_init(&t, rules, sizeof rules);
	write_rules(n, tag, &t);
	if (proc_netns_enter(n, e) < 0)
		return -e->code;
	/* The context's socket stays in the namespace in which it was opened. */
	ctx = nft_ctx_new(NFT_CTX_DEFAULT);
	if (proc_netns_leave(n, e) < 0)
		return -e->code;
	if (!ctx)
		return err_set(e, ENOMEM, "nftables context");
	(void) nft_ctx_buffer_error(ctx);
	r = nft_run_cmd_from_buffer(ctx, rules);
	if (r != 0)
		(void) err_set(e, EIO,
			"the network fence can't be installed, so nothing is started; the kernel "
			"needs nf_tables with reject and log: %.300s",
			nft_ctx_get_error_buffer(ctx));
	nft_ctx_free(ctx);
	return r != 0 ? -EIO : 0;
}
