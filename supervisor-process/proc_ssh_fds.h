/* proc_ssh_fds.h - what the leaf and the SSH session program agree on: its argument and descriptors. */
#pragma once

#define PROC_SSH_FIRST_FD 3
#define PROC_SSH_FDS_MAX 3

/* "key": make a host key and write it, in OpenSSH's format, to descriptor 3. */
#define PROC_SSH_KEY "key"

/* "serve": one connection. */
#define PROC_SSH_SERVE "serve"
#define PROC_SSH_CONNECTION_FD 3
#define PROC_SSH_SHELL_FD 4 /* a shell channel */
#define PROC_SSH_KEY_FD 5
