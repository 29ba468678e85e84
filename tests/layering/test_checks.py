#!/usr/bin/env python3
"""test_checks.py ROOT - the layering checks are themselves tried: each breach must be found."""
import pathlib
import shutil
import sys
import tempfile

import check_includes

BREACHES = {  # file to extend -> (line, what the complaint must say)
    'supervisor-network/net_main.c': ('#include "ipc_process.h"', 'may not include ipc_process.h'),
    'supervisor-process/proc_main.c': ('#include "ipc_network.h"', 'may not include ipc_network.h'),
    'libcore/base/core_err.c': ('#include "ipc_common.h"', 'may not include ipc_common.h'),
    'orchestrator/orch_main.c': ('#include "../libcore/base/core_err.h"', 'bare name'),
    'supervisor-network/net_limits.h': ('#include <yaml.h>', 'belongs to another module'),
    'supervisor-process/proc_limits.h': ('#include <openssl/evp.h>', 'belongs to another module'),
    'supervisor-process/proc_shell.c': ('#include <libssh/libssh.h>', 'belongs to another module'),
    'orchestrator/orch_ctl.c': ('#include <libssh/libssh.h>', 'belongs to another module'),
    'libcore/base/core_fd.c': ('#include <event2/event.h>', 'belongs to another module'),
}


def copy(root, to):
    for name in ('libcore', 'proto', 'supervisor-process', 'supervisor-network', 'orchestrator'):
        shutil.copytree(root / name, to / name)


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
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
