"""The main job: a real program confined, an allowed request passes, others are refused with reasons."""
import concurrent.futures
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import time

import lab
from lab import BASH, CURL, NODE, ORIGIN, PYTHON, WGET, LabTest, Origin, Sandbox, endpoint, policy, rule, run

NODE_GET = '''
const http = require('http');
const p = new URL(process.env.HTTP_PROXY);
http.get({host: p.hostname, port: p.port, path: process.argv[1]}, r => {
  let b = ''; r.on('data', d => b += d); r.on('end', () => { console.log(r.statusCode, b); });
}).on('error', e => { console.log('ERR', e.code); process.exit(1); });
'''


class Traffic(LabTest):
    def test_curl_allowed_by_rule(self):
        with Origin() as origin:
            got = run(policy({'web': rule(endpoint())}), ['curl', '-sS', 'http://origin.test/hello'])
        self.assertEqual((got.code, got.out), (0, f'GET /hello from {ORIGIN} '), got)
        self.assertEqual(origin.requests[0][2]['Host'], 'origin.test')

    def test_wget_python_and_node_allowed_by_rule(self):
        binaries = (WGET, PYTHON, NODE)
        doc = policy({'web': rule(endpoint(), binaries=binaries)})
        fetch = 'import urllib.request as u; print(u.urlopen("http://origin.test/py").read().decode())'
        with Origin():
            for command, want in ((['wget', '-qO-', 'http://origin.test/wget'], 'GET /wget from'),
                                  (['/usr/bin/python3', '-c', fetch], 'GET /py from'),
                                  ([NODE, '-e', NODE_GET, 'http://origin.test/node'], '200 GET /node from')):
                with self.subTest(command=command[0]):
                    got = run(doc, command)
                    self.assertEqual(got.code, 0, got)
                    self.assertIn(want, got.out, got)

    def test_tunnel_carries_both_directions(self):
        with lab.Echo():
            code = ('import socket,os\ns=socket.create_connection(("10.200.0.1",3128))\n'
                    's.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\nHost: origin.test:443\\r\\n\\r\\n")\n'
                    'h=b""\nwhile not h.endswith(b"\\r\\n\\r\\n"): h+=s.recv(1)\n'
                    's.sendall(b"a"*300000); s.shutdown(1)\nn=0\n'
                    'while d:=s.recv(65536): n+=len(d)\nprint(h.split(b"\\r\\n")[0].decode(), n)')
            got = run(policy({'t': rule(endpoint(port=443), binaries=(PYTHON,))}), ['/usr/bin/python3', '-c', code])
        self.assertEqual(got.out.strip(), 'HTTP/1.1 200 Connection Established 300000', got)

    def test_another_binary_is_refused_and_told_so(self):
        with Origin() as origin:
            got = run(policy({'web': rule(endpoint())}), ['wget', '-S', '-O-', 'http://origin.test/x'])
            self.assertNotEqual(got.code, 0, got)
            self.assertEqual(origin.connections, 0)
            got = run(policy({'web': rule(endpoint(), binaries=(WGET,))}),
                      ['curl', '-sS', '-p', '-v', 'http://origin.test/x'])
        self.assertEqual(origin.connections, 0)
        self.assertRefused(got, '403 Forbidden', f"binary '{CURL}' not allowed in policy 'web'")

    def test_connect_refusal_names_binary_and_remedy(self):
        code = ('import socket\ns=socket.create_connection(("10.200.0.1",3128))\n'
                's.sendall(b"CONNECT origin.test:80 HTTP/1.1\\r\\n\\r\\n")\nb=b""\nwhile d:=s.recv(4096): b+=d\nprint(b.decode())')
        got = run(policy({'web': rule(endpoint())}), ['/usr/bin/python3', '-c', code])
        self.assertRefused(got, 'HTTP/1.1 403 Forbidden', '"error":"policy_denied"', 'CONNECT origin.test:80 not permitted by policy',
                           f"binary '{PYTHON}' not allowed in policy 'web'", f'path: {PYTHON}')

    def test_forward_refusal_names_binary_and_remedy(self):
        with Origin() as origin:
            got = run(policy({'web': rule(endpoint(), binaries=(WGET,))}), ['curl', '-sS', 'http://origin.test/x'])
        body = json.loads(got.out)
        self.assertEqual(body['error'], 'policy_denied', got)
        self.assertIn('GET origin.test:80/x not permitted by policy', body['detail'], got)
        self.assertIn(CURL, got.out, got)
        self.assertEqual(origin.connections, 0)

    def test_another_host_is_refused_before_any_lookup(self):
        with Origin(lab.EVIL) as evil:
            got = run(policy({'web': rule(endpoint())}), ['curl', '-sS', '-p', '-v', 'http://evil.test/'])
        self.assertRefused(got, 'endpoint evil.test:80 is not allowed by any policy')
        self.assertEqual(evil.connections, 0)

    def test_several_requests_on_one_connection_are_each_decided(self):
        raw = (b'GET http://origin.test/1 HTTP/1.1\r\nHost: origin.test\r\n\r\n'
               b'GET http://origin.test/2 HTTP/1.1\r\nHost: origin.test\r\n\r\n'
               b'GET http://evil.test/3 HTTP/1.1\r\nHost: evil.test\r\n\r\n'
               b'GET http://origin.test/4 HTTP/1.1\r\nHost: origin.test\r\n\r\n')
        code = ('import socket,sys\ns=socket.create_connection(("10.200.0.1",3128))\n'
                f's.sendall({raw!r})\nb=b""\nwhile d:=s.recv(65536): b+=d\nsys.stdout.buffer.write(b)')
        with Origin() as origin, Origin(lab.EVIL) as evil:
            got = run(policy({'web': rule(endpoint(), binaries=(PYTHON,))}), ['/usr/bin/python3', '-c', code])
        self.assertEqual([r[1] for r in origin.requests], ['/1', '/2'], got)
        self.assertEqual(re.findall(r'HTTP/1\.1 (\d+)', got.out), ['200', '200', '403'], got)
        self.assertEqual(evil.connections, 0)

    def test_upload_and_download_are_whole(self):
        with Origin() as origin:
            with Sandbox(policy({'web': rule(endpoint())}), [
                    'sh', '-c', 'head -c 5000000 /dev/urandom >up; curl -sS -T up http://origin.test/up >down;'
                    ' curl -sS -H "Transfer-Encoding: chunked" --data-binary @up http://origin.test/chunked -o /dev/null -w "%{http_code}\\n";'
                    ' tail -c 5000000 down | cmp - up && curl -sS http://origin.test/bytes/9000000 | wc -c']) as box:
                got = box.finish()
        self.assertIn('9000000', got.out, got)
        self.assertEqual(len(origin.requests[0][3]), 5000000)

    def test_direct_connection_fails_in_milliseconds(self):
        code = ('import socket,time\nfor fam,addr in ((2,("192.31.196.10",80)),(10,("2001:500:84::10",80))):\n'
                ' t=time.monotonic()\n try:\n  s=socket.socket(fam,1); s.settimeout(5); s.connect(addr); print("CONNECTED")\n'
                ' except OSError as e: print(type(e).__name__, time.monotonic()-t < 0.5)\n')
        with Origin() as origin:
            got = run(policy({'web': rule(endpoint())}), ['/usr/bin/python3', '-c', code])
        self.assertEqual(got.out.split(), ['ConnectionRefusedError', 'True'] * 2, got)
        self.assertEqual(origin.connections, 0)

    def test_endpoint_with_an_inspector_not_built_is_refused_not_tunnelled(self):
        doc = policy({'api': rule(endpoint(protocol='graphql', access='full', enforcement='enforce'))})
        with Origin() as origin:
            for args in (['-p'], []):
                got = run(doc, ['curl', '-sS', '-v', *args, 'http://origin.test/x'])
                self.assertRefused(got, '403 Forbidden', 'graphql')
        self.assertEqual(origin.requests, [])

    def test_several_sandboxes_at_once(self):
        with Origin() as origin, concurrent.futures.ThreadPoolExecutor(8) as pool:
            doc = policy({'web': rule(endpoint())})
            jobs = [pool.submit(run, doc, ['sh', '-c', f'curl -sS http://origin.test/{i}; curl -sS http://evil.test/'])
                    for i in range(8)]
            for i, job in enumerate(jobs):
                got = job.result()
                self.assertIn(f'GET /{i} from', got.out, got)
                self.assertIn('policy_denied', got.out, got)
        self.assertEqual(len(origin.requests), 8)


