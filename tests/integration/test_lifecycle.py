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
            box.wait_err('process can.t change in a running sandbox.*next start')
            self.assertIsNone(box.process.poll())

    def test_sections_that_mean_the_same_are_no_change(self):
        """What was left out is written out as the default: nothing is said, and the rules are taken over."""
        with Origin(), Sandbox(self.allowed(), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as box:
            Death.ask(self, box, '403')
            box.write_policy(self.allowed('origin.test').replace('"version": 1', '"version": 1, "landlock": {"compatibility": "best_effort"}'))
            box.wait_err('in force .generation 2')
            Death.ask(self, box, '200')
            self.assertNotIn('next start', box.err)

    def test_reload_storm_ends_with_the_last_policy(self):
        with Origin(), Sandbox(self.allowed(), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as box:
            Death.ask(self, box, '403')
            for _ in range(100):
                box.write_policy(self.allowed())
                box.process.send_signal(signal.SIGHUP)
            box.write_policy(self.allowed('origin.test'))
            wait_for(lambda: Death.ask(self, box, '200|403') == '200', 20)

    def test_single_mounted_file_is_noticed_when_it_is_written_in_place(self):
        with Origin(), Sandbox(self.allowed(), ['true']) as spare:
            spare.finish()
            inside = lab.pathlib.Path('/run/lab/mounted.yaml')
            inside.touch(mode=0o644)
            lab.sh('mount', '--bind', str(spare.policy), str(inside))
            self.addCleanup(lab.sh, 'umount', str(inside))
            with Sandbox(None, ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE, args=['--policy', str(inside)]) as box:
                Death.ask(self, box, '403')
                time.sleep(0.5)     # a change before the watch begins is found in another way
                spare.policy.write_text(self.allowed('origin.test'))
                box.wait_err('generation 2')
                Death.ask(self, box, '200')

    def test_configuration_map_of_kubernetes_is_followed(self):
        """policy.yaml -> ..data/policy.yaml, and ..data -> a folder that is replaced as a whole."""
        with Origin(), Sandbox(self.allowed(), ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE) as other:
            top = other.etc / 'map'
            top.mkdir(mode=0o755)

            def swap(name, document):
                (top / name).mkdir(mode=0o755)
                (top / name / 'policy.yaml').write_text(document)
                os.symlink(name, top / '..data_tmp')
                os.rename(top / '..data_tmp', top / '..data')
            swap('..2026_1', self.allowed())
            os.symlink('..data/policy.yaml', top / 'policy.yaml')
            with Sandbox(None, ['/usr/bin/python3', '-c', ASK], stdin=subprocess.PIPE, args=['--policy', str(top / 'policy.yaml')]) as box:
                Death.ask(self, box, '403')
                swap('..2026_2', self.allowed('origin.test'))
                box.wait_err('generation 2')
                Death.ask(self, box, '200')
                (top / '..2026_2' / 'policy.yaml').write_text(self.allowed())
                box.process.send_signal(signal.SIGHUP)
                box.wait_err('generation 3')
                Death.ask(self, box, '403')

    def test_link_that_somebody_else_could_turn_is_refused(self):
        with Sandbox(policy(), ['true']) as box:
            box.finish()
            folder = box.etc / 'open'
            folder.mkdir()
            link, hop = folder / 'policy.yaml', box.etc / 'hop'

            def code_of(path):
                done = subprocess.run([str(lab.SUPERVISOR), '--policy', str(path), '--workdir', '/tmp', '--', 'true'],
                                      capture_output=True, text=True, timeout=20)
                return done.returncode, done.stderr
            os.chmod(folder, 0o755)
            os.symlink(box.policy, link)
            self.assertEqual(code_of(link)[0], 0, code_of(link))
            os.chmod(folder, 0o777)                     # anybody may put another link here
            self.assertEqual(code_of(link)[0], 1)
            self.assertIn('symbolic link', code_of(link)[1])
            os.symlink(link, hop)                       # the same one hop further
            self.assertEqual(code_of(hop)[0], 1)
            os.chmod(folder, 0o755)
            os.chown(link, lab.USER, lab.USER, follow_symlinks=False)
            self.assertIn("somebody else's", code_of(link)[1])
            os.unlink(hop)
            os.symlink('hop', hop)
            self.assertEqual(code_of(hop)[0], 1)        # a loop ends

    def test_world_writable_policy_is_refused(self):
        with Sandbox(policy(), ['true']) as box:
            box.finish()
            os.chmod(box.policy, 0o666)
            done = subprocess.run([str(lab.SUPERVISOR), '--policy', str(box.policy), '--', 'true'],
                                  capture_output=True, text=True, timeout=20)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn('writable', done.stderr)


# Many connections of seven kinds; prints the statuses that each kind got.
KINDS = '''
import collections, os, socket, struct, sys, threading
got = collections.Counter()
def new():
    s = socket.create_connection(("10.200.0.1", 3128)); s.settimeout(30); return s
def answer(s):
    b = b""
    while b"\\r\\n\\r\\n" not in b:
        d = s.recv(65536)
        if not d: break
        b += d
    return b.split(b" ")[1].decode() if b else "closed"
def connect(host): return b"CONNECT " + host + b":443 HTTP/1.1\\r\\n\\r\\n"
def get(host): return b"GET http://" + host + b"/ HTTP/1.1\\r\\n\\r\\n"
def allowed(s): s.sendall(connect(b"origin.test")); return answer(s)
def refused(s): s.sendall(connect(b"evil.test")); return answer(s)
def kept(s):
    f = s.makefile("rb")
    for _ in range(3):
        s.sendall(get(b"origin.test")); r = f.readline().split()[1].decode()
        while (line := f.readline()) != b"\\r\\n":
            if line.lower().startswith(b"content-length:"): n = int(line.split()[1])
        f.read(n)
    f.close()
    return r
def half_closed(s):
    s.sendall(connect(b"origin.test")); answer(s); s.sendall(b"x" * 1000); s.shutdown(socket.SHUT_WR)
    n = 0
    while d := s.recv(65536): n += len(d)
    return str(n)
def aborted(s):
    s.sendall(connect(b"origin.test")); answer(s); s.sendall(b"x" * 100000)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)); return "reset"
def silent(s): s.sendall(b"CONNECT origin.te"); return "left"
def malformed(s): s.sendall(b"GET / HTTP/1.1\\r\\n\\r\\n"); return answer(s)
kinds = (allowed, refused, kept, half_closed, aborted, silent, malformed)
def work(first, n):
    for i in range(first, n, 4):
        s = new(); kind = kinds[i % len(kinds)]
        r = kind(s); s.close()
        got[kind.__name__ + " " + r] += 1
n = int(sys.argv[1])
for warm in (70, n):        # first a few of each, so that what is made once is there
    got.clear()
    threads = [threading.Thread(target=work, args=(k, warm)) for k in range(4)]
    [t.start() for t in threads]; [t.join() for t in threads]
    print(dict(sorted(got.items())), "done", flush=True); sys.stdin.readline()
'''


class Quiet(LabTest):
    def test_ten_thousand_connections_leak_no_descriptor(self):
        n = 10003       # a multiple of the kinds
        doc = policy({'t': rule(endpoint(), endpoint(port=443), binaries=(PYTHON,))})
        with lab.Echo(), Origin(), Sandbox(doc, ['/usr/bin/python3', '-c', KINDS, str(n)], stdin=subprocess.PIPE,
                                           args=['--log-level', 'error']) as box:
            box.wait_out('done')
            pids = {name: box.leaf(name) for name in ('network', 'process')} | {'orchestrator': box.process.pid}
            pids['worker'] = [p for p in lab.children(pids['process']) if lab.exe_name(p).startswith('openshell')][0]

            def count():
                return {name: len(os.listdir(f'/proc/{p}/fd')) for name, p in pids.items()}
            # Connections that were aborted are noticed a moment later.
            before = wait_for(lambda: (a := count(), time.sleep(0.3), count())[::2] == (a, a) and a, 30)
            box.seen = ''
            box.process.stdin.write(b'go\n')
            box.process.stdin.flush()
            out = box.wait_out('done', 300)
            each = n // 7
            self.assertEqual(eval(out.split(' done')[0]), {
                'allowed 200': each, 'refused 403': each, 'kept 200': each, 'half_closed 1000': each, 'aborted reset': each,
                'silent left': each, 'malformed 400': each})
            # Idle pipes for tunnels are kept on purpose, NET_PIPES_MAX pairs at most.
            slack = {'network': 16}
            wait_for(lambda: all(count()[k] <= before[k] + slack.get(k, 0) for k in pids), 20,
                     lambda: f'{before} before, {count()} after')
            self.assertEqual({k: box.leaf(k) for k in ('network', 'process')}, {k: pids[k] for k in ('network', 'process')})
