#include "proc_user.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "core_cleanup.h"
#include "core_text.h"

struct accounts {
	char *passwd, *group;
	size_t passwd_len, group_len;
};

struct wish { /* what was asked for, field by field; "" = nothing */
	char user[PROC_ACCOUNT_FIELD_MAX + 1];
	char group[PROC_ACCOUNT_FIELD_MAX + 1];
};

static void accounts_done(struct accounts *a)
{
	free(a->passwd);
	free(a->group);
}
#define AUTO_ACCOUNTS __attribute__((cleanup(accounts_done)))

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
	if (len == 0 || len > PROC_ACCOUNT_FIELD_MAX)
		return err_set(e, EINVAL, "%s is empty or too long", what);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char) s[i] <= ' ' || s[i] == 0x7f || s[i] == ':')
			return err_set(e, EINVAL,
				"%s holds a blank, a colon or a control character", what);
	(void) memcpy(to, s, len);
	to[len] = '\0';
	return 0;
}

/* user[:group] of the image, for what the policy leaves out. */
static int wish_from_image(const struct proc_user_input *in, struct wish *w, struct err *e)
{
	const char *colon = strchr(in->image_user, ':');
	size_t len = colon ? (size_t) (colon - in->image_user) : strlen(in->image_user);

	if (w->user[0] && w->group[0])
		return 0;
	if (!w->user[0] && put(w->user, in->image_user, len, "the image's user", e) < 0)
		return -e->code;
	if (!w->group[0] && colon)
		return put(w->group, colon + 1, strlen(colon + 1), "the image's group", e);
	return 0;
}

static int wish_of(const struct proc_user_input *in, struct wish *w, struct err *e)
{
	bool uid = is_set(in->sandbox_uid), gid = is_set(in->sandbox_gid);

	(void) snprintf(w->user, sizeof w->user, "%s", in->policy_user);
	(void) snprintf(w->group, sizeof w->group, "%s", in->policy_group);
	if (is_set(in->image_user) && (uid || gid))
		return err_set(e, EINVAL,
			"OPENSHELL_OCI_IMAGE_USER and OPENSHELL_SANDBOX_UID are both set; the "
			"driver must name one of them");
	if (uid != gid)
		return err_set(e, EINVAL,
			"OPENSHELL_SANDBOX_UID and OPENSHELL_SANDBOX_GID belong together; set both "
			"or none");
	if (uid) {
		if (!is_numeric(in->sandbox_uid) || !is_numeric(in->sandbox_gid))
			return err_set(e, EINVAL,
				"OPENSHELL_SANDBOX_UID and _GID must be numbers from 1 to "
				"4294967294");
		(void) snprintf(w->user, sizeof w->user, "%s", in->sandbox_uid);
		(void) snprintf(w->group, sizeof w->group, "%s", in->sandbox_gid);
		return 0;
	}
	if (in->image_user)
		return wish_from_image(in, w, e);
	if (!w->user[0] && in->has_invoker) {
		(void) snprintf(w->user, sizeof w->user, "%u", in->invoker_uid);
		if (!w->group[0])
			(void) snprintf(w->group, sizeof w->group, "%u", in->invoker_gid);
	}
	return 0;
}

static int refuse_root(const char *what, const char *name, struct err *e)
{
	return err_set(e, EPERM,
		"the workload would run with %s 0 (%s), which is refused; name another user in "
		"process.run_as_user, or start through sudo as an ordinary user",
		what, name);
}

static int resolve_uid(const struct accounts *a, const struct wish *w, struct proc_passwd *p,
	bool *known, struct err *e)
{
	struct err none = { 0 };
	uint64_t v;

	*known = true;
	if (!is_numeric(w->user)) {
		if (proc_account_user(a->passwd, a->passwd_len, w->user, p, e) == 0)
			return 0;
		return err_wrap(e, "process.run_as_user; make the account or give a number");
	}
	if (text_to_u64(w->user, strlen(w->user), 0, UINT32_MAX - 1, &v) < 0)
		return err_set(e, EINVAL, "user %s is not a number from 1 to 4294967294", w->user);
	if (proc_account_uid(a->passwd, a->passwd_len, (uint32_t) v, p, &none) == 0)
		return 0;
	*known = false;
	p->uid = (uint32_t) v;
	return 0;
}

static int resolve_gid(const struct accounts *a, const struct wish *w, const struct proc_passwd *p,
	bool known, uint32_t *ret, struct err *e)
{
	uint64_t v;

	if (!w->group[0]) {
		if (!known)
			return err_set(e, EINVAL,
				"uid %u has no account, so its group is unknown; name "
				"process.run_as_group",
				p->uid);
		*ret = p->gid;
		return 0;
	}
	if (!is_numeric(w->group)) {
		if (proc_account_group(a->group, a->group_len, w->group, ret, e) == 0)
			return 0;
		return err_wrap(e, "process.run_as_group; make the group or give a number");
	}
	if (text_to_u64(w->group, strlen(w->group), 0, UINT32_MAX - 1, &v) < 0)
		return err_set(
			e, EINVAL, "group %s is not a number from 1 to 4294967294", w->group);
	*ret = (uint32_t) v;
	return 0;
}

/* GAP-20: an explicit list, never the supervisor's own groups. */
static int resolve_groups(
	const struct accounts *a, const struct wish *w, struct proc_user *u, struct err *e)
{
	u->identity.n_groups = 0;
	u->identity.groups[u->identity.n_groups++] = u->identity.gid;
	if (is_numeric(w->user))
		return 0;
	return proc_account_groups(a->group, a->group_len, w->user, u->identity.groups,
		CONFINE_GROUPS_MAX, &u->identity.n_groups, e);
}

static int read_accounts(const struct proc_user_input *in, struct accounts *a, struct err *e)
{
	struct err none = { 0 };

	/* A scratch image may have neither; numbers still work then. */
	if (proc_account_read(in->passwd_path, &a->passwd, &a->passwd_len, &none) < 0 &&
		none.code != ENOENT)
		return err_set(e, none.code, "%s", none.text);
	if (proc_account_read(in->group_path, &a->group, &a->group_len, &none) < 0 &&
		none.code != ENOENT)
		return err_set(e, none.code, "%s", none.text);
	return 0;
}

int proc_user_resolve(const struct proc_user_input *in, struct proc_user *ret, struct err *e)
{
	AUTO_ACCOUNTS struct accounts a = { 0 };
	struct proc_passwd p = { 0 };
	struct wish w = { 0 };
	bool known;

	*ret = (struct proc_user){ .from_driver = is_set(in->sandbox_uid) };
	if (wish_of(in, &w, e) < 0 || read_accounts(in, &a, e) < 0)
		return -e->code;
	if (!w.user[0])
		(void) snprintf(w.user, sizeof w.user, "sandbox");
	if (resolve_uid(&a, &w, &p, &known, e) < 0 ||
		resolve_gid(&a, &w, &p, known, &ret->identity.gid, e) < 0)
		return -e->code;
	ret->identity.uid = p.uid;
	if (p.uid == 0)
		return refuse_root("uid", w.user, e);
	if (ret->identity.gid == 0)
		return refuse_root("gid", w.group[0] ? w.group : w.user, e);
	if (resolve_groups(&a, &w, ret, e) < 0)
		return -e->code;
	(void) snprintf(ret->name, sizeof ret->name, "%s", known ? p.name : w.user);
	(void) snprintf(
		ret->home, sizeof ret->home, "%s", known && p.home[0] == '/' ? p.home : "/sandbox");
	(void) snprintf(ret->shell, sizeof ret->shell, "/bin/bash");
	return 0;
}
