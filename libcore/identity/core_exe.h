/* core_exe.h - hashes of executables, remembered from first use (spec/network 2.5).
 *
 * The key is the path that is shown; the value is the SHA-256 of the content
 * and a fingerprint (device, inode, size, mtime, ctime).  An equal fingerprint
 * needs no reading.  Another content under a known path is an integrity
 * violation, for as long as this table lives.
 */
#pragma once
#include <stddef.h>
#include "core_cleanup.h"
#include "core_err.h"
#include "core_identity.h"

struct exe_table;

int exe_table_new(struct exe_table **ret, struct err *e);
void exe_table_free(struct exe_table *t);
/* The hash, when the image (a name below dir_fd that leads to it) is the one that path had last. */
bool exe_table_knows(struct exe_table *t, int dir_fd, const char *image, const char *path,
	char ret[IDENTITY_HASH_TEXT]);
/* fd is the open image (borrowed).  Writes the hash in hex. -EUCLEAN: "Binary integrity violation". */
int exe_table_check(
	struct exe_table *t, int fd, const char *path, char ret[IDENTITY_HASH_TEXT], struct err *e);
DEFINE_AUTO(struct exe_table, exe_table_free)
