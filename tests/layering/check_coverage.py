#!/usr/bin/env python3
"""check_coverage.py ROOT - every test that docs/spec-coverage-http.md names is there."""
import pathlib
import re
import sys

ALIASES = {'relay': 'http_relay', 'tls': 'interception', 'cred': 'credentials'}


def main(root):
    text = (root / 'docs' / 'spec-coverage-http.md').read_text()
    integration = {p.stem[5:]: p.read_text() for p in (root / 'tests' / 'integration').glob('test_*.py')}
    unit = {p.stem: p.read_text() for p in (root / 'tests' / 'unit').rglob('test_*.c')}
    fuzz = {p.stem for p in (root / 'tests' / 'fuzz').rglob('fuzz_*.c')}
    tests = ''.join(integration.values())
    names = set(re.findall(r'^TEST\((\w+)\)', ''.join(unit.values()), re.M))
    missing, n = [], 0
    for token in re.findall(r'`([^`\n]+)`', text.split('## 1.9', 1)[1]):
        word = token.replace('...', '').rstrip('.')
        file, *parts = word.split('.')
        file = ALIASES.get(file, file)
        if word.startswith('unit '):
            good = word[5:] in unit
        elif word.startswith('fuzz_'):
            good = word in fuzz
        elif word.startswith('test_'):
            good = word in unit or f'    def {word}' in tests
        elif file in integration:
            good = all(re.search(rf'^class {p}\(|^    def {p}', integration[file], re.M) for p in parts)
        elif re.fullmatch(r'[a-z0-9_]{19,}', word) and word.count('_') > 2:
            good = any(name.startswith(word) for name in names)
        else:
            continue
        n += 1
        if not good:
            missing.append(token)
    for token in missing:
        print(f'docs/spec-coverage-http.md names {token}, which is not there')
    if n < 100:
        print(f'only {n} names found: the page is not read as it is written')
    return 1 if missing or n < 100 else 0


if __name__ == '__main__':
    sys.exit(main(pathlib.Path(sys.argv[1])))
