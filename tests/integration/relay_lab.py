"""relay_lab.py - origins that record every byte, and a client inside the sandbox that sends any bytes.

The client runs in the sandbox as one Python program: it reads cases as JSON, sends each on a
connection of its own and prints what came back, so that one sandbox serves many cases.
"""
import base64
import contextlib
import json
import os
import re
import socket
import ssl
import tempfile
import threading

import lab
from lab import ORIGIN, PYTHON, Sandbox, endpoint, policy, rule

# A case: {"open": target of CONNECT or null, "tls": server name or null, "send": [base64...], "half": bool,
#          "wait": bytes that end the answer early (base64) or null}
CLIENT = r'''
import base64, json, os, socket, ssl, sys
def run(case):
    s = socket.create_connection(("10.200.0.1", 3128)); s.settimeout(40)
    out = b""
    try:
        if case.get("open"):
            s.sendall(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (case["open"], case["open"])).encode())
            head = b""
            while b"\r\n\r\n" not in head:
                d = s.recv(1)
                if not d: break
                head += d
            if b" 200 " not in head.split(b"\r\n")[0]:
                while d := s.recv(65536): head += d
                return {"connect": base64.b64encode(head).decode(), "out": ""}
        if case.get("tls"):
            c = ssl.create_default_context()
            c.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
            s = c.wrap_socket(s, server_hostname=case["tls"], suppress_ragged_eofs=False)
        wait = base64.b64decode(case.get("wait") or "")
        for i, part in enumerate(case["send"]):
            s.sendall(base64.b64decode(part).replace(b"@TOKEN@", os.environ.get("TOKEN", "").encode()))
            if i + 1 < len(case["send"]):
                # The next part follows what the first one was answered with.
                mark = base64.b64decode(case["between"])
                while mark not in out:
                    d = s.recv(65536)
                    if not d: break
                    out += d
        if case.get("half"): s.shutdown(socket.SHUT_WR)
        while not (wait and wait in out):
            d = s.recv(65536)
            if not d: break
            out += d
    except OSError as e:
        out += ("!" + repr(e)).encode()
    finally:
        s.close()
    return {"connect": "", "out": base64.b64encode(out).decode()}
for case in json.load(open(sys.argv[1])):
    print(json.dumps(run(case)), flush=True)
'''


def case(send, open='origin.test:80', **more):
    parts = send if isinstance(send, list) else [send]
    more = {k: base64.b64encode(v).decode() if isinstance(v, bytes) else v for k, v in more.items()}
    return {'open': open, 'send': [base64.b64encode(p).decode() for p in parts], **more}


class Answer:
    """What a case got: the refusal of its CONNECT, or the bytes behind it."""

    def __init__(self, row):
        self.connect = base64.b64decode(row['connect'])
        self.out = base64.b64decode(row['out'])
        self.bytes = self.connect or self.out
        self.codes = [int(c) for c in re.findall(rb'HTTP/1\.1 (\d{3}) ', self.bytes)]

    @property
    def json(self):
        return json.loads(self.bytes.split(b'\r\n\r\n', 1)[1])

    def __repr__(self):
        return f'codes {self.codes} connect {self.connect!r} out {self.out[:4000]!r}'


def converse(document, cases, seconds=120, runner=lab.run, **more):
    """runner: starts the sandbox; b"@TOKEN@" in what is sent is the variable of the sandbox."""
    with tempfile.NamedTemporaryFile('w', prefix='lab-cases-', dir='/tmp', delete=False) as f:
        json.dump(cases, f)
    os.chmod(f.name, 0o644)
    got = runner(document, ['/usr/bin/python3', '-c', CLIENT, f.name], seconds=seconds, **more)
    os.unlink(f.name)
    rows = [Answer(json.loads(line)) for line in got.out.splitlines() if line.startswith('{')]
    assert got.code == 0 and len(rows) == len(cases), got
    for row in rows:
        row.err = got.err
    return rows


