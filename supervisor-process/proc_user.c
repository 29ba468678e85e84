#include "proc_user.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_text.h"

#define DEFAULT_NAME "sandbox"
#define DEFAULT_HOME "/sandbox"
#define DEFAULT_SHELL "/bin/bash"
#define INVOKER_HOME "/tmp" /* of a person without a local account */

_Static_assert(PROC_ACCOUNT_GROUPS_MAX == CONFINE_GROUPS_MAX, "one list of groups");

enum origin { FROM_POLICY, FROM_DRIVER, FROM_IMAGE, FROM_INVOKER, FROM_DEFAULT };

struct wish { /* what was asked for, field by field; "" = nothing yet */
	char user[PROC_ACCOUNT_FIELD_MAX + 1];
	char group[PROC_ACCOUNT_FIELD_MAX + 1];
	char image_user[PROC_ACCOUNT_FIELD_MAX + 1]; /* its primary group is the group */
	enum origin user_from, group_from;
};

struct resolving {
	const struct proc_user_input *in;
	struct wish wish;
	char *passwd, *group; /* texts, read when first needed */
	size_t passwd_len, group_len;
	struct proc_passwd account;
	bool known; /* account is filled */
};

static void resolving_done(struct resolving *r)
{
	free(r->passwd);
	free(r->group);
}
#define AUTO_RESOLVING __attribute__((cleanup(resolving_done)))

static bool is_set(const char *s)
{
	return s && s[0];
}

static bool is_numeric(const char *s)
{
	return s[0] && strspn(s, "0123456789") == strlen(s);
}

static int put(char to[PROC_ACCOUNT_FIELD_MAX + 1], const char *s, size_t len, const char *what,
	struct err *e)
{
	if (len == 0)
		return err_set(e, EINVAL,
			"%s is empty; name it in the image (USER) or in process.run_as_user and "
			"process.run_as_group",
			what);
	if (len > PROC_ACCOUNT_FIELD_MAX)
		return err_set(e, EINVAL,
			"%s has more than %d bytes; use a shorter name or a "
			"number",
			what, PROC_ACCOUNT_FIELD_MAX);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) s[i] < ' ' || s[i] == 0x7f || s[i] == ':')
			return err_set(e, EINVAL,
				"%s holds a colon or a control character; use a plain name", what);
	if (s[0] == ' ' || s[len - 1] == ' ' || !text_is_utf8(s, len))
		return err_set(e, EINVAL, "%s begins or ends with a blank, or is not UTF-8", what);
	(void) memcpy(to, s, len);
	to[len] = '\0';
	return 0;
}

/* user[:group] of the image, for what the policy leaves out.  Without a group part it is the
 * primary group of the image's user, even when the policy names another user. */
static int wish_from_image(struct wish *w, const char *image, struct err *e)
{
	const char *colon = strchr(image, ':');
	size_t len = colon ? (size_t) (colon - image) : strlen(image);

	if (w->user[0] && w->group[0])
		return 0;
	if (!w->user[0]) {
		if (put(w->user, image, len, "the image's user", e) < 0)
			return -e->code;
		w->user_from = FROM_IMAGE;
	}
	if (w->group[0])
		return 0;
	w->group_from = FROM_IMAGE;
	if (colon)
		return put(w->group, colon + 1, strlen(colon + 1), "the image's group", e);
	return put(w->image_user, image, len, "the image's user", e);
}

static int wish_from_policy(struct wish *w, const struct proc_user_input *in, struct err *e)
{
	const char *u = in->policy_user, *g = in->policy_group;

	if (is_set(u) && put(w->user, u, strlen(u), "process.run_as_user", e) < 0)
		return -e->code;
	if (is_set(g) && put(w->group, g, strlen(g), "process.run_as_group", e) < 0)
		return -e->code;
	return 0;
}

static int wish_from_driver(struct wish *w, const struct proc_user_input *in, struct err *e)
{
	const char *names[] = { in->sandbox_uid, in->sandbox_gid };
	uint64_t v;

	for (size_t i = 0; i < 2; i++)
		if (text_to_u64(names[i], strlen(names[i]), 1, UINT32_MAX - 1, &v) < 0)
			return err_set(e, EINVAL,
				"OPENSHELL_SANDBOX_UID and OPENSHELL_SANDBOX_GID must be numbers "
				"from 1 to 4294967294");
	(void) snprintf(w->user, sizeof w->user, "%s", in->sandbox_uid);
	(void) snprintf(w->group, sizeof w->group, "%s", in->sandbox_gid);
	w->user_from = w->group_from = FROM_DRIVER;
	return 0;
}

