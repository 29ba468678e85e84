"""SSH as no ordinary client speaks it: logins that are refused, requests that are never granted."""
import os
import re
import socket
import struct
import subprocess
import threading
import time

import lab
from lab import LabTest, Origin, wait_for
from test_ssh import Forward as SshForward, Ssh, has_own_libssh

TOOL = lab.BUILD / 'tests' / 'confinement' / 'ssh_tool'


class Spoken(Ssh):
    def say(self, *words, **more):
        """ssh_tool's lines, as words and answers."""
        got = subprocess.run([str(TOOL), self.path, *words], capture_output=True, text=True, timeout=60, **more)
        assert got.returncode == 0, got
        return got.stdout.splitlines()


class LyingAgent:
    """An agent that has a key and signs with something else."""

    def __init__(self, path, blob, good_length=64):
        self.path, self.blob, self.length, self.asked = path, blob, good_length, 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen()
        threading.Thread(target=self.serve, daemon=True).start()

    @staticmethod
    def text(b):
        return struct.pack('>I', len(b)) + b

    def serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                while head := peer.recv(4, socket.MSG_WAITALL):
                    body = peer.recv(struct.unpack('>I', head)[0], socket.MSG_WAITALL)
                    if body[0] == 11:
                        answer = b'\x0c' + struct.pack('>I', 1) + self.text(self.blob) + self.text(b'key')
                    else:
                        self.asked += 1
                        answer = b'\x0e' + self.text(self.text(b'ssh-ed25519') + self.text(b'\x55' * self.length))
                    peer.sendall(self.text(answer))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.unlink(self.path)


