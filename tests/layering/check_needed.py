#!/usr/bin/env python3
"""check_needed.py BINARY FORBIDDEN... - fail if BINARY needs a forbidden library, or is not hardened."""
import subprocess
import sys

binary, forbidden = sys.argv[1], sys.argv[2:]
dynamic = subprocess.run(['readelf', '-dW', binary], capture_output=True, text=True, check=True).stdout
headers = subprocess.run(['readelf', '-lhW', binary], capture_output=True, text=True, check=True).stdout
inside = subprocess.run(['nm', binary], capture_output=True, text=True, check=True).stdout
symbols = subprocess.run(['readelf', '--dyn-syms', '-W', binary], capture_output=True, text=True, check=True).stdout
needed = [line.split('[')[1].rstrip(']') for line in dynamic.splitlines() if '(NEEDED)' in line]
bad = [f'needs {n}' for n in needed if any(f in n for f in forbidden)]
# What is linked from its archive shows as a symbol.
bad += [f'contains {lib}' for lib, name in {'libcrypto': ' SHA256_Init'}.items() if lib in forbidden and f'{name}\n' in inside]
if 'GNU_RELRO' not in headers or 'NOW' not in dynamic:
    bad.append('no full RELRO')
if 'DYN (' not in headers:
    bad.append('not position-independent')
if any('GNU_STACK' in line and 'RWE' in line for line in headers.splitlines()):
    bad.append('executable stack')
if '__asan_init' not in symbols:      # the sanitisers take the place of both
    bad += [f'no {name}' for name in ('__stack_chk_fail', '_chk@') if name not in symbols]
print('needs', ' '.join(needed))
print('\n'.join(bad))
sys.exit(bool(bad) or not needed)
