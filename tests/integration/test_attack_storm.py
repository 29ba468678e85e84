"""Random clients against random servers: the leaf between them lives, forgets them and stays clean.

OPENSHELL_STORM_SECONDS and OPENSHELL_STORM_SEED make it longer or another one; worth most under the sanitizers.
"""
import contextlib
import os
import pathlib
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import lab
from lab import ORIGIN, PYTHON, LabTest, endpoint, policy, rule, wait_for
from test_credentials import SECRET, entry, start
from tls_lab import Authority

SECONDS = float(os.environ.get('OPENSHELL_STORM_SECONDS', 4))
SEED = int(os.environ.get('OPENSHELL_STORM_SEED', 1))
CLIENT = pathlib.Path(__file__).with_name('storm_client.py')
SANITIZER = r'Sanitizer|runtime error'

HEADS = [b'HTTP/1.1 200 OK\r\n', b'HTTP/1.1 200 OK\r\n', b'HTTP/1.0 200 OK\r\n', b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n',
         b'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n' * 17, b'HTTP/1.1 204 No Content\r\n', b'HTTP/1.1 304 Not Modified\r\n',
         b'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n', b'HTTP/1.1 417 No\r\n']
FIELDS = [b'Content-Type: text/plain\r\n', b'Content-Type: application/json\r\n', b'Content-Type: text/event-stream\r\n',
          b'Connection: close\r\n', b'Connection: keep-alive\r\n', b'Set-Cookie: a=' + SECRET.encode() + b'\r\n', b'Trailer: X-T\r\n',
          b'Content-Encoding: gzip\r\n', b'X: y\r\n' * 140, b'X-Long: ' + b'z' * 17000 + b'\r\n']


def answer(r):
    """One response that is nearly well formed; what was injected is in some."""
    out = r.choice(HEADS) + b''.join(r.choice(FIELDS) for _ in range(r.randrange(3)))
    body = bytes(r.randrange(256) for _ in range(r.choice([0, 1, 100, 3000]))) + r.choice([b'', SECRET.encode(), SECRET.encode()[:9]])
    body *= r.choice([1, 1, 1, 10])
    how = r.randrange(4)
    if how == 0:
        return out + b'Content-Length: %d\r\n\r\n' % (len(body) + r.choice([0, 0, 0, -1, 1])) + body
    if how == 1:
        out += b'Transfer-Encoding: chunked\r\n\r\n'
        while body:
            n = 1 + r.randrange(2000)
            out += b'%x;e=1\r\n%s\r\n' % (len(body[:n]), body[:n])
            body = body[n:]
        return out + b'0\r\n' + r.choice([b'', b'X-T: 1\r\n']) + b'\r\n'
    return out + b'\r\n' + body if how == 2 else out + b'Content-Length: 0\r\n\r\n' + out


def mutate(r, data):
    data = bytearray(data)
    for _ in range(r.choice([0, 0, 0, 1, 3])):
        at = r.randrange(len(data) + 1)
        what = r.randrange(4)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << r.randrange(8)
        elif what == 1:
            del data[at:at + r.choice([1, 20, 2000])]
        elif what == 2:
            data[at:at] = r.choice([b'\r\n', b'\n', b'\0', b'Content-Length: 3\r\n', b'Transfer-Encoding: chunked\r\n', b'0\r\n\r\n',
                                    b'HTTP/1.1 200 OK\r\n\r\n', b'q' * 20000])
        else:
            data[at:at] = data[at:at + 300]
    return bytes(data)


