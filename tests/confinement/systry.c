/* systry.c - a workload's helper: make one raw system call and print its result.
 *
 * systry NUMBER [ARG]...        an ARG is a number, or @text for a pointer to that text
 * systry --x32 NUMBER [ARG]...  the same with the x32 bit
 * systry --int80 NUMBER [ARG]   through the 32-bit gate (x86-64 only)
 *
 * Prints the return value, or minus the errno.  Being killed is seen by the caller.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define X32_BIT 0x40000000ul

static long int80(long number, long arg)
{
#ifdef __x86_64__
	long ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(number), "b"(arg) : "memory");
	return ret;
#else
	(void) number;
	(void) arg;
	return -ENOSYS;
#endif
}

int main(int argc, char **argv)
{
	unsigned long a[6] = { 0 }, number;
	int first = 1;
	long ret;

	if (argc > 1 && argv[1][0] == '-')
		first = 2;
	if (argc <= first || argc > first + 7) {
		fprintf(stderr, "usage: systry [--x32|--int80] NUMBER [ARG]...\n");
		return 2;
	}
	number = strtoul(argv[first], NULL, 0);
	for (int i = first + 1; i < argc; i++)
		a[i - first - 1] = argv[i][0] == '@' ? (unsigned long) (argv[i] + 1)
						     : strtoul(argv[i], NULL, 0);
	if (first == 2 && strcmp(argv[1], "--int80") == 0) {
		ret = int80((long) number, (long) a[0]);
	} else {
		if (first == 2)
			number |= X32_BIT;
		ret = syscall((long) number, a[0], a[1], a[2], a[3], a[4], a[5]);
		if (ret < 0)
			ret = -errno;
	}
	printf("%ld\n", ret);
	return 0;
}
