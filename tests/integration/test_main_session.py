"""The main session: -i, its terminal, pipes, attaching, the lease, the end."""
import contextlib
import os
import signal
import socket
import struct
import subprocess
import termios
import time

import lab
from lab import BASH, LabTest, Sandbox, policy, wait_for
from terminal import WANTED_MODES, Terminal, stty_says

DEV = {'read_write': ['/dev/tty', '/dev/ptmx', '/dev/pts']}


def ctl(box, *words, **more):
    """openshell-supervisor ctl against this sandbox, to its end."""
    return subprocess.run([str(lab.SUPERVISOR), 'ctl', words[0], '--socket', box.socket, *words[1:]],
                          capture_output=True, timeout=60, **more)


def ctl_argv(box, *words):
    return [str(lab.SUPERVISOR), 'ctl', words[0], '--socket', box.socket, *words[1:]]


class Named(Sandbox):
    """A sandbox whose control socket is known, and that is running."""

    def __init__(self, command, args=(), document=None, running=True, **more):
        name = 'n%d' % (time.monotonic_ns() % 10 ** 12)
        self.name, self.socket = name, f'/run/openshell/{name}.ctl'
        if '--ctl-socket' in args:
            self.socket = args[args.index('--ctl-socket') + 1]
        super().__init__(document or policy(), command, args=['--name', name, *args], **more)
        if running:
            self.wait_err('enforcing')
            wait_for(lambda: b'not running' not in ctl(self, 'exec', '--', 'true').stderr)

    def __exit__(self, *what):
        said = self.err
        super().__exit__(*what)
        # Session programs of SSH have no exit status that anybody sees.
        if 'Sanitizer' in said or 'runtime error' in said:
            raise AssertionError(said)


class Outer:
    """A user's shell at a terminal, in which the supervisor is one command."""

    def __init__(self):
        self.box = Sandbox(policy(), ['true'])      # for its folders and its policy
        self.box.process.wait(20)
        self.name = self.box.dir.name
        self.socket = f'/run/openshell/{self.name}.ctl'
        self.terminal = Terminal([BASH, '--norc', '--noprofile', '-i'], env={'PS1': 'OUT>', 'HISTFILE': '', 'TERM': 'dumb'})
        self.terminal.expect('OUT>')
        self.before = self.saved()

    def saved(self):
        return self.terminal.ask('stty -g', r'\n([0-9a-f:]{30,})\s')[1]

    def start(self, *command, args=()):
        words = [str(lab.SUPERVISOR), '--policy', str(self.box.policy), '-w', str(self.box.work), '--name', self.name,
                 *args, '-i', '--', *command]
        self.terminal.send(' '.join(words) + '\r')
        self.terminal.expect('enforcing')
        return self.terminal

    def pid(self):
        return next(p for p in lab.children(self.terminal.pid) if lab.exe_name(p) == 'openshell-supervisor')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.terminal.__exit__()
        self.box.__exit__()