class Chaos:
    """A server whose every answer is drawn by lot; raw: TLS records without TLS, too."""

    def __init__(self, port, seed, tls=None, raw=False):
        self.tls, self.raw, self.random = tls, raw, random.Random(seed)
        self.socket = socket.create_server((ORIGIN, port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(peer, self.random.random()), daemon=True).start()

    def _serve(self, peer, seed):
        r = random.Random(seed)
        with contextlib.suppress(OSError, ssl.SSLError, ValueError):
            peer.settimeout(1)
            if self.tls and r.random() < .9:
                peer = self.tls.wrap_socket(peer, server_side=True)
            with peer:
                self._talk(r, peer)

    def _talk(self, r, peer):
        for _ in range(1 + r.randrange(4)):
            if r.random() < .8 and not peer.recv(r.choice([1, 100, 65536])):
                return
            if r.random() < .1:
                time.sleep(r.choice([.001, .05]))
            data = mutate(r, answer(r)) if not self.raw else bytes(r.randrange(256) for _ in range(r.randrange(600)))
            if self.raw and r.random() < .7:
                data = bytes([r.choice([20, 21, 22, 23]), 3, r.randrange(4), len(data) >> 8, len(data) & 255]) + data
            peer.sendall(data)
        if r.random() < .3 and not isinstance(peer, ssl.SSLSocket):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def sockets(pid):
    found = 0
    for fd in os.listdir(f'/proc/{pid}/fd'):
        with contextlib.suppress(OSError):
            found += os.readlink(f'/proc/{pid}/fd/{fd}').startswith('socket:')
    return found


class Storm(LabTest):
    def setUp(self):
        self.ca = Authority().issue('origin')
        self.addCleanup(self.ca.close)

    def policy(self):
        more = {'protocol': 'rest', 'access': 'full', 'enforcement': 'enforce', 'scrub_responses': True,
                'request_body_credential_rewrite': True}
        return policy({'web': rule(endpoint(**more), endpoint(port=443, **more), endpoint(port=444), binaries=(PYTHON,))})

    def change(self, box, credential, end):
        """Policies and credentials come and go under what is under way."""
        turn = 0
        while not end.wait(.05):
            with contextlib.suppress(OSError):
                turn += 1
                box.write_policy(policy({}) if turn % 4 == 0 else self.policy())
                box.write_credentials([] if turn % 5 == 0 else [credential])
                box.process.send_signal(signal.SIGHUP)
        box.write_policy(self.policy())

    def storm(self, seed, changing=False):
        credential = entry(value=SECRET, endpoints=[{'host': 'origin.test', 'port': p, 'path': '/v1/**'} for p in (80, 443)])
        command = ['/usr/bin/python3', '-c', CLIENT.read_text(), str(seed), str(SECONDS)]
        origins = [Chaos(80, seed), Chaos(443, seed + 1, tls=self.ca.context('origin')), Chaos(444, seed + 2, raw=True)]
        with contextlib.ExitStack() as stack:
            for origin in origins:
                stack.enter_context(origin)
            stdin, feed = os.pipe()
            self.addCleanup(lambda: [os.close(f) for f in (stdin, feed)])
            real = subprocess.Popen
            lab.subprocess.Popen = lambda argv, **kw: real(argv, **{**kw, 'stdin': stdin})
            try:
                box = start([credential], command, document=self.policy(), args=['--upstream-ca', str(self.ca.ca)])
            finally:
                lab.subprocess.Popen = real
            stack.enter_context(box)
            wait_for(lambda: box.leaf('network'))
            leaf = box.leaf('network')
            end = threading.Event()
            if changing:
                box.wait_err('enforcing')
                changer = threading.Thread(target=self.change, args=(box, credential, end))
                changer.start()
                stack.callback(changer.join)
                stack.callback(end.set)
            out = box.wait_out(r'storm \d+', SECONDS + 60)
            self.assertEqual(box.leaf('network'), leaf, box.err)
            end.set()
            # Nothing is left of them once their servers have gone; a head may wait for 15 s.
            for origin in origins:
                origin.__exit__()
            wait_for(lambda: sockets(leaf) <= 8, 90, lambda: f'{sockets(leaf)} sockets are left\n{box.err[-3000:]}')
            os.write(feed, b'\n')
            got = box.finish()
        self.assertEqual(got.code, 0, got)
        self.assertNotRegex(got.err, SANITIZER)
        self.assertNotIn(SECRET, got.err)
        return int(re.search(r'storm (\d+)', out)[1])

    def test_random_peers_on_both_sides(self):
        self.assertGreater(self.storm(SEED), 20)

    def test_random_peers_while_policy_and_credentials_change(self):
        self.assertGreater(self.storm(SEED + 1, changing=True), 20)
