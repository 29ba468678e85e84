"""terminal.py - a user at a terminal: a program on a pty of ours, typed at and looked at."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

WAIT = 20


class Terminal:
    """argv on a fresh terminal.  Always a context manager; the program is killed on leaving."""

    def __init__(self, argv, env=None, rows=24, columns=80, cwd=None):
        self.data = b''
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
            if cwd:
                os.chdir(cwd)
            os.execvpe(argv[0], argv, {**os.environ, 'TERM': 'xterm-256color', **(env or {})})

    def expect(self, pattern, seconds=WAIT):
        """Read until the output matches; what matched and everything before it is dropped."""
        end = time.monotonic() + seconds
        compiled = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.S)
        while not (found := compiled.search(self.data)):
            left = end - time.monotonic()
            ready = select.select([self.master], [], [], max(0, left))[0] if left > 0 else []
            chunk = b''
            if ready:
                try:
                    chunk = os.read(self.master, 65536)
                except OSError:
                    pass
            if not chunk:
                raise AssertionError(f'no {pattern!r} in {self.data!r}')
            self.data += chunk
        self.data = self.data[found.end():]
        return found

    def send(self, text):
        os.write(self.master, text.encode() if isinstance(text, str) else text)

    def ask(self, command, pattern):
        self.send(command + '\r')
        return self.expect(pattern)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def modes(self):
        return termios.tcgetattr(self.master)[:4]

    def wait(self, seconds=WAIT):
        """Exit status as a shell would give it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            if self.master < 0:
                time.sleep(0.01)
            elif select.select([self.master], [], [], 0.02)[0]:
                try:
                    self.data += os.read(self.master, 65536)
                except OSError:
                    time.sleep(0.01)
        raise AssertionError(f'still running; output {self.data!r}')

    def hang_up(self):
        os.close(self.master)
        self.master = -1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(self.pid, 0)
        if self.master >= 0:
            os.close(self.master)


WANTED_MODES = ('-echo erase ^H intr ^B susp undef -iutf8 ixany -icrnl -onlcr tostop ospeed 9600', 'iutf8 -imaxbel erase ^H')


def stty_says(argv, settings):
    """What "stty -a", run by argv on a terminal with these settings, says of the terminal that it has."""
    with Terminal(['sh', '-c', f'stty {settings}; exec "$@"', 'sh', *argv]) as t:
        said = t.expect('speed .* -?extproc')[0]
        t.wait()
        return said.split()
