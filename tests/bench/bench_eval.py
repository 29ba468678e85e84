#!/usr/bin/env python3
"""bench_eval.py [--build DIR] [--lines N] [--rounds N] - how many decisions `policy eval` answers in a second.

Documents of 1,000 and 10,000 rules, half of the questions connections and half requests, one in six
from a program that no rule names.  The processor time of one process, without that of loading, best of
the rounds; the two sizes take turns.  Fails when 1,000 rules give fewer than 300,000 decisions a second
or 10,000 rules are more than 20 % slower, so run it on a machine that does nothing else.
"""
import argparse
import json
import pathlib
import random
import resource
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
WANTED, SLOWER = 300_000, 0.20
SHAPES = ('GET', '/v1/a/x{}'), ('POST', '/items'), ('GET', '/secret/a'), ('GET', '/other')


def host(i):
    return f'h{i}.example.com'


def document(rules):
    return 'version: 1\nnetwork_policies:\n' + ''.join(
        f'  r{i:05}: {{endpoints: [{{host: "{"*." if i % 10 == 9 else ""}{host(i)}", port: 443, protocol: rest, '
        f'enforcement: enforce, rules: [{{allow: {{method: GET, path: "/v1/*/x{i % 7}"}}}}, '
        f'{{allow: {{method: POST, path: /items}}}}], deny_rules: [{{method: "*", path: "/secret/**"}}]}}], '
        f'binaries: [{{path: /usr/bin/curl}}]}}\n' for i in range(rules))


def questions(rules, lines):
    rnd = random.Random(1)
    for k in range(lines):
        i, (method, path) = rnd.randrange(rules), rnd.choice(SHAPES)
        request = {'method': method, 'path': path.format(i % 7), 'query_params': {}, 'graphql': None, 'jsonrpc': None}
        yield json.dumps({'id': f'q{k}', 'kind': 'req' if k % 2 else 'net', 'host': ('a.' if i % 10 == 9 else '') + host(i),
                          'port': 443, 'exe': '/usr/bin/wget' if k % 6 == 0 else '/usr/bin/curl', 'ancestors': ['/bin/sh'],
                          'cmdline': [], 'identity_required': True, 'request': request if k % 2 else None}) + '\n'


def cpu(argv, source):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(source, 'rb') as f:
        subprocess.run(argv, stdin=f, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True, timeout=300)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument('--build', default=str(TOP / 'build'))
    arguments.add_argument('--lines', type=int, default=200_000)
    arguments.add_argument('--rounds', type=int, default=5)
    options = arguments.parse_args()
    supervisor = pathlib.Path(options.build).resolve() / 'orchestrator' / 'openshell-supervisor'
    sizes, load, work = (1000, 10000), {}, {}
    with tempfile.TemporaryDirectory() as name:
        for n in sizes:
            (pathlib.Path(name) / f'{n}.yaml').write_text(document(n))
            with open(pathlib.Path(name) / f'{n}.jsonl', 'w') as f:
                f.writelines(questions(n, options.lines))
        for _ in range(options.rounds):
            for n in sizes:
                argv = [str(supervisor), 'policy', 'eval', '--policy', f'{name}/{n}.yaml']
                load.setdefault(n, []).append(cpu(argv, '/dev/null'))
                work.setdefault(n, []).append(cpu(argv, f'{name}/{n}.jsonl'))
    rate = {n: options.lines / (min(work[n]) - min(load[n])) for n in sizes}
    for n in sizes:
        print(f'{n:6} rules: load {min(load[n]) * 1e3:.0f} ms, {rate[n]:,.0f} decisions/s')
    slower = 1 - rate[10000] / rate[1000]
    print(f'10,000 rules are {slower:.0%} slower than 1,000')
    return 0 if rate[1000] >= WANTED and slower <= SLOWER else 1


if __name__ == '__main__':
    sys.exit(main())
