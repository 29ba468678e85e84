#include "core_failure.h"
#include <errno.h>
#include "test.h"

static bool only_seccomp(void *owner, enum failure_kind kind, int code)
{
	(void) code;
	++*(int *) owner;
	return kind == FAILURE_WORKLOAD_SECCOMP;
}

TEST(without_a_handler_nothing_is_tolerated)
{
	for (int k = 0; k < FAILURE_KIND_MAX; k++)
		ASSERT(!failure_is_tolerated((enum failure_kind) k, EPERM));
}

TEST(the_handler_decides_and_only_about_refusals)
{
	struct err e = { 0 };
	int asked = 0;

	ASSERT_OK(failure_set_handler(only_seccomp, &asked, &e));
	ASSERT(failure_is_tolerated(FAILURE_WORKLOAD_SECCOMP, EPERM));
	ASSERT(failure_is_tolerated(FAILURE_WORKLOAD_SECCOMP, ENOSYS));
	ASSERT(!failure_is_tolerated(FAILURE_NETWORK_NAMESPACE, EPERM));
	ASSERT_EQ(asked, 3);
	ASSERT(!failure_is_tolerated(FAILURE_WORKLOAD_SECCOMP, ENOMEM));
	ASSERT(!failure_is_tolerated(FAILURE_WORKLOAD_SECCOMP, ENOSPC));
	ASSERT_EQ(asked, 3);
}

TEST(a_second_handler_is_refused)
{
	struct err e = { 0 };
	int asked = 0;

	ASSERT_OK(failure_set_handler(only_seccomp, &asked, &e));
	ASSERT_ERR(failure_set_handler(only_seccomp, &asked, &e), EALREADY);
}

TEST(lists_of_kinds)
{
	char text[FAILURE_NAMES_MAX];
	struct err e = { 0 };
	uint32_t mask;

	ASSERT_OK(failure_parse_kinds("network-namespace, workload-seccomp", &mask, &e));
	ASSERT_EQ(mask, 5);
	ASSERT_STR(failure_write_kinds(mask, text), "network-namespace,workload-seccomp");
	ASSERT_STR(failure_write_kinds(7, text),
		"network-namespace,supervisor-seccomp,workload-seccomp");
	ASSERT_STR(failure_write_kinds(0, text), "");
	ASSERT_ERR(failure_parse_kinds("", &mask, &e), EINVAL);
	ASSERT_ERR(failure_parse_kinds("network-namespace,", &mask, &e), EINVAL);
	ASSERT_ERR(failure_parse_kinds("all", &mask, &e), EINVAL);
	ASSERT(strstr(e.text, "'all'") && strstr(e.text, "workload-seccomp"));
}
