/* Where mbedTLS allocates: the heap, or, for private keys, locked pages that core dumps and forks
 * leave out.  The choice is a mode, as mbedTLS has one allocator for everything. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <mbedtls/platform.h>
#include "core_tls_inner.h"

#ifdef MBEDTLS_PLATFORM_MEMORY
#define BLOCK 64     /* bytes */
#define N_BLOCKS 512 /* 32 KiB: room for several P-256 keys and what making them needs */

/* The process's: mbedTLS's allocator has no context. */
static unsigned char *arena;
static uint16_t taken[N_BLOCKS]; /* blocks of the allocation that begins here; 0: free */
static bool secret_mode;

static void *arena_calloc(size_t bytes)
{
	size_t need = (bytes + BLOCK - 1) / BLOCK, i = 0;

	while (i + need <= N_BLOCKS) {
		size_t run = 0;

		while (run < need && !taken[i + run])
			run++;
		if (run == need) {
			taken[i] = (uint16_t) need;
			return memset(arena + i * BLOCK, 0, need * BLOCK);
		}
		i += run + taken[i + run];
	}
	return NULL; /* never the heap instead */
}

static void *tls_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (!secret_mode)
		return calloc(n, size);
	if (__builtin_mul_overflow(n, size, &bytes) || bytes == 0)
		return NULL;
	return arena_calloc(bytes);
}

static void tls_release(void *p)
{
	unsigned char *at = p;
	size_t i;

	if (!arena || at < arena || at >= arena + N_BLOCKS * BLOCK) {
		free(p);
		return;
	}
	i = (size_t) (at - arena) / BLOCK;
	explicit_bzero(at, (size_t) taken[i] * BLOCK);
	taken[i] = 0;
}

static int make_arena(struct err *e)
{
	size_t size = N_BLOCKS * BLOCK;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		return err_set(e, errno, "memory for private keys");
	if (mlock(at, size) < 0 || madvise(at, size, MADV_DONTDUMP) < 0 ||
		madvise(at, size, MADV_WIPEONFORK) < 0) {
		int code = errno;

		(void) munmap(at, size);
		return err_set(e, code, "lock memory for private keys; raise RLIMIT_MEMLOCK");
	}
	arena = at;
	return 0;
}

int tls_memory_setup(struct err *e)
{
	if (arena)
		return 0;
	if (make_arena(e) < 0)
		return -e->code;
	if (mbedtls_platform_set_calloc_free(tls_calloc, tls_release) != 0)
		return err_set(e, EIO, "mbedTLS refuses an allocator");
	return 0;
}

void tls_memory_secret_begin(void)
{
	secret_mode = true;
}

void tls_memory_secret_end(void)
{
	secret_mode = false;
}
#else
/* The system's mbedTLS allocates from the heap alone; it wipes keys when it frees them. */
int tls_memory_setup(struct err *e)
{
	(void) e;
	return 0;
}
void tls_memory_secret_begin(void)
{
}
void tls_memory_secret_end(void)
{
}
#endif
