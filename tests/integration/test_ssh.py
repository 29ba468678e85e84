"""SSH, with the real OpenSSH client, scp, sftp, rsync and git."""
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import termios

import lab
from lab import BASH, LabTest, Origin, endpoint, policy, rule, wait_for
from terminal import WANTED_MODES, Terminal, stty_says
from test_main_session import Named, ctl, ctl_argv, idle
from test_shell import PROBE, TmuxUser

MIB = 1024 * 1024
SSH_PROGRAM = lab.BUILD / 'supervisor-process' / 'openshell-supervisor-ssh'


def has_own_libssh():
    return b'libssh.so' not in SSH_PROGRAM.read_bytes()


class Ssh(Named):
    """A sandbox with an SSH server, and the configuration that ctl prints for it."""

    def __init__(self, command=('sleep', '1000'), args=(), path='/run/openshell/ssh.sock', **more):
        self.path = path
        super().__init__(list(command), args=['--ssh-socket-path', path, *args], **more)
        self.config = self.dir / 'ssh_config'
        self.config.write_bytes(ctl(self, 'ssh-config').stdout)

    def words(self, *words, program='ssh'):
        return [program, '-F', str(self.config), *words]

    def ssh(self, *words, seconds=60, **more):
        return subprocess.run(self.words('sandbox', *words), capture_output=True, timeout=seconds, **more)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(20)
        s.connect(self.path if self.path[0] != '@' else '\0' + self.path[1:])
        return s

    def sessions(self):
        leaf = self.leaf('process')
        return [p for p in lab.children(leaf) if lab.exe_name(p) == 'openshell-supervisor-ssh']


