"""storm_client.py SEED SECONDS - runs inside the sandbox: random bytes, shaped like requests, to the proxy."""
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time

PROXY = ('10.200.0.1', 3128)
TOKEN = os.environ.get('TOKEN', '').encode()
TOKENS = [b'\r\n', b'\n', b'\r', b'\0', b' ', b'\t', b':', b'0\r\n\r\n', b'\r\n\r\n', b'Content-Length: 5\r\n',
          b'Content-Length: 99999999999999999999\r\n', b'Transfer-Encoding: chunked\r\n', b'Expect: 100-continue\r\n',
          b'Connection: close\r\n', b'Connection: Upgrade\r\nUpgrade: websocket\r\n', b'ffffffffffffffff\r\n', b'5\r\nhello\r\n',
          b'Authorization: Basic Og==\r\n', b'X-Key: ' + TOKEN + b'\r\n', TOKEN, b'../', b'%2f', b'%2e%2e/', b'//', b'?', b'#',
          b'HTTP/1.1', b'HTTP/1.0', b'GET ', b'CONNECT ', b'x' * 9000, b'a: b\r\n' * 130, b'\xff\xfe', b'\x16\x03\x01']
KEY = b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n'


def message(r, absolute):
    """One request that is nearly well formed."""
    method = r.choice([b'GET', b'GET', b'HEAD', b'POST', b'PUT', b'OPTIONS', b'TRACE'])
    path = b'/v1/' + r.choice([b'x', b'y?k=' + TOKEN, TOKEN, b'a/../b', b'%41', b'bytes'])
    target = (b'http://origin.test' if absolute else b'') + path
    head = method + b' ' + target + b' HTTP/1.' + r.choice([b'1', b'1', b'1', b'0']) + b'\r\nHost: origin.test\r\n'
    for _ in range(r.randrange(4)):
        head += r.choice([b'X-Key: ' + TOKEN + b'\r\n', b'Accept: */*\r\n', b'Connection: close\r\n', b'Expect: 100-continue\r\n',
                          b'Authorization: Bearer ' + TOKEN + b'\r\n', b'TE: trailers\r\n',
                          b'Connection: Upgrade\r\nUpgrade: websocket\r\n' + KEY])
    if method in (b'POST', b'PUT'):
        body = bytes(r.randrange(256) for _ in range(r.choice([0, 1, 10, 5000])))
        if r.random() < .3:
            body = b'{"k": "' + TOKEN + b'"}'
        if r.random() < .1:
            body *= 1 + r.randrange(20)
        if r.random() < .5:
            out = b''
            while body:
                n = 1 + r.randrange(3000)
                out += b'%x\r\n%s\r\n' % (len(body[:n]), body[:n])
                body = body[n:]
            return head + b'Transfer-Encoding: chunked\r\n\r\n' + out + b'0\r\n' + r.choice([b'', b'X-T: 1\r\n']) + b'\r\n'
        return head + b'Content-Length: %d\r\n\r\n' % len(body) + body
    return head + b'\r\n'


def mutate(r, data):
    data = bytearray(data)
    for _ in range(r.choice([0, 0, 1, 1, 2, 5])):
        at = r.randrange(len(data) + 1)
        what = r.randrange(5)
        if what == 0 and data:
            data[at % len(data)] ^= 1 << r.randrange(8)
        elif what == 1:
            del data[at:at + r.choice([1, 2, 20, 200])]
        elif what == 2:
            data[at:at] = r.choice(TOKENS)
        elif what == 3:
            data[at:at] = data[at:at + r.randrange(200)]
        else:
            data[at:at] = bytes(r.randrange(256) for _ in range(r.randrange(1, 20)))
    return bytes(data)


def hello(r):
    """A ClientHello, of one of two versions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if r.random() < .5:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=r.choice(['origin.test', 'other.test'])).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


def trickle(r, s, data):
    if r.random() < .7:
        s.sendall(data)
        return
    while data:
        n = r.choice([1, 7, 100, 4000])
        s.sendall(data[:n])
        data = data[n:]
        if r.random() < .1:
            time.sleep(.002)


def leave(r, s):
    how = r.randrange(4)
    if how == 0:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))      # a reset
    elif how == 1:
        s.shutdown(socket.SHUT_WR)
    if how in (1, 2):
        s.settimeout(r.choice([.01, .1, .5]))
        for _ in range(50):
            if not s.recv(65536):
                break


def once(r):
    s = socket.create_connection(PROXY, timeout=3)
    try:
        kind = r.randrange(7)
        if kind < 2:
            trickle(r, s, b''.join(mutate(r, message(r, True)) for _ in range(1 + r.randrange(4))))
        elif kind == 2:
            trickle(r, s, mutate(r, b'CONNECT origin.test:%d HTTP/1.1\r\nHost: x\r\n\r\n' % r.choice([80, 443, 444])) + message(r, False))
        else:
            port = {3: 80, 4: 443, 5: 443, 6: 444}[kind]
            s.sendall(b'CONNECT origin.test:%d HTTP/1.1\r\nHost: x\r\n\r\n' % port)
            if b' 200 ' not in s.recv(39):
                return
            if kind == 4:
                trickle(r, s, mutate(r, hello(r)))
            elif kind == 5:
                context = ssl.create_default_context()
                s = context.wrap_socket(s, server_hostname='origin.test')
            if kind != 4:
                trickle(r, s, b''.join(mutate(r, message(r, False)) for _ in range(1 + r.randrange(4))))
        leave(r, s)
    finally:
        s.close()


def storm(seed, end, counts, i):
    r = random.Random(seed)
    while time.monotonic() < end:
        try:
            once(r)
        except OSError:
            pass
        counts[i] += 1


def main():
    seed, seconds, n = int(sys.argv[1]), float(sys.argv[2]), 8
    counts = [0] * n
    threads = [threading.Thread(target=storm, args=(seed * 100 + i, time.monotonic() + seconds, counts, i)) for i in range(n)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print('storm', sum(counts), flush=True)
    sys.stdin.readline()


main()
