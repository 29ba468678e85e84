"""ctl exec, ctl shell and the control socket: other processes in the same boundary."""
import os
import shutil
import signal
import socket
import subprocess
import tempfile

import lab
from lab import BASH, CURL, LabTest, Origin, endpoint, policy, rule, wait_for
from terminal import WANTED_MODES, Terminal, stty_says
from test_main_session import Named, ctl, ctl_argv

# What every process inside must find, however it was started.
PROBE = r'''
import os, socket, ctypes, json, sys
libc = ctypes.CDLL(None, use_errno=True)
def attempt(f):
    try: f(); return "possible"
    except OSError as e: return type(e).__name__
def call(number, *args):
    r = libc.syscall(number, *args)
    return "possible" if r >= 0 else os.strerror(ctypes.get_errno())
status = dict(l.rstrip("\n").split(":\t", 1) for l in open("/proc/self/status") if ":\t" in l)
s = socket.socket(); s.settimeout(2)
print(json.dumps({
    "ids": [os.getresuid(), os.getresgid(), os.getgroups()],
    "caps": [status[n].strip() for n in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "privs": [status["NoNewPrivs"], status["Seccomp"]],
    "net": os.readlink("/proc/self/ns/net"),
    "read": attempt(lambda: open("/srv/lab-outside")), "write": attempt(lambda: open("/etc/x", "w")),
    "direct": attempt(lambda: s.connect(("192.31.196.10", 80))),
    "raw": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)),
    "ptrace": call(101, 16, 1, 0, 0), "unshare": call(272, 0x10000000), "mount": call(165, 0, 0, 0, 0, 0),
    "memfd": call(319, b"x", 0), "signal": attempt(lambda: os.kill(1, 0)),
    "control": attempt(lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])),
    "core": __import__("resource").getrlimit(__import__("resource").RLIMIT_CORE),
    "umask": os.umask(0o22), "cwd": os.getcwd(),
    "fds": sorted(int(f) for f in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{f}")),
    "env": {n: os.environ.get(n) for n in ("HTTPS_PROXY", "NO_PROXY", "OPENSHELL_SANDBOX", "HOME", "USER", "PATH")}}))
'''


class Restricted(LabTest):
    def test_exec_has_the_same_restrictions_as_main(self):
        probe = ['/usr/bin/python3', '-c', PROBE]
        os.makedirs('/srv', exist_ok=True)
        with open('/srv/lab-outside', 'w') as f:
            f.write('secret')
        self.addCleanup(os.unlink, '/srv/lab-outside')
        with Named(['sh', '-c', 'read x; exec "$@"', 'sh', *probe, 'SOCKET'], stdin=subprocess.PIPE) as box:
            got = ctl(box, 'exec', '--', *probe, 'SOCKET', stdin=subprocess.DEVNULL)
            self.assertEqual(got.returncode, 0, got)
            main, _ = box.process.communicate(b'go\n', timeout=30)
        self.assertEqual(got.stdout.decode(), main.decode())
        self.assertIn('"caps": ["0000000000000000", "0000000000000000", "0000000000000000", "0000000000000000", "0000000000000000"]', main.decode())
        self.assertNotIn('possible', main.decode())

    def test_the_workload_cannot_reach_the_control_socket(self):
        code = ('import socket,sys,os\ntry:\n socket.socket(1,5).connect(sys.argv[1]); print("REACHED")\n'
                'except OSError as e: print(type(e).__name__)\nprint(os.path.exists(sys.argv[1]))')
        for place in (None, '/tmp/lab/ctl-dir/box.sock'):
            args = ['--ctl-socket', place] if place else []
            with self.subTest(place), Named(['sleep', '100'], args=args) as box:
                got = ctl(box, 'exec', '--', '/usr/bin/python3', '-c', code, box.socket)
                self.assertNotIn(b'REACHED', got.stdout, got)
                self.assertEqual(got.returncode, 0, got)

    def test_the_workload_with_our_own_uid_is_refused_at_the_door(self):
        """The second lock: a peer in the sandbox's network namespace gets nothing."""
        with Named(['sleep', '100']) as box:
            main = wait_for(lambda: [p for p in lab.descendants(box.process.pid) if lab.exe_name(p) == 'sleep'])[0]
            got = subprocess.run(['nsenter', f'--net=/proc/{main}/ns/net', *ctl_argv(box, 'exec', '--', 'true')],
                                 capture_output=True, text=True, timeout=20)
            self.assertEqual(got.returncode, 1, got)
            self.assertIn('closed the connection', got.stderr)

    def test_another_user_is_refused(self):
        with Named(['sleep', '100'], args=['--ctl-socket', '@lab-abstract']) as box:
            got = ctl(box, 'exec', '--', 'true')
            self.assertEqual(got.returncode, 0, got)
            got = subprocess.run(['setpriv', '--reuid', '4300', '--regid', '4300', '--clear-groups',
                                  *ctl_argv(box, 'exec', '--', 'true')], capture_output=True, text=True, timeout=20)
            self.assertEqual(got.returncode, 1, got)

    def test_network_identity_of_exec_is_its_own(self):
        doc = policy({'web': rule(endpoint())})
        with Origin() as origin, Named(['sleep', '100'], document=doc) as box:
            got = ctl(box, 'exec', '--', 'curl', '-sS', 'http://origin.test/x')
            self.assertIn(b'GET /x from', got.stdout, got)
            got = ctl(box, 'exec', '--', 'sh', '-c', 'curl -sS http://origin.test/y')
            self.assertIn(b'GET /y from', got.stdout, got)
            got = ctl(box, 'exec', '--', 'wget', '-qO-', 'http://origin.test/z')
            self.assertNotEqual(got.returncode, 0, got)
            self.assertEqual(len(origin.requests), 2)
        by_parent = policy({'web': {'endpoints': [endpoint()], 'binaries': [{'path': CURL}]}})
        with Origin(), Named(['sleep', '100'], document=by_parent) as box:
            self.assertIn(b'GET', ctl(box, 'exec', '--', BASH, '-c', f'{CURL} -s http://origin.test/; true').stdout)


