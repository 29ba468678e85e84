#!/usr/bin/env python3
"""check_includes.py ROOT - fail on an #include that the layers do not permit.

Two tables: which folder may include headers of which, and in which files a third-party header may
appear (docs/architecture.md).  A folder that is not named in MAY is a failure too, so that a new
one cannot slip past.
"""
import pathlib
import re
import sys

PROTO = {'proto/event', 'proto/policy'}
MAY = {         # a folder within another one comes first
    'libcore/attach': {'libcore/attach', 'libcore', 'proto/ipc/session'},
    'libcore/hello': {'libcore/hello', 'libcore', 'proto/ipc/common'},
    'libcore': {'libcore'} | PROTO,
    'proto/event': set(),
    'proto/policy': set(),
    'proto/ipc/common': set(),
    'proto/ipc/process': {'proto/ipc/common'},
    'proto/ipc/network': {'proto/ipc/common'},
    'proto/ipc/identity': set(),
    'proto/ipc/shell': set(),
    'proto/ipc/session': set(),
    'proto/ipc/ctl': {'proto/ipc/common'},
    'supervisor-process': {'supervisor-process', 'libcore', 'libcore/attach', 'libcore/hello', 'proto/ipc/common', 'proto/ipc/process',
                           'proto/ipc/identity', 'proto/ipc/shell', 'proto/ipc/session'} | PROTO,
    'supervisor-network': {'supervisor-network', 'libcore', 'libcore/hello', 'proto/ipc/common', 'proto/ipc/network',
                           'proto/ipc/identity'} | PROTO,
    'orchestrator': {'orchestrator', 'libcore', 'libcore/attach', 'libcore/hello', 'proto/ipc/common', 'proto/ipc/process',
                     'proto/ipc/network', 'proto/ipc/shell', 'proto/ipc/session',
                     'proto/ipc/ctl'} | PROTO,
}
GENERATED = {  # headers that the build makes
    'event.pb-c.h': 'proto/event', 'sandbox_policy.pb-c.h': 'proto/policy',
    'struct.pb-c.h': 'proto/policy', 'ipc_common.pb-c.h': 'proto/ipc/common',
    'ipc_process.pb-c.h': 'proto/ipc/process', 'ipc_network.pb-c.h': 'proto/ipc/network',
    'ipc_identity.pb-c.h': 'proto/ipc/identity', 'ipc_shell.pb-c.h': 'proto/ipc/shell',
    'ipc_session.pb-c.h': 'proto/ipc/session', 'ipc_ctl.pb-c.h': 'proto/ipc/ctl',
}
THIRD_PARTY = {  # header pattern -> files that may include it
    r'event2/.*': r'libcore/base/core_loop\.c',
    r'protobuf-c/.*': r'libcore/(base/core_channel\.[ch]|policy/load/.*|event/.*)',
    r'yaml\.h': r'libcore/policy/load/.*',
    r'seccomp\.h': r'libcore/confine/.*',
    r'openssl/.*': r'libcore/identity/.*',
    r'netlink/.*': r'libcore/identity/.*|supervisor-process/proc_(netns.*|nflog)\.c',
    r'nftables/.*': r'supervisor-process/proc_fence\.c',
    r'ares\.h': r'supervisor-network/net_resolve.*\.c',
    r'libssh/.*': r'supervisor-process/ssh/.*',
    r'cjson/.*': r'libcore/.*json.*\.c',
    r'(mbedtls|psa)/.*': r'libcore/tls/.*',
    r'(ecdh|ecdsa|gcm|psa_crypto_ecp|ssl_tls12_client)\.c|(common|ssl_misc)\.h': r'libcore/tls/mbedtls/.*',  # mbedTLS's own files, changed by macros
    r'nettle/.*|gmp\.h': r'libcore/tls/mbedtls/(tls_ec_nettle\.c|tls_sha2\.c|sha(256|512)_alt\.h)',
    r'intel-ipsec-mb\.h': r'libcore/tls/mbedtls/tls_gcm_ipsec\.c',
}
SYSTEM = re.compile(r'^(linux/|linux/netfilter/|sys/|net/|netinet/|arpa/|asm/)?[a-z0-9_]+\.h$')
LIBRARY = re.compile(r'^(event2|protobuf-c|openssl|netlink|nftables|cjson|mbedtls|psa|nettle|libssh)/|'
                     r'^(yaml|seccomp|ares|cares|event|nghttp2|intel-ipsec-mb|gmp)\.h$|^(ecdh|ecdsa|gcm|psa_crypto_ecp|ssl_tls12_client)\.c$|^ssl_misc\.h$')


def sources(folder):
    return [p for end in ('*.c', '*.h') for p in folder.rglob(end)]


def folder_of(rel):
    return next((f for f in MAY if rel.startswith(f + '/')), None)


def check(root):
    bad, home = [], dict(GENERATED)
    for folder in MAY:
        for header in (root / folder).rglob('*.h'):
            if folder_of(header.relative_to(root).as_posix()) != folder:
                continue
            if header.name in home:
                bad.append(f'{header}: header name also in {home[header.name]}')
            home[header.name] = folder
    top = {p for d in ('libcore', 'proto', 'supervisor-process', 'supervisor-network', 'orchestrator')
           for p in sources(root / d)}
    for path in sorted(top):
        rel = path.relative_to(root).as_posix()
        folder = folder_of(rel)
        if folder is None:
            bad.append(f'{rel}: lies in no known layer')
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            own = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            other = re.match(r'\s*#\s*include\s+<([^>]+)>', line)
            where = f'{rel}:{number}'
            if own and '/' in own[1]:
                bad.append(f'{where}: include by bare name, not by path: {own[1]}')
            elif own and own[1] not in home:
                bad.append(f'{where}: {own[1]} is no header of this project')
            elif own and home[own[1]] not in MAY[folder]:
                bad.append(f'{where}: {folder} may not include {own[1]} ({home[own[1]]})')
            elif other and LIBRARY.match(other[1]):
                allowed = [f for h, f in THIRD_PARTY.items() if re.fullmatch(h, other[1])]
                if not any(re.fullmatch(f, rel) for f in allowed):
                    bad.append(f'{where}: <{other[1]}> belongs to another module')
            elif other and not SYSTEM.match(other[1]):
                bad.append(f'{where}: <{other[1]}> is not a known system header')
    return bad, len(top)


def main():
    bad, n = check(pathlib.Path(sys.argv[1]))
    print('\n'.join(bad))
    print(f'{n} files, {len(bad)} breaches')
    return 1 if bad or n == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
