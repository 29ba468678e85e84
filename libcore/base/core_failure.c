#include "core_failure.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core_text.h"

static struct {
	failure_fn fn;
	void *owner;
} handler;

int failure_set_handler(failure_fn fn, void *owner, struct err *e)
{
	if (handler.fn)
		return err_set(e, EALREADY, "a handler for refused steps is registered already");
	handler.fn = fn;
	handler.owner = owner;
	return 0;
}

bool failure_is_tolerated(enum failure_kind kind, int code)
{
	if (code != EPERM && code != EACCES && code != ENOSYS && code != EINVAL)
		return false;
	return handler.fn && handler.fn(handler.owner, kind, code);
}

const char *failure_kind_name(enum failure_kind kind)
{
	static const char *const names[] = { "network-namespace", "supervisor-seccomp",
		"workload-seccomp" };

	return (unsigned) kind < FAILURE_KIND_MAX ? names[kind] : "unknown";
}

static int parse_kind(const char *word, size_t len, uint32_t *mask, struct err *e)
{
	while (len && *word == ' ') {
		word++;
		len--;
	}
	while (len && word[len - 1] == ' ')
		len--;
	for (int k = 0; k < FAILURE_KIND_MAX; k++) {
		const char *name = failure_kind_name((enum failure_kind) k);

		if (strlen(name) == len && memcmp(name, word, len) == 0) {
			*mask |= FAILURE_BIT(k);
			return 0;
		}
	}
	return err_set(e, EINVAL,
		"'%.*s' can't be delegated; network-namespace, supervisor-seccomp and "
		"workload-seccomp can",
		(int) (len < 80 ? len : 80), word);
}

int failure_parse_kinds(const char *list, uint32_t *ret_mask, struct err *e)
{
	uint32_t mask = 0;

	for (;;) {
		size_t len = strcspn(list, ",");

		if (parse_kind(list, len, &mask, e) < 0)
			return -e->code;
		if (!list[len])
			break;
		list += len + 1;
	}
	*ret_mask = mask;
	return 0;
}

const char *failure_write_kinds(uint32_t mask, char ret[FAILURE_NAMES_MAX])
{
	struct text t;

	text_init(&t, ret, FAILURE_NAMES_MAX);
	for (int k = 0; k < FAILURE_KIND_MAX; k++)
		if (mask & FAILURE_BIT(k))
			text_addf(&t, "%s%s", t.len ? "," : "",
				failure_kind_name((enum failure_kind) k));
	return ret;
}
