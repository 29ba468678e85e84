/* ssh_address.h - which destinations of direct-tcpip are the sandbox's own loopback.  Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

/* 127.0.0.0/8, ::1 in any spelling, IPv4-mapped ones, brackets, "localhost" in any case; no name is
 * looked up.  ret: 16 bytes, IPv4 as ::ffff:a.b.c.d. */
bool ssh_address_is_loopback(const char *host, uint8_t ret[16]);
/* SIGINT for "INT", 0 for a name that RFC 4254 does not know. */
int ssh_signal_number(const char *name);
/* "INT" for SIGINT, NULL when it has no name there. */
const char *ssh_signal_name(int signo);
