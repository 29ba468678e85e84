#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include "orch_terminal.h"

/* The handler of a fatal signal has no argument of ours. */
static struct {
	volatile sig_atomic_t fd; /* -1: not raw */
	struct termios before, raw;
} terminal = { .fd = -1 };

void orch_terminal_restore(void)
{
	int fd = terminal.fd;

	terminal.fd = -1;
	if (fd >= 0)
		(void) tcsetattr(fd, TCSADRAIN, &terminal.before);
}

bool orch_terminal_is_raw(void)
{
	return terminal.fd >= 0;
}

static void on_fatal(int signo)
{
	orch_terminal_restore(); /* tcsetattr is async-signal-safe (signal-safety(7)) */
	(void) raise(signo);	 /* the default action, SA_RESETHAND */
}

static void catch_fatal(void)
{
#ifndef __SANITIZE_ADDRESS__
	static const int signals[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE };
	struct sigaction a = { .sa_handler = on_fatal, .sa_flags = (int) SA_RESETHAND };

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		(void) sigaction(signals[i], &a, NULL);
#else
	(void) on_fatal;
#endif
}

int orch_terminal_raw(int fd, struct err *e)
{
	if (tcgetattr(fd, &terminal.before) < 0)
		return errno == ENOTTY
			? 0
			: err_set(e, errno, "the terminal's settings: %s", strerror(errno));
	terminal.raw = terminal.before;
	cfmakeraw(&terminal.raw);
	catch_fatal();
	terminal.fd = fd;
	if (tcsetattr(fd, TCSADRAIN, &terminal.raw) < 0) {
		terminal.fd = -1;
		return err_set(e, errno, "set the terminal to raw mode: %s", strerror(errno));
	}
	return 0;
}

void orch_terminal_again(void)
{
	if (terminal.fd >= 0)
		(void) tcsetattr(terminal.fd, TCSADRAIN, &terminal.raw);
}

struct orch_terminal_size orch_terminal_size(int fd)
{
	struct winsize w = { 0 };

	if (ioctl(fd, TIOCGWINSZ, &w) < 0)
		return (struct orch_terminal_size){ 0 };
	return (struct orch_terminal_size){ w.ws_row, w.ws_col };
}

void orch_terminal_resize(int fd, struct orch_terminal_size s)
{
	struct winsize w = { .ws_row = s.rows, .ws_col = s.columns };

	if (s.rows && s.columns)
		(void) ioctl(fd, TIOCSWINSZ, &w);
}
