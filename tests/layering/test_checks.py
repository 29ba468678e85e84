#!/usr/bin/env python3
"""test_checks.py ROOT - the layering checks are themselves tried: each breach must be found."""
import pathlib
import shutil
import sys
import tempfile

import check_calls
import check_includes

BREACHES = {  # file to extend -> (line, what the complaint must say)
    'supervisor-network/net_main.c': ('#include "ipc_process.h"', 'may not include ipc_process.h'),
    'supervisor-process/proc_main.c': ('#include "ipc_network.h"', 'may not include ipc_network.h'),
    'supervisor-network/net_relay.c': ('#include "core_attach.h"', 'may not include core_attach.h'),
    'libcore/base/core_err.c': ('#include "ipc_common.h"', 'may not include ipc_common.h'),
    'orchestrator/orch_main.c': ('#include "../libcore/base/core_err.h"', 'bare name'),
    'supervisor-network/net_limits.h': ('#include <yaml.h>', 'belongs to another module'),
    'supervisor-process/proc_limits.h': ('#include <openssl/evp.h>', 'belongs to another module'),
    'supervisor-process/proc_shell.c': ('#include <libssh/libssh.h>', 'belongs to another module'),
    'orchestrator/orch_ctl.c': ('#include <libssh/libssh.h>', 'belongs to another module'),
    'libcore/base/core_fd.c': ('#include <event2/event.h>', 'belongs to another module'),
}
CALLS = (  # statement of a function -> what the complaint must say; '' for none
    ('int a = dup(0);', 'dup() has no room'),
    ('int a = open("x", O_RDONLY);', 'open() without'),
    ('int a = open("O_CLOEXEC", O_RDONLY /* O_CLOEXEC */);', 'open() without'),
    ('int a = openat(1, "x",\n\t\tO_RDONLY | O_CREAT, 0600);', 'openat() without'),
    ('int a = socket(AF_UNIX, SOCK_STREAM, 0);', 'socket() without'),
    ('int a = accept4(0, NULL, NULL, SOCK_NONBLOCK);', 'accept4() without'),
    ('int a = fcntl(0, F_DUPFD, 3);', 'F_DUPFD'),
    ('int a = dup2(0, 1);', 'dup2() is used in'),
    ('FILE *a = fopen("e", "r");', 'fopen() without'),
    ('DIR *a = fdopendir(0);', 'fdopendir() is used in'),
    ('int a = recvmsg(0, &m, MSG_DONTWAIT);', 'recvmsg() without'),
    ('unlink("x");', 'unlink() is lost'),
    ('if (a)\n\t\tclose(0);', 'close() is lost'),
    ('switch (a) {\n\tcase 1:\n\t\tclose(0);\n\t}', 'close() is lost'),
    ('fd_set_nonblock(0, e);', 'fd_set_nonblock() is lost'),
    ('(void) unlink("x");', ''),
    ('return unlink("x");', ''),
    ('for (a = 0; unlink("x"); a++)\n\t\t;', ''),
    ('int b = a ? 1 : unlink("x");', ''),
    ('/* dup(0); */ int a = open("x", O_RDONLY | O_CLOEXEC);', ''),
    ('FILE *a = fopen("x", "re");', ''),
)


def copy(root, to):
    for name in ('libcore', 'proto', 'supervisor-process', 'supervisor-network', 'orchestrator'):
        shutil.copytree(root / name, to / name)


def try_calls(root):
    failed, known = 0, check_calls.functions_with_results(root) | set(check_calls.LIBC)
    for statement, want in CALLS:
        bad = check_calls.check_file('libcore/x.c', f'static void x(void)\n{{\n\t{statement}\n}}\n', known)
        good = len(bad) == 1 and want in bad[0] if want else not bad
        print('ok' if good else 'FAILED', repr(statement), bad)
        failed += not good
    return failed


def main():
    root, failed = pathlib.Path(sys.argv[1]), 0
    for name, (line, want) in BREACHES.items():
        with tempfile.TemporaryDirectory() as tmp:
            to = pathlib.Path(tmp)
            copy(root, to)
            path = to / name
            path.write_text(path.read_text() + line + '\n')
            bad, _ = check_includes.check(to)
            found = any(want in b for b in bad)
            print('ok' if found else 'FAILED', name, line)
            failed += not found
    with tempfile.TemporaryDirectory() as tmp:
        to = pathlib.Path(tmp)
        copy(root, to)
        (to / 'orchestrator' / 'core_err.h').write_text('#pragma once\n')
        found = any('header name also in' in b for b in check_includes.check(to)[0])
        print('ok' if found else 'FAILED', 'second header of one name')
        failed += not found
    failed += try_calls(root)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
