/* test_main.c - forks each test, gives it 20 s, and counts its descriptors.
 *
 * A test is a child process: a crash, a hang or a descriptor left open fails that test only.
 * An argument runs one test in this process, for a debugger.
 */
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>
#include "test.h"

#define TEST_SECONDS 20

extern const struct test __start_tests[], __stop_tests[];

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	if (!d)
		return -1;
	while (readdir(d))
		n++;
	(void) closedir(d);
	return n;
}

static void run_one(const struct test *t)
{
	int before = count_fds(), after;

	alarm(TEST_SECONDS);
	t->run();
	after = count_fds();
	if (after != before) {
		fprintf(stderr, "%s: %d descriptors before, %d after\n", t->name, before, after);
		exit(1);
	}
	exit(0);
}

static int run_forked(const struct test *t)
{
	int status = -1;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		run_one(t);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		fprintf(stderr, "FAILED %s (status %#x)\n", t->name, (unsigned) status);
		return 1;
	}
	printf("ok %s\n", t->name);
	return 0;
}

int main(int argc, char **argv)
{
	int failed = 0, n = 0;

	for (const struct test *t = __start_tests; t < __stop_tests; t++) {
		if (argc > 1 && strcmp(argv[1], t->name) != 0)
			continue;
		if (argc > 1)
			run_one(t);
		failed += run_forked(t);
		n++;
	}
	printf("%d of %d tests passed\n", n - failed, n);
	return failed || n == 0;
}
