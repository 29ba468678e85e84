"""Raw tunnels where pipes are scarce: what one carries never shows up in another."""
import fcntl
import os
import socket
import threading

from lab import ORIGIN, PYTHON, Echo, LabTest, Sandbox, endpoint, policy, rule, wait_for

# Tunnels that nobody reads take all pipes that one user may have; then more tunnels come, with bytes at once.
CLIENT = r'''
import socket, sys
def tunnel(port, early=b"", window=262144):
    s = socket.socket(); s.settimeout(15)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    s.connect(("10.200.0.1", 3128))
    s.sendall(b"CONNECT origin.test:%d HTTP/1.1\r\nHost: x\r\n\r\n" % port + early)
    head = b""
    while b"\r\n\r\n" not in head:
        head += s.recv(1) or sys.exit("no tunnel")
    return s
def echoed(early):
    data = b""
    try:
        with tunnel(445, early) as s:
            while len(data) < len(early):
                d = s.recv(65536)
                if not d: break
                data += d
    except OSError: pass
    return data
hogs = [tunnel(443, window=4096) for _ in range(int(sys.argv[1]))]
print("open", flush=True); sys.stdin.readline()
print("cut", sum(echoed(b"S" * 20000) != b"S" * 20000 for _ in range(20)))
print("foreign", sum(echoed(b"F" * 10) != b"F" * 10 for _ in range(20)), flush=True)
'''


class Flood:
    """Sends to everybody without end."""

    def __init__(self, port):
        self.socket = socket.create_server((ORIGIN, port), backlog=512)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    @staticmethod
    def _one(peer):
        block = b'S' * 1000000
        with peer:
            try:
                while True:
                    peer.sendall(block)
            except OSError:
                pass


def small_pipes(pid):
    """How many pipes of the process got less than the usual 64 KiB."""
    found = 0
    for fd in os.listdir(f'/proc/{pid}/fd'):
        path = f'/proc/{pid}/fd/{fd}'
        if not os.readlink(path).startswith('pipe:'):
            continue
        again = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        found += fcntl.fcntl(again, fcntl.F_GETPIPE_SZ) < 65536
        os.close(again)
    return found


class Tunnels(LabTest):
    HOGS = 80       # pipe(7): 64 MiB for all pipes of a user; who wants more gets pipes of one or two pages

    def test_bytes_of_one_tunnel_never_come_out_of_another(self):
        doc = policy({'web': rule(*(endpoint(port=p, tls='skip') for p in (443, 445)), binaries=(PYTHON,))})
        stdin, feed = os.pipe()
        flood = Flood(443)
        self.addCleanup(flood.socket.close)
        with Echo(port=445), Sandbox(doc, ['/usr/bin/python3', '-c', CLIENT, str(self.HOGS)], stdin=stdin) as box:
            os.close(stdin)
            box.wait_out('open')
            wait_for(lambda: small_pipes(box.leaf('network')), 60)
            os.write(feed, b'\n')
            os.close(feed)
            got = box.finish()
        self.assertIn('cut 0\nforeign 0\n', got.out, got)
