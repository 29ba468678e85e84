#!/usr/bin/env python3
"""check_limits.py ROOT - docs/limits.md says what the headers say.

Each bound that the page names is defined with that value.  Each constant of a *_limits.h, and each
of another header that is named like a bound (..._MAX, ..._MS), stands in the page.
"""
import pathlib
import re
import sys

FOLDERS = ('libcore', 'orchestrator', 'supervisor-process', 'supervisor-network', 'proto')
NAME = r'[A-Z][A-Z0-9_]*'
UNITS = {'KiB': 1024, 'MiB': 1024 ** 2, 'GiB': 1024 ** 3}


def defined(root):
    """Every constant of one line: name -> its text, and the file; several files may have a name."""
    found = {}
    for path in sorted(p for f in FOLDERS for p in (root / f).rglob('*.[ch]')):
        rel = path.relative_to(root).as_posix()
        text = re.sub(r'/\*.*?\*/|//[^\n]*', ' ', path.read_text().replace('\\\n', ' '), flags=re.S)
        for m in re.finditer(rf'^[ \t]*#[ \t]*define[ \t]+({NAME})[ \t]+(\S[^\n]*)', text, re.M):
            found.setdefault(m[1], []).append((m[2].strip(), rel))
    return found


def value_of(text, found, depth=0):
    """What an expression of constants comes to, None when it is something else."""
    for unit, factor in UNITS.items():
        text = re.sub(rf'\b{unit}\b', f'* {factor}', text)
    text = re.sub(r'\b(\d+|0[xX][0-9a-fA-F]+)[uUlL]+\b', r'\1', text)
    text = re.sub(r'\(\s*(?:u?int\d+_t|size_t|unsigned|long|int)\s*\)|\bU?INT\d+_C\b', '', text)
    for name in set(re.findall(rf'\b{NAME}\b', text)):
        inner = value_of(found[name][0][0], found, depth + 1) if name in found and depth < 8 else None
        if inner is None:
            return None
        text = re.sub(rf'\b{name}\b', str(inner), text)
    if not re.fullmatch(r'[\d\sxXa-fA-F()+*/<>-]+', text):
        return None
    try:
        return int(eval(text.replace('/', '//'), {'__builtins__': {}}))
    except (SyntaxError, ValueError, ZeroDivisionError):
        return None


def rows(page):
    """The names and values of the page's tables, one by one, with the rest of the line."""
    for line in page.splitlines():
        cells = [c.strip() for c in line.strip('|').split('|')] if line.startswith('|') else []
        if len(cells) < 3:
            continue
        names = [re.sub(r'\(.*?\)', '', n).replace('`', '') for n in cells[0].split(',')]
        files = [re.search(r'`(\w+\.[ch])`', n) for n in cells[0].split(',')]
        values = cells[1].split(',')
        for i, name in enumerate(n.strip() for n in names):
            if re.fullmatch(NAME, name):
                yield name, values[min(i, len(values) - 1)].strip(), files[i] and files[i][1]


def compare(name, said, file, found):
    places = [p for p in found.get(name, []) if not file or p[1].endswith('/' + file)]
    if not places:
        return f'docs/limits.md names {name}, which is not defined' + (f' in {file}' if file else '')
    want = {value_of(text, found) for text, _ in places}
    got = value_of(said, found)
    if want == {None} or (got is None and re.search('[a-z]', said)):    # a type's size, a sentence
        return None
    return None if got in want else f'docs/limits.md: {name} is {said}, {places[0][1]} says {places[0][0]}'


def check(root):
    found, said = defined(root), list(rows((root / 'docs' / 'limits.md').read_text()))
    bad = [b for row in said if (b := compare(*row, found))]
    names = {name for name, _, _ in said}
    for name, places in sorted(found.items()):
        bound = any(rel.endswith('_limits.h') or (rel.endswith('.h') and re.search('_(MAX|MS)$', name))
                    for _, rel in places)
        if bound and name not in names and value_of(places[0][0], found) is not None:
            bad.append(f'{places[0][1]}: {name} ({places[0][0]}) is not in docs/limits.md')
    return bad, len(said)


def main():
    bad, n = check(pathlib.Path(sys.argv[1]))
    print('\n'.join(bad))
    print(f'{n} bounds, {len(bad)} complaints')
    return 1 if bad or n < 300 else 0


if __name__ == '__main__':
    sys.exit(main())
