/* core_fd.h - descriptors and sealed memory files.
 *
 * A policy or a CA bundle travels as a memfd sealed against every change
 * (memfd_create(2), F_SEAL_*), so that the reader may trust its size.
 */
#pragma once
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include "core_err.h"

/* close_range(2) everything above 2 but keep (-1: keep nothing). */
int fd_close_all_but(int keep, struct err *e);
/* Read a regular file, memfd or pipe to its end; more than max bytes is -EFBIG.
 * *ret is malloc'd and NUL-terminated (the NUL is not counted). */
int fd_read_all(int fd, size_t max, char **ret, size_t *ret_len, struct err *e);
int fd_write_all(int fd, const void *bytes, size_t len, struct err *e);
/* A close-on-exec memfd with these bytes, sealed SEAL|SHRINK|GROW|WRITE. */
int fd_sealed_new(const char *name, const void *bytes, size_t len, int *ret, struct err *e);
/* Map it read-only; refuses (-EPERM) a descriptor that is not a fully sealed memfd, -EFBIG above
 * max.  Release with fd_sealed_unmap(). */
int fd_sealed_map(int fd, size_t max, const void **ret, size_t *ret_len, struct err *e);
void fd_sealed_unmap(const void *at, size_t len);
/* A folder to be listed with readdir(3), close-on-exec and with an offset of its own: path below at
 * ("." is at itself, AT_FDCWD the working directory).  NULL with errno; never leaks.  Release with
 * closedir(3). */
DIR *fd_list(int at, const char *path);
/* A close-on-exec copy of fd at this number, whatever stood there; fd itself when it is the number
 * already.  0 or a negative errno. */
int fd_place(int fd, int at);
int fd_set_nonblock(int fd, struct err *e);
