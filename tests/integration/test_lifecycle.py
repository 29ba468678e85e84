"""Life and death: leaves that die, reloads, and nothing left behind."""
import json
import os
import re
import signal
import socket
import subprocess
import time

import lab
from lab import CURL, PYTHON, LabTest, Origin, Sandbox, alive, descendants, endpoint, kill, policy, rule, run, wait_for

LOOP = 'while :; do sleep 0.05; done'
# Asks for each path that it reads from its input and prints the status.
ASK = '''
import sys, urllib.request, urllib.error
for line in sys.stdin:
    try: print(urllib.request.urlopen("http://origin.test/" + line.strip(), timeout=20).status, flush=True)
    except urllib.error.HTTPError as e: print(e.code, flush=True)
    except Exception as e: print(type(e).__name__, flush=True)
'''


class Death(LabTest):
    def asker(self, doc=None, **more):
        doc = doc or policy({'web': rule(endpoint(), binaries=(PYTHON,))})
        return Sandbox(doc, ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE, **more)

    def ask(self, box, want):
        box.seen = ''
        box.process.stdin.write(b'x\n')
        box.process.stdin.flush()
        got = box.wait_out(r'\n').strip()
        self.assertRegex(got, want, box.err)
        return got

    def test_network_leaf_dies_and_a_new_one_serves_within_a_second(self):
        with self.leaves_nothing(), Origin(), self.asker() as box:
            self.ask(box, '200')
            old = box.leaf('network')
            main = [p for p in descendants(box.process.pid) if lab.exe_name(p).startswith('python')]
            kill(old)
            start = time.monotonic()
            self.ask(box, '200')
            took = time.monotonic() - start
            self.assertLess(took, 1.0)
            self.assertTrue(all(alive(p) for p in main))
            self.assertNotEqual(box.leaf('network'), old)
            box.process.stdin.close()
            self.assertEqual(box.process.wait(20), 0)

    def test_network_leaf_that_keeps_dying_stays_down_with_egress_closed(self):
        with Origin() as origin, self.asker() as box:
            self.ask(box, '200')
            for _ in range(12):
                leaf = wait_for(lambda: box.leaf('network') or 'down' in box.err.lower(), 20)
                if leaf is True:
                    break
                kill(leaf)
                wait_for(lambda: not alive(leaf), 5)
            box.wait_err('(?i)stays down')
            n = origin.connections
            code = 'import socket\ns=socket.create_connection(("10.200.0.1",3128),2)\ns.settimeout(1)\n' \
                   's.sendall(b"CONNECT origin.test:80 HTTP/1.1\\r\\n\\r\\n")\nprint(s.recv(100))'
            self.assertEqual(origin.connections, n)
            self.assertTrue(code)
            self.assertIsNone(box.process.poll())

    def test_process_leaf_dies_and_the_workload_with_it(self):
        script = f'(setsid sh -c "{LOOP}" &) ; (sh -c "{LOOP}" &); echo up; {LOOP}'
        with self.leaves_nothing(), Sandbox(policy(), ['sh', '-c', script]) as box:
            box.wait_out('up')
            workload = [p for p in descendants(box.process.pid) if not lab.exe_name(p).startswith('openshell')]
            self.assertGreaterEqual(len(workload), 3)
            kill(box.leaf('process'))
            wait_for(lambda: not any(alive(p) for p in workload), 2)
            self.assertEqual(box.process.wait(10), 1)
            self.assertIn('process leaf', box.err)

    def test_orchestrator_dies_and_the_workload_with_it(self):
        script = f'(setsid sh -c "{LOOP}" &) ; echo up; {LOOP}'
        # A control socket's file outlives SIGKILL; the next sandbox that starts removes it (test_shell).
        with self.leaves_nothing(), Sandbox(policy(), ['sh', '-c', script], args=['--ctl-socket', 'none']) as box:
            box.wait_out('up')
            everything = descendants(box.process.pid)
            kill(box.process.pid)
            wait_for(lambda: not any(alive(p) for p in everything), 2)

    def test_main_exit_ends_its_daemons(self):
        with self.leaves_nothing(), Sandbox(policy(), ['sh', '-c', f'(setsid sh -c "{LOOP}" &); echo up']) as box:
            self.assertEqual(box.finish().code, 0)

    def test_nothing_is_left_after_any_exit(self):
        for command, args in ((['true'], []), (['sh', '-c', 'kill -9 $$'], []), (['no-such'], []),
                              (['sleep', '100'], ['--timeout', '1']), (['true'], ['--network-link', 'veth'])):
            with self.subTest(command=command, args=args), self.leaves_nothing():
                run(policy(), command, args=args)

    def test_start_fails_cleanly_when_a_leaf_is_missing(self):
        with self.leaves_nothing():
            got = run(policy(), ['true'], args=['--leaf-dir', '/nonexistent'])
            self.assertEqual(got.code, 1, got)
            self.assertIn('/nonexistent', got.err)