class Exec(LabTest):
    def test_streams_and_exit_status(self):
        data = bytes(range(256)) * 4000
        with self.leaves_nothing(), Named(['sleep', '100']) as box:
            got = ctl(box, 'exec', '--', 'sh', '-c', 'cat; echo err >&2; echo x >/dev/stdout; exit 7', input=data)
            self.assertEqual((got.stdout, got.stderr, got.returncode), (data + b'x\n', b'err\n', 7))

    def test_words_are_not_parsed_again(self):
        with Named(['sleep', '100']) as box:
            got = ctl(box, 'exec', '--', 'printf', '%s|', 'a b', '$HOME', '', '"q"', '-t', '--')
            self.assertEqual(got.stdout, b'a b|$HOME||"q"|-t|--|', got)

    def test_exit_codes(self):
        with Named(['sleep', '100']) as box:
            for command, code in ((['sh', '-c', 'kill -9 $$'], 137), (['no-such-command'], 127), (['/etc/passwd'], 126),
                                  (['sh', '-c', 'exit 255'], 255), (['true'], 0)):
                with self.subTest(command=command):
                    self.assertEqual(ctl(box, 'exec', '--', *command).returncode, code)

    def test_signals_reach_it_and_the_second_one_ends_ctl(self):
        with Named(['sleep', '100']) as box:
            with lab.Program(ctl_argv(box, 'exec', '--', 'sh', '-c', 'trap "echo got; exit 3" TERM; echo up; while :; do sleep 0.05; done'),
                             stdout=subprocess.PIPE) as p:
                self.assertEqual(p.stdout.readline(), b'up\n')
                p.terminate()
                self.assertEqual(p.stdout.readline(), b'got\n')
                self.assertEqual(p.wait(20), 3)

    def test_end_of_ctl_hangs_up_the_process(self):
        for ignore, signo in (('', signal.SIGKILL), ('trap "" HUP TERM;', signal.SIGKILL)):
            with self.subTest(ignore=ignore), Named(['sleep', '100']) as box:
                with lab.Program(ctl_argv(box, 'exec', '--', 'sh', '-c', f'{ignore} echo $$; while :; do sleep 0.05; done'),
                                 stdout=subprocess.PIPE) as p:
                    pid = int(p.stdout.readline())
                    p.send_signal(signo)
                    p.wait(20)
                wait_for(lambda: not lab.alive(pid), 10)
                self.assertIsNone(box.process.poll())

    def test_end_of_the_sandbox_ends_exec(self):
        with Named(['sleep', '100']) as box:
            with lab.Program(ctl_argv(box, 'exec', '--', 'sh', '-c', 'echo up; sleep 1000'),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE) as p:
                self.assertEqual(p.stdout.readline(), b'up\n')
                box.process.terminate()
                self.assertIn(p.wait(20), (1, 137, 143))

    def test_background_process_does_not_hold_up_the_end(self):
        with Named(['sleep', '100']) as box:
            got = ctl(box, 'exec', '--', 'sh', '-c', 'sleep 1000 & echo done')
            self.assertEqual((got.returncode, got.stdout), (0, b'done\n'), got)

    def test_reader_that_goes_away_ends_the_writer(self):
        with Named(['sleep', '100']) as box:
            got = subprocess.run(['sh', '-c', ' '.join(ctl_argv(box, 'exec', '--', 'yes')) + ' | head -1'], capture_output=True, timeout=20)
            self.assertEqual(got.stdout, b'y\n', got)
            wait_for(lambda: not [p for p in lab.descendants(box.process.pid) if lab.exe_name(p) in ('yes', 'coreutils')], 10)

    def test_many_at_once(self):
        with Named(['sleep', '100']) as box:
            running = [subprocess.Popen(ctl_argv(box, 'exec', '--', 'sh', '-c', f'echo {i}; cat'), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE) for i in range(40)]
            for i, p in enumerate(running):
                out, _ = p.communicate(b'in', timeout=30)
                self.assertEqual(out, f'{i}\nin'.encode())

    def test_environment_is_mains_with_harmless_additions(self):
        with Named(['sleep', '100']) as box:
            got = ctl(box, 'exec', '--', 'env', env={'LANG': 'de_DE.UTF-8', 'LC_TIME': 'C', 'LD_PRELOAD': '', 'SECRET': 'x',
                                                     'HTTP_PROXY': 'http://evil/', 'TERM': 'xterm'})
            names = dict(l.split('=', 1) for l in got.stdout.decode().splitlines())
            self.assertEqual((names['LANG'], names['LC_TIME'], names['TERM']), ('de_DE.UTF-8', 'C', 'dumb'))
            self.assertEqual(names['HTTP_PROXY'], 'http://10.200.0.1:3128')
            self.assertNotIn('SECRET', names)


