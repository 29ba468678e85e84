/* fuzz_event.c - whatever a peer is called: one line, no control character; JSON in one line. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core_event.h"
#include "core_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(const char *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) out[i] < 0x20 || out[i] == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char copy[4096], line[EVENT_LINE_MAX], json[EVENT_JSON_MAX];
	struct event ev;
	struct text t;

	if (len >= sizeof copy)
		return 0;
	(void) memcpy(copy, data, len);
	copy[len] = '\0';
	for (int kind = 0; kind < 3; kind++) {
		const char *ancestors[] = { copy, copy };

		event_init(&ev, (Openshell__Event__Kind) kind, OPENSHELL__EVENT__SEVERITY__MEDIUM);
		ev.msg.host = event_text(&ev, copy);
		ev.msg.binary = event_text(&ev, copy);
		ev.msg.method = event_text(&ev, copy);
		ev.msg.path = event_text(&ev, copy);
		ev.msg.reason = event_text(&ev, copy);
		ev.msg.policy = event_text(&ev, copy);
		ev.msg.message = event_text(&ev, copy);
		event_set_ancestors(&ev, ancestors, 2);
		text_init(&t, line, sizeof line);
		event_line(&ev.msg, &t);
		check(line, t.len);
		text_init(&t, json, sizeof json);
		event_json(&ev.msg, &t);
		check(json, t.len);
		if (json[0] != '{' || json[t.len - 1] != '}')
			abort();
	}
	return 0;
}
