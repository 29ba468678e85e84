#include "core_secret.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct secret {
	char *at;
	size_t len, mapped; /* bytes */
};

int secret_new_empty(size_t len, struct secret **ret, struct err *e)
{
	AUTO_FREE struct secret *s = calloc(1, sizeof *s);
	size_t page = (size_t) sysconf(_SC_PAGESIZE);

	if (!s)
		return err_set(e, ENOMEM, "secret");
	if (len > SECRET_BYTES_MAX)
		return err_set(e, EFBIG, "secret of more than %d bytes", SECRET_BYTES_MAX);
	s->len = len;
	s->mapped = (len + 1 + page - 1) / page * page;
	s->at = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->at == MAP_FAILED)
		return err_set(e, errno, "memory for a secret");
	if (mlock(s->at, s->mapped) < 0 || madvise(s->at, s->mapped, MADV_DONTDUMP) < 0 ||
		madvise(s->at, s->mapped, MADV_WIPEONFORK) < 0) {
		int code = errno;

		(void) munmap(s->at, s->mapped);
		return err_set(e, code, "lock memory for a secret; raise RLIMIT_MEMLOCK");
	}
	*ret = TAKE_PTR(s);
	return 0;
}

int secret_new(const void *bytes, size_t len, struct secret **ret, struct err *e)
{
	int r = secret_new_empty(len, ret, e);

	if (r == 0)
		(void) memcpy((*ret)->at, bytes, len);
	return r;
}

char *secret_edit(struct secret *s)
{
	return s->at;
}

const char *secret_bytes(const struct secret *s)
{
	return s->at;
}

size_t secret_len(const struct secret *s)
{
	return s->len;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	explicit_bzero(s->at, s->mapped);
	(void) munmap(s->at, s->mapped);
	free(s);
}

#define ARENA_ALIGNMENT 16

void *secret_arena_take(void *arena, size_t size)
{
	struct secret_arena *a = arena;
	size_t at = a->used;

	if (size > a->memory->len - at)
		return NULL;
	size = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
	a->used = size > a->memory->len - at ? a->memory->len : at + size;
	return a->memory->at + at;
}

void secret_arena_give(void *arena, void *at)
{
	(void) arena;
	(void) at;
}

void secret_wipe(void *bytes, size_t len)
{
	explicit_bzero(bytes, len);
}