class Shell(LabTest):
    def test_shell_on_a_terminal(self):
        with Named(['sleep', '100']) as box, Terminal(ctl_argv(box, 'shell'), rows=30, columns=91) as t:
            cooked = t.modes()
            t.ask('PS1="IN>"; echo r""eady', '[\r\n]ready')
            t.ask('stty size; echo $TERM', r'30 91\s+xterm-256color')
            t.resize(21, 61)
            wait_for(lambda: t.ask('stty size', r'[\r\n](\d+ \d+)\s')[1] == b'21 61')
            t.send("sh -c 'echo g\"\"o; exec sleep 1000'\r")
            t.expect('[\r\n]go')
            t.send('\x03')
            t.ask('echo code=$?', 'code=130')
            t.send('exit 5\r')
            self.assertEqual(t.wait(), 5)
            self.assertEqual(t.modes(), cooked)

    def test_two_terminals_have_their_own_sizes(self):
        with Named(['sleep', '100']) as box:
            with Terminal(ctl_argv(box, 'exec', '-t', '--', 'sh'), rows=10, columns=50) as a, \
                    Terminal(ctl_argv(box, 'exec', '-t', '--', 'sh'), rows=20, columns=60) as b:
                def size(t):    # marked, as the prompt may come before or after the echo
                    return t.ask('echo s""ize=$(stty size)', r'size=(\d+ \d+)\s')[1]
                self.assertEqual((size(a), size(b)), (b'10 50', b'20 60'))
                a.resize(11, 51)
                wait_for(lambda: size(a) == b'11 51')
                self.assertEqual(size(b), b'20 60')

    def test_hang_up_ends_the_shell(self):
        with Named(['sleep', '100']) as box:
            with Terminal(ctl_argv(box, 'exec', '-t', '--', 'sh')) as t:
                pid = int(t.ask('echo p""id=$$', r'pid=(\d+)')[1])
                t.hang_up()
                t.wait()
            wait_for(lambda: not lab.alive(pid), 10)

    def test_terminal_is_sane_when_the_sandbox_is_killed(self):
        for victim in (lambda b: b.process.pid, lambda b: b.leaf('process')):
            with Named(['sleep', '100']) as box, Terminal(ctl_argv(box, 'exec', '-t', '--', 'sh')) as t:
                cooked = t.modes()
                t.ask('echo u""p', '[\r\n$] ?up')
                lab.kill(victim(box))
                t.wait()
                self.assertEqual(t.modes(), cooked)
                box.process.wait(20)

    def test_terminal_is_sane_when_ctl_is_killed(self):
        with Named(['sleep', '100']) as box, Terminal(ctl_argv(box, 'exec', '-t', '--', 'sh')) as t:
            t.ask('echo u""p', '[\r\n$] ?up')
            raw = t.modes()
            os.kill(t.pid, signal.SIGKILL)
            t.wait()
            wait_for(lambda: t.modes() != raw, 5)

    def test_shell_without_terminal_reads_its_script(self):
        with Named(['sleep', '100']) as box:
            got = ctl(box, 'shell', input=b'echo $((6*7))\nexit 4\n')
            self.assertEqual((got.returncode, got.stdout), (4, b'42\n'), got)

    def test_modes_are_those_of_the_users_terminal(self):
        """What stty says here, it says there."""
        with Named(['sleep', '100']) as box:
            for settings in WANTED_MODES:
                with self.subTest(settings):
                    self.assertEqual(stty_says(ctl_argv(box, 'exec', '-t', '--', 'stty', '-a'), settings), stty_says(['stty', '-a'], settings))


