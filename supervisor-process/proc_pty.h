/* proc_pty.h - a terminal for somebody inside, whose master goes outside. */
#pragma once
#include <stdint.h>
#include <sys/ioctl.h>
#include "core_confine.h"
#include "core_err.h"

/* 0 or absurd sizes become 80x24. */
struct winsize proc_pty_size(uint32_t rows, uint32_t columns);
/* A size and modes (core_modes.h; none: the kernel's) of a terminal. */
struct proc_pty_look {
	uint32_t rows, columns;
	const uint32_t *modes;
	size_t n_modes;
};

/* The slave belongs to id; both ends are close-on-exec. */
int proc_pty_open(const struct confine_identity *id, const struct proc_pty_look *look,
	int *ret_master, int *ret_slave, struct err *e);