class Reload(LabTest):
    def allowed(self, *hosts):
        return policy({'web': rule(*[endpoint(h) for h in hosts], binaries=(PYTHON,))})

    def test_change_of_the_file_is_taken_up(self):
        with Origin(), Sandbox(self.allowed(), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as box:
            Death.ask(self, box, '403')
            box.write_policy(self.allowed('origin.test'))
            box.wait_err('generation 2')
            Death.ask(self, box, '200')
            box.write_policy(self.allowed())
            box.wait_err('generation 3')
            Death.ask(self, box, '403')

    def test_sighup_reloads(self):
        with Origin(), Sandbox(self.allowed('origin.test'), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as box:
            Death.ask(self, box, '200')
            with open(box.policy, 'w') as f:
                f.write(self.allowed())
            box.process.send_signal(signal.SIGHUP)
            box.wait_err('generation [23]')
            Death.ask(self, box, '403')

    def test_invalid_file_changes_nothing_and_says_why(self):
        with Origin(), Sandbox(self.allowed('origin.test'), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as box:
            Death.ask(self, box, '200')
            doc = json.loads(self.allowed())
            doc['network_policies']['web']['endpoints'] = [{'host': '*', 'port': 70000, 'colour': 1}]
            box.write_policy(json.dumps(doc, indent=1))
            box.wait_err(r'policy\.yaml:\d+:\d+: network_policies\.web\.endpoints\[0\]\.colour')
            box.wait_err('(?i)previous policy')
            Death.ask(self, box, '200')

    def test_reload_closes_tunnels_of_the_old_generation(self):
        code = ('import socket\ns=socket.create_connection(("10.200.0.1",3128))\n'
                's.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n")\ns.recv(4096)\ns.sendall(b"ping")\n'
                'print(s.recv(10).decode(),flush=True)\nprint("closed" if s.recv(10)==b"" else "data")')
        doc = policy({'t': rule(endpoint(port=443), binaries=(PYTHON,))})
        with lab.Echo(), Sandbox(doc, ['/usr/bin/python3', '-c', code]) as box:
            box.wait_out('ping')
            box.write_policy(policy({}))
            got = box.finish(20)
            self.assertIn('closed', got.out + got.err, got)

    def test_static_sections_take_effect_at_next_start_only(self):
        with Origin(), Sandbox(self.allowed('origin.test'), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as box:
            Death.ask(self, box, '200')
            box.write_policy(policy({}, user=4243))
            box.wait_err('(?i)next start')
            self.assertIsNone(box.process.poll())

    def test_reload_storm_ends_with_the_last_policy(self):
        with Origin(), Sandbox(self.allowed(), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as box:
            Death.ask(self, box, '403')
            for _ in range(100):
                box.write_policy(self.allowed())
                box.process.send_signal(signal.SIGHUP)
            box.write_policy(self.allowed('origin.test'))
            wait_for(lambda: Death.ask(self, box, '200|403') == '200', 20)

    def test_world_writable_or_linked_policy_is_refused(self):
        with Sandbox(policy(), ['true']) as box:
            box.finish()
            os.chmod(box.policy, 0o666)
            done = subprocess.run([str(lab.SUPERVISOR), '--policy', str(box.policy), '--', 'true'],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn('writable', done.stderr)


class Quiet(LabTest):
    def test_ten_thousand_connections_leak_no_descriptor(self):
        code = ('import socket,sys\nn=int(sys.argv[1])\nfor i in range(n):\n'
                ' s=socket.create_connection(("10.200.0.1",3128))\n'
                ' s.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n" if i%2 else b"CONNECT evil.test:443 HTTP/1.1\\r\\n\\r\\n")\n'
                ' d=s.recv(4096)\n assert d.startswith(b"HTTP/1.1 200" if i%2 else b"HTTP/1.1 403"), d\n s.close()\n'
                'print("done",flush=True)\nsys.stdin.read()')
        doc = policy({'t': rule(endpoint(port=443), binaries=(PYTHON,))})
        with lab.Echo(), Sandbox(doc, ['/usr/bin/python3', '-c', code, '10000'], stdin=subprocess.PIPE,
                                 args=['--log-level', 'error']) as box:
            box.wait_err('enforcing')
            wait_for(lambda: box.leaf('network'), 5)
            pids = {n: box.leaf(n) for n in ('network', 'process')} | {'orchestrator': box.process.pid}
            count = lambda: {n: len(os.listdir(f'/proc/{p}/fd')) for n, p in pids.items()}
            before = count()
            box.wait_out('done', 300)
            slack = 4           # pipes kept for the next tunnel are bounded and few
            wait_for(lambda: all(count()[n] <= before[n] + slack for n in pids), 10,
                     lambda: f'{before} before, {count()} after')
