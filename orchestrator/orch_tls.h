/* orch_tls.h - the sandbox's certificate authority, and the files by which the workload trusts it.
 *
 * Made once per sandbox.  The key stays in locked memory here and is lent to each network leaf in a
 * sealed memory file that exists only while the message is under way.  The certificates are written
 * to a directory that the workload can read: OPENSHELL_PROXY_TLS_DIR when it is set, else one of
 * this sandbox's own below /etc/openshell-tls, which is removed at the end (and, after a crash, by
 * the next sandbox: who owns one holds a lock on it).
 */
#pragma once
#include <stddef.h>
#include "core_cleanup.h"
#include "core_err.h"

#define ORCH_TLS_DIR "/etc/openshell-tls"
#define ORCH_TLS_DIR_USER "/tmp/openshell-tls"	    /* and "-UID": without root */
#define ORCH_TLS_BUNDLE_BYTES_MAX (2 * 1024 * 1024) /* bytes of a file of certificates */
#define ORCH_TLS_VARIABLES_MAX 16

struct orch_tls;

struct orch_tls_config {
	const char *directory; /* NULL: one below ORCH_TLS_DIR */
	const char *tag;
	const char *extra; /* file of further upstream roots; NULL: none */
};

/* What the variables are made of. The last two: what the command would have had; NULL: nothing. */
struct orch_tls_given {
	const char *proxy_address;
	unsigned proxy_port;
	const char *java_options; /* JAVA_TOOL_OPTIONS */
	const char *php_scan;	  /* PHP_INI_SCAN_DIR */
};

struct orch_tls_variable {
	const char *name;
	char *value; /* malloc'd */
};

/* -EINVAL: the extra file can't be used, which ends the start.  Anything else: there is no TLS
 * termination in this sandbox (spec/network 4.2). */
int orch_tls_new(const struct orch_tls_config *c, struct orch_tls **ret, struct err *e);
/* Remove what sandboxes of this user left that were killed. */
void orch_tls_sweep(void);
void orch_tls_free(struct orch_tls *t); /* removes the files */
DEFINE_AUTO(struct orch_tls, orch_tls_free)

const char *orch_tls_directory(const struct orch_tls *t);
const char *orch_tls_ca_file(const struct orch_tls *t);
const char *orch_tls_bundle_file(const struct orch_tls *t);
/* Variables beyond those that spec/network 4.2 names: each program has its own (docs/tls.md).
 * Borrowed from t. */
int orch_tls_variables(struct orch_tls *t, const struct orch_tls_given *g,
	const struct orch_tls_variable **ret, size_t *ret_n, struct err *e);

/* What is lent: the certificate, its key in a fresh memory file (close it when it is sent), and the
 * roots of upstreams, whose memory file all leaves share (borrowed). */
const char *orch_tls_certificate(const struct orch_tls *t);
int orch_tls_key_fd(const struct orch_tls *t, int *ret, struct err *e);
int orch_tls_roots(const struct orch_tls *t);
