/* fuzz_proc_account.c - passwd and group text from an image: no crash, and no answer that breaks the
 * promises of proc_account.h.  The first line is the name that is looked for. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proc_account.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int ok)
{
	if (!ok)
		abort();
}

static void try_name(const char *text, size_t len, const char *name)
{
	struct proc_groups g = { .n = 1, .gid = { 7 } };
	struct proc_passwd p = { 0 };
	struct err e = { 0 };
	uint32_t gid = 0;

	if (proc_account_user(text, len, name, &p, &e) == 0) {
		must(strcmp(p.name, name) == 0 && strlen(p.home) <= PROC_ACCOUNT_FIELD_MAX);
		must(p.uid != UINT32_MAX && p.gid != UINT32_MAX);
	}
	if (proc_account_uid(text, len, 1000, &p, &e) == 0)
		must(p.uid == 1000);
	if (proc_account_group(text, len, name, &gid, &e) == 0)
		must(gid != UINT32_MAX);
	if (proc_account_groups(text, len, name, &g, &e) < 0)
		return;
	must(g.n >= 1 && g.n <= PROC_ACCOUNT_GROUPS_MAX && g.gid[0] == 7);
	for (size_t i = 0; i < g.n; i++)
		for (size_t j = i + 1; j < g.n; j++)
			must(g.gid[i] != g.gid[j] && g.gid[j] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	size_t n = end ? (size_t) (end - data) : 0;
	char name[PROC_ACCOUNT_FIELD_MAX + 1];

	if (!end || n > PROC_ACCOUNT_FIELD_MAX || memchr(data, 0, n) || memchr(data, ':', n))
		return 0;
	(void) memcpy(name, data, n);
	name[n] = '\0';
	try_name((const char *) end + 1, size - n - 1, name);
	return 0;
}