static int check_driver(const struct proc_user_input *in, struct err *e)
{
	bool uid = is_set(in->sandbox_uid), gid = is_set(in->sandbox_gid);

	if (is_set(in->image_user) && (uid || gid))
		return err_set(e, EINVAL,
			"OPENSHELL_OCI_IMAGE_USER and OPENSHELL_SANDBOX_UID or _GID are both set; "
			"the driver must name one of them");
	if (uid != gid)
		return err_set(e, EINVAL,
			"OPENSHELL_SANDBOX_UID and OPENSHELL_SANDBOX_GID belong together; set both "
			"or none");
	return 0;
}

static int wish_of(const struct proc_user_input *in, struct wish *w, struct err *e)
{
	w->user_from = w->group_from = FROM_POLICY;
	if (check_driver(in, e) < 0)
		return -e->code;
	if (is_set(in->sandbox_uid))
		return wish_from_driver(w, in, e);
	if (wish_from_policy(w, in, e) < 0)
		return -e->code;
	if (in->image_user)
		return wish_from_image(w, in->image_user, e);
	if (!w->user[0] && !w->group[0] && in->has_invoker && in->invoker_uid != 0) {
		(void) snprintf(w->user, sizeof w->user, "%u", in->invoker_uid);
		(void) snprintf(w->group, sizeof w->group, "%u", in->invoker_gid);
		w->user_from = w->group_from = FROM_INVOKER;
		return 0;
	}
	if (!w->user[0]) {
		(void) snprintf(w->user, sizeof w->user, DEFAULT_NAME);
		w->user_from = FROM_DEFAULT;
	}
	if (!w->group[0]) {
		(void) snprintf(w->group, sizeof w->group, DEFAULT_NAME);
		w->group_from = FROM_DEFAULT;
	}
	return 0;
}

/* An image without accounts has none to offer: "no such entry" is then the answer of the lookup. */
static int need(const char *path, char **text, size_t *len, struct err *e)
{
	struct err why = { 0 };

	if (*text || proc_account_read(path, text, len, &why) == 0)
		return 0;
	if (why.code != ENOENT)
		return err_set(e, why.code, "%s", why.text);
	*len = 0;
	*text = calloc(1, 1);
	return *text ? 0 : err_set(e, ENOMEM, "%s", path);
}

static int user_named(struct resolving *r, const char *name, struct proc_passwd *ret, struct err *e)
{
	uint64_t uid;

	if (need(r->in->passwd_path, &r->passwd, &r->passwd_len, e) < 0)
		return -e->code;
	if (!is_numeric(name))
		return proc_account_user(r->passwd, r->passwd_len, name, ret, e);
	if (text_to_u64(name, strlen(name), 1, UINT32_MAX - 1, &uid) < 0)
		return err_set(e, EINVAL, "user %s is not a number from 1 to 4294967294", name);
	return proc_account_uid(r->passwd, r->passwd_len, (uint32_t) uid, ret, e);
}

static int refuse_root(const char *what, const char *name, struct err *e)
{
	return err_set(e, EPERM,
		"the workload would run with %s 0 (%s), which is refused; name another user in "
		"process.run_as_user, or start through sudo as an ordinary user",
		what, name);
}

static int unknown_user(const struct resolving *r, struct err *e)
{
	if (e->code != ENOENT)
		return err_wrap(e, "user of the workload");
	if (r->wish.user_from == FROM_DEFAULT)
		return err_set(e, ENOENT,
			"nobody is named to run the workload, and there is no account %s; set "
			"process.run_as_user, start through sudo as an ordinary user, or make "
			"the account",
			DEFAULT_NAME);
	return err_set(e, ENOENT, "%s %.128s has no account; make it, or give a number",
		r->wish.user_from == FROM_IMAGE ? "the image's user" : "process.run_as_user",
		r->wish.user);
}

static int resolve_uid(struct resolving *r, uint32_t *ret, struct err *e)
{
	const struct wish *w = &r->wish;
	struct err none = { 0 };
	uint64_t v;

	if (strcmp(w->user, "root") == 0)
		return refuse_root("uid", w->user, e);
	if (!is_numeric(w->user)) {
		if (user_named(r, w->user, &r->account, e) < 0)
			return unknown_user(r, e);
		r->known = true;
		*ret = r->account.uid;
		return *ret ? 0 : refuse_root("uid", w->user, e);
	}
	if (text_to_u64(w->user, strlen(w->user), 0, UINT32_MAX - 1, &v) < 0)
		return err_set(
			e, EINVAL, "user %.32s is not a number from 1 to 4294967294", w->user);
	*ret = (uint32_t) v;
	if (v == 0)
		return refuse_root("uid", w->user, e);
	/* A person has a name, a home and groups, unless a directory service keeps them. */
	if (w->user_from == FROM_INVOKER)
		r->known = user_named(r, w->user, &r->account, &none) == 0;
	return 0;
}

