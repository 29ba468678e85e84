#include "core_peer.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static int network_of(pid_t pid, ino_t *ret)
{
	char path[64];
	struct stat st;

	(void) snprintf(path, sizeof path, "/proc/%d/ns/net", (int) pid);
	if (stat(path, &st) < 0)
		return -errno;
	*ret = st.st_ino;
	return 0;
}

int peer_check(int fd, int netns_fd, struct err *e)
{
	struct ucred peer;
	socklen_t len = sizeof peer;
	struct stat inside;
	ino_t theirs = 0, ours = 0;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return err_set(e, errno, "who is connecting: %s", strerror(errno));
	if (peer.uid != 0 && peer.uid != geteuid())
		return err_set(e, EACCES, "uid %u may not control this sandbox", peer.uid);
	r = network_of(peer.pid, &theirs);
	if (netns_fd < 0 || fstat(netns_fd, &inside) < 0)
		return 0;
	if (r < 0 && peer.uid != 0)
		return err_set(e, EACCES, "process %d can't be looked at", (int) peer.pid);
	if (r == 0 && theirs == inside.st_ino)
		return err_set(e, EACCES, "process %d is inside the sandbox", (int) peer.pid);
	/* An ordinary user's sandboxes all have his uid: this one may be the workload of another. */
	if (peer.uid != 0 && (network_of(getpid(), &ours) < 0 || theirs != ours))
		return err_set(e, EACCES,
			"process %d is in another network namespace, perhaps in a sandbox",
			(int) peer.pid);
	return 0;
}
