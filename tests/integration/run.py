#!/usr/bin/env python3
"""run.py [-j N] [--list] [--summary FILE] [PATTERN] - run the integration tests, each class on a host of its own.

Every class of test_*.py runs in a process with fresh network, mount and process namespaces (unshare(1)), so
that tests can't disturb each other or this machine.  Prints one line per test and, last,
'N passed, N failed, N skipped'.
"""
import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
CLASS_SECONDS = 600
# The first process of a namespace: takes in what a test leaves as orphans, and dies with its child.
INIT = ('sh', '-c', '"$@"; exit $?', 'sh')


def classes():
    found = []
    for path in sorted(HERE.glob('test_*.py')):
        for name in re.findall(r'^class (\w+)\(.*LabTest\)', path.read_text(), re.M):
            found.append(f'{path.stem}.{name}')
    return found


class Recorder(unittest.TextTestResult):
    def __init__(self, *args):
        super().__init__(*args)
        self.rows = []

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.text = 'passed', ''

    def _worse(self, test, outcome, text):
        self.outcome, self.text = outcome, text

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._worse(test, 'failed', self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        if isinstance(test, unittest.TestCase):
            self._worse(test, 'failed', self._exc_info_to_string(err, test))
        else:           # setUpClass or tearDownClass
            self.rows.append((str(test), 'failed', self._exc_info_to_string(err, test)))

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self._worse(test, 'failed',
                        self.text + f'{subtest}\n' + self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._worse(test, 'skipped', reason)

    def stopTest(self, test):
        super().stopTest(test)
        self.rows.append((test.id(), self.outcome, self.text))


def child(name, pattern):
    sys.path.insert(0, str(HERE))
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    if pattern:
        tests = [t for t in suite if pattern in t.id()]
        suite = unittest.TestSuite(tests)
    runner = unittest.TextTestRunner(stream=open(os.devnull, 'w'), resultclass=Recorder)
    result = runner.run(suite)
    print('ROWS ' + json.dumps(result.rows))


def run_class(name, pattern):
    argv = ['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount', '--mount-proc', '--propagation', 'private', '--', *INIT, sys.executable,
            str(HERE / 'run.py'), '--child', name] + ([pattern] if pattern else [])
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=CLASS_SECONDS,
                              stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return [(name, 'failed', f'not done within {CLASS_SECONDS} s')]
    rows = re.findall(r'^ROWS (.*)$', done.stdout, re.M)
    if done.returncode or not rows:
        return [(name, 'failed', done.stdout + done.stderr)]
    return json.loads(rows[-1])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument('-j', type=int, default=2)
    arguments.add_argument('--list', action='store_true')
    arguments.add_argument('--child')
    arguments.add_argument('--summary')
    arguments.add_argument('pattern', nargs='?', default='')
    options = arguments.parse_args()
    if options.child:
        child(options.child, options.pattern)
        return 0
    if options.list:
        print('\n'.join(classes()))
        return 0
    module = options.pattern.split('.')[0]
    names = [c for c in classes() if not module.startswith('test_') or c.split('.')[0] == module]
    pattern = '' if options.pattern.startswith('test_') and '.' not in options.pattern else options.pattern
    count = {'passed': 0, 'failed': 0, 'skipped': 0}
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        for rows in pool.map(lambda n: run_class(n, pattern), names):
            for name, outcome, text in rows:
                count[outcome] += 1
                print(f'{outcome:7} {name}' + (f': {text}' if outcome == 'skipped' else ''), flush=True)
                if outcome == 'failed':
                    print('    ' + text.replace('\n', '\n    '), flush=True)
    line = '{passed} passed, {failed} failed, {skipped} skipped'.format(**count)
    if options.summary:
        pathlib.Path(options.summary).write_text(json.dumps(count))
    print(line)
    return 1 if count['failed'] or not count['passed'] else 0


if __name__ == '__main__':
    sys.exit(main())
