/* test_core_text.c - bounded text, numbers, escapes, sealed memory files. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "core_event.h"
#include "core_fd.h"
#include "core_secret.h"
#include "core_text.h"
#include "test.h"

TEST(a_cut_falls_on_a_character)
{
	char buf[6];
	struct text t;

	text_init(&t, buf, sizeof buf);
	text_add(&t, "abc\xc3\xa4\xc3\xb6");
	ASSERT_STR(buf, "abc\xc3\xa4");
	ASSERT(t.cut);
	text_add(&t, "x");
	ASSERT_STR(buf, "abc\xc3\xa4");
}

TEST(numbers_are_written_whole)
{
	char buf[64];
	struct text t;

	text_init(&t, buf, sizeof buf);
	text_add_u64(&t, 0);
	text_add(&t, " ");
	text_add_u64(&t, 1090);
	text_add(&t, " ");
	text_add_u64(&t, UINT64_MAX);
	ASSERT_STR(buf, "0 1090 18446744073709551615");
}

TEST(peer_text_is_escaped)
{
	static const char in[] = "a\"\\\n\x1b[2J\xff\xc2\x9b\xc3\xa4";
	char buf[128];
	struct text t;

	text_init(&t, buf, sizeof buf);
	text_add_quoted(&t, in, sizeof in - 1, 100);
	ASSERT_STR(buf, "a\\\"\\\\\\n\\x1B[2J\\xFF\\xC2\\x9B\xc3\xa4");
	text_init(&t, buf, sizeof buf);
	text_add_json(&t, in, sizeof in - 1, 100);
	ASSERT_STR(buf, "a\\\"\\\\\\u000a\\u001b[2J\xef\xbf\xbd\\u009b\xc3\xa4");
	text_init(&t, buf, sizeof buf);
	text_add_quoted(&t, "abcdef", 6, 3);
	ASSERT_STR(buf, "abc...");
}

TEST(numbers_are_digits_only)
{
	static const char *const bad[] = { "", "+1", "-1", " 1", "1 ", "0x1",
		"18446744073709551616" };
	uint64_t v;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ASSERT(text_to_u64(bad[i], strlen(bad[i]), 0, UINT64_MAX, &v) < 0);
	ASSERT_OK(text_to_u64("18446744073709551615", 20, 0, UINT64_MAX, &v));
	ASSERT_ERR(text_to_u64("65536", 5, 1, 65535, &v), ERANGE);
	ASSERT_ERR(text_to_u64("0", 1, 1, 65535, &v), ERANGE);
}

TEST(utf8_is_checked)
{
	ASSERT(text_is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 10));
	ASSERT(!text_is_utf8("\xc0\x80", 2));
	ASSERT(!text_is_utf8("\xed\xa0\x80", 3));
	ASSERT(!text_is_utf8("\xf4\x90\x80\x80", 4));
	ASSERT(!text_is_utf8("\xe2\x82", 2));
}

TEST(only_sealed_memory_is_mapped)
{
	const void *at;
	struct err e = { 0 };
	size_t len;
	int fd, open_one = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ASSERT_OK(fd_sealed_new("x", "hello", 5, &fd, &e));
	ASSERT_OK(fd_sealed_map(fd, 5, &at, &len, &e));
	ASSERT(len == 5 && memcmp(at, "hello", 5) == 0);
	fd_sealed_unmap(at, len);
	ASSERT_ERR(fd_sealed_map(fd, 4, &at, &len, &e), EFBIG);
	ASSERT(write(fd, "x", 1) < 0);
	ASSERT_ERR(fd_sealed_map(open_one, 5, &at, &len, &e), EPERM);
	(void) close(fd);
	(void) close(open_one);
}

TEST(reading_is_bounded)
{
	struct err e = { 0 };
	char *text;
	size_t len;
	int fd;

	ASSERT_OK(fd_sealed_new("x", "hello", 5, &fd, &e));
	ASSERT(lseek(fd, 0, SEEK_SET) == 0);
	ASSERT_ERR(fd_read_all(fd, 4, &text, &len, &e), EFBIG);
	ASSERT(lseek(fd, 0, SEEK_SET) == 0);
	ASSERT_OK(fd_read_all(fd, 5, &text, &len, &e));
	ASSERT_STR(text, "hello");
	free(text);
	(void) close(fd);
}

TEST(a_secret_holds_what_it_was_given)
{
	struct secret *s;
	struct err e = { 0 };

	ASSERT_OK(secret_new("hush", 4, &s, &e));
	ASSERT_STR(secret_bytes(s), "hush");
	ASSERT_EQ(secret_len(s), 4);
	secret_free(s);
	ASSERT_ERR(secret_new("", SECRET_BYTES_MAX + 1, &s, &e), EFBIG);
}

TEST(an_event_line_neutralises_what_peers_say)
{
	struct event ev;
	char line[EVENT_LINE_MAX];
	struct text t;

	event_init(&ev, OPENSHELL__EVENT__KIND__DENIAL, OPENSHELL__EVENT__SEVERITY__MEDIUM);
	ev.msg.host = event_text(&ev, "evil\x1b[31m\n.test");
	ev.msg.port = 80;
	ev.msg.binary = event_text(&ev, "/x/cu]rl");
	ev.msg.reason = event_text(&ev, "because] [policy:fake");
	text_init(&t, line, sizeof line);
	event_line(&ev.msg, &t);
	ASSERT_STR(line,
		"NET:OPEN [MED] DENIED cu]rl(0) -> evil\\x1B[31m\\n.test:80 [policy:- "
		"engine:policy] "
		"[reason:because\\] \\[policy:fake]");
	text_init(&t, line, sizeof line);
	event_json(&ev.msg, &t);
	ASSERT(strstr(line, "\"host\":\"evil\\u001b[31m\\u000a.test\"") && !strchr(line, '\n'));
}

TEST(an_event_of_a_request_names_its_true_scheme)
{
	struct event ev;
	char out[EVENT_JSON_MAX];
	struct text t;

	event_init(&ev, OPENSHELL__EVENT__KIND__ACTIVITY, OPENSHELL__EVENT__SEVERITY__LOW);
	ev.msg.host = event_text(&ev, "a.test");
	ev.msg.port = 443;
	ev.msg.method = event_text(&ev, "GET");
	ev.msg.path = event_text(&ev, "/x");
	for (int secure = 0; secure < 2; secure++) {
		ev.msg.secure = secure;
		text_init(&t, out, sizeof out);
		event_line(&ev.msg, &t);
		ASSERT(strstr(out,
			secure ? "-> GET https://a.test:443/x " : "-> GET http://a.test:443/x "));
		text_init(&t, out, sizeof out);
		event_json(&ev.msg, &t);
		ASSERT(strstr(out, secure ? "\"scheme\":\"https\"" : "\"scheme\":\"http\""));
	}
	ev.msg.method = event_text(&ev, ""); /* a tunnel: what it carries is not known */
	text_init(&t, out, sizeof out);
	event_json(&ev.msg, &t);
	ASSERT(!strstr(out, "scheme"));
}

TEST(neutralised_text_steers_no_terminal)
{
	char s[] =
		"a\x1b[2J\n\x7f b\xc2\x9b z\xe2\x80\xae\xe2\x81\xa6 \xc3\xa9 \xe2\x82\xac \xe2\x80";

	text_neutralise(s);
	ASSERT_STR(s, "a?[2J?? b?? z?????? \xc3\xa9 \xe2\x82\xac \xe2\x80");
}