class TmuxUser:
    """Full-screen programs, as a user has them."""

    def setUp(self):
        if not shutil.which('tmux'):
            self.skipTest('tmux is not installed')
        self.dir = tempfile.mkdtemp(prefix='lab-tmux-', dir='/tmp')
        self.tmux('new-session', '-d', '-x', '80', '-y', '24', BASH, '--norc', '-i')
        self.addCleanup(shutil.rmtree, self.dir, True)
        self.addCleanup(self.tmux, 'kill-server')

    def tmux(self, *words):
        return subprocess.run(['tmux', '-S', f'{self.dir}/s', '-f', '/dev/null', *words], capture_output=True, text=True,
                              timeout=20, env={**os.environ, 'TERM': 'xterm-256color'})

    def screen(self):
        return self.tmux('capture-pane', '-p').stdout

    def keys(self, *keys):
        self.tmux('send-keys', *keys)

    def see(self, text):
        wait_for(lambda: text in self.screen(), 20, lambda: f'no {text!r} on\n{self.screen()}')

    def use(self, start, leave):
        """vim, less, resize in whatever start() gives; then the outer shell works as before."""
        self.keys("PS1='OUT>'; stty -g > " + f'{self.dir}/before', 'Enter')
        self.see('OUT>')
        start()
        self.keys("PS1='IN>'; clear; echo inside", 'Enter')
        self.see('IN>')
        self.keys('vim -u NONE -N -n', 'Enter')
        self.see('VIM - Vi IMproved')
        self.keys('i', 'hello from vim', 'Escape')
        self.see('hello from vim')
        self.tmux('resize-window', '-x', '100', '-y', '30')
        wait_for(lambda: self.screen().count('\n~') >= 27, 20, self.screen)     # it has drawn the larger one
        self.keys(':echo "size" &lines &columns', 'Enter')
        self.see('size 30 100')
        self.keys(':q!', 'Enter')
        self.see('IN>')
        self.keys('seq 1 500 | less', 'Enter')
        self.see('\n28\n')
        self.keys('G')
        self.see('500')
        self.keys('q')
        self.keys('clear; stty size', 'Enter')
        self.see('30 100')
        leave()
        self.keys('clear; stty -g > ' + f'{self.dir}/after; echo o""utside', 'Enter')
        self.see('outside')
        wait_for(lambda: os.path.getsize(f'{self.dir}/after') > 0)
        self.assertEqual(open(f'{self.dir}/before').read(), open(f'{self.dir}/after').read())

    def leave_by_exit(self):
        self.keys('exit', 'Enter')
        self.see('OUT>')


class FullScreen(TmuxUser, LabTest):
    def test_ctl_shell(self):
        with Named(['sleep', '1000']) as box:
            self.use(lambda: self.keys(' '.join(ctl_argv(box, 'shell')), 'Enter'), self.leave_by_exit)

    def test_attach(self):
        def leave():
            self.keys('C-p', 'C-q')
            self.see('detached')
        with Named([BASH, '--norc', '-i'], args=['-i']) as box:
            self.use(lambda: self.keys(' '.join(ctl_argv(box, 'attach')), 'Enter'), leave)
            self.assertIsNone(box.process.poll())

    def test_interactive(self):
        with Named(['true'], running=False) as box:
            box.process.wait(20)
            words = [str(lab.SUPERVISOR), '--policy', str(box.policy), '-w', str(box.work), '-i', '--', BASH, '--norc', '-i']
            self.use(lambda: (self.keys(' '.join(words), 'Enter'), self.see('enforcing')), self.leave_by_exit)


