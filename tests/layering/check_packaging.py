#!/usr/bin/env python3
"""check_packaging.py ROOT - quickstart.sh builds every program; docs/dependencies.md names every library."""
import pathlib
import re
import sys

NAMES = {'libprotobuf-c': 'protobuf-c', 'yaml-0.1': 'libyaml', 'libcjson': 'cJSON', 'libcares': 'c-ares', 'libevent_core': 'libevent',
         'libnl-3.0': 'libnl-3', 'libnl-route-3.0': 'libnl-route-3', 'libnl-nf-3.0': 'libnl-nf-3', 'libIPSec_MB': 'libipsec-mb',
         'threads': None, **dict.fromkeys(('mbedtls', 'mbedx509', 'mbedcrypto'), 'mbedTLS')}


def check(root):
    meson = {d: (root / d / 'meson.build').read_text() for d in ('.', 'orchestrator', 'supervisor-process', 'supervisor-network')}
    script = (root / 'packaging' / 'quickstart.sh').read_text()
    bad, programs = [], [f'{d}/{name}' for d, text in meson.items() for name in re.findall(r"= executable\('([\w-]+)'", text)]
    for program in programs:
        if not re.search(rf'(^|\s){re.escape(program)}(\s|$)', script, re.M):
            bad.append(f'packaging/quickstart.sh does not build {program}')
    page = (root / 'docs' / 'dependencies.md').read_text()
    texts = ''.join(p.read_text() for d in ('libcore', 'proto', 'orchestrator', 'supervisor-process', 'supervisor-network')
                    for p in (root / d).rglob('meson.build')) + meson['.']
    for library in set(re.findall(r"[^_]dependency\('([\w.-]+)'", texts)):
        name = NAMES.get(library, library)
        if name and name not in page:
            bad.append(f'docs/dependencies.md does not name {library}')
    if len(programs) < 4:
        bad.append(f'only {len(programs)} programs found: meson.build is not read as it is written')
    return bad


if __name__ == '__main__':
    complaints = check(pathlib.Path(sys.argv[1]))
    print('\n'.join(complaints))
    sys.exit(1 if complaints else 0)
