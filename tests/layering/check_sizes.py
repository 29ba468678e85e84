#!/usr/bin/env python3
"""check_sizes.py ROOT - no function over 100 lines, no file over 800, 95 % of functions within 60.

Function extents come from universal-ctags.  There is no list of exceptions.
"""
import json
import pathlib
import re
import subprocess
import sys

FUNCTION_MAX, FILE_MAX, P95_MAX = 100, 800, 60
FOLDERS = ('libcore', 'orchestrator', 'supervisor-process', 'supervisor-network', 'tests/unit',
           'tests/fuzz', 'tests/support', 'tests/confinement')  # tests/bench holds the benchmark kit
BANNED = re.compile(r'\b(strcpy|strcat|sprintf|vsprintf|strncpy|strtok|atoi|atol|strtol|system|popen|'
                    r'alloca|gets|mktemp|tmpnam)\s*\(|\bgoto\b')


def without_text(line):
    line = re.sub(r'"(\\.|[^"\\])*"', '""', line)
    return re.sub(r'/\*.*?(\*/|$)|//.*', '', line)


def main():
    root, bad, lengths = pathlib.Path(sys.argv[1]), [], []
    files = [p for f in FOLDERS for end in ('*.c', '*.h') for p in (root / f).rglob(end)]
    for path in files:
        lines = path.read_text().splitlines()
        if len(lines) > FILE_MAX:
            bad.append(f'{path}: {len(lines)} lines')
        in_comment = False
        for number, line in enumerate(lines, 1):
            if in_comment:
                in_comment = '*/' not in line
                continue
            if line.lstrip().startswith('/*') and '*/' not in line:
                in_comment = True
                continue
            found = BANNED.search(without_text(line))
            if found:
                bad.append(f'{path}:{number}: banned: {found[0]}')
    out = subprocess.run(['ctags', '--output-format=json', '--fields=+ne', '--c-kinds=f', '-f', '-',
                          '-L', '-'], input='\n'.join(map(str, files)), capture_output=True,
                         text=True, check=True).stdout
    for tag in map(json.loads, out.splitlines()):
        if 'end' not in tag or not tag['path'].endswith('.c'):
            continue
        n = tag['end'] - tag['line'] + 1
        if '/tests/' not in tag['path']:
            lengths.append(n)
        if n > FUNCTION_MAX:
            bad.append(f"{tag['path']}:{tag['line']}: {tag['name']} has {n} lines")
    lengths.sort()
    p95 = lengths[int(len(lengths) * 0.95)] if lengths else 0
    if p95 > P95_MAX:
        bad.append(f'95 % of functions within {p95} lines, more than {P95_MAX}')
    print('\n'.join(bad))
    print(f'{len(files)} files, {len(lengths)} functions, median '
          f'{lengths[len(lengths) // 2] if lengths else 0}, p95 {p95}')
    return 1 if bad or not lengths else 0


if __name__ == '__main__':
    sys.exit(main())
