/* The plain SHA-256 of libcrypto: EVP would start all of OpenSSL (its configuration file, its
 * providers), 1 ms and 500 KiB in a process that needs one hash. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core_exe.h"
#include <errno.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS (2 * IDENTITY_HASHES_MAX)
#define READ_STEP (256 * 1024) /* bytes */

struct print {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime, ctime;
};

struct entry {
	char *path;
	struct print print;
	char hash[IDENTITY_HASH_TEXT];
};

struct exe_table {
	size_t n;
	unsigned char *buf;
	struct entry slots[SLOTS];
};

int exe_table_new(struct exe_table **ret, struct err *e)
{
	AUTO(exe_table_free) struct exe_table *t = calloc(1, sizeof *t);

	if (!t)
		return err_set(e, ENOMEM, "table of executables");
	t->buf = malloc(READ_STEP);
	if (!t->buf)
		return err_set(e, ENOMEM, "table of executables");
	*ret = TAKE_PTR(t);
	return 0;
}

void exe_table_free(struct exe_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		free(t->slots[i].path);
	free(t->buf);
	free(t);
}

static size_t slot_of(const char *path)
{
	uint64_t h = 1469598103934665603u; /* FNV-1a */

	for (; *path; path++)
		h = (h ^ (unsigned char) *path) * 1099511628211u;
	return (size_t) (h % SLOTS);
}

static struct entry *find(struct exe_table *t, const char *path)
{
	size_t i = slot_of(path);

	while (t->slots[i].path && strcmp(t->slots[i].path, path) != 0)
		i = (i + 1) % SLOTS;
	return &t->slots[i];
}

static bool same_print(const struct print *a, const struct print *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
		a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec &&
		a->ctime.tv_sec == b->ctime.tv_sec && a->ctime.tv_nsec == b->ctime.tv_nsec;
}

static struct print print_of(const struct stat *st)
{
	return (struct print){ st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim };
}

static int fingerprint(int fd, const char *path, struct print *ret, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "look at %s", path);
	*ret = print_of(&st);
	return 0;
}

static int digest(struct exe_table *t, SHA256_CTX *ctx, int fd, const char *path, struct err *e)
{
	uint64_t total = 0;
	ssize_t n;

	while ((n = pread(fd, t->buf, READ_STEP, (off_t) total)) > 0) {
		total += (uint64_t) n;
		if (total > IDENTITY_HASH_BYTES_MAX)
			return err_set(e, EFBIG, "%s is larger than 1 GiB", path);
		if (SHA256_Update(ctx, t->buf, (size_t) n) != 1)
			return err_set(e, EIO, "hash %s", path);
	}
	return n < 0 ? err_set(e, errno, "read %s", path) : 0;
}

static int hash_file(
	struct exe_table *t, int fd, const char *path, char ret[IDENTITY_HASH_TEXT], struct err *e)
{
	unsigned char out[SHA256_DIGEST_LENGTH];
	SHA256_CTX ctx;

	if (SHA256_Init(&ctx) != 1)
		return err_set(e, EIO, "hash %s", path);
	if (digest(t, &ctx, fd, path, e) < 0)
		return -e->code;
	if (SHA256_Final(out, &ctx) != 1)
		return err_set(e, EIO, "hash %s", path);
	for (unsigned i = 0; i < sizeof out; i++)
		(void) snprintf(ret + i * 2, 3, "%02x", out[i]);
	return 0;
}

static int remember(struct exe_table *t, struct entry *entry, const char *path,
	const struct print *print, const char *hash, struct err *e)
{
	if (t->n >= IDENTITY_HASHES_MAX)
		return err_set(e, ENOSPC,
			"more than %d executables were seen; %s is not remembered",
			IDENTITY_HASHES_MAX, path);
	entry->path = strdup(path);
	if (!entry->path)
		return err_set(e, ENOMEM, "remember %s", path);
	entry->print = *print;
	(void) memcpy(entry->hash, hash, IDENTITY_HASH_TEXT);
	t->n++;
	return 0;
}

bool exe_table_knows(struct exe_table *t, int dir_fd, const char *image, const char *path,
	char ret[IDENTITY_HASH_TEXT])
{
	const struct entry *entry = find(t, path);
	struct print now;
	struct stat st;

	if (!entry->path || fstatat(dir_fd, image, &st, 0) < 0)
		return false;
	now = print_of(&st);
	if (!same_print(&entry->print, &now))
		return false;
	(void) memcpy(ret, entry->hash, IDENTITY_HASH_TEXT);
	return true;
}

int exe_table_check(
	struct exe_table *t, int fd, const char *path, char ret[IDENTITY_HASH_TEXT], struct err *e)
{
	struct entry *entry = find(t, path);
	struct print before, after;

	if (fingerprint(fd, path, &before, e) < 0)
		return -e->code;
	if (entry->path && same_print(&entry->print, &before)) {
		(void) memcpy(ret, entry->hash, IDENTITY_HASH_TEXT);
		return 0;
	}
	if (hash_file(t, fd, path, ret, e) < 0 || fingerprint(fd, path, &after, e) < 0)
		return -e->code;
	if (!same_print(&before, &after))
		return err_set(e, EUCLEAN,
			"Binary integrity violation: %s changed while it was read", path);
	if (!entry->path)
		return remember(t, entry, path, &before, ret, e);
	if (strcmp(entry->hash, ret) != 0)
		return err_set(e, EUCLEAN,
			"Binary integrity violation: %s is not what it was at its first use; start "
			"the sandbox again if you replaced it",
			path);
	entry->print = before;
	return 0;
}