def rest(*rules, host='origin.test', port=80, binaries=(PYTHON,), **more):
    """A policy with one REST endpoint, enforced; rules are (method, path[, query])."""
    more.setdefault('enforcement', 'enforce')
    if rules:
        more['rules'] = [{'allow': {'method': r[0], 'path': r[1], **({'query': r[2]} if len(r) > 2 else {})}}
                         for r in rules]
    elif 'access' not in more:
        more['access'] = 'full'
    return policy({'api': rule(endpoint(host, port, protocol='rest', **more), binaries=binaries)})


class Request:
    def __init__(self, head, body, raw):
        line, *fields = head.decode('latin1').split('\r\n')
        self.line, self.body, self.raw = line, body, raw
        self.method, self.target, self.version = (line.split(' ') + ['', ''])[:3]
        self.fields = [tuple(f.split(': ', 1)) if ': ' in f else (f, '') for f in fields if f]

    def field(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def __repr__(self):
        return f'{self.line} {self.fields} {self.body[:200]!r}'


class Recorder:
    """An origin that keeps every byte and answers what `reply` says for a request.

    reply(request) gives bytes; None closes; a list is sent piece by piece.  close=True in the tuple
    (bytes, True) closes behind them.
    """

    def __init__(self, reply=None, address=ORIGIN, port=80, tls=None):
        self.reply = reply or (lambda r: b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        self.requests, self.raw, self.connections = [], [], 0
        self.tls = tls
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        self.socket = socket.create_server((address, port), family=family, backlog=128)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        record = bytearray()
        self.raw.append(record)
        with contextlib.suppress(OSError, ssl.SSLError):
            if self.tls:
                peer = self.tls.wrap_socket(peer, server_side=True)
            with peer:
                while self._one(peer, record):
                    pass

    def _more(self, peer, record):
        data = peer.recv(65536)
        record += data
        return data

    def _one(self, peer, record):
        start = getattr(peer, 'at', None) or self.__dict__.setdefault('_at', {}).get(id(record), 0)
        while (end := record.find(b'\r\n\r\n', start)) < 0:
            if not self._more(peer, record):
                return False
        head, body_at = bytes(record[start:end]), end + 4
        fields = head.decode('latin1').lower()
        if re.search(r'^expect: 100-continue$', fields.replace('\r', ''), re.M):
            peer.sendall(b'HTTP/1.1 100 Continue\r\n\r\n')
        length = re.search(r'\r\ncontent-length: (\d+)', fields)
        if '\r\ntransfer-encoding: chunked' in fields:
            stop = self._chunked(peer, record, body_at)
        else:
            stop = body_at + (int(length[1]) if length else 0)
            while len(record) < stop:
                if not self._more(peer, record):
                    return False
        if stop is None:
            return False
        request = Request(head, bytes(record[body_at:stop]), bytes(record[start:stop]))
        self.requests.append(request)
        self._at[id(record)] = stop
        return self._answer(peer, request)

    def _chunked(self, peer, record, at):
        while True:
            while (line := record.find(b'\r\n', at)) < 0:
                if not self._more(peer, record):
                    return None
            size = int(bytes(record[at:line]).split(b';')[0], 16)
            at = line + 2
            if size == 0:
                while not (bytes(record[at:at + 2]) == b'\r\n' or b'\r\n\r\n' in record[at:]):
                    if not self._more(peer, record):
                        return None
                return at + 2 if bytes(record[at:at + 2]) == b'\r\n' else record.find(b'\r\n\r\n', at) + 4
            while len(record) < at + size + 2:
                if not self._more(peer, record):
                    return None
            at += size + 2

    def _answer(self, peer, request):
        reply = self.reply(request)
        if reply is None:
            return False
        reply, close = reply if isinstance(reply, tuple) else (reply, False)
        for piece in reply if isinstance(reply, list) else [reply]:
            peer.sendall(piece)
        return not close

    @property
    def targets(self):
        return [r.target for r in self.requests]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def get(target='/', host='origin.test', *fields, method='GET', version='1.1', body=b''):
    head = ''.join(f'{f}\r\n' for f in ((f'Host: {host}',) if host else ()) + fields)
    return f'{method} {target} HTTP/{version}\r\n{head}\r\n'.encode('latin1') + body


LAST = 'Connection: close'
__all__ = ['Answer', 'CLIENT', 'LAST', 'Recorder', 'Sandbox', 'case', 'converse', 'get', 'rest']
