#!/usr/bin/env python3
"""run.py [-j N] [--list] [--summary FILE] [PATTERN] - run the integration tests, each class on a host of its own.

Every class of test_*.py runs in a process with fresh network, mount and process namespaces (unshare(1)), so
that tests can't disturb each other or this machine.  Prints one line per test, the classes that took
longest, and, last, 'N passed, N failed, N skipped'; --summary has the counts and failures as JSON.
"""
import argparse
import concurrent.futures
import faulthandler
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
CLASS_SECONDS = 900
TEST_SECONDS = 400  # then the test's stack is printed and its class is over
SLOWEST = 5         # classes whose time is printed
# The first process of a namespace: takes in what a test leaves as orphans, and dies with its child.
INIT = ('sh', '-c', '"$@"; exit $?', 'sh')


def classes():
    found = []
    for path in sorted(HERE.glob('test_*.py')):
        for name in re.findall(r'^class (\w+)\(.*LabTest\)', path.read_text(), re.M):
            found.append(f'{path.stem}.{name}')
    return found


def say(kind, value):
    print(kind, json.dumps(value), flush=True)


class Recorder(unittest.TextTestResult):
    """Says each result when it is there, so that a class that never ends still says how far it came."""

    def startTest(self, test):
        super().startTest(test)
        self.outcome, self.text = 'passed', ''
        say('BEGIN', test.id())
        faulthandler.dump_traceback_later(TEST_SECONDS, exit=True)

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
            say('ROW', (str(test), 'failed', self._exc_info_to_string(err, test)))

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
        faulthandler.cancel_dump_traceback_later()
        say('ROW', (test.id(), self.outcome, self.text))


def child(name, pattern):
    sys.path.insert(0, str(HERE))
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    if pattern:
        tests = [t for t in suite if pattern in t.id()]
        suite = unittest.TestSuite(tests)
    unittest.TextTestRunner(stream=open(os.devnull, 'w'), resultclass=Recorder).run(suite)
    say('END', name)


def said(kind, out):
    return [json.loads(value) for value in re.findall(rf'^{kind} (.*)$', out, re.M)]


def text_of(part):
    return part.decode(errors='replace') if isinstance(part, bytes) else part or ''


def run_class(name, pattern):
    """Rows (test, outcome, text) of a class, and the seconds that it took."""
    argv = ['unshare', '--net', '--pid', '--fork', '--kill-child', '--mount', '--mount-proc', '--propagation', 'private', '--', *INIT, sys.executable,
            str(HERE / 'run.py'), '--child', name] + ([pattern] if pattern else [])
    began = time.monotonic()
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=CLASS_SECONDS,
                              stdin=subprocess.DEVNULL)
        out, err, why = done.stdout, done.stderr, f'its process ended with {done.returncode}'
    except subprocess.TimeoutExpired as late:
        out, err, why = text_of(late.stdout), text_of(late.stderr), f'not done within {CLASS_SECONDS} s'
    rows = said('ROW', out)
    if not said('END', out):
        last = (said('BEGIN', out) or ['its preparation'])[-1]
        rows.append((name, 'failed', f'{why}, in or after {last}\n{err}'))
    return rows, time.monotonic() - began


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
    with concurrent.futures.ThreadPoolExecutor(options.j) as pool:
        count = report(zip(names, pool.map(lambda n: run_class(n, pattern), names)))
    if options.summary:
        pathlib.Path(options.summary).write_text(json.dumps(count))
    return 1 if count['failed'] or not count['passed'] else 0


def report(results):
    count, failures, times = {'passed': 0, 'failed': 0, 'skipped': 0}, [], []
    for name, (rows, seconds) in results:
        times.append((seconds, name))
        for test, outcome, text in rows:
            count[outcome] += 1
            print(f'{outcome:7} {test}' + (f': {text}' if outcome == 'skipped' else ''), flush=True)
            if outcome == 'failed':
                failures.append(f'{outcome:7} {test}\n    ' + text.replace('\n', '\n    '))
                print(failures[-1].partition('\n')[2], flush=True)
    print('longest:', ', '.join(f'{name} {seconds:.0f} s' for seconds, name in sorted(times, reverse=True)[:SLOWEST]))
    count['failures'] = failures
    print('{passed} passed, {failed} failed, {skipped} skipped'.format(**count))
    return count


if __name__ == '__main__':
    sys.exit(main())
