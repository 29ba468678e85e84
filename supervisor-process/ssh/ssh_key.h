/* ssh_key.h - a fresh Ed25519 host key, that lives as long as the sandbox and never on a disk. */
#pragma once
#include "core_err.h"

/* Written in OpenSSH's format. */
int ssh_key_make(int fd, struct err *e);