class Confined(LabTest):
    def test_id_is_not_root(self):
        got = run(policy(), ['id'])
        self.assertEqual(got.out.split()[0:2], ['uid=4242', 'gid=4242'], got)
        self.assertNotIn('(root)', got.out)

    def test_file_outside_policy_cannot_be_read(self):
        secret = pathlib.Path('/srv/lab-secret')
        secret.parent.mkdir(exist_ok=True)
        secret.write_text('top secret')
        secret.chmod(0o644)
        self.addCleanup(secret.unlink)
        got = run(policy(), ['cat', str(secret)])
        self.assertEqual((got.code, got.out), (1, ''), got)
        self.assertIn('Permission denied', got.err)
        self.assertEqual(run(policy(read_only=['/srv']), ['cat', str(secret)]).out, 'top secret')

    def test_read_only_is_read_only_and_workdir_is_writable(self):
        ro = pathlib.Path('/srv/lab-ro')
        ro.mkdir(parents=True, exist_ok=True)
        os.chown(ro, lab.USER, lab.USER)
        self.addCleanup(ro.rmdir)
        got = run(policy(read_only=[str(ro)]),
                  ['sh', '-c', f'echo x >file && cat file; echo x >{ro}/file; ls -d {ro}'])
        self.assertEqual(got.out, f'x\n{ro}\n', got)
        self.assertFalse((ro / 'file').exists())

    def test_start_line_lists_what_is_enforced(self):
        got = run(policy(), ['true'])
        lines = [l for l in got.err.splitlines() if 'enforcing:' in l]
        self.assertEqual(len(lines), 1, got)
        for word in ('4242', 'sealed', 'TCP', 'UDP', 'ICMP', 'landlock', '10.200.0.1:3128', 'capabilities'):
            self.assertIn(word.lower(), lines[0].lower(), got)

    def test_environment_is_built_not_inherited(self):
        env = {'OPENSHELL_SANDBOX_TOKEN': 'hush', 'OPENSHELL_TLS_KEY': '/k', 'AWS_SECRET_ACCESS_KEY': 'hush',
               'LD_PRELOAD': '', 'OPENSHELL_LOG_LEVEL': 'info'}
        got = run(policy(), ['env'], env=env)
        names = dict(l.split('=', 1) for l in got.out.splitlines())
        for name in ('HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'grpc_proxy'):
            self.assertEqual(names[name], 'http://10.200.0.1:3128', got)
        self.assertEqual(names['NO_PROXY'], '127.0.0.1,localhost,::1')
        self.assertEqual(names['OPENSHELL_SANDBOX'], '1')
        self.assertNotIn('hush', got.out)
        self.assertEqual([n for n in names if n.startswith('OPENSHELL_')], ['OPENSHELL_SANDBOX'], got)

    def test_sudo_user_is_used_when_nobody_is_named(self):
        doc = json.loads(policy(user=None))
        got = run(json.dumps(doc), ['id', '-u'], env={'SUDO_UID': '4243', 'SUDO_GID': '4243', 'SUDO_USER': 'x'})
        self.assertEqual(got.out.strip(), '4243', got)

    def test_root_is_refused_however_it_is_named(self):
        for env in ({'SUDO_UID': '0', 'SUDO_GID': '0'}, {'OPENSHELL_SANDBOX_UID': '0', 'OPENSHELL_SANDBOX_GID': '0'},
                    {'OPENSHELL_OCI_IMAGE_USER': 'root'}):
            with self.subTest(env=env):
                got = run(policy(user=None), ['id'], env=env)
                self.assertEqual((got.code, got.out), (1, ''), got)

    def test_default_policy_allows_nothing_out(self):
        with Origin() as origin:
            got = run(None, ['curl', '-sS', '-p', '-v', 'http://origin.test/'], env={'SUDO_UID': '4242', 'SUDO_GID': '4242'})
        self.assertRefused(got, '403', 'network connections not allowed by policy')
        self.assertEqual(origin.connections, 0)


class Streams(LabTest):
    def test_stdin_and_stdout_are_byte_exact(self):
        data = bytes(range(256)) * 4000
        with Sandbox(policy(), ['cat'], stdin=subprocess.PIPE) as box:
            out, _ = box.process.communicate(data, timeout=30)
        self.assertEqual(out, data)

    def test_supervisor_writes_nothing_on_stdout(self):
        self.assertEqual(run(policy(), ['true']).out, '')

    def test_exit_codes(self):
        for command, code in ((['sh', '-c', 'exit 7'], 7), (['sh', '-c', 'kill -9 $$'], 137),
                              (['sh', '-c', 'kill -TERM $$'], 143), (['true'], 0)):
            self.assertEqual(run(policy(), command).code, code, command)

    def test_command_that_does_not_exist(self):
        got = run(policy(), ['no-such-command-here'])
        self.assertEqual(got.code, 1, got)
        self.assertIn('no-such-command-here', got.err)

    def test_timeout_is_124(self):
        got = run(policy(), ['sleep', '1000'], args=['--timeout', '1'])
        self.assertEqual(got.code, 124, got)

    def test_timeout_ends_a_workload_that_ignores_sigterm(self):
        got = run(policy(), ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'], args=['--timeout', '1'], seconds=30)
        self.assertEqual(got.code, 124, got)

    def test_sigterm_is_forwarded(self):
        with Sandbox(policy(), ['sh', '-c', 'trap "echo got; exit 3" TERM; echo up; while :; do sleep 0.1; done']) as box:
            box.wait_out('up')
            box.process.terminate()
            got = box.finish()
        self.assertEqual((got.code, got.out), (3, 'up\ngot\n'), got)

    def test_usage_errors_exit_2(self):
        for argv in (['--no-such-flag'], ['--timeout', 'x', '--', 'true'], ['--policy']):
            done = subprocess.run([str(lab.SUPERVISOR), *argv], capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 2, done)
            self.assertEqual(done.stdout, '')

    def test_what_is_not_built_yet_is_refused_by_name(self):
        for argv in (['--openshell-endpoint', 'http://x:1'], ['--mode', 'network'], ['--upstream-proxy', 'http://x:1'],
                     ['--inference-routes', '/x'], ['--policy-rules', '/x']):
            done = subprocess.run([str(lab.SUPERVISOR), *argv, '--', 'true'], capture_output=True, text=True, timeout=20)
            self.assertNotEqual(done.returncode, 0, argv)
            self.assertIn(argv[0], done.stderr, done)

    def test_interactive_has_a_terminal_of_its_own(self):
        pid, master = pty.fork()
        if pid == 0:
            box_dir = '/tmp/lab/tty'
            os.makedirs(box_dir, exist_ok=True)
            os.chown(box_dir, lab.USER, lab.USER)
            with open(box_dir + '.yaml', 'w') as f:
                f.write(policy())
            os.execv(lab.SUPERVISOR, [str(lab.SUPERVISOR), '--policy', box_dir + '.yaml', '--workdir', box_dir, '-i', '--',
                                      BASH, '-c', 'test -t 0 && echo TTY $(tty); stty size; read x; echo got $x; cat'])
        self.addCleanup(os.close, master)
        data = b''

        def until(pattern):
            nonlocal data
            end = time.monotonic() + 20
            while not re.search(pattern, data):
                if not select.select([master], [], [], max(0, end - time.monotonic()))[0]:
                    self.fail(f'no {pattern} in {data}')
                try:
                    data += os.read(master, 4096)
                except OSError:
                    self.fail(f'ended without {pattern}: {data}')
        until(rb'TTY /dev/pts/\d+')
        os.write(master, b'hello\r')
        until(rb'got hello')
        # Goes to the workload's terminal.  With dash for a shell, one in eight is lost while it forks, with or
        # without us around it; bash loses none.
        os.write(master, b'\x03')

        def reaped():
            found, status = os.waitpid(pid, os.WNOHANG)
            return (status,) if found else None
        self.assertEqual(os.waitstatus_to_exitcode(lab.wait_for(reaped)[0]), 130, data)


class Veth(LabTest):
    def test_workload_is_addressable_and_still_fenced(self):
        code = ('import socket,subprocess\ns=socket.create_server(("0.0.0.0",8000))\nprint("up",flush=True)\n'
                'c,_=s.accept()\nc.sendall(b"hi")\nc.close()\n'
                'try: socket.create_connection(("192.31.196.10",80),3); print("OUT")\nexcept OSError as e: print(type(e).__name__)')
        with self.leaves_nothing(), Origin() as origin:
            with Sandbox(policy(), ['/usr/bin/python3', '-c', code], args=['--network-link', 'veth']) as box:
                box.wait_out('up')
                links = lab.sh('ip', '-o', '-4', 'addr')
                ours = re.search(r'veth-h-\w+\s+inet (10\.200\.\d+)\.(\d+)/30', links)
                self.assertTrue(ours, links)
                peer = f'{ours[1]}.{int(ours[2]) + 1}'
                with socket.create_connection((peer, 8000), 5) as s:
                    self.assertEqual(s.recv(10), b'hi')
                got = box.finish()
            self.assertIn('ConnectionRefusedError', got.out, got)
            self.assertEqual(origin.connections, 0)
