#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "orch_events.h"
#include "orch_limits.h"

/* Lets a burst through, then a rate. */
struct bucket {
	uint64_t tokens, burst, per_s; /* tokens are thousandths */
	uint64_t at_ms;
};

struct repeat {
	uint64_t key, since_ms;
	unsigned long more; /* not shown */
	char host[256];
	uint32_t port;
	char binary[128];
};

struct orch_events {
	struct orch_events_config c;
	struct loop *loop;
	struct loop_timer *timer;
	bool waiting; /* the timer runs */
	struct repeat repeats[ORCH_REPEATS_MAX];
	struct bucket lines, records;
	unsigned long lines_held, records_lost;
	int file; /* -1: none */
	bool file_full;
};

static void bucket_init(struct bucket *b, uint64_t burst, uint64_t per_s, uint64_t now)
{
	*b = (struct bucket){ burst * 1000, burst * 1000, per_s, now };
}

static bool bucket_take(struct bucket *b, uint64_t now)
{
	b->tokens += (now - b->at_ms) * b->per_s;
	b->at_ms = now;
	if (b->tokens > b->burst)
		b->tokens = b->burst;
	if (b->tokens < 1000)
		return false;
	b->tokens -= 1000;
	return true;
}

/* ---- the file ---- */

static int open_file(const char *path, int *ret, struct err *e)
{
	AUTO_CLOSE int fd = open(path,
		O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		0600);
	struct stat st;

	if (fd < 0 && errno == ELOOP)
		return err_set(
			e, ELOOP, "--log-file %s: is a symbolic link; give the file itself", path);
	if (fd < 0)
		return err_set(e, errno, "--log-file %s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "--log-file %s: not a regular file", path);
	if (st.st_nlink != 1)
		return err_set(e, EMLINK,
			"--log-file %s: has %lu names, one of which may be a file of somebody "
			"else's; "
			"give a file of its own",
			path, (unsigned long) st.st_nlink);
	*ret = TAKE_FD(fd);
	return 0;
}

static void file_failed(struct orch_events *ev, const char *why)
{
	ev->records_lost++;
	if (!ev->file_full)
		orch_console_sayf(ev->c.console, "events are no longer written to %s: %s",
			ev->c.log_file, why);
	ev->file_full = true;
}

/* {"lost":3,"sandbox_id":"x",<the event's own members>} */
static void write_record(struct orch_events *ev, const Openshell__Event__Event *event)
{
	char line[EVENT_JSON_MAX + 512];
	struct json j;
	struct text t;
	struct stat st;
	ssize_t n;

	if (fstat(ev->file, &st) < 0 || st.st_size > ORCH_LOG_BYTES_MAX) {
		file_failed(ev, "it has reached its largest size; move it away");
		return;
	}
	text_init(&t, line, sizeof line - 1);
	json_init(&j, &t);
	json_open(&j, NULL, '{');
	if (ev->records_lost)
		json_add_number(&j, "lost", ev->records_lost);
	if (ev->c.sandbox_id)
		json_add_bytes(&j, "sandbox_id", ev->c.sandbox_id, strlen(ev->c.sandbox_id), 128);
	event_json_members(event, &j);
	json_close(&j, '}');
	line[t.len] = '\n';
	n = write(ev->file, line, t.len + 1);
	if (n != (ssize_t) t.len + 1) {
		file_failed(ev, n < 0 ? strerror(errno) : "the disk is full");
		return;
	}
	ev->records_lost = 0;
	ev->file_full = false;
}

static void to_file(struct orch_events *ev, const Openshell__Event__Event *event, uint64_t now)
{
	if (ev->file < 0)
		return;
	if (bucket_take(&ev->records, now))
		write_record(ev, event);
	else
		ev->records_lost++;
}

/* ---- stderr ---- */

static bool is_shown(const struct orch_events *ev, const Openshell__Event__Event *event)
{
	bool is_notice = event->kind == OPENSHELL__EVENT__KIND__NOTICE;
	enum log_level needs = LOG_LEVEL_INFO;

	if (is_notice && event->severity >= OPENSHELL__EVENT__SEVERITY__HIGH)
		needs = LOG_LEVEL_ERROR;
	else if (event->kind == OPENSHELL__EVENT__KIND__DENIAL ||
		(is_notice && event->severity >= OPENSHELL__EVENT__SEVERITY__MEDIUM))
		needs = LOG_LEVEL_WARN;
	return ev->c.level >= needs;
}

static void show(struct orch_events *ev, const Openshell__Event__Event *event)
{
	char line[EVENT_LINE_MAX];
	struct text t;

	text_init(&t, line, sizeof line);
	event_line(event, &t);
	orch_console_say(ev->c.console, line);
}

static uint64_t hash_text(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char) *s) * 1099511628211u;
	return h * 1099511628211u;
}

static uint64_t key_of(const Openshell__Event__Event *e)
{
	uint64_t h = hash_text(14695981039346656037u, e->host);

	h = (h ^ e->port) * 1099511628211u;
	return hash_text(hash_text(hash_text(h, e->binary), e->reason), e->stage);
}

