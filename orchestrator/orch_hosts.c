#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <stdio.h>
#include "core_cleanup.h"
#include "core_fd.h"
#include "core_text.h"
#include "orch_hosts.h"

#define GATEWAY_NAME "host.openshell.internal"

struct word {
	const char *at;
	size_t len;
};

static bool next_line(const char **at, const char *end, struct word *ret)
{
	const char *newline;

	if (*at == end)
		return false;
	newline = memchr(*at, '\n', (size_t) (end - *at));
	ret->at = *at;
	ret->len = (size_t) ((newline ? newline : end) - *at);
	*at = newline ? newline + 1 : end;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

/* The next word of a line; a comment ends it. */
static bool next_word(struct word *line, struct word *ret)
{
	size_t n = 0;

	for (; line->len && is_blank(*line->at); line->at++)
		line->len--;
	while (n < line->len && !is_blank(line->at[n]) && line->at[n] != '#' && line->at[n] != ';')
		n++;
	*ret = (struct word){ line->at, n };
	line->at += n;
	line->len -= n;
	return n > 0;
}

static bool is_word(const struct word *w, const char *text)
{
	return text_ieq(w->at, w->len, text, strlen(text));
}

static bool is_address(const struct word *w)
{
	char text[ORCH_NAMESERVER_TEXT_MAX];
	unsigned char raw[16];

	if (w->len >= sizeof text)
		return false;
	(void) memcpy(text, w->at, w->len);
	text[w->len] = '\0';
	/* An address with a zone (fe80::1%eth0) is left out: the resolver library has no form for it. */
	return inet_pton(AF_INET, text, raw) == 1 || inet_pton(AF_INET6, text, raw) == 1;
}

void orch_hosts_nameservers(const char *text, size_t len, struct orch_nameservers *ret)
{
	const char *at = text, *end = text + len;
	struct word line, key, value;

	ret->n = 0;
	while (ret->n < ORCH_NAMESERVERS_MAX && next_line(&at, end, &line)) {
		if (!next_word(&line, &key) || key.len != 10 ||
			memcmp(key.at, "nameserver", 10) != 0)
			continue;
		if (!next_word(&line, &value) || !is_address(&value))
			continue;
		(void) memcpy(ret->at[ret->n], value.at, value.len);
		ret->at[ret->n++][value.len] = '\0';
	}
}

/* 169.254/16 without the metadata address, or fe80::/10 (spec/network 3.8). */
static bool is_trusted(const struct word *w)
{
	char text[INET6_ADDRSTRLEN];
	unsigned char raw[16];

	if (w->len >= sizeof text)
		return false;
	(void) memcpy(text, w->at, w->len);
	text[w->len] = '\0';
	if (inet_pton(AF_INET, text, raw) == 1)
		return raw[0] == 169 && raw[1] == 254 && !(raw[2] == 169 && raw[3] == 254) &&
			!(raw[2] == 170 && raw[3] == 2);
	return inet_pton(AF_INET6, text, raw) == 1 && raw[0] == 0xfe && (raw[1] & 0xc0) == 0x80;
}

void orch_hosts_gateway(const char *text, size_t len, char *ret, size_t ret_size)
{
	const char *at = text, *end = text + len;
	struct word line, address, name;

	*ret = '\0';
	while (next_line(&at, end, &line)) {
		if (!next_word(&line, &address))
			continue;
		while (next_word(&line, &name)) {
			if (!is_word(&name, GATEWAY_NAME))
				continue;
			if (is_trusted(&address))
				(void) snprintf(
					ret, ret_size, "%.*s", (int) address.len, address.at);
			return; /* the first entry decides */
		}
	}
}

static int read_file(const char *path, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, errno, "%s: %s", path, strerror(errno));
	if (fd_read_all(fd, max, ret, ret_len, e) < 0)
		return err_wrap(e, "%s", path);
	return 0;
}

int orch_hosts_read(
	const char *path, int *ret_fd, char *ret_gateway, size_t gateway_size, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = read_file(path, ORCH_HOSTS_BYTES_MAX, &text, &len, e);

	if (r == -EFBIG)
		return r;
	if (r < 0)
		len = 0;
	orch_hosts_gateway(text ? text : "", len, ret_gateway, gateway_size);
	return fd_sealed_new("hosts", text ? text : "", len, ret_fd, e);
}

int orch_hosts_read_nameservers(const char *path, struct orch_nameservers *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = read_file(path, ORCH_RESOLV_BYTES_MAX, &text, &len, e);

	if (r == -EFBIG)
		return r;
	orch_hosts_nameservers(text ? text : "", r < 0 ? 0 : len, ret);
	if (ret->n == 0) {
		(void) snprintf(ret->at[0], sizeof ret->at[0], "127.0.0.1");
		ret->n = 1;
	}
	return 0;
}
