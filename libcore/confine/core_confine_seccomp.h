/* core_confine_seccomp.h - shared by the filters of libcore/confine only. */
#pragma once
#include <seccomp.h>
#include "core_confine.h"

/* A filter context with this default action; foreign architectures and x32 are killed. */
int confine_ctx_new(uint32_t fallback, scmp_filter_ctx *ret, struct err *e);
/* EPERM for every name of the NULL-terminated list; an unknown name is an error. */
int confine_ctx_deny(scmp_filter_ctx ctx, const char *const *names, struct err *e);
/* Install it on every thread of the process (SECCOMP_FILTER_FLAG_TSYNC). */
void confine_filter_all_threads(struct confine_filter *f);
int confine_ctx_export(scmp_filter_ctx ctx, struct confine_filter **ret, struct err *e);
