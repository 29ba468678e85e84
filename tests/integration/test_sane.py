"""The user's terminal is as it was, whichever side is killed and by whichever door one came in.

-i has tests of its own (test_main_session.OnTerminal).
"""
import os
import signal
import termios

import lab
from lab import BASH, LabTest, wait_for
from terminal import Terminal
from test_main_session import Named, ctl_argv
from test_ssh import Ssh


def is_raw(t):
    return not t.modes()[3] & termios.ICANON


class Sane(LabTest):
    DOORS = {'exec -t': lambda b: ctl_argv(b, 'exec', '-t', '--', 'sh'), 'shell': lambda b: ctl_argv(b, 'shell'),
             'attach': lambda b: ctl_argv(b, 'attach'), 'ssh': lambda b: b.words('-tt', 'sandbox', 'sh'),
             'ssh attach': lambda b: b.words('-tt', '-s', 'sandbox', 'openshell-main')}

    def each(self, kill, doors=DOORS):
        for name in doors:
            with self.subTest(name), Ssh([BASH, '--norc', '-i'], args=['-i']) as box, Terminal(['sh', '-c', 'stty -echo; stty echo; exec "$@"', 'sh',
                                                                                            *self.DOORS[name](box)]) as t:
                cooked = t.modes()
                wait_for(lambda: is_raw(t))
                t.ask('echo u""p', '[\r\n](.{0,12})up')
                self.assertTrue(is_raw(t))
                kill(box, t)
                t.wait()
                wait_for(lambda: t.modes() == cooked, 5, lambda: f'{t.modes()} instead of {cooked}')

    def test_supervisor_is_killed(self):
        self.each(lambda box, t: lab.kill(box.process.pid))

    def test_process_leaf_is_killed(self):
        self.each(lambda box, t: lab.kill(box.leaf('process')))

    def test_supervisor_is_terminated(self):
        self.each(lambda box, t: box.process.terminate())

    def test_session_program_of_ssh_is_killed(self):
        self.each(lambda box, t: lab.kill(box.sessions()[0]), ('ssh', 'ssh attach'))

    def test_our_client_is_killed(self):
        """ssh(1) is not ours: a shell puts the terminal right after it."""
        self.each(lambda box, t: os.kill(t.pid, signal.SIGKILL), ('exec -t', 'shell', 'attach'))

    def test_client_is_killed_and_what_it_started_goes_with_it(self):
        with Ssh([BASH, '--norc', '-i'], args=['-i']) as box:
            for name in ('exec -t', 'ssh'):
                with self.subTest(name), Terminal(self.DOORS[name](box)) as t:
                    pid = int(t.ask('echo p""id=$$', r'pid=(\d+)')[1])
                    os.kill(t.pid, signal.SIGKILL)
                    t.wait()
                    wait_for(lambda: not lab.alive(pid), 10)
            for name in ('attach', 'ssh attach'):       # main stays, and can be had again
                with self.subTest(name), Terminal(self.DOORS[name](box)) as t:
                    wait_for(lambda: is_raw(t))
                    os.kill(t.pid, signal.SIGKILL)
                    t.wait()
                wait_for(lambda: self.writes(box, name))
            self.assertIsNone(box.process.poll())

    def writes(self, box, name):
        with Terminal(self.DOORS[name](box)) as t:
            try:
                t.ask('echo a""gain', '[\r\n](.{0,12})again')
                return True
            except AssertionError:
                return False


class Restored(LabTest):
    def test_ends_in_every_way(self):
        with Named([BASH, '--norc', '-i'], args=['-i']) as box:
            for words in (('exec', '-t', '--', 'sh', '-c', 'exit 3'), ('exec', '-t', '--', '/no/such'), ('exec', '-t', '--', 'sh', '-c', 'kill -9 $$')):
                with self.subTest(words), Terminal(['sh', '-c', '"$@"; echo code=$?; read x', 'sh', *ctl_argv(box, *words)]) as t:
                    cooked = t.modes()
                    t.expect(r'code=\d+')
                    self.assertEqual(t.modes(), cooked)
