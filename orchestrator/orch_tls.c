#include "orch_tls.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "core_fd.h"
#include "core_tls.h"
#include "core_tls_authority.h"
#include "core_tls_bundle.h"

#define PATH_BYTES_MAX 4096
#define PARENT_BYTES_MAX 64 /* bytes of the path of the folder above it */
#define STALE_MAX 4096	    /* directories looked at for leftovers */
#define CLAIM_TRIES 200	    /* at a directory that another sandbox takes for a leftover */
#define CLAIM_PAUSE_MS 10   /* between two of them */

static const char *const system_bundles[] = { "/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" };

enum file { FILE_CA, FILE_BUNDLE, FILE_JAVA, FILE_WGET, FILE_PHP, FILES };
static const char *const names[FILES] = { "openshell-ca.pem", "ca-bundle.pem",
	"openshell-truststore.jks", "wgetrc", "openshell-php.ini" };

struct orch_tls {
	struct tls_authority *authority;
	int roots; /* what upstreams are verified with: a sealed memory file */
	char *directory;
	char *path[FILES];
	bool own_directory; /* ours alone: removed at the end */
	int lock;
	struct orch_tls_variable variables[ORCH_TLS_VARIABLES_MAX];
	size_t n_variables;
};

/* ---- what is trusted ---- */

static int read_file(const char *path, char **ret, size_t *ret_len, struct err *e)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_set(e, errno, "%s: %s; give a file of certificates (PEM)", path,
			strerror(errno));
	return fd_read_all(fd, ORCH_TLS_BUNDLE_BYTES_MAX, ret, ret_len, e) < 0
		? err_wrap(e, "%s", path)
		: 0;
}

/* The first that has a certificate. */
static int add_system(struct tls_bundle *b, struct err *e)
{
	for (size_t i = 0; i < sizeof system_bundles / sizeof *system_bundles; i++) {
		AUTO_FREE char *text = NULL;
		struct err why = { 0 };
		size_t len, added = 0;

		if (read_file(system_bundles[i], &text, &len, &why) < 0)
			continue;
		if (tls_bundle_add(b, text, len, &added, NULL, e) < 0)
			return -e->code;
		if (added)
			return 0;
	}
	return 0;
}

static int add_extra(struct tls_bundle *b, const char *path, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len, added, skipped;
	struct err why = { 0 };

	if (!path)
		return 0;
	/* EINVAL: what the operator asked for ends the start, all else goes on without interception. */
	if (read_file(path, &text, &len, &why) < 0 ||
		tls_bundle_add(b, text, len, &added, &skipped, &why) < 0)
		return err_set(
			e, EINVAL, "--upstream-ca %s; give a file of certificates (PEM)", why.text);
	if (!added || skipped)
		return err_set(e, EINVAL,
			"--upstream-ca %.200s: %zu certificates could be read and %zu could not; "
			"give a PEM file of certificates alone",
			path, added, skipped);
	return 0;
}

/* The roots, and behind them, for the workload alone, the authority. */
static int gather(struct orch_tls *t, struct tls_bundle *b, const char *extra, struct err *e)
{
	const void *der;
	const char *ca;
	size_t len;

	if (add_system(b, e) < 0 || add_extra(b, extra, e) < 0)
		return -e->code;
	der = tls_bundle_der(b, &len);
	if (len == 0)
		return err_set(e, ENOENT,
			"no trusted certificates on this machine; install ca-certificates, or give "
			"--upstream-ca FILE");
	if (fd_sealed_new("openshell-roots", der, len, &t->roots, e) < 0 ||
		tls_authority_new(&t->authority, e) < 0)
		return -e->code;
	ca = tls_authority_pem(t->authority);
	return tls_bundle_add(b, ca, strlen(ca), NULL, NULL, e);
}

/* ---- the directory ---- */