def make_key(box, name='key'):
    path = str(box.dir / name)
    lab.sh('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path)
    return path


class Login(LabTest):
    def test_password_and_keyboard_are_refused_and_others_still_do(self):
        with Spoken() as box:
            key = make_key(box)
            self.assertEqual(box.say('password', 'keyboard', 'password', f'key:{key}', 'session', 'exec:id -u', 'output'),
                             ['password no', 'keyboard no', 'password no', f'key:{key} yes', 'session yes', 'exec:id -u yes', '4242', 'output yes'])
            self.assertEqual(box.say('password', 'none'), ['password no', 'none yes'])

    def test_nothing_is_open_before_the_login(self):
        with Spoken() as box:
            self.assertEqual(box.say('password', 'session')[:2], ['password no', 'session no'])

    def test_certificate_is_refused(self):
        with Spoken() as box:
            key, authority = make_key(box), make_key(box, 'ca')
            lab.sh('ssh-keygen', '-q', '-s', authority, '-I', 'id', '-n', 'sandbox', key + '.pub')
            self.assertEqual(box.say(f'certificate:{key}', f'key:{key}'), [f'certificate:{key} no', f'key:{key} yes'])

    def test_key_that_somebody_does_not_have_is_refused(self):
        """Any key will do, but it has to be had: a wrong signature is a refusal, as everywhere."""
        with Spoken() as box:
            blob = __import__('base64').b64decode(open(make_key(box) + '.pub').read().split()[1])
            path = str(box.dir / 'agent')
            with LyingAgent(path, blob) as agent:
                said = box.say('agent', 'session', env={**os.environ, 'SSH_AUTH_SOCK': path})
                self.assertEqual(said[0].split()[0], 'agent')
                self.assertNotIn('yes', ' '.join(said))
                self.assertEqual(agent.asked, 1)
            self.assertEqual(box.ssh('echo fine').stdout, b'fine\n')

    def test_refusals_are_counted_and_end_the_connection(self):
        with Spoken() as box:
            said = box.say(*['password'] * 12)
            self.assertEqual(said.count('password no'), 11, said)
            self.assertEqual(said[11], 'password gone')
            wait_for(lambda: not box.sessions())

    def test_try_after_a_refusal_waits(self):
        """A lower bound: a slow machine only makes it longer."""
        with Spoken() as box:
            before = time.monotonic()
            box.say('none')
            quick = time.monotonic() - before
            before = time.monotonic()
            box.say('password', 'password', 'password', 'none')
            self.assertGreaterEqual(time.monotonic() - before, 3.0)
            self.assertLess(quick, 60)

    def test_others_are_not_held_up_by_a_refusal(self):
        with Spoken() as box, lab.Program([str(TOOL), box.path, *['password'] * 10], stdout=subprocess.PIPE) as p:
            self.assertEqual(p.stdout.readline(), b'password no\n')
            self.assertEqual(box.ssh('echo fine').stdout, b'fine\n')
            p.kill()


class Requests(LabTest):
    def test_x11_agent_and_other_channels_are_refused(self):
        with Spoken() as box:
            said = box.say('none', 'session', 'x11', 'agent-forward', 'exec:echo "[$SSH_AUTH_SOCK$DISPLAY]"', 'output', 'x11-channel')
            self.assertEqual(said[2], 'x11 no')
            self.assertIn('[]', said)
            self.assertEqual(said[-1], 'x11-channel no')
            box.wait_err('refused: X11 forwarding')
            box.wait_err('refused: a channel of another kind than session')

    def test_forwards_of_sockets_and_listeners_are_refused(self):
        """streamlocal both ways, tcpip-forward, what is no loopback; the connection goes on."""
        with Spoken(['/usr/bin/python3', '-c', 'import socket\ns=socket.socket(1); s.bind("here"); s.listen()\n'
                     'print("up",flush=True)\nimport time; time.sleep(1000)']) as box:
            box.wait_out('up')
            inside = f'unix:{box.work}/here'
            said = box.say('none', inside, 'unix:/run/openshell/ssh.sock', 'listen:8999', 'tcp:10.200.0.1:3128',
                           'session', 'exec:echo fine', 'output')
            self.assertEqual(said, ['none yes', f'{inside} no', 'unix:/run/openshell/ssh.sock no', 'listen:8999 no',
                                    'tcp:10.200.0.1:3128 no', 'session yes', 'exec:echo fine yes', 'fine', 'output yes'])
            box.wait_err('refused: tcpip-forward')
            box.wait_err('refused: forward to 10.200.0.1')

    def test_port_is_not_cut_to_16_bits(self):
        """Row 215: 65536 + 8123 is not 8123."""
        if not has_own_libssh():
            self.skipTest('this libssh cuts it (packaging/libssh.patch)')
        with Spoken(['/usr/bin/python3', '-c', SshForward.SERVER]) as box:
            box.wait_out('up')
            self.assertEqual(box.say('none', 'tcp:localhost:8123', 'tcp:localhost:73659', 'tcp:localhost:0'),
                             ['none yes', 'tcp:localhost:8123 yes', 'tcp:localhost:73659 no', 'tcp:localhost:0 no'])

    def test_dial_that_fails_closes_its_channel_only(self):
        """GAP-28, the forward's part: nobody listens there."""
        with Spoken() as box:
            said = box.say('none', 'tcp:127.0.0.1:9', 'session', 'exec:echo fine', 'output')
            self.assertEqual(said[-2:], ['fine', 'output yes'])

    def test_env_is_answered_even_when_it_is_not_taken(self):
        with Spoken() as box:
            said = box.say('none', 'session', 'env:LC_ALL=C', 'env:LD_PRELOAD=/x', 'env:OPENSHELL_X=1', 'env:PATH=/evil',
                           'exec:echo "$LC_ALL|$LD_PRELOAD|$OPENSHELL_X|$PATH"', 'output')
            self.assertEqual(said[2:6], ['env:LC_ALL=C yes', 'env:LD_PRELOAD=/x yes', 'env:OPENSHELL_X=1 yes', 'env:PATH=/evil yes'])
            self.assertTrue(said[7].startswith('C|||'), said)
            self.assertNotIn('evil', said[7])

    def test_signals_arrive_and_the_end_by_one_is_told(self):
        ready = 'exec:trap "echo got; exit 3" USR1; echo up; while :; do sleep 0.05; done'
        with Spoken() as box:
            # The command may not have its trap yet: the signal is asked for when it has said "up".
            with lab.Program([str(TOOL), box.path, 'none', 'session', 'exec:' + 'kill -TERM $$', 'end'], stdout=subprocess.PIPE, text=True) as p:
                self.assertIn('end signal TERM', p.communicate(timeout=30)[0])
            self.assertIn('end signal KILL', box.say('none', 'session', 'exec:sleep 1000', 'signal:KILL', 'end'))
            self.assertIn('end status 7', box.say('none', 'session', 'exec:exit 7', 'end'))
            said = box.say('none', 'session', ready, 'line', 'signal:USR1', 'end')
            self.assertEqual(said[-2:], ['got', 'end status 3'], said)
            said = box.say('none', 'session', 'exec:exit 4', 'signal:STOP', 'signal:NONSENSE', 'end')   # not of the protocol
            self.assertEqual(said[-1], 'end status 4')

    def test_command_that_cannot_be_started_ends_its_channel_only(self):
        """GAP-28: 126, 127, and the connection goes on."""
        with Spoken() as box:
            said = box.say('none', 'session', 'exec:exec /no/such', 'end', 'session', 'exec:exec /etc/passwd', 'end', 'session', 'exec:echo fine', 'output')
            self.assertIn('end status 127', said)
            self.assertIn('end status 126', said)
            self.assertIn('fine', said)

    def test_second_request_on_a_channel_is_refused(self):
        with Spoken() as box:
            said = box.say('none', 'session', 'exec:cat', 'exec:id', 'pty', 'shell')
            self.assertEqual(said[2:], ['exec:cat yes', 'exec:id no', 'pty no', 'shell no'])


class Listener(LabTest):
    def test_accept_that_fails_is_not_the_end(self):
        """GAP-27: no descriptor left for a while; then the next connection is served."""
        with Spoken() as box:
            leaf = box.leaf('process')
            limits = re.search(r'Max open files +(\d+) +(\d+)', open(f'/proc/{leaf}/limits').read())
            lab.sh('prlimit', '--pid', str(leaf), f'--nofile={len(os.listdir(f"/proc/{leaf}/fd"))}:{limits[2]}')
            s = box.connect()
            self.addCleanup(s.close)
            s.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                s.recv(1)
            self.assertTrue(lab.alive(leaf))
            lab.sh('prlimit', '--pid', str(leaf), f'--nofile={limits[1]}:{limits[2]}')
            s.settimeout(20)
            self.assertTrue(s.recv(100).startswith(b'SSH-2.0-'))
            self.assertEqual(box.ssh('echo fine').stdout, b'fine\n')
