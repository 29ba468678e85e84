/* orch_hosts.h - the host's name tables, read on the network leaf's behalf, which opens no file.
 *
 * orch_hosts_nameservers() is pure (resolv.conf(5)); the rest reads files.  An
 * unreadable hosts file counts as empty, as for the C library.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "core_err.h"
#include "orch_limits.h"

#define ORCH_HOSTS_PATH "/etc/hosts"
#define ORCH_RESOLV_PATH "/etc/resolv.conf"
#define ORCH_NAMESERVER_TEXT_MAX 64 /* bytes */

struct orch_nameservers {
	char at[ORCH_NAMESERVERS_MAX][ORCH_NAMESERVER_TEXT_MAX];
	size_t n;
};

void orch_hosts_nameservers(const char *text, size_t len, struct orch_nameservers *ret);
/* The first link-local address, not a metadata address, that the text gives
 * host.openshell.internal (spec/network 3.8); "" = none. */
void orch_hosts_gateway(const char *text, size_t len, char *ret, size_t ret_size);

/* A sealed memfd with the file's text; *ret_gateway as above. */
int orch_hosts_read(
	const char *path, int *ret_fd, char *ret_gateway, size_t gateway_size, struct err *e);
/* No file or no line in it: 127.0.0.1, as resolv.conf(5) says. */
int orch_hosts_read_nameservers(const char *path, struct orch_nameservers *ret, struct err *e);