class OnTerminal(LabTest):
    def test_feels_like_bash(self):
        with self.leaves_nothing(), Outer() as outer:
            t = outer.start(BASH, '--norc', '-i')
            t.ask("PS1='IN>'", 'IN>$|IN>[^\']')
            t.ask('stty size; tty', r'24 80\s+/dev/pts/\d+')
            t.resize(33, 111)
            wait_for(lambda: t.ask('stty size', r'(\d+ \d+)\s')[1] == b'33 111')
            t.send("sh -c 'echo r\"\"eady; exec sleep 1000'\r")
            t.expect('[\r\n]ready')
            t.send('\x03')
            t.ask('echo code=$?', 'code=130')
            t.ask('exit 3', 'OUT>')
            t.ask('echo code=$?', r'code=3\s')
            self.assertEqual(outer.saved(), outer.before)

    def test_modes_are_those_of_the_users_terminal(self):
        """What stty says here, the command says there; and a character of several bytes is erased whole."""
        with Outer() as outer:
            argv = [str(lab.SUPERVISOR), '--policy', str(outer.box.policy), '-w', str(outer.box.work), '--name', 'modes', '-i', '--']
            for settings in WANTED_MODES:
                with self.subTest(settings):
                    self.assertEqual(stty_says([*argv, 'stty', '-a'], settings), stty_says(['stty', '-a'], settings))
            with Terminal(['sh', '-c', 'stty iutf8; exec "$@"', 'sh', *argv, 'sh', '-c', 'echo u""p; read x; echo "got <$x>"']) as t:
                t.expect('[\r\n]?up')
                t.send('a\u00e4\x7fb\r')
                t.expect('got <ab>')

    def test_terminal_is_sane_after_every_end(self):
        for name, command, action in (
                ('killed main', ['sleep', '1000'], lambda o: kill_main(o, signal.SIGKILL)),
                ('sigterm', ['sleep', '1000'], lambda o: os.kill(o.pid(), signal.SIGTERM)),
                ('sigkill', ['sleep', '1000'], lambda o: os.kill(o.pid(), signal.SIGKILL)),
                ('process leaf', ['sleep', '1000'], lambda o: os.kill(leaf_of(o.pid()), signal.SIGKILL)),
                ('crash', ['sleep', '1000'], lambda o: os.kill(o.pid(), signal.SIGSEGV)),
                ('cannot start', ['/no/such'], lambda o: None)):
            with self.subTest(name), Outer() as outer:
                # Without a shell that would put the terminal right itself.
                argv = [str(lab.SUPERVISOR), '--policy', str(outer.box.policy), '-w', str(outer.box.work), '--name',
                        'sane', '-i', '--', *command]
                t = Terminal(['/usr/bin/python3', '-c', KEEPER, *argv])
                with t:
                    cooked = t.modes()
                    if command[0] == 'sleep':
                        wait_for(lambda: not t.modes()[3] & termios.ICANON)
                        pid = wait_for(lambda: lab.children(t.pid))[0]
                        action(type('O', (), {'pid': lambda self: pid})())
                    t.expect('ENDED')
                    wait_for(lambda: t.modes() == cooked, 5, lambda: f'{t.modes()} instead of {cooked}')

    def test_stop_and_continue(self):
        with Outer() as outer:
            t = outer.start('sh', '-c', "'echo up; read x; echo got $x'")
            t.expect('up')
            pid = outer.pid()
            os.kill(pid, signal.SIGTSTP)
            t.expect('OUT>')
            self.assertEqual(outer.saved(), outer.before)
            t.send('fg\r')
            wait_for(lambda: open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0] == 'S')
            wait_for(lambda: not t.modes()[3] & termios.ICANON)
            t.ask('hello', 'got hello')
            t.expect('OUT>')

    def test_hang_up_ends_the_main_process(self):
        with self.leaves_nothing(), Outer() as outer:
            t = outer.start('sh', '-c', "'echo up; while :; do sleep 1; done'")
            t.expect('up')
            t.hang_up()

    def test_end_of_a_piped_stdin_is_end_of_input_on_the_terminal(self):
        got = Sandbox(policy(), ['cat'], args=['-i'], stdin=subprocess.PIPE)
        with got as box:
            out, _ = box.process.communicate(b'hello\n', timeout=30)
        self.assertEqual(out, b'hello\r\nhello\r\n')

    def test_service_without_stdin_is_not_ended_by_that(self):
        with Named(['cat'], args=['-i']) as box, Terminal(ctl_argv(box, 'attach')) as a:
            a.ask('hello', 'hello\r\nhello')
            self.assertIsNone(box.process.poll())


def cpu_ticks(pid):
    with open(f'/proc/{pid}/stat') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return int(fields[11]) + int(fields[12])


def idle(pid):
    """Within a second, less than a third of it on the processor: not spinning."""
    before = cpu_ticks(pid)
    time.sleep(1)       # a span to measure in, not something to wait for
    return cpu_ticks(pid) - before < 33


KEEPER = '''
import subprocess, sys, signal
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
subprocess.run(sys.argv[1:])
print("ENDED", flush=True)
signal.pause()
'''


def kill_main(outer, signo):
    leaf = leaf_of(outer.pid())
    main = wait_for(lambda: [p for p in lab.children(leaf) if lab.exe_name(p) == 'sleep'])
    os.kill(main[0], signo)


def leaf_of(pid):
    return lab.leaf_of(pid, 'process')


