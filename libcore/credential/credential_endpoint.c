/* credential_endpoint.c - hosts and paths that a credential is bound to (spec/policy 2.2). */
#include <string.h>
#include <strings.h>
#include "core_policy_snapshot.h"
#include "credential_inner.h"

#define HOST_LABELS_MAX 128

static size_t label_len(const char *s)
{
	return strcspn(s, ".");
}

/* "*" inside one label. */
static bool label_matches(const char *p, size_t p_len, const char *s, size_t s_len)
{
	size_t i = 0, j = 0, star = p_len, back = 0;

	while (j < s_len) {
		if (i < p_len && p[i] == '*') {
			star = i++;
			back = j;
		} else if (i < p_len && strncasecmp(p + i, s + j, 1) == 0) {
			i++;
			j++;
		} else if (star < p_len) {
			i = star + 1;
			j = ++back;
		} else {
			return false;
		}
	}
	while (i < p_len && p[i] == '*')
		i++;
	return i == p_len;
}

static size_t split(const char *s, const char *labels[HOST_LABELS_MAX])
{
	size_t n = 0;

	for (;;) {
		if (label_len(s) == 0 || n == HOST_LABELS_MAX)
			return 0;
		labels[n++] = s;
		s += label_len(s);
		if (!*s)
			return n;
		s++;
	}
}

static bool is_deep(const char *label)
{
	return label_len(label) == 2 && label[0] == '*' && label[1] == '*';
}

/* Greedy with one point to return to: "**" stands for one or more labels. */
bool credential_host_matches(const char *pattern, const char *host)
{
	const char *p[HOST_LABELS_MAX], *h[HOST_LABELS_MAX];
	size_t n_p = split(pattern, p), n_h = split(host, h), i = 0, j = 0, deep = n_p, back = 0;

	if (!n_p || !n_h)
		return false;
	while (j < n_h) {
		if (i < n_p && is_deep(p[i])) {
			deep = i++;
			back = ++j; /* it takes one at least */
		} else if (i < n_p && label_matches(p[i], label_len(p[i]), h[j], label_len(h[j]))) {
			i++;
			j++;
		} else if (deep < n_p) {
			i = deep + 1;
			j = ++back;
		} else {
			return false;
		}
	}
	return i == n_p;
}

bool credential_endpoint_is_valid(const struct credential_endpoint *ep, const char **ret_why)
{
	const char *labels[HOST_LABELS_MAX];
	size_t len = strlen(ep->host);
	struct policy_glob *g;

	*ret_why = "a host is needed";
	if (len == 0)
		return false;
	*ret_why = "the host is longer than a name can be";
	if (len > POLICY_HOST_MAX)
		return false;
	*ret_why =
		"only `*` inside a label and `**` as a whole label are wildcards in a host; write "
		"one endpoint for each name";
	if (strpbrk(ep->host, "{}[]?\\!") || strpbrk(ep->host, "/ \t"))
		return false;
	*ret_why = "an address with a colon is written without brackets, and as nothing else";
	if (!strchr(ep->host, ':') && !split(ep->host, labels)) {
		*ret_why = "the host has an empty label";
		return false;
	}
	*ret_why = "`*` and `**` alone would give the credential to every host; name the domain";
	if (strspn(ep->host, "*.") == len)
		return false;
	*ret_why = "the port must be from 1 to 65535";
	if (ep->port == 0)
		return false;
	*ret_why = "a path begins with `/`, or is left out";
	if (ep->path[0] && ep->path[0] != '/' && strcmp(ep->path, "**") != 0)
		return false;
	*ret_why = "the path is no pattern that could match";
	if (policy_glob_new(POLICY_GLOB_SELECT, ep->path, strlen(ep->path), &g, NULL) < 0)
		return false;
	policy_glob_free(g);
	return true;
}
