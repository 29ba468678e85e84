"""Whatever ends a sandbox, and at whatever point: nothing of it is left on the host."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess

import lab
from lab import PYTHON, LabTest, Origin, Sandbox, alive, endpoint, exe_name, kill, policy, rule, run, wait_for

LOOP = 'while :; do sleep 0.05; done'
# A main process with a daemon of its own, a shared memory segment, an abstract socket and a listener.
CROWD = (f'import subprocess,socket,ctypes\nsubprocess.Popen(["setsid","sh","-c","{LOOP}"])\n'
         f'subprocess.Popen(["sh","-c","trap \\"\\" TERM INT HUP; {LOOP}"])\n'
         'ctypes.CDLL(None).shmget(0x99,4096,0o1666)\na=socket.socket(socket.AF_UNIX); a.bind("\\0lab-left")\n'
         'b=socket.create_server(("127.0.0.1",9999))\nprint("up",flush=True)\nwhile 1: __import__("time").sleep(60)')
LINKS = (['--network-link', 'sealed'], ['--network-link', 'veth'])


class Exits(LabTest):
    def crowd(self, args=(), **more):
        box = Sandbox(policy(), ['/usr/bin/python3', '-c', CROWD], args=args, **more)
        box.wait_out('up')
        return box

    def each_link(self):
        for args in LINKS:
            with self.subTest(args=args), self.leaves_nothing(), self.crowd(args) as box:
                yield box

    def test_signals_to_the_supervisor(self):
        for signo, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGQUIT, 131)):
            with self.subTest(signo=signo):
                for box in self.each_link():
                    box.process.send_signal(signo)
                    self.assertEqual(box.process.wait(20), code, box.err)

    def test_second_signal_kills_what_ignores_the_first(self):
        script = f'trap "" TERM INT; echo up; {LOOP}'
        with self.leaves_nothing(), Sandbox(policy(), ['sh', '-c', script]) as box:
            box.wait_out('up')
            box.process.terminate()
            box.process.terminate()     # equal signals may merge; the one below can't
            box.process.send_signal(signal.SIGINT)
            self.assertEqual(box.process.wait(8), 137, box.err)

    def test_kill_of_the_orchestrator(self):
        for box in self.each_link():
            everything = lab.descendants(box.process.pid)
            self.assertGreaterEqual(len(everything), 6)
            kill(box.process.pid)
            wait_for(lambda: not any(alive(p) for p in everything), 2)

    def test_kill_of_the_orchestrator_with_a_stopped_network_leaf(self):
        for box in self.each_link():
            everything = lab.descendants(box.process.pid)
            kill(box.leaf('network'), signal.SIGSTOP)
            kill(box.process.pid)
            wait_for(lambda: not any(alive(p) for p in everything), 2)

    def test_kill_of_the_process_leaf(self):
        for box in self.each_link():
            workload = [p for p in lab.descendants(box.process.pid) if not exe_name(p).startswith('openshell')]
            kill(box.leaf('process'))
            wait_for(lambda: not any(alive(p) for p in workload), 2)
            self.assertEqual(box.process.wait(10), 1, box.err)

    def test_kill_of_the_identity_worker_closes_egress_only(self):
        code = ('import socket,sys\nfor l in sys.stdin:\n s=socket.create_connection(("10.200.0.1",3128)); s.settimeout(10)\n'
                ' s.sendall(b"CONNECT origin.test:80 HTTP/1.1\\r\\n\\r\\n"); print(s.recv(4096).split()[1].decode(),flush=True)')
        doc = policy({'w': rule(endpoint(), binaries=(PYTHON,))})
        with self.leaves_nothing(), Origin() as origin, Sandbox(doc, ['/usr/bin/python3', '-c', code], stdin=subprocess.PIPE) as box:
            def ask():
                box.seen = ''
                box.process.stdin.write(b'x\n')
                box.process.stdin.flush()
                return box.wait_out(r'\d+\n').strip()
            self.assertEqual(ask(), '200')
            worker = [p for p in lab.children(box.leaf('process')) if exe_name(p) == 'openshell-supervisor-process']
            self.assertEqual(len(worker), 1)
            kill(worker[0])
            box.wait_err('identity worker died')
            self.assertEqual(ask(), '403')
            self.assertEqual(origin.connections, 1)
            box.process.stdin.close()
            self.assertEqual(box.process.wait(10), 0)

    def test_kill_of_the_network_leaf_then_the_end(self):
        for box in self.each_link():
            old = box.leaf('network')
            kill(old)
            wait_for(lambda: box.leaf('network') not in (None, old), 5)
            box.process.terminate()
            self.assertEqual(box.process.wait(20), 143)

    def test_kill_of_the_main_process(self):
        for box in self.each_link():
            main = [p for p in lab.children(box.leaf('process')) if exe_name(p).startswith('python')]
            kill(main[0])
            self.assertEqual(box.process.wait(10), 137, box.err)

    def test_kill_of_both_orchestrator_and_network_leaf(self):
        for box in self.each_link():
            everything = lab.descendants(box.process.pid)
            kill(box.process.pid, signal.SIGSTOP)
            kill(box.leaf('network'))
            kill(box.process.pid)
            wait_for(lambda: not any(alive(p) for p in everything), 2)

    def test_timeout(self):
        for args in LINKS:
            with self.subTest(args=args), self.leaves_nothing():
                got = run(policy(), ['/usr/bin/python3', '-c', CROWD], args=[*args, '--timeout', '1'])
                self.assertEqual(got.code, 124, got)

    def test_stopped_workload_is_ended_too(self):
        for box in self.each_link():
            for p in lab.descendants(box.process.pid):
                if not exe_name(p).startswith('openshell'):
                    kill(p, signal.SIGSTOP)
            box.process.terminate()
            box.process.send_signal(signal.SIGINT)
            box.process.wait(20)


class Killed(LabTest):
    """Orchestrator and process leaf are killed in the same moment: nobody but the janitor knows the workload."""
    links = LINKS
    code = CROWD.replace('print("up"', f'subprocess.run(["sh","-c","(setsid sh -c \'trap \\"\\" TERM INT HUP; {LOOP}\' &)"])\nprint("up"')

    def crowd(self, args=(), **more):
        box = Sandbox(policy(), ['/usr/bin/python3', '-c', self.code], args=args, **more)
        box.wait_out('up')
        return box

    def kill_both(self, box, spared=()):
        everything = [p for p in lab.descendants(box.process.pid) if p not in spared]
        pair = (box.leaf('process'), box.process.pid)
        for signo in (signal.SIGSTOP, signal.SIGKILL):      # neither sees the other end
            for p in pair:
                kill(p, signo)
        wait_for(lambda: not any(alive(p) for p in everything), 10, lambda: [(p, exe_name(p)) for p in everything if alive(p)])
        return everything

    def test_while_the_workload_runs(self):
        for args in self.links:
            with self.subTest(args=args), self.leaves_nothing(), self.crowd(args) as box:
                self.assertGreaterEqual(len(self.kill_both(box)), 8)

    def test_while_shells_are_open(self):
        os.makedirs('/opt/lab/run', mode=0o700, exist_ok=True)
        if lab.ROOTLESS:
            os.chown('/opt/lab/run', lab.USER, lab.USER)
        env = {'XDG_RUNTIME_DIR': '/opt/lab/run'}
        words = [*lab.as_starter(), str(lab.SUPERVISOR), 'ctl', 'exec', '--name', 'lab-killed', '--', 'sh', '-c', f'trap "" TERM HUP; {LOOP}']
        with self.leaves_nothing(), self.crowd(['--name', 'lab-killed'], env=env) as box, \
                subprocess.Popen(words, env={**os.environ, **env}) as client:
            wait_for(lambda: len([p for p in lab.children(box.leaf('process')) if exe_name(p) in ('sh', 'dash', 'bash')]) >= 2)
            self.kill_both(box)
            client.wait(lab.WAIT)

    def test_without_the_right_to_signal_other_users(self):
        with self.leaves_nothing(), self.crowd(launcher=['setpriv', '--bounding-set=-kill', '--inh-caps=-kill', '--']) as box:
            self.kill_both(box)

    def test_of_the_janitor_alone_changes_nothing(self):
        with self.leaves_nothing(), self.crowd() as box:
            everything, leaf = lab.descendants(box.process.pid), box.leaf('process')
            janitor = [p for p in lab.children(box.process.pid) if exe_name(p) == 'openshell-supervisor']
            kill(janitor[0])
            wait_for(lambda: leaf in lab.children(box.process.pid))
            box.process.terminate()
            self.assertEqual(box.process.wait(20), 143, box.err)
            self.assertFalse([p for p in everything if alive(p)])


class Starts(LabTest):
    """A start that fails, or is cut, at each of its steps."""

    def fails(self, document, command, *words, code=1, **more):
        with self.leaves_nothing():
            got = run(document, command, **more)
        self.assertEqual(got.code, code, got)
        self.assertEqual(got.out, '', got)
        for word in words:
            self.assertIn(word, got.err, got)
        return got

    def fake(self, **programs):
        """A leaf directory in which some leaves are other programs."""
        where = pathlib.Path('/opt/lab/leaves')
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        self.addCleanup(shutil.rmtree, where, True)
        for name in ('process', 'network'):
            path = where / f'openshell-supervisor-{name}'
            if name in programs:
                path.write_text('#!/bin/sh\n' + programs[name] + '\n')
                path.chmod(0o755)
            else:
                shutil.copy(lab.BUILD / f'supervisor-{name}' / path.name, path)
        return ['--leaf-dir', str(where)]

    def test_before_any_leaf(self):
        self.fails('version: 1\nfoo: 2\n', ['true'], 'foo')
        self.fails(policy(), ['true'], '/nonexistent', args=['--workdir', '/nonexistent'])
        self.fails(policy(), ['true'], '--log-file', args=['--log-file', '/proc/nonexistent/log'])
        self.fails(policy(), ['true'], 'leaf', args=['--leaf-dir', '/nonexistent'])

    def test_after_the_process_leaf(self):
        """It builds the namespace already when the authority and the sockets are made."""
        for args in LINKS:
            self.fails(policy(), ['true'], '--upstream-ca', args=[*args, '--upstream-ca', '/nonexistent.pem'])
            self.fails(policy(), ['true'], '/proc/nonexistent', args=[*args, '--ctl-socket', '/proc/nonexistent/ctl'])

    def test_attach(self):
        for args in LINKS:
            self.fails(policy(), ['true'], 'CAP_', args=args, launcher=['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-all'])
        self.fails(policy(), ['true'], 'CAP_SYS_ADMIN', launcher=['setpriv', '--bounding-set', '-sys_admin', '--inh-caps', '-all'])

    def test_claim(self):
        self.fails(policy(user='no-such-user'), ['true'], 'no-such-user')
        self.fails(policy(user='root'), ['true'], 'root')
        self.fails(policy(user=1337), ['true'], '--proxy-uid')
        self.fails(policy(user=0, group=None).replace('"version": 1', '"version": 1, "process": {"run_as_user": "0", "run_as_group": "0"}'), ['true'])
        self.fails(policy(read_only=['/nonexistent'], landlock={'compatibility': 'hard_requirement'}), ['true'], '/nonexistent')
        self.fails(policy(), ['true'], 'pids', env={'OPENSHELL_REQUIRE_RUNTIME_PID_LIMIT': '1'}) \
            if not pathlib.Path('/sys/fs/cgroup/pids.max').exists() else None

    def test_execve(self):
        self.fails(policy(), ['/no/such/program'], '/no/such/program', 'execve')
        with open('/opt/lab/not-executable', 'w') as f:
            self.addCleanup(os.unlink, f.name)
        self.fails(policy(), ['/opt/lab/not-executable'], 'execve', 'ermission')
        self.fails(policy(), ['/root/lab'], 'execve')

    def test_leaf_that_fails_at_once_or_speaks_nonsense(self):
        for which in ('process', 'network'):
            for script in ('exit 3', 'kill -9 $$', 'echo nonsense >&3', 'head -c 70000 /dev/zero >&3; sleep 60', 'exec 3>&-; sleep 60'):
                with self.subTest(which=which, script=script):
                    self.fails(policy(), ['true'], 'leaf', args=self.fake(**{which: script}))

    def test_leaf_that_never_answers(self):
        for which in ('process', 'network'):
            with self.subTest(which=which):
                self.fails(policy(), ['true'], 'time', args=self.fake(**{which: 'sleep 600'}))

    def test_orchestrator_is_killed_while_a_leaf_starts(self):
        for which in ('process', 'network'):
            for signo in (signal.SIGKILL, signal.SIGTERM):
                with self.subTest(which=which, signo=signo), self.leaves_nothing(), \
                        Sandbox(policy(), ['true'], args=self.fake(**{which: 'exec sleep 600'})) as box:
                    fake = wait_for(lambda: [p for p in lab.programs(box.process.pid) if exe_name(p) == 'sleep'])
                    if which == 'network':      # the other leaf has gone as far as it can: the child is held
                        wait_for(lambda: len(lab.children(box.leaf('process') or 0)) == 2)
                    everything = lab.descendants(box.process.pid)
                    kill(box.process.pid, signo)
                    box.process.wait(10)
                    # Nobody but a real network leaf's own channel ends that leaf; the janitor ends the process leaf.
                    stays = fake if which == 'network' else []
                    wait_for(lambda: not any(alive(p) for p in everything if p not in stays), 10)
                    if signo == signal.SIGKILL and stays:
                        kill(stays[0])

    def test_orchestrator_and_process_leaf_are_killed_while_the_command_is_held(self):
        with self.leaves_nothing(), Sandbox(policy(), ['true'], args=self.fake(network='exec sleep 600')) as box:
            stays = wait_for(lambda: [p for p in lab.programs(box.process.pid) if exe_name(p) == 'sleep'])
            wait_for(lambda: len(lab.children(box.leaf('process') or 0)) == 2)
            Killed.kill_both(self, box, stays)
            kill(stays[0])

    def test_each_moment_of_a_start(self):
        """SIGKILL and SIGTERM after 0, 1, 2 ... milliseconds: no moment leaves anything."""
        for signo in (signal.SIGKILL, signal.SIGTERM):
            with self.subTest(signo=signo), self.leaves_nothing():
                for ms in range(0, 40):
                    with Sandbox(policy(), ['sleep', '600'], args=LINKS[ms % 2]) as box:
                        try:
                            box.process.wait(ms / 1000)
                        except subprocess.TimeoutExpired:
                            pass
                        kill(box.process.pid, signo)
                        box.process.wait(20)


class Down(LabTest):
    def test_connections_wait_while_there_is_no_network_leaf(self):
        """Accepted by the kernel, answered by the next leaf; nothing leaves in between."""
        code = ('import socket,sys\nsys.stdin.readline()\ns=socket.create_connection(("10.200.0.1",3128)); s.settimeout(20)\n'
                's.sendall(b"GET http://origin.test/ HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n"); print("sent",flush=True)\n'
                'print(s.recv(4096).split()[1].decode(),flush=True)')
        doc = policy({'w': rule(endpoint(), binaries=(PYTHON,))})
        with Origin() as origin, Sandbox(doc, ['/usr/bin/python3', '-c', code], stdin=subprocess.PIPE) as box:
            box.wait_err('enforcing')
            old = wait_for(lambda: box.leaf('network'))
            kill(box.process.pid, signal.SIGSTOP)       # nobody starts a new one
            kill(old)
            wait_for(lambda: not alive(old))
            box.process.stdin.write(b'\n')
            box.process.stdin.flush()
            box.wait_out('sent')
            self.assertEqual(origin.connections, 0)
            kill(box.process.pid, signal.SIGCONT)
            self.assertIn('200', box.finish(20).out)

    def test_after_five_deaths_a_connection_is_refused_at_once(self):
        code = ('import socket,sys\nsys.stdin.readline()\ntry:\n s=socket.create_connection(("10.200.0.1",3128),5); print(s.recv(10))\n'
                'except OSError as e: print(type(e).__name__)')
        with Origin() as origin, Sandbox(policy({'w': rule(endpoint(), binaries=(PYTHON,))}), ['/usr/bin/python3', '-c', code],
                                         stdin=subprocess.PIPE) as box:
            box.wait_err('enforcing')
            while 'stays down' not in box.err:
                leaf = wait_for(lambda: box.leaf('network') or 'stays down' in box.err)
                if leaf is not True:
                    kill(leaf)
                    wait_for(lambda: not alive(leaf))
            self.assertIsNone(box.process.poll())
            got = box.process.communicate(b'\n', timeout=20)[0].decode()
            self.assertEqual(got, 'ConnectionRefusedError\n')
            self.assertEqual(origin.connections, 0)
