#include "core_modes.h"
#include <stdbool.h>
#include <unistd.h>

#define CHAR_DISABLED 255 /* in the protocol; _POSIX_VDISABLE here */
#define ISPEED 128
#define OSPEED 129

enum field { CHARACTER, INPUT, LOCAL, OUTPUT, CONTROL };

/* Left out on purpose: VDSUSP, VFLUSH, VSTATUS (not in Linux), CS7 and CS8 (a size, not a flag; a
 * pseudo terminal has 8 bits). */
static const struct {
	uint8_t opcode;
	enum field field;
	tcflag_t value; /* index of c_cc, or flag */
} known[] = {
	{ 1, CHARACTER, VINTR },
	{ 2, CHARACTER, VQUIT },
	{ 3, CHARACTER, VERASE },
	{ 4, CHARACTER, VKILL },
	{ 5, CHARACTER, VEOF },
	{ 6, CHARACTER, VEOL },
	{ 7, CHARACTER, VEOL2 },
	{ 8, CHARACTER, VSTART },
	{ 9, CHARACTER, VSTOP },
	{ 10, CHARACTER, VSUSP },
	{ 12, CHARACTER, VREPRINT },
	{ 13, CHARACTER, VWERASE },
	{ 14, CHARACTER, VLNEXT },
	{ 16, CHARACTER, VSWTC },
	{ 18, CHARACTER, VDISCARD },
	{ 30, INPUT, IGNPAR },
	{ 31, INPUT, PARMRK },
	{ 32, INPUT, INPCK },
	{ 33, INPUT, ISTRIP },
	{ 34, INPUT, INLCR },
	{ 35, INPUT, IGNCR },
	{ 36, INPUT, ICRNL },
	{ 37, INPUT, IUCLC },
	{ 38, INPUT, IXON },
	{ 39, INPUT, IXANY },
	{ 40, INPUT, IXOFF },
	{ 41, INPUT, IMAXBEL },
	{ 42, INPUT, IUTF8 },
	{ 50, LOCAL, ISIG },
	{ 51, LOCAL, ICANON },
	{ 52, LOCAL, XCASE },
	{ 53, LOCAL, ECHO },
	{ 54, LOCAL, ECHOE },
	{ 55, LOCAL, ECHOK },
	{ 56, LOCAL, ECHONL },
	{ 57, LOCAL, NOFLSH },
	{ 58, LOCAL, TOSTOP },
	{ 59, LOCAL, IEXTEN },
	{ 60, LOCAL, ECHOCTL },
	{ 61, LOCAL, ECHOKE },
	{ 62, LOCAL, PENDIN },
	{ 70, OUTPUT, OPOST },
	{ 71, OUTPUT, OLCUC },
	{ 72, OUTPUT, ONLCR },
	{ 73, OUTPUT, OCRNL },
	{ 74, OUTPUT, ONOCR },
	{ 75, OUTPUT, ONLRET },
	{ 92, CONTROL, PARENB },
	{ 93, CONTROL, PARODD },
};

static const struct {
	uint32_t bits; /* per second */
	speed_t speed;
} speeds[] = { { 50, B50 }, { 75, B75 }, { 110, B110 }, { 134, B134 }, { 150, B150 }, { 200, B200 },
	{ 300, B300 }, { 600, B600 }, { 1200, B1200 }, { 1800, B1800 }, { 2400, B2400 },
	{ 4800, B4800 }, { 9600, B9600 }, { 19200, B19200 }, { 38400, B38400 }, { 57600, B57600 },
	{ 115200, B115200 }, { 230400, B230400 }, { 460800, B460800 }, { 500000, B500000 },
	{ 576000, B576000 }, { 921600, B921600 }, { 1000000, B1000000 }, { 1152000, B1152000 },
	{ 1500000, B1500000 }, { 2000000, B2000000 }, { 2500000, B2500000 }, { 3000000, B3000000 },
	{ 3500000, B3500000 }, { 4000000, B4000000 } };

/* 0 is left out above: it would hang up the line. */
static void set_speed(uint32_t opcode, uint32_t bits, struct termios *t)
{
	for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++) {
		if (speeds[i].bits != bits)
			continue;
		if (opcode == ISPEED)
			(void) cfsetispeed(t, speeds[i].speed);
		else
			(void) cfsetospeed(t, speeds[i].speed);
	}
}

/* The word of flags; NULL: field is a character. */
static tcflag_t *flags_of(enum field field, struct termios *t)
{
	switch (field) {
	case CHARACTER:
		return NULL;
	case INPUT:
		return &t->c_iflag;
	case LOCAL:
		return &t->c_lflag;
	case OUTPUT:
		return &t->c_oflag;
	case CONTROL:
		return &t->c_cflag;
	}
	return NULL;
}

static void apply(enum field field, tcflag_t value, uint32_t argument, struct termios *t)
{
	tcflag_t *flags = flags_of(field, t);

	if (flags)
		*flags = argument ? *flags | value : *flags & ~value;
	else if (argument <= CHAR_DISABLED)
		t->c_cc[value] = argument == CHAR_DISABLED ? _POSIX_VDISABLE : (cc_t) argument;
}

static uint32_t bits_of(speed_t speed)
{
	for (size_t i = 0; i < sizeof speeds / sizeof *speeds; i++)
		if (speeds[i].speed == speed)
			return speeds[i].bits;
	return 0; /* changes nothing where it is applied */
}

static uint32_t argument_of(enum field field, tcflag_t value, struct termios *t)
{
	const tcflag_t *flags = flags_of(field, t);

	if (flags)
		return (*flags & value) != 0;
	return t->c_cc[value] == _POSIX_VDISABLE ? CHAR_DISABLED : t->c_cc[value];
}

size_t modes_read(const struct termios *t, uint32_t ret[MODES_LEN])
{
	struct termios copy = *t;
	size_t n = 0;

	_Static_assert(2 * (sizeof known / sizeof *known + 2) <= MODES_LEN, "room for all");
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		ret[n++] = known[i].opcode;
		ret[n++] = argument_of(known[i].field, known[i].value, &copy);
	}
	ret[n++] = ISPEED;
	ret[n++] = bits_of(cfgetispeed(t));
	ret[n++] = OSPEED;
	ret[n++] = bits_of(cfgetospeed(t));
	return n;
}

void modes_apply(const uint32_t *modes, size_t n, struct termios *t)
{
	for (size_t i = 0; i + 1 < n; i += 2) {
		if (modes[i] == ISPEED || modes[i] == OSPEED)
			set_speed(modes[i], modes[i + 1], t);
		for (size_t k = 0; k < sizeof known / sizeof *known; k++)
			if (known[k].opcode == modes[i])
				apply(known[k].field, known[k].value, modes[i + 1], t);
	}
}