class Raw:
    """A client of the session channel that need not keep to any rules (proto/ipc/session)."""

    def __init__(self, box, read_only):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as ctl_socket:
            ctl_socket.connect(box.socket)
            ctl_socket.send(self.packet(1, b'\x08\x01'))
            ctl_socket.recv(4096)
            ctl_socket.send(self.packet(3, b''))
            _, fds, _, _ = socket.recv_fds(ctl_socket, 4096, 1)
        self.socket = socket.socket(fileno=fds[0])
        self.socket.settimeout(20)
        self.send(1, b'\x08\x01' if read_only else b'')
        self.until(65)

    @staticmethod
    def packet(number, body):
        return struct.pack('<HHI', number, 0, 0) + body

    def send(self, number, body=b''):
        self.socket.send(self.packet(number, body))

    def until(self, number):
        while True:
            got = self.socket.recv(65536)
            if not got or struct.unpack('<H', got[:2])[0] == number:
                return got

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


class Attach(LabTest):
    def test_looker_on_changes_nothing(self):
        """GAP-32: neither size nor signals nor input from a read-only client."""
        with Named(['sh', '-c', 'while read x; do stty size; echo $x; done'], args=['-i']) as box:
            with Terminal(ctl_argv(box, 'attach'), rows=20, columns=70) as a, Raw(box, read_only=True) as raw:
                a.ask('one', '20 70\\s+one')
                raw.send(4, b'\x08\x05\x10\x06')       # resize
                raw.send(5, b'\x08\x09')               # SIGKILL
                raw.send(2, b'\x12\x05evil\n')
                self.assertTrue(raw.until(68))          # dropped, and said so: all was looked at
                a.ask('two', '20 70\\s+two')
                self.assertNotIn(b'evil', a.data)

    def test_as_many_clients_as_the_limit_and_no_more(self):
        with Named(['cat'], args=['-i']) as box, contextlib.ExitStack() as stack:
            for _ in range(32):
                stack.enter_context(Raw(box, read_only=True))
            got = ctl(box, 'attach', stdin=subprocess.DEVNULL)
            self.assertEqual(got.returncode, 1, got)
            self.assertIn(b'32 clients are attached already', got.stderr)

    def test_client_that_breaks_the_rules_is_cut_off(self):
        with Named(['cat'], args=['-i']) as box:
            for number, body in ((3, b'\x08\xff\x01'), (1, b''), (99, b''), (2, b'\xff'), (65, b'')):
                with Raw(box, read_only=True) as raw:
                    raw.send(number, body)
                    self.assertEqual(raw.until(-1), b'', number)
            self.assertIsNone(box.process.poll())

    def test_replay_then_live_then_exit_status(self):
        with Named(['sh', '-c', 'echo before; read x; echo got $x; exit 9'], args=['-i']) as box:
            with Terminal(ctl_argv(box, 'attach')) as a:
                a.expect('before')
                a.ask('hello', 'got hello')
                self.assertEqual(a.wait(), 9)
            self.assertEqual(box.process.wait(20), 9)

    def test_detach_keys_leave_the_main_process_alone(self):
        with Named(['cat'], args=['-i']) as box:
            with Terminal(ctl_argv(box, 'attach')) as a:
                a.ask('one', 'one\r\none')
                a.send('\x10')
                a.ask('x', '\\^Px|\x10x')       # a Ctrl-P that detaches nothing arrives
                a.send('\x10')
                a.send('\x11never\r')
                a.expect('detached')
                self.assertEqual(a.wait(), 0)
            with Terminal(ctl_argv(box, 'attach')) as b:
                b.expect('one')
                b.ask('two', 'two\r\ntwo')
                self.assertNotIn(b'never', b.data)
            self.assertIsNone(box.process.poll())

    def test_terminal_that_its_program_has_closed_costs_nothing(self):
        with Named(['sh', '-c', 'exec sleep 1000 <&- >&- 2>&-'], args=['-i']) as box:
            wait_for(lambda: [p for p in lab.descendants(box.process.pid) if lab.exe_name(p) == 'sleep'])
            self.assertTrue(idle(box.process.pid))
            with Terminal(ctl_argv(box, 'exec', '-t', '--', 'sh', '-c', 'exec sleep 1000 <&- >&- 2>&-')) as t:
                wait_for(lambda: len([p for p in lab.descendants(box.process.pid) if lab.exe_name(p) == 'sleep']) == 2)
                self.assertTrue(idle(t.pid))
                self.assertTrue(idle(box.process.pid))

    def test_one_writer_at_a_time(self):
        with Named(['cat'], args=['-i']) as box, Terminal(ctl_argv(box, 'attach'), rows=30, columns=100) as a:
            a.ask('mine', 'mine\r\nmine')
            with Terminal(ctl_argv(box, 'attach'), rows=10, columns=20) as b:
                b.expect('read-only: another client')
                b.send('intruder\r')
                b.resize(5, 5)
                a.ask('again', 'again\r\nagain')
                b.expect('again')
                self.assertNotIn(b'intruder', a.data)
            os.kill(a.pid, signal.SIGKILL)      # abrupt loss gives the lease back
            a.wait()

            def taken():
                with Terminal(ctl_argv(box, 'attach')) as c:
                    c.send('third\r')
                    try:
                        c.expect('third\r\nthird', 1)
                        return True
                    except AssertionError:
                        return False
            wait_for(taken)

    def test_resize_by_the_writer(self):
        with Named(['sh', '-c', 'trap "stty size" WINCH; echo up; while :; do sleep 0.1; done'], args=['-i']) as box:
            with Terminal(ctl_argv(box, 'attach'), rows=20, columns=70) as a:
                a.expect('up')
                a.expect('20 70')
                a.resize(44, 123)
                a.expect('44 123')

    def test_read_only_on_request(self):
        with Named(['cat'], args=['-i']) as box, Terminal(ctl_argv(box, 'attach', '--read-only')) as a:
            with Terminal(ctl_argv(box, 'attach')) as b:
                b.ask('x1', 'x1\r\nx1')
                a.expect('x1\r+\nx1')

    def test_pipes_are_byte_exact_and_have_no_detach_keys(self):
        data = bytes(range(256)) * 700 + b'\x10\x11' * 10
        with Named(['sh', '-c', f'head -c {len(data)} | od -An -v -tx1 | tr -d " \\n"; echo; sleep 1000'], args=['--attachable'], stdout=subprocess.DEVNULL) as box:
            a = subprocess.Popen(ctl_argv(box, 'attach'), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            a.stdin.write(data)
            a.stdin.flush()
            self.assertEqual(a.stdout.readline().strip(), data.hex().encode())
            a.stdin.close()         # the end of a client is not the end of main's input
            a.terminate()
            a.wait(20)
            a.stdout.close()
            self.assertIsNone(box.process.poll())

    def test_end_of_our_own_stdin_ends_mains_and_streams_stay_apart(self):
        with Sandbox(policy(), ['sh', '-c', 'cat; echo err >&2; echo x >/dev/stdout'], args=['--attachable'], stdin=subprocess.PIPE) as box:
            out, _ = box.process.communicate(b'data\0\xff', timeout=30)
            self.assertEqual(out, b'data\0\xffx\n')
            self.assertTrue(box.err.endswith('err\n'), box.err)

    def test_large_output_arrives_whole_with_and_without_attaching(self):
        with Sandbox(policy(), ['sh', '-c', 'head -c 20000000 /dev/zero'], args=['--attachable']) as box:
            self.assertEqual(len(box.process.communicate(timeout=60)[0]), 20000000)

    def test_client_that_does_not_read_is_cut_off_and_holds_up_nobody(self):
        with Named(['sh', '-c', 'read x; head -c 6000000 /dev/zero | tr "\\0" a; echo END; read y'], args=['-i'],
                   stdin=subprocess.PIPE) as box:
            slow = subprocess.Popen(ctl_argv(box, 'attach'), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
            wait_for(lambda: len(os.listdir(f'/proc/{slow.pid}/fd')) > 6)
            box.process.stdin.write(b'go\n')
            box.process.stdin.flush()
            box.wait_out('END', 60)
            out, err = slow.communicate(timeout=30)
            self.assertIn(b'missed', err)
            self.assertLess(len(out), 3000000)
            self.assertIsNone(box.process.poll())

    def test_attach_after_the_exit_is_refused(self):
        with Named(['sh', '-c', 'sleep 0.5'], args=['-i'], running=False) as box:
            box.process.wait(20)
            got = ctl(box, 'attach', stdin=subprocess.DEVNULL)
            self.assertEqual(got.returncode, 1)
            self.assertIn(b'no sandbox', got.stderr)

    def test_command_with_passed_streams_says_what_to_do(self):
        with Named(['sleep', '100']) as box:
            got = ctl(box, 'attach', stdin=subprocess.DEVNULL)
            self.assertEqual(got.returncode, 1)
            self.assertIn(b'--attachable', got.stderr)
