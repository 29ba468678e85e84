/* Where sockets are put, with which modes, and what becomes of their folders. */
#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "orch_ctl_socket.h"
#include "test.h"

static char base[64];

static const char *in_base(const char *name)
{
	static char path[128];

	if (!base[0]) {
		(void) snprintf(base, sizeof base, "/tmp/test-ctl-XXXXXX");
		ASSERT(mkdtemp(base) != NULL);
	}
	(void) snprintf(path, sizeof path, "%s/%s", base, name);
	return path;
}

static unsigned mode_of(const char *path)
{
	struct stat st;

	ASSERT_OK(lstat(path, &st));
	return st.st_mode & 07777;
}

static unsigned folder_mode(const char *path)
{
	char folder[128];

	(void) snprintf(folder, sizeof folder, "%.*s", (int) (strrchr(path, '/') - path), path);
	return mode_of(folder);
}

/* true: somebody who connects is connected. */
static bool answers(const char *path, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type, 0), r;
	size_t len = strlen(path);

	(void) memcpy(a.sun_path, path, len);
	if (path[0] == '@')
		a.sun_path[0] = '\0';
	r = connect(fd, (struct sockaddr *) &a,
		(socklen_t) (offsetof(struct sockaddr_un, sun_path) + len + (path[0] != '@')));
	(void) close(fd);
	return r == 0;
}

TEST(a_private_socket_is_its_owners_in_a_folder_of_its_own)
{
	const char *path = in_base("private/s");
	struct orch_ctl_socket s;
	struct err e = { 0 };

	ASSERT_OK(orch_ctl_listen_at(path, SOCK_STREAM, &s, &e));
	ASSERT_EQ(mode_of(path), 0600);
	ASSERT_EQ(folder_mode(path), 0700);
	ASSERT(answers(path, SOCK_STREAM));
	orch_ctl_socket_done(&s);
	ASSERT(access(path, F_OK) < 0);
	ASSERT_OK(rmdir(base));
}

TEST(a_shared_socket_is_the_groups_too_and_its_folder_stays_as_it_is)
{
	const char *path = in_base("s");
	struct orch_ctl_socket s;
	struct err e = { 0 };

	ASSERT_OK(chmod(base, 0775));
	ASSERT_OK(orch_ctl_listen_shared(path, SOCK_STREAM, &s, &e));
	ASSERT_EQ(mode_of(path), 0660);
	ASSERT_EQ(folder_mode(path), 0775);
	ASSERT(answers(path, SOCK_STREAM));
	orch_ctl_socket_done(&s);
	ASSERT(access(path, F_OK) < 0);
	ASSERT_EQ(mode_of(base), 0775); /* empty, and there all the same */
	ASSERT_OK(rmdir(base));
}

TEST(a_shared_socket_gets_the_folders_that_are_missing)
{
	const char *path = in_base("one/two/s");
	struct orch_ctl_socket s;
	struct err e = { 0 };
	char folder[128];

	ASSERT_OK(orch_ctl_listen_shared(path, SOCK_STREAM, &s, &e));
	ASSERT(answers(path, SOCK_STREAM));
	orch_ctl_socket_done(&s);
	(void) snprintf(folder, sizeof folder, "%s/one/two", base);
	ASSERT_OK(rmdir(folder));
	(void) snprintf(folder, sizeof folder, "%s/one", base);
	ASSERT_OK(rmdir(folder));
	ASSERT_OK(rmdir(base));
}

TEST(a_shared_socket_replaces_a_dead_one_only)
{
	const char *path = in_base("s");
	struct orch_ctl_socket one, two;
	struct err e = { 0 };
	FILE *f;

	ASSERT_OK(orch_ctl_listen_shared(path, SOCK_STREAM, &one, &e));
	ASSERT_ERR(orch_ctl_listen_shared(path, SOCK_STREAM, &two, &e), EADDRINUSE);
	(void) close(one.fd); /* as if killed: the file stays */
	ASSERT(access(path, F_OK) == 0);
	ASSERT_OK(orch_ctl_listen_shared(path, SOCK_STREAM, &two, &e));
	ASSERT_EQ(mode_of(path), 0660);
	orch_ctl_socket_done(&two);
	f = fopen(path, "w");
	ASSERT(f != NULL);
	(void) fclose(f);
	ASSERT_ERR(orch_ctl_listen_shared(path, SOCK_STREAM, &two, &e), EEXIST);
	ASSERT_OK(unlink(path));
	ASSERT_OK(rmdir(base));
}

TEST(an_abstract_name_has_no_file_and_is_taken_once)
{
	struct orch_ctl_socket one, two;
	struct err e = { 0 };
	char name[64];

	(void) snprintf(name, sizeof name, "@test-ctl-%d", (int) getpid());
	ASSERT_OK(orch_ctl_listen_shared(name, SOCK_STREAM, &one, &e));
	ASSERT(answers(name, SOCK_STREAM));
	ASSERT(access(name, F_OK) < 0);
	ASSERT_ERR(orch_ctl_listen_shared(name, SOCK_STREAM, &two, &e), EADDRINUSE);
	ASSERT_ERR(orch_ctl_listen_at(name, SOCK_STREAM, &two, &e), EADDRINUSE);
	orch_ctl_socket_done(&one);
	ASSERT(!answers(name, SOCK_STREAM));
}

TEST(a_path_needs_to_be_absolute_and_to_fit)
{
	char name[200] = "/tmp/";
	struct orch_ctl_socket s;
	struct err e = { 0 };

	ASSERT_ERR(orch_ctl_listen_shared("s", SOCK_STREAM, &s, &e), EINVAL);
	ASSERT_ERR(orch_ctl_listen_shared("/s", SOCK_STREAM, &s, &e), EINVAL);
	(void) memset(name + 5, 'x', sizeof name - 6);
	ASSERT(orch_ctl_listen_shared(name, SOCK_STREAM, &s, &e) < 0);
	name[0] = '@';
	ASSERT(orch_ctl_listen_shared(name, SOCK_STREAM, &s, &e) < 0);
}