static void remove_files(int dir)
{
	DIR *list = fd_list(dir, ".");
	struct dirent *d;

	/* Also what was being written when its sandbox was killed. */
	for (int i = 0; list && i < STALE_MAX && (d = readdir(list)); i++)
		(void) unlinkat(dir, d->d_name, 0); /* "." and ".." are refused */
	if (list)
		(void) closedir(list);
}

/* A sandbox that crashed leaves its directory behind, but not its lock. */
static void remove_stale(const char *parent)
{
	AUTO_CLOSE int at = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *list = at < 0 ? NULL : fd_list(at, ".");
	struct dirent *d;

	for (int i = 0; list && i < STALE_MAX && (d = readdir(list)); i++) {
		AUTO_CLOSE int dir = -1;

		if (strncmp(d->d_name, "sandbox-", 8) != 0)
			continue;
		dir = openat(at, d->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (dir < 0 || flock(dir, LOCK_EX | LOCK_NB) < 0)
			continue;
		remove_files(dir);
		(void) unlinkat(at, d->d_name, AT_REMOVEDIR);
	}
	if (list)
		(void) closedir(list);
}

static int make_directory(const char *path, struct err *e)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		return err_set(e, errno, "can't make %s: %s", path, strerror(errno));
	return 0;
}

/* One try at a locked directory: 1 done, 0 another sandbox is looking whether it is stale. */
static int claim(struct orch_tls *t, const char *path, struct err *e)
{
	struct stat st;

	if (make_directory(path, e) < 0)
		return -e->code;
	t->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (t->lock >= 0 && flock(t->lock, LOCK_EX | LOCK_NB) == 0 && fstat(t->lock, &st) == 0 &&
		st.st_nlink > 0)
		return 1;
	core_closep(&t->lock);
	t->lock = -1;
	return 0;
}

static int claim_own(struct orch_tls *t, const char *path, struct err *e)
{
	const struct timespec pause = { .tv_nsec = CLAIM_PAUSE_MS * 1000000L };

	for (int i = 0; i < CLAIM_TRIES; i++) {
		int r = claim(t, path, e);

		if (r != 0)
			return r < 0 ? r : 0;
		(void) nanosleep(&pause, NULL);
	}
	return err_set(e, EBUSY, "%s is another sandbox's", path);
}

/* Where the directories of this user's sandboxes lie.  The one in /tmp must be his own: whoever else
 * made it could exchange what is in it. */
static void name_parent(char ret[PARENT_BYTES_MAX])
{
	if (geteuid() == 0)
		(void) snprintf(ret, PARENT_BYTES_MAX, "%s", ORCH_TLS_DIR);
	else
		(void) snprintf(ret, PARENT_BYTES_MAX, "%s-%u", ORCH_TLS_DIR_USER, geteuid());
}