static int primary_group(struct resolving *r, const char *user, uint32_t *ret, struct err *e)
{
	struct proc_passwd p;

	if (user_named(r, user, &p, e) < 0)
		return err_wrap(
			e, "the group of user %.128s is unknown (name process.run_as_group)", user);
	*ret = p.gid;
	return 0;
}

static int resolve_gid(struct resolving *r, uint32_t *ret, struct err *e)
{
	const struct wish *w = &r->wish;
	uint64_t v;

	if (w->image_user[0])
		return primary_group(r, w->image_user, ret, e);
	if (strcmp(w->group, "root") == 0)
		return refuse_root("gid", w->group, e);
	if (is_numeric(w->group)) {
		if (text_to_u64(w->group, strlen(w->group), 0, UINT32_MAX - 1, &v) < 0)
			return err_set(e, EINVAL,
				"group %.32s is not a number from 1 to 4294967294", w->group);
		*ret = (uint32_t) v;
		return 0;
	}
	if (need(r->in->group_path, &r->group, &r->group_len, e) < 0)
		return -e->code;
	if (proc_account_group(r->group, r->group_len, w->group, ret, e) == 0)
		return 0;
	if (e->code == ENOENT && w->group_from == FROM_DEFAULT)
		return primary_group(r, w->user, ret, e);
	return err_wrap(e, "process.run_as_group (make the group, or give a number)");
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

	return (x > y) - (x < y);
}

/* GAP-20: an explicit list, never the supervisor's own groups; empty for a number. */
static int resolve_groups(struct resolving *r, struct confine_identity *id, struct err *e)
{
	bool image = r->wish.user_from == FROM_IMAGE;
	struct proc_groups g = { .n = 1 };

	id->n_groups = 0;
	if (!r->known)
		return 0;
	g.gid[0] = image ? r->account.gid : id->gid;
	if (g.gid[0] == 0)
		return refuse_root("gid", r->account.name, e);
	if (need(r->in->group_path, &r->group, &r->group_len, e) < 0 ||
		proc_account_groups(r->group, r->group_len, r->account.name, &g, e) < 0)
		return -e->code;
	if (image && g.in_root)
		return err_set(e, EPERM,
			"the image's user %.128s is a member of group 0; choose another user",
			r->account.name);
	qsort(g.gid, g.n, sizeof *g.gid, by_number);
	(void) memcpy(id->groups, g.gid, g.n * sizeof *g.gid);
	id->n_groups = g.n;
	return 0;
}

static void name_and_home(const struct resolving *r, struct proc_user *u)
{
	const char *name = r->known ? r->account.name : r->wish.user;

	(void) snprintf(u->name, sizeof u->name, "%s", name);
	(void) snprintf(u->shell, sizeof u->shell, DEFAULT_SHELL);
	if (r->known && r->account.home[0] == '/')
		(void) snprintf(u->home, sizeof u->home, "%s", r->account.home);
	else if (r->known && r->wish.user_from != FROM_DEFAULT)
		(void) snprintf(u->home, sizeof u->home, "/home/%.900s", name);
	else if (r->wish.user_from == FROM_INVOKER)
		(void) snprintf(u->home, sizeof u->home, INVOKER_HOME);
	else
		(void) snprintf(u->home, sizeof u->home, DEFAULT_HOME);
}

int proc_user_resolve(const struct proc_user_input *in, struct proc_user *ret, struct err *e)
{
	AUTO_RESOLVING struct resolving r = { .in = in };
	struct confine_identity *id = &ret->identity;
	const struct wish *w = &r.wish;

	*ret = (struct proc_user){ 0 };
	if (wish_of(in, &r.wish, e) < 0 || resolve_uid(&r, &id->uid, e) < 0 ||
		resolve_gid(&r, &id->gid, e) < 0)
		return -e->code;
	if (id->gid == 0)
		return refuse_root("gid", w->group[0] ? w->group : w->image_user, e);
	if (resolve_groups(&r, id, e) < 0)
		return -e->code;
	ret->from_driver = w->user_from == FROM_DRIVER;
	ret->from_image = w->user_from == FROM_IMAGE || w->group_from == FROM_IMAGE;
	ret->from_invoker = w->user_from == FROM_INVOKER;
	name_and_home(&r, ret);
	return 0;
}
