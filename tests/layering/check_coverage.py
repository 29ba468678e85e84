#!/usr/bin/env python3
"""check_coverage.py ROOT - every test that a page about coverage names is there."""
import pathlib
import re
import sys

ALIASES = {'relay': 'http_relay', 'tls': 'interception', 'cred': 'credentials', 'interop': 'tls_interop'}
PAGES = {'spec-coverage-http.md': 100, 'spec-coverage.md': 80, 'spec-coverage-process.md': 80, 'attack-coverage.md': 80,
         'security.md': 15}      # and how many names are found at least, else it is not read as it is written


class Tests:
    def __init__(self, root):
        self.integration = {p.stem[5:]: p.read_text() for p in (root / 'tests' / 'integration').glob('test_*.py')}
        unit = {p.stem: p.read_text() for d in ('unit', 'fuzz') for p in (root / 'tests' / d).rglob('*_*.c')}
        self.files = set(unit)
        self.names = set(re.findall(r'^TEST\((\w+)\)', ''.join(unit.values()), re.M))
        self.names |= set(re.findall(r'^    def (test_\w+)', ''.join(self.integration.values()), re.M))

    def file_of(self, word):
        """The text of the integration tests that a short or full name stands for."""
        for name in (word, ALIASES.get(word), word.removeprefix('test_'), 'attack_' + word):
            if name in self.integration:
                return self.integration[name]
        return None

    def has(self, token):
        """True or False for a test's name, None for anything else."""
        word = re.sub(r'^(unit|fuzz) ', '', re.sub(r'\.\.\.|…|\*', '\0', token.replace('::', '.')))
        file, *parts = re.split(r'[.\0]', word)
        text = self.file_of(file)
        if text is not None and parts[-1:] not in (['c'], ['h'], ['py']):
            parts = [re.sub(r'^(\d+)-\d+$', r'\1', p) for p in parts if p]
            return all(re.search(rf'^class {p}\w*\(|^    def \w*{p}', text, re.M) for p in parts)
        if re.match(r'(test|fuzz)_', file) and not word.endswith('.py'):
            return file in self.files or any(n.startswith(file) for n in self.files | self.names)
        code = re.match('(core|net|orch|proc)_', file)      # a function of the program
        if re.fullmatch(r'[a-z0-9_]{19,}', file) and file.count('_') > 2 and not code:
            return any(file.strip('_') in name for name in self.names)
        return None


def check(root):
    tests, bad = Tests(root), []
    for page, least in PAGES.items():
        said = [(t, tests.has(t)) for t in re.findall(r'`([^`\n]+)`', (root / 'docs' / page).read_text())]
        bad += [f'docs/{page} names {t}, which is not there' for t, good in said if good is False]
        n = sum(good is not None for _, good in said)
        if n < least:
            bad.append(f'docs/{page}: only {n} names found: the page is not read as it is written')
    return bad


if __name__ == '__main__':
    complaints = check(pathlib.Path(sys.argv[1]))
    print('\n'.join(complaints))
    sys.exit(1 if complaints else 0)