static int enter_parent(char ret[PARENT_BYTES_MAX], struct err *e)
{
	struct stat st;

	name_parent(ret);
	if (make_directory(ret, e) < 0)
		return -e->code;
	if (lstat(ret, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
		(st.st_mode & 022))
		return err_set(
			e, EPERM, "%s is not a folder that you alone can write; remove it", ret);
	remove_stale(ret);
	return 0;
}

void orch_tls_sweep(void)
{
	char parent[PARENT_BYTES_MAX];

	name_parent(parent);
	remove_stale(parent);
}

static int enter_directory(struct orch_tls *t, const struct orch_tls_config *c, struct err *e)
{
	char path[PATH_BYTES_MAX], parent[PARENT_BYTES_MAX] = "";

	if (!c->directory && enter_parent(parent, e) < 0)
		return -e->code;
	(void) snprintf(path, sizeof path, "%s%s%s", c->directory ? c->directory : parent,
		c->directory ? "" : "/sandbox-", c->directory ? "" : c->tag);
	if (path[0] != '/' || strlen(path) > PATH_BYTES_MAX - 64)
		return err_set(e, EINVAL, "OPENSHELL_PROXY_TLS_DIR must be an absolute path");
	t->directory = strdup(path);
	if (!t->directory)
		return err_set(e, ENOMEM, "can't use %s", path);
	if (!c->directory) {
		if (claim_own(t, path, e) < 0)
			return -e->code;
		t->own_directory = true;
		return 0;
	}
	if (make_directory(path, e) < 0)
		return -e->code;
	t->lock = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return t->lock < 0 ? err_set(e, errno, "can't use %s", path) : 0;
}

/* Written beside and renamed, so that nobody ever reads half of one. */
static int write_file(struct orch_tls *t, enum file f, const void *bytes, size_t len, struct err *e)
{
	char fresh[64];
	AUTO_CLOSE int fd = -1;

	(void) snprintf(fresh, sizeof fresh, ".%s.%d", names[f], (int) getpid());
	if (asprintf(&t->path[f], "%s/%s", t->directory, names[f]) < 0) {
		t->path[f] = NULL;
		return err_set(e, ENOMEM, "certificate files");
	}
	fd = openat(t->lock, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0444);
	if (fd < 0 || fchmod(fd, 0444) < 0)
		return err_set(e, errno, "can't write %s: %s", t->path[f], strerror(errno));
	if (fd_write_all(fd, bytes, len, e) < 0 ||
		renameat(t->lock, fresh, t->lock, names[f]) < 0) {
		(void) unlinkat(t->lock, fresh, 0);
		return err_set(e, e->code ? e->code : errno, "can't write %s", t->path[f]);
	}
	return 0;
}

static int write_bundle(struct orch_tls *t, const struct tls_bundle *b, struct err *e)
{
	AUTO_FREE unsigned char *java = NULL;
	const char *pem;
	size_t len;

	pem = tls_bundle_pem(b, &len);
	if (write_file(t, FILE_BUNDLE, pem, len, e) < 0 || tls_bundle_java(b, &java, &len, e) < 0)
		return -e->code;
	return write_file(t, FILE_JAVA, java, len, e);
}

static int write_files(struct orch_tls *t, const struct tls_bundle *b, struct err *e)
{
	const char *ca = tls_authority_pem(t->authority), *bundle;
	char text[2 * PATH_BYTES_MAX + 64];

	if (write_file(t, FILE_CA, ca, strlen(ca), e) < 0 || write_bundle(t, b, e) < 0)
		return -e->code;
	bundle = t->path[FILE_BUNDLE];
	(void) snprintf(text, sizeof text, "ca_certificate = %s\n", bundle);
	if (write_file(t, FILE_WGET, text, strlen(text), e) < 0)
		return -e->code;
	/* In quotes: PHP's reader gives a meaning of its own to some signs outside of them. */
	(void) snprintf(
		text, sizeof text, "openssl.cafile=\"%s\"\ncurl.cainfo=\"%s\"\n", bundle, bundle);
	return write_file(t, FILE_PHP, text, strlen(text), e);
}

/* ---- variables ---- */

static int set(struct orch_tls *t, const char *name, struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
static int set(struct orch_tls *t, const char *name, struct err *e, const char *fmt, ...)
{
	struct orch_tls_variable *v = &t->variables[t->n_variables];
	va_list ap;
	int n;

	if (t->n_variables == ORCH_TLS_VARIABLES_MAX)
		return err_set(e, E2BIG, "too many variables");
	va_start(ap, fmt);
	n = vasprintf(&v->value, fmt, ap);
	va_end(ap);
	if (n < 0) {
		v->value = NULL;
		return err_set(e, ENOMEM, "environment");
	}
	v->name = name;
	t->n_variables++;
	return 0;
}

/* The certificates, and the proxy, which Java does not take from https_proxy. */
static int set_java(struct orch_tls *t, const struct orch_tls_given *g, struct err *e)
{
	return set(t, "JAVA_TOOL_OPTIONS", e,
		"%s%s-Djavax.net.ssl.trustStore=%s -Djavax.net.ssl.trustStorePassword=%s "
		"-Dhttp.proxyHost=%s -Dhttp.proxyPort=%u -Dhttps.proxyHost=%s "
		"-Dhttps.proxyPort=%u -Dhttp.nonProxyHosts=localhost|127.*|[::1]",
		g->java_options ? g->java_options : "", g->java_options ? " " : "",
		t->path[FILE_JAVA], TLS_BUNDLE_PASSWORD, g->proxy_address, g->proxy_port,
		g->proxy_address, g->proxy_port);
}

int orch_tls_variables(struct orch_tls *t, const struct orch_tls_given *g,
	const struct orch_tls_variable **ret, size_t *ret_n, struct err *e)
{
	static const char *const bundle_names[] = { "CARGO_HTTP_CAINFO", "PIP_CERT",
		"AWS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
		"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "HTTPLIB2_CA_CERTS", "NIX_SSL_CERT_FILE",
		"PERL_LWP_SSL_CA_FILE",
		/* A `cafile` in somebody's npmrc makes npm forget NODE_EXTRA_CA_CERTS. */
		"npm_config_cafile" };

	for (size_t i = 0; i < sizeof bundle_names / sizeof *bundle_names; i++)
		if (set(t, bundle_names[i], e, "%s", t->path[FILE_BUNDLE]) < 0)
			return -e->code;
	/* An empty element of PHP's list stands for the folder that it reads by itself. */
	if (set(t, "SYSTEM_WGETRC", e, "%s", t->path[FILE_WGET]) < 0 ||
		set(t, "PHP_INI_SCAN_DIR", e, "%s:%s", g->php_scan ? g->php_scan : "",
			t->directory) < 0 ||
		set_java(t, g, e) < 0)
		return -e->code;
	*ret = t->variables;
	*ret_n = t->n_variables;
	return 0;
}

/* ---- life ---- */

int orch_tls_new(const struct orch_tls_config *c, struct orch_tls **ret, struct err *e)
{
	AUTO(orch_tls_free) struct orch_tls *t = calloc(1, sizeof *t);
	AUTO(tls_bundle_free) struct tls_bundle *b = NULL;

	if (!t)
		return err_set(e, ENOMEM, "certificate authority");
	t->lock = t->roots = -1;
	if (tls_setup(e) < 0 || tls_bundle_new(&b, e) < 0 || gather(t, b, c->extra, e) < 0 ||
		enter_directory(t, c, e) < 0 || write_files(t, b, e) < 0)
		return -e->code;
	*ret = TAKE_PTR(t);
	return 0;
}

void orch_tls_free(struct orch_tls *t)
{
	if (!t)
		return;
	if (t->own_directory) { /* one that was named is its owner's affair */
		remove_files(t->lock);
		(void) rmdir(t->directory);
	}
	core_closep(&t->lock);
	for (int i = 0; i < FILES; i++)
		free(t->path[i]);
	for (size_t i = 0; i < t->n_variables; i++)
		free(t->variables[i].value);
	free(t->directory);
	core_closep(&t->roots);
	tls_authority_free(t->authority);
	free(t);
}

const char *orch_tls_directory(const struct orch_tls *t)
{
	return t->directory;
}

const char *orch_tls_ca_file(const struct orch_tls *t)
{
	return t->path[FILE_CA];
}

const char *orch_tls_bundle_file(const struct orch_tls *t)
{
	return t->path[FILE_BUNDLE];
}

const char *orch_tls_certificate(const struct orch_tls *t)
{
	return tls_authority_pem(t->authority);
}

int orch_tls_key_fd(const struct orch_tls *t, int *ret, struct err *e)
{
	AUTO(secret_free) struct secret *key = NULL;

	if (tls_authority_key(t->authority, &key, e) < 0)
		return -e->code;
	return fd_sealed_new("openshell-ca-key", secret_bytes(key), secret_len(key), ret, e);
}

int orch_tls_roots(const struct orch_tls *t)
{
	return t->roots;
}
