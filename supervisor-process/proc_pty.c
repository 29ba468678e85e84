#include "proc_pty.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "core_cleanup.h"
#include "core_modes.h"

struct winsize proc_pty_size(uint32_t rows, uint32_t columns)
{
	if (rows == 0 || rows > UINT16_MAX || columns == 0 || columns > UINT16_MAX)
		return (struct winsize){ .ws_row = 24, .ws_col = 80 };
	return (struct winsize){ .ws_row = (unsigned short) rows,
		.ws_col = (unsigned short) columns };
}

static int set_modes(int slave, const struct proc_pty_look *look)
{
	struct termios t;

	if (look->n_modes == 0)
		return 0;
	if (tcgetattr(slave, &t) < 0)
		return -1;
	modes_apply(look->modes, look->n_modes, &t);
	return tcsetattr(slave, TCSANOW, &t);
}

int proc_pty_open(const struct confine_identity *id, const struct proc_pty_look *look,
	int *ret_master, int *ret_slave, struct err *e)
{
	struct winsize size = proc_pty_size(look->rows, look->columns);
	AUTO_CLOSE int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1;

	if (master < 0 || unlockpt(master) < 0)
		return err_set(e, errno, "make a terminal");
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || fchown(slave, id->uid, id->gid) < 0 ||
		ioctl(slave, TIOCSWINSZ, &size) < 0 || set_modes(slave, look) < 0)
		return err_set(e, errno, "prepare the workload's terminal");
	*ret_master = TAKE_FD(master);
	*ret_slave = TAKE_FD(slave);
	return 0;
}
