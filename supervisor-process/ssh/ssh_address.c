#include "ssh_address.h"
#include <arpa/inet.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 64 /* bytes; no spelling of a loopback address is longer */

static const struct {
	const char *name;
	int signo;
} signals[] = { { "ABRT", SIGABRT }, { "ALRM", SIGALRM }, { "FPE", SIGFPE }, { "HUP", SIGHUP },
	{ "ILL", SIGILL }, { "INT", SIGINT }, { "KILL", SIGKILL }, { "PIPE", SIGPIPE },
	{ "QUIT", SIGQUIT }, { "SEGV", SIGSEGV }, { "TERM", SIGTERM }, { "USR1", SIGUSR1 },
	{ "USR2", SIGUSR2 } };

static void map(const uint8_t four[4], uint8_t ret[16])
{
	static const uint8_t prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

	(void) memcpy(ret, prefix, 12);
	(void) memcpy(ret + 12, four, 4);
}

bool ssh_address_is_loopback(const char *host, uint8_t ret[16])
{
	static const uint8_t local[4] = { 127, 0, 0, 1 };
	static const uint8_t six[16] = { [15] = 1 };
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	char text[HOST_MAX + 1] = "";
	size_t len = strlen(host);
	uint8_t four[4];

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (len == 0 || len > HOST_MAX)
		return false;
	(void) memcpy(text, host, len);
	if (strcasecmp(text, "localhost") == 0) {
		map(local, ret);
		return true;
	}
	if (inet_pton(AF_INET, text, four) == 1) {
		map(four, ret);
		return four[0] == 127;
	}
	if (inet_pton(AF_INET6, text, ret) != 1)
		return false;
	return memcmp(ret, six, 16) == 0 || (memcmp(ret, mapped, 12) == 0 && ret[12] == 127);
}

int ssh_signal_number(const char *name)
{
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (strcmp(signals[i].name, name) == 0)
			return signals[i].signo;
	return 0;
}

const char *ssh_signal_name(int signo)
{
	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
		if (signals[i].signo == signo)
			return signals[i].name;
	return NULL;
}