static void repeat_flush(struct orch_events *ev, struct repeat *r)
{
	char line[1024];
	struct text t;

	if (r->more) {
		text_init(&t, line, sizeof line);
		text_addf(&t, "NET:OPEN [MED] DENIED %lu more times: ", r->more);
		text_add_quoted(&t, r->binary, strlen(r->binary), sizeof r->binary);
		text_add(&t, " -> ");
		text_add_quoted(&t, r->host, strlen(r->host), sizeof r->host);
		text_addf(&t, ":%u", r->port);
		orch_console_say(ev->c.console, line);
	}
	*r = (struct repeat){ 0 };
}

static void held_flush(struct orch_events *ev)
{
	if (ev->lines_held)
		orch_console_sayf(ev->c.console, "%lu events were too many to show%s",
			ev->lines_held, ev->file >= 0 ? "; the log file has them" : "");
	ev->lines_held = 0;
}

static void wait_for_window(struct orch_events *ev)
{
	if (!ev->waiting)
		ev->waiting = loop_timer_start(ev->timer, ORCH_REPEAT_WINDOW_MS) == 0;
}

static void on_window(void *owner)
{
	struct orch_events *ev = owner;
	uint64_t now = loop_now_ms(ev->loop);
	bool more = false;

	ev->waiting = false;
	for (size_t i = 0; i < ORCH_REPEATS_MAX; i++) {
		struct repeat *r = &ev->repeats[i];

		if (r->key && now - r->since_ms >= ORCH_REPEAT_WINDOW_MS)
			repeat_flush(ev, r);
		more |= r->more > 0;
	}
	held_flush(ev);
	if (more)
		wait_for_window(ev);
}

static struct repeat *oldest(struct orch_events *ev)
{
	struct repeat *r = &ev->repeats[0];

	for (size_t i = 1; i < ORCH_REPEATS_MAX; i++)
		if (ev->repeats[i].since_ms < r->since_ms)
			r = &ev->repeats[i];
	return r;
}

/* true: an equal one was shown just now, and this one was counted. */
static bool is_repeated(struct orch_events *ev, const Openshell__Event__Event *e, uint64_t now)
{
	uint64_t key = key_of(e);
	struct repeat *r;

	for (size_t i = 0; i < ORCH_REPEATS_MAX; i++) {
		r = &ev->repeats[i];
		if (r->key != key)
			continue;
		if (now - r->since_ms < ORCH_REPEAT_WINDOW_MS) {
			r->more++;
			wait_for_window(ev);
			return true;
		}
		repeat_flush(ev, r);
		break;
	}
	r = oldest(ev);
	repeat_flush(ev, r);
	*r = (struct repeat){ .key = key, .since_ms = now, .port = e->port };
	(void) snprintf(r->host, sizeof r->host, "%s", e->host);
	(void) snprintf(r->binary, sizeof r->binary, "%s", e->binary[0] ? e->binary : "-");
	return false;
}

void orch_events_take(struct orch_events *ev, const Openshell__Event__Event *event)
{
	uint64_t now = loop_now_ms(ev->loop);

	to_file(ev, event, now);
	if (!is_shown(ev, event))
		return;
	if (event->kind == OPENSHELL__EVENT__KIND__DENIAL && is_repeated(ev, event, now))
		return;
	if (!bucket_take(&ev->lines, now)) {
		ev->lines_held++;
		wait_for_window(ev);
		return;
	}
	show(ev, event);
}

void orch_events_notice(struct orch_events *ev, Openshell__Event__Severity severity,
	const char *stage, const char *text)
{
	struct event e;

	orch_console_say(ev->c.console, text);
	event_init(&e, OPENSHELL__EVENT__KIND__NOTICE, severity);
	e.msg.stage = event_text(&e, stage);
	e.msg.message = event_text(&e, text);
	to_file(ev, &e.msg, loop_now_ms(ev->loop));
}

int orch_events_new(
	struct loop *l, const struct orch_events_config *c, struct orch_events **ret, struct err *e)
{
	AUTO(orch_events_free) struct orch_events *ev = calloc(1, sizeof *ev);
	uint64_t now = loop_now_ms(l);
	int r;

	if (!ev)
		return err_set(e, ENOMEM, "events: out of memory");
	ev->c = *c;
	ev->loop = l;
	ev->file = -1;
	bucket_init(&ev->lines, ORCH_LINES_BURST, ORCH_LINES_PER_S, now);
	bucket_init(&ev->records, ORCH_RECORDS_BURST, ORCH_RECORDS_PER_S, now);
	if ((r = loop_timer_new(l, on_window, ev, &ev->timer, e)) < 0)
		return r;
	if (c->log_file && (r = open_file(c->log_file, &ev->file, e)) < 0)
		return r;
	*ret = TAKE_PTR(ev);
	return 0;
}

void orch_events_free(struct orch_events *ev)
{
	if (!ev)
		return;
	for (size_t i = 0; i < ORCH_REPEATS_MAX; i++)
		repeat_flush(ev, &ev->repeats[i]);
	held_flush(ev);
	loop_timer_free(ev->timer);
	if (ev->file >= 0)
		(void) close(ev->file);
	free(ev);
}
