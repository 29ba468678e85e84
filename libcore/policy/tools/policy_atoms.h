/* policy_atoms.h - a document taken apart into grants and restrictions; files of the tools only.
 *
 * An atom is one program, one host, one port.  Atoms borrow from the expanded copy of the message
 * that the set owns; what is the same for many of them (a clause) is there once.
 */
#pragma once
#include "core_policy_diff.h"
#include "core_policy_snapshot.h"
#include "policy_pb.h"

enum atom_kind {
	ATOM_CONNECT, /* a connection, to addresses as ips says */
	ATOM_PRIVATE, /* the host may be a private address (spec/policy 2.16 mode 4) */
	ATOM_RAW,     /* bytes that nobody looks into */
	ATOM_REQUEST, /* clause: an allow rule */
	ATOM_AUDIT,   /* any request on the endpoint's path, only logged */
	ATOM_OPTION,  /* clause: something else that opens */
	ATOM_DENY,    /* restriction; clause: a deny rule */
	ATOM_INSPECT, /* restriction; clause: how requests are looked at */
	ATOM_SCRUB,   /* restriction: what was injected does not come back */
	ATOM_KINDS,
};

struct clause {
	char *text; /* for the sentence */
	uint8_t *bytes;
	size_t len;
	const PB(L7Allow) * allow;   /* or NULL */
	const PB(L7DenyRule) * deny; /* or NULL */
};

struct atom {
	enum atom_kind kind;
	uint16_t port;
	const char *host, *exe, *path, *protocol;
	const char *ips; /* sorted, joined; "" for none */
	const struct clause *clause;
	const char *rule;
	unsigned line;
	struct policy_glob *host_glob, *exe_glob; /* made when first needed */
};

struct atoms {
	policy_msg *m;	 /* hosts in lower case, presets written out */
	struct atom *at; /* sorted: kind, port, host, exe, ... */
	size_t n, size;
	struct clause **clauses;
	size_t n_clauses;
	char **texts;
	size_t n_texts;
	size_t begin[ATOM_KINDS + 1]; /* of each kind */
};

int atoms_init(struct atoms *s, const struct policy_doc *d, struct err *e);
void atoms_done(struct atoms *s);
int atom_compare(const struct atom *a, const struct atom *b);

/* Is all that b grants (holds back) granted (held back) by the set as well? */
bool atoms_cover(struct atoms *s, const struct atom *b);
/* Does the restriction hold back anything that the set grants? */
bool atoms_restrain(struct atoms *s, const struct atom *restriction);
/* All that b allows on an endpoint of this protocol, a allows as well; not told for most patterns. */
bool policy_allow_covers(const PB(L7Allow) * a, const PB(L7Allow) * b, const char *protocol);
