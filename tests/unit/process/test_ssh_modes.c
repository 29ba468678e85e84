/* The terminal modes of a pty-req: read from its bytes, applied to a terminal. */
#include <termios.h>
#include <unistd.h>
#include "core_modes.h"
#include "ssh_modes.h"
#include "test.h"

/* Another byte behind is not read: the harness runs under ASan as well. */
static void parse(const uint8_t *bytes, size_t len, struct ssh_modes *ret)
{
	uint8_t *own = malloc(len ? len : 1);

	ASSERT(own != NULL);
	if (len)
		(void) memcpy(own, bytes, len);
	ssh_modes_parse(own, len, ret);
	free(own);
}

static const uint8_t two[] = { 53, 0, 0, 0, 0, 3, 0, 0, 0, 8, 0 };

TEST(modes_are_pairs_up_to_the_end_mark)
{
	static const uint8_t behind[] = { 53, 0, 0, 0, 1, 0, 51, 0, 0, 0, 1 };
	static const uint8_t large[] = { 129, 0xff, 0xfe, 0xfd, 0xfc };
	struct ssh_modes m;

	parse(two, sizeof two, &m);
	ASSERT_EQ(m.n, 4);
	ASSERT_EQ(m.at[0], 53);
	ASSERT_EQ(m.at[1], 0);
	ASSERT_EQ(m.at[2], 3);
	ASSERT_EQ(m.at[3], 8);
	parse(behind, sizeof behind, &m);
	ASSERT_EQ(m.n, 2);
	parse(large, sizeof large, &m); /* a missing end mark is no harm */
	ASSERT_EQ(m.n, 2);
	ASSERT_EQ(m.at[1], 0xfffefdfcu);
}

TEST(every_truncation_gives_whole_pairs)
{
	struct ssh_modes m;

	for (size_t len = 0; len < sizeof two; len++) {
		parse(two, len, &m);
		ASSERT_EQ(m.n, len / 5 * 2);
	}
	ssh_modes_parse(NULL, 0, &m);
	ASSERT_EQ(m.n, 0);
}

TEST(an_opcode_without_a_known_form_ends_the_list)
{
	static const uint8_t known[] = { 159, 0, 0, 0, 1, 53, 0, 0, 0, 0 };
	static const uint8_t unknown[] = { 160, 0, 0, 0, 1, 53, 0, 0, 0, 0 };
	struct ssh_modes m;

	parse(known, sizeof known, &m);
	ASSERT_EQ(m.n, 4);
	parse(unknown, sizeof unknown, &m);
	ASSERT_EQ(m.n, 0);
}

TEST(no_more_modes_than_the_limit)
{
	uint8_t many[5 * (SSH_MODES_MAX + 1)];
	struct ssh_modes m;

	for (size_t i = 0; i < sizeof many; i++)
		many[i] = i % 5 == 0 ? 53 : 0;
	parse(many, 5 * SSH_MODES_MAX, &m);
	ASSERT_EQ(m.n, 2 * SSH_MODES_MAX);
	parse(many, sizeof many, &m);
	ASSERT_EQ(m.n, 2 * SSH_MODES_MAX);
}

TEST(flags_and_characters_are_those_of_the_standard)
{
	static const uint32_t modes[] = { 53, 0, 50, 0, 51, 0, 42, 1, 36, 0, 72, 0, 1, 1, 3, 8, 10,
		255 };
	struct termios t = {
		.c_iflag = ICRNL, .c_oflag = ONLCR, .c_lflag = ECHO | ISIG | ICANON | ECHOE
	};

	modes_apply(modes, sizeof modes / sizeof *modes, &t);
	ASSERT_EQ(t.c_lflag, ECHOE);
	ASSERT_EQ(t.c_iflag, IUTF8);
	ASSERT_EQ(t.c_oflag, 0);
	ASSERT_EQ(t.c_cc[VINTR], 1);
	ASSERT_EQ(t.c_cc[VERASE], 8);
	ASSERT_EQ(t.c_cc[VSUSP], _POSIX_VDISABLE);
}

TEST(a_flag_is_on_for_any_other_number)
{
	static const uint32_t modes[] = { 53, 0x80000000u, 58, 1 };
	struct termios t = { 0 };

	modes_apply(modes, 4, &t);
	ASSERT_EQ(t.c_lflag, ECHO | TOSTOP);
}

/* The other direction: what is read and applied again is the same terminal. */
TEST(modes_of_one_terminal_make_another_one_like_it)
{
	struct termios from = { .c_iflag = IUTF8 | IXANY | ICRNL,
		.c_oflag = OPOST,
		.c_lflag = ISIG | ECHOCTL | TOSTOP,
		.c_cflag = PARODD };
	struct termios to = {
		.c_iflag = INLCR, .c_oflag = ONLCR, .c_lflag = ECHO | ICANON, .c_cflag = PARENB
	};
	uint32_t modes[MODES_LEN];
	size_t n;

	for (size_t i = 0; i < NCCS; i++)
		from.c_cc[i] = (cc_t) (i + 1);
	from.c_cc[VSUSP] = _POSIX_VDISABLE;
	from.c_cc[VMIN] = from.c_cc[VTIME] = 0; /* of raw mode; have no number */
	for (size_t i = VWERASE + 3; i < NCCS; i++)
		from.c_cc[i] = 0;
	ASSERT_EQ(cfsetspeed(&from, B115200), 0);
	n = modes_read(&from, modes);
	ASSERT(n > 0 && n <= MODES_LEN && n % 2 == 0);
	modes_apply(modes, n, &to);
	ASSERT_EQ(to.c_iflag, from.c_iflag);
	ASSERT_EQ(to.c_oflag, from.c_oflag);
	ASSERT_EQ(to.c_lflag, from.c_lflag);
	ASSERT_EQ(to.c_cflag, from.c_cflag);
	ASSERT(memcmp(to.c_cc, from.c_cc, sizeof to.c_cc) == 0);
	ASSERT_EQ(cfgetospeed(&to), B115200);
}

TEST(speeds_are_bits_per_second)
{
	static const uint32_t modes[] = { 128, 9600, 129, 115200 };
	static const uint32_t odd[] = { 128, 0, 129, 12345 };
	struct termios t = { 0 };

	modes_apply(modes, 4, &t);
	ASSERT_EQ(cfgetospeed(&t), B115200);
	modes_apply(odd, 4, &t); /* 0 would hang up */
	ASSERT_EQ(cfgetospeed(&t), B115200);
	ASSERT(cfgetispeed(&t) != B0);
}

TEST(what_is_unknown_or_out_of_range_changes_nothing)
{
	static const uint32_t modes[] = { 0, 1, 11, 1, 17, 1, 29, 1, 63, 1, 90, 1, 91, 0, 159, 1,
		1000, 1, 0xffffffffu, 1, 3, 256, 3, 0xffffffffu, 53 };
	struct termios t = { .c_cflag = CS8 }, before = t;

	modes_apply(modes, sizeof modes / sizeof *modes, &t);
	ASSERT(memcmp(&t, &before, sizeof t) == 0);
	modes_apply(NULL, 0, &t);
	ASSERT(memcmp(&t, &before, sizeof t) == 0);
}
