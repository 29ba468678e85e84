#include "proc_skill.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_fd.h"

#define HEAD \
	"---\n" \
	"name: policy-advisor\n" \
	"description: How this sandbox decides what may be reached, what its refusals mean, and " \
	"how to " \
	"ask for access.\n" \
	"---\n\n"

#define PAGE \
	"# You run inside a sandbox\n\n" \
	"A policy of the operator decides which files, hosts and system calls this command and " \
	"everything " \
	"that it starts may use. Nothing in here can change that, and trying other ways around " \
	"it will not " \
	"work: the kernel enforces it. Refusals are expected and harmless. Read them; they say " \
	"what is " \
	"missing.\n\n" \
	"## How to reach the network\n\n" \
	"Only through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` name. Most " \
	"programs honour " \
	"these variables; Node does with `NODE_USE_ENV_PROXY=1`, which is set. There is no DNS " \
	"and no UDP: let " \
	"the program send the name to the proxy instead of resolving it. Addresses in `NO_PROXY` " \
	"are local.\n\n" \
	"## How to read a refusal\n\n" \
	"- HTTP 403 with `{\"error\": \"policy_denied\", ...}`: the proxy refused. `detail` " \
	"names host and " \
	"port, `reason` what no rule allowed: the host, or the *program* that asked. Rules name " \
	"programs by " \
	"their real path, so the same host may be open to `git` and closed to `curl`.\n" \
	"- `ssrf_denied`: the name leads to an internal address, which needs a rule of its own.\n" \
	"- \"Connection refused\" within milliseconds: the program tried to connect without the " \
	"proxy.\n" \
	"- \"Operation not permitted\" when sending a datagram: UDP is not carried.\n" \
	"- \"Permission denied\" for a file: the path is outside the policy, or read-only there. " \
	"Work in the " \
	"current directory and in /tmp.\n" \
	"- \"Operation not permitted\" from mount, ptrace, namespaces and the like: never " \
	"allowed here.\n\n" \
	"## How to ask for access\n\n" \
	"1. Decide whether the task really needs it. Prefer what is allowed already.\n" \
	"2. Do not retry the same request in a loop, and do not disguise it: each attempt is " \
	"logged.\n" \
	"3. Tell the person you work for, in one message: what you were doing, the refusal word " \
	"for word, " \
	"and the smallest rule that would do. The refusal often contains it, for example " \
	"`endpoints: [{host: api.example.com, port: 443}], binaries: [{path: /usr/bin/curl}]`.\n" \
	"4. Go on with what does not depend on it. A changed policy takes effect at once; just " \
	"try again.\n"

#define POINTER \
	"This command runs in a sandbox. When something is refused, read " \
	"/etc/openshell/skills/policy-advisor/SKILL.md: it says what refusals mean and how to " \
	"ask for " \
	"access.\n"

struct page {
	const char *directory, *name, *text;
};

static const struct page pages[] = {
	{ "etc/openshell/skills", "policy_advisor.md", PAGE },
	{ "etc/openshell/skills/policy-advisor", "SKILL.md", HEAD PAGE },
};

/* One component after the other, made where it is missing, so that a link on the way leads nowhere. */
static int open_directory(int root, const char *path, int *ret, struct err *e)
{
	AUTO_CLOSE int at = fcntl(root, F_DUPFD_CLOEXEC, 3);
	char part[64];

	for (const char *p = path; *p;) {
		size_t len = strcspn(p, "/");
		int next;

		(void) snprintf(part, sizeof part, "%.*s", (int) len, p);
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
			return err_set(e, errno, "make %s of /%s", part, path);
		next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return err_set(e, errno, "/%s: %s is a link or no directory", path, part);
		(void) close(at);
		at = next;
		p += len + (p[len] == '/');
	}
	*ret = TAKE_FD(at);
	return 0;
}

static int write_page(int root, const struct page *page, struct err *e)
{
	AUTO_CLOSE int dir = -1, fd = -1;
	char name[64];

	if (open_directory(root, page->directory, &dir, e) < 0)
		return -e->code;
	(void) snprintf(name, sizeof name, ".%s.new", page->name);
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_set(e, errno, "remove /%s/%s", page->directory, name);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
	if (fd < 0)
		return err_set(e, errno, "make /%s/%s", page->directory, name);
	if (fd_write_all(fd, page->text, strlen(page->text), e) < 0)
		return err_wrap(e, "/%s/%s", page->directory, page->name);
	/* The supervisor's umask has no say. */
	if (fchmod(fd, 0444) < 0 || renameat(dir, name, dir, page->name) < 0)
		return err_set(e, errno, "write /%s/%s", page->directory, page->name);
	return 0;
}

/* O_EXCL is an answer of the kernel's to "is there anything, a dangling link included?". */
static void write_pointer(int root)
{
	AUTO_CLOSE int fd = openat(
		root, "AGENTS.md", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	struct err ignored = { 0 };

	if (fd >= 0)
		(void) fd_write_all(fd, POINTER, sizeof POINTER - 1, &ignored);
}

int proc_skill_install(const char *root, struct err *e)
{
	AUTO_CLOSE int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_set(e, errno, "open %s", root);
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (write_page(fd, &pages[i], e) < 0)
			return -e->code;
	write_pointer(fd);
	return 0;
}
