"""Hosts that refuse: strict by default; what is delegated is tolerated, reported, and in the start line."""
import contextlib
import json
import os
import re
import socket

import lab
from lab import CURL, PYTHON, LabTest, Origin, endpoint, policy, rule, run

LOG = '/run/lab-refusing.json'
KINDS = {'netns': 'network-namespace', 'supervisor-seccomp': 'supervisor-seccomp', 'workload-seccomp': 'workload-seccomp'}
RULES = {'web': rule(endpoint())}


def refused(what, command=('true',), delegate=None, doc=None, **more):
    args = ['--log-file', LOG, *(['--delegate', delegate] if delegate else [])]
    with contextlib.suppress(OSError):
        os.unlink(LOG)
    return run(doc or policy(RULES), list(command), args=args, launcher=[str(lab.REFUSE), what, '--'], **more)


def notices():
    with open(LOG) as f:
        return [e for e in map(json.loads, f) if e.get('stage') == 'delegated']


class Refusing(LabTest):
    def tearDown(self):
        with contextlib.suppress(OSError):
            os.unlink(LOG)

    def test_strict_each_refusal_ends_the_start_and_says_what_would_go_on(self):
        for what, kind in KINDS.items():
            with self.subTest(what), self.leaves_nothing():
                got = refused(what, ['echo', 'RAN'])
                self.assertEqual((got.code, got.out), (1, ''), got)
                self.assertNotIn('enforcing', got.err)
                self.assertRegex(got.err, '(?i)operation not permitted')
                self.assertIn(f'--delegate {kind}', got.err)

    def test_delegating_another_kind_does_not_help(self):
        for what in KINDS:
            others = ','.join(k for w, k in KINDS.items() if w != what)
            with self.subTest(what):
                got = refused(what, ['echo', 'RAN'], others)
                self.assertEqual((got.code, got.out), (1, ''), got)

    def test_delegation_changes_nothing_where_nothing_is_refused(self):
        got = run(policy(), ['true'], args=['--delegate', ','.join(KINDS.values()), '--log-file', LOG])
        self.assertEqual(got.code, 0, got)
        self.assertNotIn('NOT', got.err)
        self.assertEqual(notices(), [])

    def test_each_tolerated_refusal_is_a_high_event_with_kind_and_errno(self):
        for what, kind in KINDS.items():
            with self.subTest(what), self.leaves_nothing():
                got = refused(what, ['echo', 'RAN'], kind)
                self.assertEqual((got.code, got.out), (0, 'RAN\n'), got)
                events = notices()
                self.assertEqual([(e['severity']) for e in events], ['high'], events)
                self.assertIn(kind, events[0]['message'])
                self.assertIn('errno 1', events[0]['message'])
                line = re.search(r'enforcing:.*', got.err)[0]
                self.assertIn(f'delegated to it: {kind};', line)

    def test_network_on_a_host_that_refuses_namespaces(self):
        code = ('import os,socket,urllib.request as u\nprint(os.environ["HTTP_PROXY"])\n'
                'print(u.urlopen("http://origin.test/x").read().decode())\n'
                'try: u.urlopen("http://evil.test/")\nexcept OSError as e: print(e.code)\n'
                's=socket.create_connection(("192.31.196.10",80)); print("DIRECT")')
        doc = policy({'web': rule(endpoint(), binaries=(PYTHON,))})
        with Origin() as origin:
            got = refused('netns', [PYTHON, '-c', code], 'network-namespace', doc)
        self.assertEqual(got.out.split('\n')[:4],
                         ['http://127.0.0.1:3128', f'GET /x from {lab.ORIGIN} ', '403', 'DIRECT'], got)
        self.assertIn('egress is cooperative only', re.search(r'enforcing:.*', got.err)[0])
        self.assertEqual(origin.requests[0][1], '/x')

    def test_another_program_is_still_told_apart_there(self):
        with Origin() as origin:
            got = refused('netns', ['wget', '-qO-', 'http://origin.test/x'], 'network-namespace')
        self.assertNotEqual(got.code, 0, got)
        self.assertEqual(origin.connections, 0)

    def test_port_in_use_there_is_another_sandbox(self):
        taken = socket.create_server(('127.0.0.1', 3128))
        self.addCleanup(taken.close)
        with Origin():
            got = refused('netns', ['sh', '-c', 'echo $HTTP_PROXY; curl -sS http://origin.test/x'], 'network-namespace')
        self.assertRegex(got.out, rf'^http://127\.0\.0\.1:(?!3128)\d+\nGET /x from {lab.ORIGIN} $', got)

    def test_workload_is_unfiltered_only_where_that_was_delegated(self):
        got = refused('workload-seccomp', [str(lab.SYSTRY), '250', '0', '-3'], 'workload-seccomp',
                      policy(read_only=[str(lab.SYSTRY.parent)]))
        self.assertEqual(got.code, 0, got)
        self.assertIn('system calls NOT filtered', got.err)
        got = run(policy(read_only=[str(lab.SYSTRY.parent)]), [str(lab.SYSTRY), '250', '0', '-3'])
        self.assertEqual(got.out, '-1\n', got)

    def test_everything_at_once(self):
        with Origin():
            got = refused(','.join(KINDS), ['curl', '-sS', 'http://origin.test/x'], ','.join(KINDS.values()))
        self.assertEqual((got.code, got.out), (0, f'GET /x from {lab.ORIGIN} '), got)
        self.assertEqual(len(notices()), 3)
        self.assertIn('uid 4242', got.err)

    def test_unknown_kind_is_a_wrong_command_line(self):
        got = run(policy(), ['true'], args=['--delegate', 'landlock'])
        self.assertEqual(got.code, 2, got)
        self.assertIn('network-namespace', got.err)

    def test_host_that_refuses_mounts_says_what_is_not_hidden(self):
        got = refused('mounts', ['echo', 'RAN'])
        self.assertEqual((got.code, got.out), (0, 'RAN\n'), got)
        self.assertIn('NOT hidden', got.err)
