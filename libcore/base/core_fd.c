#include "core_fd.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core_cleanup.h"

#define FD_READ_STEP (64 * 1024) /* bytes */
#define FD_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int fd_close_all_but(int keep, struct err *e)
{
	if (keep > 3 && close_range(3, (unsigned) keep - 1, 0) < 0)
		return err_set(e, errno, "close descriptors below %d", keep);
	if (close_range(keep < 3 ? 3 : (unsigned) keep + 1, UINT_MAX, 0) < 0)
		return err_set(e, errno, "close descriptors");
	return 0;
}

int fd_read_all(int fd, size_t max, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_FREE char *buf = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		ssize_t n;

		if (len + 1 >= size) {
			char *more;

			size = size ? size * 2 : FD_READ_STEP;
			more = realloc(buf, size);
			if (!more)
				return err_set(e, ENOMEM, "read: out of memory");
			buf = more;
		}
		n = read(fd, buf + len, size - len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "read: %s", strerror(errno));
		if (n == 0)
			break;
		len += (size_t) n;
		if (len > max)
			return err_set(e, EFBIG, "more than %zu bytes", max);
	}
	buf[len] = '\0';
	*ret = TAKE_PTR(buf);
	*ret_len = len;
	return 0;
}

int fd_write_all(int fd, const void *bytes, size_t len, struct err *e)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(e, errno, "write");
		p += n;
		len -= (size_t) n;
	}
	return 0;
}

int fd_sealed_new(const char *name, const void *bytes, size_t len, int *ret, struct err *e)
{
	AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_set(e, errno, "make memory file %s", name);
	if (fd_write_all(fd, bytes, len, e) < 0)
		return err_wrap(e, "memory file %s", name);
	if (fcntl(fd, F_ADD_SEALS, FD_SEALS) < 0)
		return err_set(e, errno, "seal memory file %s", name);
	*ret = TAKE_FD(fd);
	return 0;
}

int fd_sealed_map(int fd, size_t max, const void **ret, size_t *ret_len, struct err *e)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *at;

	if (seals < 0 || (seals & FD_SEALS) != FD_SEALS)
		return err_set(e, EPERM, "descriptor is not a sealed memory file");
	if (fstat(fd, &st) < 0)
		return err_set(e, errno, "look at memory file");
	if (st.st_size < 0 || (uint64_t) st.st_size > max)
		return err_set(e, EFBIG, "memory file of more than %zu bytes", max);
	if (st.st_size == 0) {
		*ret = NULL;
		*ret_len = 0;
		return 0;
	}
	at = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (at == MAP_FAILED)
		return err_set(e, errno, "map memory file");
	*ret = at;
	*ret_len = (size_t) st.st_size;
	return 0;
}

void fd_sealed_unmap(const void *at, size_t len)
{
	if (at)
		(void) munmap((void *) (uintptr_t) at, len);
}

int fd_set_nonblock(int fd, struct err *e)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return err_set(e, errno, "set descriptor non-blocking");
	return 0;
}

DIR *fd_list(int at, const char *path)
{
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), code;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d && fd >= 0) {
		code = errno;
		(void) close(fd);
		errno = code;
	}
	return d;
}

int fd_place(int fd, int at)
{
	int r = fd == at ? fcntl(fd, F_SETFD, FD_CLOEXEC) : dup3(fd, at, O_CLOEXEC);

	return r < 0 ? -errno : 0;
}