class Commands(LabTest):
    def test_output_error_and_exit_status(self):
        with self.leaves_nothing(), Ssh() as box:
            data = bytes(range(256)) * 4000
            got = box.ssh('cat; echo err >&2; exit 7', input=data)
            self.assertEqual((got.stdout == data, got.stderr, got.returncode), (True, b'err\n', 7))

    def test_exit_codes(self):
        with Ssh() as box:
            for command, code in (('exit 0', 0), ('exit 255', 255), ('no-such-command', 127), ('kill -9 $$', 255)):
                self.assertEqual(box.ssh(command).returncode, code, command)
            # OpenSSH's client gives -1 to a session that ended by a signal, and says which on -v.
            got = subprocess.run(box.words('-v', 'sandbox', 'kill -TERM $$'), capture_output=True, timeout=20)
            self.assertIn(b'exit-signal', got.stderr)

    def test_same_restrictions_as_main(self):
        os.makedirs('/srv', exist_ok=True)
        with open('/srv/lab-outside', 'w') as f:
            f.write('secret')
        self.addCleanup(os.unlink, '/srv/lab-outside')
        with Ssh(['sh', '-c', 'read x; exec /usr/bin/python3 probe.py SOCKET'], stdin=subprocess.PIPE) as box:
            (box.work / 'probe.py').write_text(PROBE)
            got = box.ssh('exec /usr/bin/python3 probe.py ' + box.path, stdin=subprocess.DEVNULL)
            self.assertEqual(got.returncode, 0, got)
            box.process.stdin.write(b'go\n')
            box.process.stdin.flush()
            main = json.loads(box.wait_out(r'\}\}\n'))
        mine = json.loads(got.stdout)
        for one in (mine, main):
            one['env'].pop('PATH')      # a login shell has its own
        self.assertEqual(mine, main)
        self.assertNotIn('possible', json.dumps(mine))

    def test_network_identity(self):
        with Origin() as origin, Ssh(document=policy({'web': rule(endpoint())})) as box:
            self.assertIn(b'GET /x', box.ssh('curl -sS http://origin.test/x').stdout)
            self.assertIn(b'policy_denied', box.ssh('/usr/bin/python3 -c "import urllib.request as u;'
                          'u.urlopen(\\"http://origin.test/y\\")" 2>&1; wget -qO- --content-on-error http://origin.test/z').stdout)
            self.assertEqual(len(origin.requests), 1)

    def test_environment(self):
        with Ssh() as box:
            got = subprocess.run(box.words('-o', 'SendEnv=LC_TEST SECRET LD_PRELOAD HTTP_PROXY', 'sandbox', 'env'), capture_output=True,
                                 timeout=20, env={**os.environ, 'LC_TEST': 'yes', 'SECRET': 'x', 'HTTP_PROXY': 'http://evil'})
            names = dict(l.split('=', 1) for l in got.stdout.decode().splitlines() if '=' in l)
            self.assertEqual(names['LC_TEST'], 'yes')
            self.assertNotIn('SECRET', names)
            self.assertEqual(names['HTTP_PROXY'], 'http://10.200.0.1:3128')
            self.assertEqual(names['TERM'], 'dumb')

    def test_any_user_and_any_key_but_no_password(self):
        with Ssh() as box:
            key = box.dir / 'key'
            lab.sh('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(key))
            for words in (['-l', 'somebody'], ['-o', 'PreferredAuthentications=publickey', '-i', str(key)]):
                got = subprocess.run(box.words(*words, 'sandbox', 'id -u'), capture_output=True, timeout=20)
                self.assertEqual(got.stdout, b'4242\n', got)
            # The client tries "none" first by itself; a raw one asks for a password only.
            got = subprocess.run(box.words('-v', '-o', 'PreferredAuthentications=none', 'sandbox', 'true'), capture_output=True, timeout=20)
            self.assertEqual(got.returncode, 0, got)

    def test_host_key_is_the_same_for_a_start_and_new_for_the_next(self):
        def key(box):
            got = subprocess.run(box.words('-v', 'sandbox', 'true'), capture_output=True, timeout=20)
            return re.search(rb'Server host key: ssh-ed25519 (\S+)', got.stderr)[1]
        with Ssh() as box:
            first = key(box)
            self.assertEqual(key(box), first)
        with Ssh() as box:
            self.assertNotEqual(key(box), first)

    def test_without_a_socket_of_its_own_ctl_carries_it(self):
        with Named(['sleep', '100']) as box:
            config = box.dir / 'c'
            config.write_bytes(ctl(box, 'ssh-config', '--host', 'box').stdout)
            got = subprocess.run(['ssh', '-F', str(config), 'box', 'echo hi'], capture_output=True, timeout=20)
            self.assertEqual((got.stdout, got.returncode), (b'hi\n', 0), got)

    def test_channels_of_one_connection_are_limited_and_independent(self):
        with Ssh() as box:
            path = str(box.dir / 'mux')
            with lab.Program(box.words('-M', '-N', '-S', path, 'sandbox')) as master:
                wait_for(lambda: os.path.exists(path))
                mux = lambda *w: subprocess.Popen(['ssh', '-S', path, '-F', '/dev/null', 'sandbox', *w], stdin=subprocess.PIPE,
                                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                open_ones = [mux(f'echo up; cat; exit {i}') for i in range(64)]
                for p in open_ones:
                    self.assertEqual(p.stdout.readline(), b'up\n')
                one_more = mux('echo up')
                self.assertNotEqual(one_more.wait(20), 0)
                for stream in (one_more.stdin, one_more.stdout, one_more.stderr):
                    stream.close()
                for i, p in enumerate(open_ones):
                    out, _ = p.communicate(b'%d' % i, timeout=20)
                    self.assertEqual((out, p.returncode), (b'%d' % i, i))
                self.assertEqual(len(box.sessions()), 1)
                master.kill()

    def test_abstract_socket(self):
        with Ssh(path='@lab-ssh') as box:
            with box.connect() as s:
                self.assertTrue(s.recv(100).startswith(b'SSH-2.0-'))

    def test_end_of_connection_ends_the_process(self):
        with Ssh() as box:
            for ignore in ('', 'trap "" HUP;'):
                with lab.Program(box.words('sandbox', f'{ignore} echo $$; while :; do sleep 0.05; done'), stdout=subprocess.PIPE) as p:
                    pid = int(p.stdout.readline())
                    p.kill()
                    p.wait(20)
                wait_for(lambda: not lab.alive(pid), 10)

    def test_end_of_the_sandbox_is_told(self):
        with Ssh() as box, subprocess.Popen(box.words('sandbox', 'echo up; sleep 1000'), stdout=subprocess.PIPE) as p:
            self.assertEqual(p.stdout.readline(), b'up\n')
            box.process.terminate()
            self.assertNotEqual(p.wait(20), 0)

    def test_background_process_does_not_hold_up_the_end(self):
        with Ssh() as box:
            got = box.ssh('sleep 1000 & echo done', seconds=20)
            self.assertEqual((got.returncode, got.stdout), (0, b'done\n'), got)


class Transfer(LabTest):
    @classmethod
    def setUpClass(cls):
        """sftp-server wants an account for its uid."""
        super().setUpClass()
        cls.passwd = tempfile.NamedTemporaryFile(mode='w', dir='/tmp')
        cls.passwd.write(open('/etc/passwd').read() + f'labuser:x:{lab.USER}:{lab.USER}::/tmp:/bin/bash\n')
        cls.passwd.flush()
        os.chmod(cls.passwd.name, 0o644)
        lab.sh('mount', '--bind', cls.passwd.name, '/etc/passwd')

    @classmethod
    def tearDownClass(cls):
        lab.sh('umount', '/etc/passwd')
        cls.passwd.close()
        super().tearDownClass()

    def make(self, path, size):
        with open('/dev/urandom', 'rb') as r, open(path, 'wb') as w:
            shutil.copyfileobj(r, w, MIB) if size is None else [w.write(r.read(MIB)) for _ in range(size)]
        return hashlib.sha256(path.read_bytes()).hexdigest()

    def test_sftp_100_mib_both_ways(self):
        with Ssh() as box:
            up, down = box.dir / 'up', box.dir / 'down'
            want = self.make(up, 100)
            batch = box.dir / 'batch'
            batch.write_text(f'put {up} there\nget there {down}\n')
            got = subprocess.run(box.words('-b', str(batch), 'sandbox', program='sftp'), capture_output=True, timeout=120)
            self.assertEqual(got.returncode, 0, got)
            self.assertEqual(hashlib.sha256((box.work / 'there').read_bytes()).hexdigest(), want)
            self.assertEqual(hashlib.sha256(down.read_bytes()).hexdigest(), want)
            self.assertEqual((box.work / 'there').stat().st_uid, lab.USER)

    def test_sftp_cannot_leave(self):
        with Ssh() as box:
            for line in ('get /etc/shadow x', 'put /etc/hostname /etc/lab-x', 'get /root/.bashrc x'):
                got = subprocess.run(box.words('-b', '-', 'sandbox', program='sftp'), input=line.encode(), capture_output=True, timeout=20,
                                     cwd=box.dir)
                self.assertNotEqual(got.returncode, 0, (line, got))

    def test_scp_both_ways_new_and_old(self):
        with Ssh() as box:
            up = box.dir / 'up'
            want = self.make(up, 5)
            for old in ([], ['-O']):
                subprocess.run(box.words(*old, str(up), 'sandbox:there', program='scp'), check=True, timeout=60)
                subprocess.run(box.words(*old, 'sandbox:there', str(box.dir / 'down'), program='scp'), check=True, timeout=60)
                self.assertEqual(hashlib.sha256((box.dir / 'down').read_bytes()).hexdigest(), want)

    def test_rsync(self):
        with Ssh() as box:
            tree = box.dir / 'tree'
            for i in range(50):
                (tree / f'd{i % 5}').mkdir(parents=True, exist_ok=True)
                (tree / f'd{i % 5}' / f'f{i}').write_bytes(os.urandom(i * 1000))
            shell = ' '.join(box.words())
            for source, to in ((f'{tree}/', 'sandbox:tree/'), ('sandbox:tree/', f'{box.dir}/back/')):
                got = subprocess.run(['rsync', '-a', '-e', shell, '--no-o', '--no-g', source, to], capture_output=True, timeout=60)
                self.assertEqual(got.returncode, 0, got)
            lab.sh('diff', '-r', str(tree), f'{box.dir}/back')

    def test_git(self):
        with Ssh() as box:
            got = box.ssh('git init -q --bare repo.git && git -C repo.git symbolic-ref HEAD refs/heads/main')
            self.assertEqual(got.returncode, 0, got)
            local = box.dir / 'local'
            env = {**os.environ, 'GIT_SSH_COMMAND': ' '.join(box.words()), 'GIT_AUTHOR_NAME': 'x', 'GIT_AUTHOR_EMAIL': 'x@x',
                   'GIT_COMMITTER_NAME': 'x', 'GIT_COMMITTER_EMAIL': 'x@x', 'HOME': str(box.dir)}
            git = lambda *w, cwd=local: subprocess.run(['git', *w], check=True, capture_output=True, timeout=60, env=env, cwd=cwd)
            git('init', '-q', '-b', 'main', str(local), cwd=box.dir)
            (local / 'file').write_bytes(os.urandom(MIB))
            git('add', '.')
            git('commit', '-q', '-m', 'one')
            git('push', '-q', f'sandbox:{box.work}/repo.git', 'main')
            git('clone', '-q', f'sandbox:{box.work}/repo.git', str(box.dir / 'again'), cwd=box.dir)
            self.assertEqual((box.dir / 'again' / 'file').read_bytes(), (local / 'file').read_bytes())

    def test_rekey_in_the_middle_loses_nothing(self):
        with Ssh() as box:
            data = os.urandom(20 * MIB)
            got = subprocess.run(box.words('-o', 'RekeyLimit=1M', 'sandbox', 'cat'), input=data, capture_output=True, timeout=120)
            self.assertEqual(hashlib.sha256(got.stdout).digest(), hashlib.sha256(data).digest())

    def test_slow_reader_gets_everything(self):
        with Ssh() as box, subprocess.Popen(box.words('sandbox', 'head -c 30000000 /dev/zero'), stdout=subprocess.PIPE) as p:
            n = 0
            while chunk := p.stdout.read(65537):
                n += len(chunk)
                if n % 13 == 0:
                    os.sched_yield()
            self.assertEqual(n, 30000000)

    def test_client_that_never_reads_stops_the_writer_and_costs_no_memory(self):
        with Ssh() as box:
            with lab.Program(box.words('sandbox', 'i=0; while :; do head -c 100000 /dev/zero; i=$((i+1)); echo $i >count; done'),
                             stdout=subprocess.PIPE) as p:
                count = lambda: int((box.work / 'count').read_text() or 0) if (box.work / 'count').exists() else 0
                wait_for(lambda: count() > 5)
                last = [-1]

                def stands_still():
                    now, before = count(), last[0]
                    last[0] = now
                    return now == before and not subprocess.run(['sleep', '0.5']).returncode and count() == now
                wait_for(stands_still, 30)
                self.assertLess(count(), 200)
                session = box.sessions()[0]
                with open(f'/proc/{session}/status') as f:
                    self.assertLess(int(re.search(r'VmRSS:\s+(\d+)', f.read())[1]), 40000)
                self.assertEqual(box.ssh('echo other').stdout, b'other\n')     # nobody else is held up
                p.kill()


class WithoutAccount(LabTest):
    """The workload's uid is a number without a line in /etc/passwd, as run_as_user: "4242" gives."""

    def test_sftp_and_scp_say_why_and_what_else_does(self):
        with Ssh() as box:
            (box.dir / 'up').write_bytes(b'data')
            for words, program in ((['-b', '/dev/null', 'sandbox'], 'sftp'), ([str(box.dir / 'up'), 'sandbox:there'], 'scp')):
                got = subprocess.run(box.words(*words, program=program), capture_output=True, timeout=20)
                self.assertNotEqual(got.returncode, 0, got)
                self.assertIn(b'/etc/passwd has none for uid 4242', got.stderr)
                self.assertIn(b'rsync', got.stderr)
            self.assertFalse((box.work / 'there').exists())

    def test_what_the_sentence_names_works(self):
        with Ssh() as box:
            tree = box.dir / 'tree'
            tree.mkdir()
            (tree / 'file').write_bytes(os.urandom(100000))
            got = subprocess.run(['rsync', '-a', '-e', ' '.join(box.words()), '--no-o', '--no-g', f'{tree}/', 'sandbox:one/'],
                                 capture_output=True, timeout=60)
            self.assertEqual(got.returncode, 0, got)
            packed = subprocess.run(['tar', '-C', str(tree), '-c', '.'], capture_output=True, timeout=20).stdout
            got = box.ssh('mkdir two && tar -C two -x', input=packed)
            self.assertEqual(got.returncode, 0, got)
            for name in ('one', 'two'):
                self.assertEqual((box.work / name / 'file').read_bytes(), (tree / 'file').read_bytes())


def reached(address):
    """A connection to a port or a path, None while nobody listens there."""
    s = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    s.settimeout(20)
    try:
        s.connect(address)
        return s
    except OSError:
        s.close()
        return None


class Forward(LabTest):
    SERVER = ('import socket,sys\ns=socket.create_server(("127.0.0.1",8123))\nprint("up",flush=True)\n'
              'while True:\n c,_=s.accept()\n d=b""\n while x:=c.recv(65536): d+=x\n c.sendall(b"got %d" % len(d)); c.close()')

    def test_forward_to_a_server_inside(self):
        with Ssh(['/usr/bin/python3', '-c', self.SERVER]) as box:
            box.wait_out('up')
            free = socket.create_server(('127.0.0.1', 0))
            port = free.getsockname()[1]
            free.close()
            with lab.Program(box.words('-N', '-o', 'ExitOnForwardFailure=yes', '-L', f'127.0.0.1:{port}:localhost:8123', 'sandbox')) as p:
                wait_for(lambda: reached(('127.0.0.1', port))).close()
                for size in (0, 5, 3000000):
                    with socket.create_connection(('127.0.0.1', port), 20) as s:
                        s.settimeout(20)
                        s.sendall(b'x' * size)
                        s.shutdown(socket.SHUT_WR)
                        self.assertEqual(s.recv(100), f'got {size}'.encode())
                p.kill()

    def test_forward_does_not_wait_for_more_bytes(self):
        """Row 216: no-delay.  The descriptor of the session program is looked at."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Ssh(['/usr/bin/python3', '-c', self.SERVER]) as box:
            box.wait_out('up')
            with lab.Program(box.words('-W', '127.0.0.1:8123', 'sandbox'), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as p:
                pid = wait_for(box.sessions)[0]
                pidfd = os.pidfd_open(pid)
                self.addCleanup(os.close, pidfd)

                def internet_sockets():
                    for number in map(int, os.listdir(f'/proc/{pid}/fd')):
                        fd = libc.syscall(438, pidfd, number, 0)        # pidfd_getfd
                        if fd < 0:
                            continue
                        try:
                            s = socket.socket(fileno=fd)
                        except OSError:     # no socket
                            os.close(fd)
                            continue
                        with s:
                            if s.family == socket.AF_INET:
                                yield s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                wait_for(lambda: set(internet_sockets()) == {1})        # two descriptors, one for each direction
                p.kill()

    def test_half_closed_forward_and_closed_terminal_cost_nothing(self):
        server = ('import socket\ns=socket.create_server(("127.0.0.1",8124))\nprint("up",flush=True)\nc,_=s.accept()\n'
                  'c.sendall(b"bye"); c.shutdown(1)\nprint("got",c.recv(10),flush=True)\nimport time; time.sleep(1000)')
        with Ssh(['/usr/bin/python3', '-c', server]) as box:
            box.wait_out('up')
            path = str(box.dir / 'forward')
            with lab.Program(box.words('-N', '-L', f'{path}:127.0.0.1:8124', 'sandbox')) as p:
                with wait_for(lambda: reached(path)) as s:
                    self.assertEqual((s.recv(10), s.recv(10)), (b'bye', b''))
                    self.assertTrue(idle(wait_for(box.sessions)[0]))
                    s.sendall(b'still')
                    box.wait_out('still')
                p.kill()
            wait_for(lambda: not box.sessions())
            with Terminal(box.words('-tt', 'sandbox', 'exec sleep 1000 <&- >&- 2>&-')):
                wait_for(lambda: [p for p in lab.descendants(box.process.pid) if lab.exe_name(p) == 'sleep'])
                self.assertTrue(idle(box.sessions()[0]))

    def test_what_is_not_loopback_is_refused(self):
        """Attack 119: to the supervisor, the proxy, the outside, an odd port."""
        with Ssh(['/usr/bin/python3', '-c', self.SERVER]) as box, Origin(), Origin('127.0.0.1', 9119) as host:
            box.wait_out('up')
            for target in ('10.200.0.1:3128', 'origin.test:80', '192.31.196.10:80', '169.254.169.254:80', '0.0.0.0:8123', '[::]:8123',
                           '127.0.0.1:73659'):
                got = subprocess.run(box.words('-W', target, 'sandbox'), input=b'GET / HTTP/1.0\r\n\r\n', capture_output=True, timeout=20)
                self.assertNotEqual(got.returncode, 0, (target, got))
                self.assertEqual(got.stdout, b'', (target, got))
            # The host's own loopback is another one.
            got = subprocess.run(box.words('-W', '127.0.0.1:9119', 'sandbox'), input=b'GET / HTTP/1.0\r\n\r\n', capture_output=True, timeout=20)
            self.assertEqual((got.stdout, host.connections), (b'', 0))
            for target in ('127.0.0.1:8123', 'LOCALHOST:8123', '127.255.255.254:8123', '[::ffff:127.0.0.1]:8123'):
                got = subprocess.run(box.words('-W', target, 'sandbox'), input=b'12345', capture_output=True, timeout=20)
                if '127.255' not in target:     # the server listens on one address
                    self.assertEqual(got.stdout, b'got 5', (target, got))
            self.assertIn('refused: forward', box.err)

    def test_other_requests_are_refused(self):
        with Ssh() as box:
            got = subprocess.run(box.words('-o', 'ExitOnForwardFailure=yes', '-R', '8999:localhost:80', 'sandbox', 'true'), capture_output=True, timeout=20)
            self.assertNotEqual(got.returncode, 0)
            got = subprocess.run(box.words('-s', 'sandbox', 'netconf'), capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
            self.assertNotEqual(got.returncode, 0)
            wait_for(lambda: 'refused: subsystem netconf' in box.err and 'refused: tcpip-forward' in box.err)
            got = subprocess.run(box.words('-A', '-X', 'sandbox', 'echo "$SSH_AUTH_SOCK$DISPLAY"'), capture_output=True, timeout=20)
            self.assertEqual(got.stdout, b'\n')


class Terminals(LabTest):
    def test_interactive_shell(self):
        with Ssh() as box, Terminal(box.words('sandbox'), rows=30, columns=91) as t:
            cooked = t.modes()
            t.ask('PS1="IN>"; echo r""eady', '[\r\n]ready')
            t.ask('stty size; echo $TERM; tty', r'30 91\s+xterm-256color\s+/dev/pts/\d+')
            t.send("sh -c 'echo g\"\"o; exec sleep 1000'\r")
            t.expect('[\r\n]go')
            t.send('\x03')
            t.ask('echo code=$?', 'code=130')
            t.send('exit 5\r')
            self.assertEqual(t.wait(), 5)
            self.assertEqual(t.modes(), cooked)

    def test_two_sessions_have_their_own_sizes(self):
        with Ssh() as box, Terminal(box.words('-tt', 'sandbox', 'sh'), rows=10, columns=50) as a, \
                Terminal(box.words('-tt', 'sandbox', 'sh'), rows=20, columns=60) as b:
            a.ask('stty size', '10 50')
            b.ask('stty size', '20 60')
            a.resize(11, 51)
            wait_for(lambda: a.ask('stty size', r'(\d+ \d+)\s')[1] == b'11 51')
            b.ask('stty size', '20 60')

    def test_two_terminals_of_one_connection_have_their_own_sizes(self):
        """Row 217: a state that was shared by the channels once resized the wrong one."""
        with Ssh() as box:
            path = str(box.dir / 'mux')
            with lab.Program(box.words('-M', '-N', '-S', path, 'sandbox')) as master, contextlib.ExitStack() as stack:
                stack.callback(master.kill)
                wait_for(lambda: os.path.exists(path))
                words = ['ssh', '-S', path, '-F', '/dev/null', '-tt', 'sandbox', 'sh']
                with Terminal(words, rows=10, columns=50) as a, Terminal(words, rows=20, columns=60) as b:
                    a.ask('stty size', '10 50')
                    b.ask('stty size', '20 60')
                    for t, rows in ((b, 21), (a, 11)):
                        t.resize(rows, 70)
                        wait_for(lambda: t.ask('stty size', r'(\d+ \d+)\s')[1] == b'%d 70' % rows)
                    b.ask('stty size', '21 70')
                    self.assertEqual(len(box.sessions()), 1)

    def test_background_process_with_the_terminal_does_not_hold_up_the_end(self):
        with Ssh() as box, Terminal(box.words('-tt', 'sandbox', 'trap "" HUP; sleep 1000 & echo done')) as t:
            t.expect('done')
            self.assertEqual(t.wait(), 0)

    def test_shell_without_terminal_uses_pipes(self):
        with Ssh() as box:
            got = subprocess.run(box.words('-T', 'sandbox'), input=b'test -t 0 || echo pipe; exit 4\n', capture_output=True, timeout=20)
            self.assertEqual((got.returncode, got.stdout), (4, b'pipe\n'), got)

    def test_modes_are_those_of_the_users_terminal(self):
        """What stty says here, it says there, before the command has begun."""
        with Ssh() as box:
            if not has_own_libssh():
                self.skipTest("this libssh does not tell the modes (packaging/fetch-libssh.sh)")
            for settings in WANTED_MODES:
                with self.subTest(settings):
                    self.assertEqual(stty_says(box.words('-tt', 'sandbox', 'stty -a'), settings), stty_says(['stty', '-a'], settings))

    def test_mode_that_is_off_is_off_before_the_first_byte(self):
        if not has_own_libssh():
            self.skipTest("this libssh does not tell the modes (packaging/fetch-libssh.sh)")
        with Ssh() as box, Terminal(['sh', '-c', 'stty -echo; exec "$@"', 'sh', *box.words('-tt', 'sandbox', 'read x; echo got $x')]) as t:
            wait_for(lambda: not t.modes()[3] & termios.ECHO)
            t.send('secret\r')
            self.assertNotIn(b'secret', t.expect('(.*)got secret')[1])
            t.wait()

    def test_terminal_is_sane_when_the_sandbox_is_killed(self):
        with Ssh() as box, Terminal(box.words('-tt', 'sandbox', 'sh')) as t:
            cooked = t.modes()
            t.ask('echo u""p', '[\r\n$] ?up')
            lab.kill(box.process.pid)
            t.wait()
            self.assertEqual(t.modes(), cooked)

    def test_attach_to_the_main_session(self):
        with Ssh([BASH, '--norc', '-i'], args=['-i']) as box:
            with Terminal(box.words('-tt', '-s', 'sandbox', 'openshell-main'), rows=31, columns=99) as t:
                t.ask("PS1='IN>'; echo r\"\"eady", '[\r\n]ready')
                wait_for(lambda: t.ask('stty size', r'(\d+ \d+)\s')[1] == b'31 99')
                t.send("sh -c 'echo g\"\"o; exec sleep 1000'\r")
                t.expect('[\r\n]go')
                t.send('\x03')
                t.ask('echo code=$?', 'code=130')
                t.resize(41, 101)
                wait_for(lambda: t.ask('stty size', r'(\d+ \d+)\s')[1] == b'41 101')
                with Terminal(box.words('-tt', '-s', 'sandbox', 'openshell-main')) as b:
                    b.expect('read-only')
                t.send('\x10\x11')
                self.assertEqual(t.wait(), 0)
            with Terminal(box.words('-tt', '-s', 'sandbox', 'openshell-main')) as t:
                t.expect('ready')
                t.send('exit 6\r')
                self.assertEqual(t.wait(), 6)
            self.assertEqual(box.process.wait(20), 6)


    def test_attach_without_anything_to_attach_to_says_what_to_do(self):
        with Named(['sleep', '100']) as box:
            config = box.dir / 'c'
            config.write_bytes(ctl(box, 'ssh-config').stdout)
            got = subprocess.run(['ssh', '-F', str(config), '-s', 'sandbox', 'openshell-main'], capture_output=True, timeout=20,
                                 stdin=subprocess.DEVNULL)
            self.assertEqual(got.returncode, 126, got)
            self.assertIn(b'--attachable', got.stderr)

    def test_attach_to_pipes_is_byte_exact(self):
        data = bytes(range(256)) * 300 + b'\x10\x11' * 10
        with Ssh(['sh', '-c', f'head -c {len(data)} | od -An -v -tx1 | tr -d " \\n"; echo; exit 3'], stdout=subprocess.DEVNULL) as box:
            got = subprocess.run(box.words('-s', 'sandbox', 'openshell-main'), input=data, capture_output=True, timeout=30)
            self.assertEqual((got.stdout.strip() == data.hex().encode(), got.returncode), (True, 3), got.stderr)


class FullScreen(TmuxUser, LabTest):
    def test_ssh(self):
        with Ssh() as box:
            self.use(lambda: self.keys(' '.join(box.words('sandbox')), 'Enter'), self.leave_by_exit)


class Hostile(LabTest):
    def test_session_program_has_nothing(self):
        with Ssh() as box, box.connect() as s:
            self.assertTrue(s.recv(100).startswith(b'SSH-2.0-'))       # it sends before it reads
            pid = wait_for(box.sessions)[0]
            with open(f'/proc/{pid}/status') as f:
                status = dict(l.rstrip('\n').split(':', 1) for l in f)
            self.assertEqual(set(status['Uid'].split()), {'65534'})
            self.assertEqual(set(status['Gid'].split()), {'65534'})
            self.assertEqual(status['Groups'].strip(), '')
            for caps in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
                self.assertEqual(int(status[caps], 16), 0, caps)
            self.assertEqual((status['NoNewPrivs'].strip(), status['Seccomp'].strip()), ('1', '2'))
            for what, number, *args in (
                    ('open a file', 257, -100 & (2 ** 64 - 1), '@/etc/passwd', 0), ('execute', 59, '@/bin/true', 0, 0),
                    ('new process', 56, 17, 0, 0, 0, 0), ('internet', 41, 2, 1, 0), ('unix', 41, 1, 1, 0), ('trace', 101, 16, 1, 0, 0),
                    ('signal', 62, os.getpid(), 0), ('become root', 105, 0), ('ioctl', 16, 3, 0x5412, 0), ('connect', 42, 3, 0, 0)):
                with self.subTest(what):
                    done = subprocess.run([str(lab.INJECT), str(pid), str(number), *map(str, args)], capture_output=True, text=True, timeout=20)
                    self.assertRegex(done.stdout.strip(), r'^(-1|-13|killed 31)$', done)

    @staticmethod
    def try_connect(box):
        try:
            return box.connect()
        except BlockingIOError:         # the backlog is full for the moment
            return None

    def test_200_connections_opened_and_dropped(self):
        with self.leaves_nothing(), Ssh() as box:
            box.ssh('true')
            leaf = box.leaf('process')
            before = len(os.listdir(f'/proc/{leaf}/fd'))
            for i in range(200):
                with wait_for(lambda: self.try_connect(box)) as s:
                    if i % 3 == 0:
                        s.recv(100)
                    elif i % 3 == 1:
                        s.sendall(b'SSH-2.0-x\r\n')
            wait_for(lambda: not box.sessions(), 30)
            wait_for(lambda: len(os.listdir(f'/proc/{leaf}/fd')) <= before, 10)
            self.assertEqual(box.ssh('echo fine').stdout, b'fine\n')

    def test_clients_that_stop_in_the_handshake_hold_up_nobody(self):
        with Ssh() as box:
            stuck = [box.connect() for _ in range(20)]
            self.addCleanup(lambda: [s.close() for s in stuck])
            for i, s in enumerate(stuck):
                s.recv(100)
                s.sendall(b'SSH-2.0-stuck\r\n' + b'\0\0\1\0' * (i % 2))
            self.assertEqual(box.ssh('echo fine').stdout, b'fine\n')
            wait_for(lambda: len(box.sessions()) == 20)

    def test_more_connections_than_the_limit_wait_for_their_turn(self):
        with Ssh() as box:
            idle = []

            def open_one():
                try:
                    idle.append(box.connect())
                except BlockingIOError:     # the backlog is full for the moment
                    pass
                return len(idle) == 70
            wait_for(open_one)
            wait_for(lambda: len(box.sessions()) == 64)
            for s in idle:
                s.close()
            self.assertEqual(box.ssh('echo fine').stdout, b'fine\n')

    def test_garbage(self):
        with Ssh() as box:
            for junk in (b'\0' * 1000, b'GET / HTTP/1.1\r\n\r\n', b'SSH-1.5-old\r\n', b'SSH-2.0-x\r\n' + os.urandom(5000), b'A' * 300000):
                with box.connect() as s:
                    try:
                        s.sendall(junk)
                        while s.recv(65536):
                            pass
                    except OSError:
                        pass
            self.assertEqual(box.ssh('echo fine').stdout, b'fine\n')
            self.assertIsNone(box.process.poll())

    def test_socket_mode_and_who_may_connect(self):
        with Ssh() as box:
            self.assertEqual(os.stat(box.path).st_mode & 0o777, 0o600)
            self.assertEqual(os.stat(os.path.dirname(box.path)).st_mode & 0o777, 0o700)
        with Ssh(path='@lab-ssh-2') as box:
            code = 'import socket\ns=socket.socket(socket.AF_UNIX); s.settimeout(10); s.connect("\\0lab-ssh-2"); print(s.recv(10))'
            got = subprocess.run(['setpriv', '--reuid', '4300', '--regid', '4300', '--clear-groups', '/usr/bin/python3', '-c', code],
                                 capture_output=True, text=True, timeout=20)
            self.assertNotIn('SSH', got.stdout, got)
            box.wait_err('uid 4300 may not control')

    def test_socket_that_cannot_be_had_ends_the_start(self):
        """Rows 207 and 209: told at once, nothing is waited for."""
        os.makedirs('/tmp/lab/open-ssh', exist_ok=True)
        os.chmod('/tmp/lab/open-ssh', 0o777)
        self.addCleanup(os.rmdir, '/tmp/lab/open-ssh')
        with Ssh(path='@lab-ssh-4'):
            for path, why in (('@lab-ssh-4', 'in use|listens there already'), ('/tmp/lab/open-ssh/s', '0700'), ('/proc/s/x', 'folder'), ('relative/s', 'absolute')):
                with self.subTest(path):
                    got = lab.run(lab.policy(), ['true'], args=['--ssh-socket-path', path, '--ctl-socket', 'none'])
                    self.assertEqual((got.code, got.out), (1, ''), got)
                    self.assertRegex(got.err.lower(), why)

    def test_a_stranger_who_knocks_without_end_is_told_about_now_and_then(self):
        code = ('import socket\nfor _ in range(400):\n s=socket.socket(1); s.settimeout(5); s.connect("\\0lab-ssh-knock")\n'
                ' s.recv(1) and exit(1)\n s.close()\nprint("done")')
        with tempfile.TemporaryDirectory(dir='/run') as folder, \
                Ssh(path='@lab-ssh-knock', args=['--log-file', f'{folder}/log']) as box:
            got = subprocess.run(['setpriv', '--reuid', '4300', '--regid', '4300', '--clear-groups', '/usr/bin/python3', '-c', code],
                                 capture_output=True, text=True, timeout=60)
            self.assertEqual(got.stdout, 'done\n', got)
            self.assertEqual(box.ssh('echo in').stdout, b'in\n')
            with open(f'{folder}/log') as log:
                self.assertIn(sum('may not control' in l for l in log), range(1, 10))

    def test_the_workload_cannot_reach_the_socket(self):
        for path in ('/run/openshell/ssh.sock', '/tmp/lab/ssh-dir/s', '@lab-ssh-3'):
            code = ('import socket,sys\np=sys.argv[1]\ntry:\n s=socket.socket(socket.AF_UNIX); s.connect("\\0"+p[1:] if p[0]=="@" else p);'
                    ' print("REACHED")\nexcept OSError as e: print(type(e).__name__)')
            with self.subTest(path), Ssh(path=path) as box:
                got = ctl(box, 'exec', '--', '/usr/bin/python3', '-c', code, path)
                self.assertNotIn(b'REACHED', got.stdout, got)
                self.assertEqual(got.returncode, 0, got)