class Sockets(LabTest):
    def test_mode_and_folder(self):
        with Named(['sleep', '100']) as box:
            self.assertEqual(os.stat(box.socket).st_mode & 0o777, 0o600)
            self.assertEqual(os.stat(os.path.dirname(box.socket)).st_mode & 0o777, 0o700)
        self.assertFalse(os.path.exists('/run/openshell'))

    def test_several_sandboxes_need_a_name(self):
        run = lambda *w: subprocess.run([str(lab.SUPERVISOR), 'ctl', *w], capture_output=True, text=True, timeout=20)
        got = run('exec', '--', 'true')
        self.assertEqual(got.returncode, 1)
        self.assertIn('no sandbox of this user is running', got.stderr)
        with Named(['sleep', '100']) as a:
            self.assertEqual(run('exec', '--', 'true').returncode, 0)
            with Named(['sleep', '100']) as b:
                got = run('exec', '--', 'true')
                self.assertEqual(got.returncode, 1)
                self.assertIn(a.name, got.stderr)
                self.assertIn(b.name, got.stderr)
                self.assertEqual(run('exec', '--name', b.name, '--', 'true').returncode, 0)
                got = run('exec', '--name', 'nobody', '--', 'true')
                self.assertIn('no sandbox is running at', got.stderr)

    def test_name_that_is_taken_and_socket_that_is_stale(self):
        with Named(['sleep', '100']) as a:
            got = lab.run(policy(), ['true'], args=['--name', a.name])
            self.assertEqual(got.code, 1, got)
            self.assertIn('running already', got.err)
            lab.kill(a.process.pid)
            a.process.wait(20)
            lab.wait_for(lambda: not os.path.exists(a.socket))
            self.assertEqual(lab.run(policy(), ['true'], args=['--name', a.name]).code, 0)

    def test_stale_socket_is_replaced_and_swept(self):
        """The janitor takes it away; here it was killed as well."""
        def orphan(name):
            os.makedirs('/run/openshell', mode=0o700, exist_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.bind(f'/run/openshell/{name}.ctl')
        orphan('lab-stale')
        self.assertEqual(lab.run(policy(), ['true'], args=['--name', 'lab-stale']).code, 0)
        orphan('lab-other')
        self.assertEqual(lab.run(policy(), ['true']).code, 0)
        self.assertFalse(os.path.exists('/run/openshell/lab-other.ctl'))

    def test_folder_of_somebody_else_is_refused(self):
        os.makedirs('/tmp/lab/open-dir', exist_ok=True)
        os.chmod('/tmp/lab/open-dir', 0o777)
        self.addCleanup(os.rmdir, '/tmp/lab/open-dir')
        got = lab.run(policy(), ['true'], args=['--ctl-socket', '/tmp/lab/open-dir/s'])
        self.assertEqual(got.code, 1, got)
        self.assertIn('0700', got.err)

    def test_no_socket_on_request(self):
        with lab.Sandbox(policy(), ['sleep', '100'], args=['--ctl-socket', 'none']) as box:
            box.wait_err('enforcing')
            self.assertFalse(os.path.exists('/run/openshell'))

    def test_wrong_words(self):
        for words in (['exec'], ['frobnicate'], [], ['exec', '--name'], ['shell', 'x'], ['attach', '--what']):
            got = subprocess.run([str(lab.SUPERVISOR), 'ctl', *words], capture_output=True, text=True, timeout=20)
            self.assertEqual(got.returncode, 2, words)
            self.assertEqual(got.stdout, '')

    def test_garbage_on_the_control_socket_harms_nobody(self):
        with Named(['sleep', '100']) as box:
            for junk in (b'', b'x', b'\xff' * 65536, b'\x01\0\0\0\0\0\0\0' + b'\xff' * 100, b'\x02\0\0\0\0\0\0\0'):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                    s.connect(box.socket)
                    s.send(junk)
            idle = []
            for _ in range(40):         # more than are served at a time
                s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                s.connect(box.socket)
                idle.append(s)
            self.addCleanup(lambda: [s.close() for s in idle])
            for s in idle:
                s.close()
            wait_for(lambda: ctl(box, 'exec', '--', 'true').returncode == 0)
            self.assertIsNone(box.process.poll())
