"""Attacks 28-62 as far as the plain proxy has them: framing, smuggling, paths, exhaustion."""
import base64
import contextlib
import json
import os
import re
import select
import socket
import subprocess
import threading
import time

import lab
from lab import PYTHON, LabTest, Origin, Sandbox, endpoint, policy, rule, run, wait_for
from test_attack_names import SENDER

ANY = ('/**',)
OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'


class RawOrigin:
    """Keeps every byte that arrives; answers each complete head with the next of answers."""

    def __init__(self, *answers, address=lab.ORIGIN, port=80):
        self.answers, self.received, self.connections = list(answers) or [OK], b'', 0
        self.socket = socket.create_server((address, port), backlog=128)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                self.connections += 1
                threading.Thread(target=self.talk, args=(peer,), daemon=True).start()

    def talk(self, peer):
        seen = b''
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(65536):
                self.received += data
                seen += data
                while b'\r\n\r\n' in seen:
                    seen = seen.split(b'\r\n\r\n', 1)[1]
                    peer.sendall(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def get(path='/', extra=b'', host='origin.test', method=b'GET', version=b'1.1'):
    path = path if isinstance(path, bytes) else path.encode()
    return method + b' http://' + host.encode() + path + b' HTTP/' + version + b'\r\nHost: ' + host.encode() + b'\r\n' + extra + b'\r\n'


class Http(LabTest):
    doc = {'w': rule(endpoint(), binaries=ANY)}

    def send(self, *messages, doc=None, args=()):
        with open('/tmp/lab/http', 'w') as f:
            json.dump([base64.b64encode(m).decode() for m in messages], f)
        got = run(policy(doc or self.doc), ['/usr/bin/python3', '-c', SENDER, '/tmp/lab/http'], seconds=120, args=args)
        self.assertEqual(got.code, 0, got)
        answers = [json.loads(l) for l in got.out.splitlines()]
        self.assertEqual(len(answers), len(messages), got)
        return answers

    def codes(self, *messages, **more):
        return [a['codes'] for a in self.send(*messages, **more)]

    def test_28_29_ambiguous_framing_is_refused_before_anything_leaves(self):
        bad = [b'Content-Length: 3\r\nContent-Length: 4\r\n', b'Content-Length: 3, 3\r\n', b'Content-Length: -1\r\n',
               b'Content-Length: +3\r\n', b'Content-Length: 0x3\r\n', b'Content-Length: 3 \t4\r\n', b'Content-Length: \r\n',
               b'Content-Length: 18446744073709551616\r\n', b'Content-Length: 3\r\nTransfer-Encoding: chunked\r\n',
               b'Transfer-Encoding: chunked\r\nContent-Length: 3\r\n', b'Transfer-Encoding: gzip, chunked\r\n',
               b'Transfer-Encoding: chunked, identity\r\n', b'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n',
               b'Transfer-Encoding: xchunked\r\n', b'Transfer-Encoding: identity\r\n', b'Transfer-Encoding: chunked;x=1\r\n',
               b'Transfer-Encoding: "chunked"\r\n', b'Transfer-Encoding: \r\n', b'Transfer-Encoding:\x0bchunked\r\n',
               b'Content-Length : 3\r\n', b'Transfer-Encoding\t: chunked\r\n', b'Connection: content-length\r\nContent-Length: 3\r\n']
        with RawOrigin() as o:
            for head, codes in zip(bad, self.codes(*[get('/', h, method=b'POST') + b'abc' for h in bad])):
                with self.subTest(head=head):
                    self.assertEqual(codes, ['400'])
            self.assertEqual(o.received, b'')

    def test_28_equal_lengths_are_one(self):
        with RawOrigin() as o:
            self.assertEqual(self.codes(get('/', b'Content-Length: 3\r\nContent-Length: 3\r\n', method=b'POST') + b'abc'), [['200']])
            self.assertEqual(o.received.lower().count(b'content-length'), 1)

    def test_31_malformed_chunks(self):
        bad = [b'+5\r\nhello\r\n0\r\n\r\n', b'-1\r\n', b'0x5\r\nhello\r\n0\r\n\r\n', b' 5\r\nhello\r\n0\r\n\r\n', b'5 \r\nhello\r\n0\r\n\r\n',
               b'ffffffffffffffff1\r\nx', b'5\nhello\r\n0\r\n\r\n', b'\r\n', b';x\r\n', b'5\r\nhelloX\r\n0\r\n\r\n', b'5\r\nhello0\r\n\r\n',
               b'5;' + b'a' * 2000000 + b'\r\nhello\r\n0\r\n\r\n', b'5;\x01\r\nhello\r\n', b'g\r\n', b'5\r\nhello\r\n0\r\n\rX', b'0\r\nX\r\n\r\n']
        head = get('/', b'Transfer-Encoding: chunked\r\n', method=b'POST')
        with RawOrigin(b'') as o:
            for body, codes in zip(bad, self.codes(*[head + b for b in bad])):
                with self.subTest(body=body[:40]):
                    self.assertEqual(codes, ['400'])
            self.assertNotIn(b'aaaa', o.received)

    def test_31_good_chunks_pass_as_they_are(self):
        with RawOrigin() as o:
            body = b'5;x="y"\r\nhello\r\n0005\r\nworld\r\n00\r\nX-Sum: 1\r\n\r\n'
            self.assertEqual(self.codes(get('/', b'Transfer-Encoding: Chunked\r\n', method=b'POST') + body), [['200']])
            self.assertTrue(o.received.endswith(body), o.received)

    def test_32_trailers_that_would_change_the_message(self):
        head = get('/', b'Transfer-Encoding: chunked\r\n', method=b'POST')
        names = (b'Host', b'Authorization', b'Content-Length', b'Transfer-Encoding', b'Connection', b'Cookie', b'hOST', b' Host',
                 b'X\r\n Host', b'A' * 9000)
        with RawOrigin(b'') as o:
            for name, codes in zip(names, self.codes(*[head + b'1\r\na\r\n0\r\n' + n + b': evil.test\r\n\r\n' for n in names])):
                with self.subTest(name=name[:20]):
                    self.assertEqual(codes, ['400'])
            self.assertNotIn(b'\r\n\r\n\r\n', o.received)

    def test_34_bytes_behind_a_message_are_the_next_request_and_decided(self):
        evil = get('/stolen', host='evil.test')
        bodies = (get('/', b'Content-Length: 3\r\n', method=b'POST') + b'abc',
                  get('/', b'Transfer-Encoding: chunked\r\n', method=b'POST') + b'3\r\nabc\r\n0\r\n\r\n', get('/'))
        with RawOrigin() as o, Origin(lab.EVIL) as bad:
            for got in self.codes(*[b + evil for b in bodies]):
                self.assertEqual(got, ['200', '403'])
            self.assertNotIn(b'stolen', o.received)
            self.assertEqual(bad.connections, 0)
            # The length that the head says is all that leaves, whatever follows at once.
            self.assertEqual(self.codes(get('/', b'Content-Length: 0\r\n', method=b'POST') + b'GET /x HTTP/1.1\r\nHost: a\r\n\r\n'), [['200', '400']])
            self.assertNotIn(b'GET /x', o.received)

    def test_34_bytes_behind_connect_are_the_tunnels_first(self):
        with lab.Echo():
            doc = {'t': rule(endpoint(port=443), binaries=ANY)}
            got = self.send(b'CONNECT origin.test:443 HTTP/1.1\r\n\r\nearly bytes', doc=doc)[0]
        self.assertEqual(got['codes'], ['200'])
        self.assertTrue(got['text'].endswith('early bytes'), got)

    def test_35_37_authority_is_the_targets(self):
        heads = [b'GET http://origin.test/a HTTP/1.1\r\nHost: evil.test\r\n\r\n', b'GET http://origin.test/b HTTP/1.1\r\n\r\n',
                 b'GET http://ORIGIN.test.:80/c HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
                 b'GET http://origin.test/d HTTP/1.1\r\nHost: x\r\nX-Forwarded-Host: evil.test\r\nForwarded: host=evil.test\r\n\r\n']
        with RawOrigin() as o, Origin(lab.EVIL) as bad:
            self.assertEqual(self.codes(*heads), [['200']] * 4)
            self.assertEqual(re.findall(rb'\r\nHost: ([^\r]*)', o.received), [b'origin.test'] * 4)
            self.assertEqual(bad.connections, 0)
        # Nothing but an absolute target says where a request goes.
        self.assertEqual(self.codes(b'GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n', b'GET //origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n',
                                    b'GET origin.test/ HTTP/1.1\r\nHost: origin.test\r\n\r\n', b'GET http:/origin.test/ HTTP/1.1\r\n\r\n',
                                    b'GET http:///x HTTP/1.1\r\nHost: origin.test\r\n\r\n', b'GET http://u:p@origin.test/ HTTP/1.1\r\n\r\n'), [['400']] * 6)

    def test_43_http2_is_not_spoken_here(self):
        upgrade = get('/', b'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n')
        with RawOrigin() as o:
            self.assertEqual(self.codes(b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', upgrade), [['400'], ['200']])
            self.assertNotIn(b'h2c', o.received)
            self.assertNotIn(b'HTTP2', o.received)

    def test_47_methods(self):
        bad = [b'GET\t', b'get', b'Get', b'G@T', b'', b'CONNECT\x0b']
        with RawOrigin() as o:
            self.assertEqual(self.codes(*[get('/', method=m) for m in bad]), [['400']] * len(bad))
            self.assertEqual(self.codes(get('/', method=b'G' * 1000000)), [['431']])
            self.assertEqual(self.codes(get('/') + b'CONNECT evil.test:80 HTTP/1.1\r\n\r\n'), [['200', '400']])
            self.assertEqual(o.received.count(b'HTTP/1.1\r\n'), 1)

    def test_49_paths_have_one_spelling(self):
        bad = ['/%00', '/%c0%2f', '/..', '/a/../../b', '/%2e%2e/b', '/a%2Fb', '/%zz', '/%', '/a#b']
        with RawOrigin() as o:
            self.assertEqual(self.codes(*[get(p) for p in bad], get(b'/\xc0\xaf'), get(b'/\xff'), get(b'/\xc3\xa9')), [['400']] * (len(bad) + 3))
            self.assertEqual(o.received, b'')
            self.assertEqual(self.codes(get('/a/%2e%2e/./b//c;x=1/%41?q=%2e&r=/../'), get('/%C3%A9/')), [['200']] * 2)
            self.assertEqual(re.findall(rb'GET (\S+) ', o.received), [b'/b/c/A?q=%2e&r=/../', b'/%C3%A9/'])

    def test_58_59_headers_for_the_proxy_end_here_and_choose_nothing(self):
        extra = (b'Connection: Authorization, X-Gone\r\nAuthorization: secret-1\r\nX-Gone: 1\r\nProxy-Authorization: Basic secret-2\r\n'
                 b'Proxy-Connection: keep-alive\r\nX-Upstream-Https-Proxy: http://evil.test:80\r\nX-Proxy-Target: evil.test\r\nTE: trailers\r\n')
        with RawOrigin() as o, Origin(lab.EVIL) as bad:
            self.assertEqual(self.codes(get('/', extra)), [['200']])
            for gone in (b'secret-1', b'secret-2', b'X-Gone', b'\r\nProxy-', b'\r\nTE:'):
                self.assertNotIn(gone, o.received)
            self.assertEqual(bad.connections, 0)

    def test_53_responses_that_would_be_read_in_two_ways(self):
        bad = [b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk',
               b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
               b'HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n', b'HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n', b'HTTP/2 200\r\n\r\n',
               b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n', b'HTTP/1.1 20 OK\r\n\r\n',
               b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n', b'HTTP/1.1 200 OK\r\n folded: x\r\n\r\n',
               b'HTTP/1.1 103 Early\r\n\r\n' * 17 + OK, b'HTTP/1.1 200 OK\r\nX: ' + b'a' * 20000 + b'\r\n\r\n']
        for answer in bad:
            with self.subTest(answer=answer[:60]), RawOrigin(answer):
                codes = [c for c in self.codes(get('/'))[0] if c != '103']
                self.assertIn(codes, (['502'], []), answer[:80])

    def test_67_what_a_server_adds_behind_its_response_answers_nobody(self):
        poisoned = OK + b'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
        with RawOrigin(poisoned, OK) as o:
            got = self.send(get('/1') + get('/2'))[0]
            self.assertEqual(got['codes'], ['200', '200'])
            self.assertNotIn('poison', got['text'])
            self.assertEqual(o.connections, 2)

    def test_old_clients_get_a_response_that_they_can_read(self):
        with RawOrigin() as o:
            self.assertEqual(self.codes(get('/', version=b'1.0')), [['200']])
            self.assertTrue(o.received.startswith(b'GET / HTTP/1.0\r\n'), o.received)

    def test_interim_responses_are_passed_on(self):
        with RawOrigin(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n' + OK):
            self.assertEqual(self.codes(get('/')), [['100', '103', '200']])

    def test_one_field_more_than_128_is_refused(self):
        def fields(n):
            return get('/', b''.join(b'A%d: x\r\n' % i for i in range(n - 1)))
        with RawOrigin():
            self.assertEqual(self.codes(fields(128), fields(129)), [['200'], ['400']])


# Opens n idle connections, tells that, and on a line of input does what it says.
CROWD = '''
import socket, sys, resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
def new():
    s = socket.create_connection(("10.200.0.1", 3128), 20); return s
def ask():
    s = new(); s.settimeout(20)
    s.sendall(b"GET http://origin.test/ HTTP/1.1\\r\\nConnection: close\\r\\n\\r\\n"); b = b""
    try:
        while d := s.recv(65536): b += d
    except OSError as e: b = b or b"- " + type(e).__name__.encode()
    return b.split(b" ")[1].decode() if b else "closed"
crowd = [new() for _ in range(int(sys.argv[1]))]
for s in crowd: s.sendall(b"GET http://origin.test/ HT")
print("open", flush=True)
for line in sys.stdin:
    if line == "close\\n": [s.close() for s in crowd]; crowd = []
    print("answer", ask(), flush=True)
'''


class Exhaustion(LabTest):
    def crowd(self, n, **more):
        return Sandbox(policy({'w': rule(endpoint(), binaries=ANY)}), ['/usr/bin/python3', '-c', CROWD, str(n)],
                       stdin=subprocess.PIPE, **more)

    def say(self, box, word):
        box.seen = ''
        box.process.stdin.write(word.encode() + b'\n')
        box.process.stdin.flush()
        return box.wait_out(r'answer \S+\n', 60).split()[1]

    def test_61_ten_thousand_half_open_connections(self):
        """The cap of 4096 clients: one more is told so at once; the rest of the supervisor lives on."""
        with Origin(), self.crowd(4096, launcher=['prlimit', '--nofile=20000:20000']) as box:
            box.wait_out('open', 60)
            self.assertEqual(self.say(box, 'ask'), '503')
            box.write_policy(policy({'w': rule(endpoint(), binaries=ANY), 'x': rule(endpoint('a.test'), binaries=ANY)}))
            box.wait_err('generation 2')
            self.assertEqual(wait_for(lambda: self.say(box, 'close') == '200', 30), True)
            self.assertLess(len(box.err.splitlines()), 40)

    def test_62_descriptor_exhaustion_pauses_and_recovers(self):
        with Origin(), self.crowd(55, launcher=['prlimit', '--nofile=64:64']) as box:
            box.wait_out('open', 60)
            leaf = wait_for(lambda: box.leaf('network'), 20, lambda: box.err)
            box.wait_err('accepting connections fails')
            self.assertIn(self.say(box, 'close'), ('200', '502', '503'))
            self.assertEqual(wait_for(lambda: self.say(box, 'ask') == '200', 30), True)
            self.assertEqual(box.leaf('network'), leaf)
            self.assertLess(box.err.count('accepting connections fails'), 10)


class Slow(LabTest):
    def test_heads_that_trickle_end_at_their_deadline(self):
        """Fifteen seconds for a head, however its bytes come; for the first and for a later one."""
        code = ('import socket,time,threading\n'
                'def trickle(first):\n'
                ' s=socket.create_connection(("10.200.0.1",3128)); s.settimeout(0.5); t=time.monotonic(); b=b""\n'
                ' if first:\n'
                '  s.sendall(b"GET http://origin.test/ HTTP/1.1\\r\\n\\r\\n"); time.sleep(0.5); s.recv(65536)\n'
                ' s.sendall(b"GET http://origin.test/ HTTP/1.1\\r\\n")\n'
                ' while time.monotonic()-t<30:\n'
                '  try:\n   s.sendall(b"a"); b=s.recv(4096); break\n'
                '  except TimeoutError: pass\n  except OSError as e: b=repr(e).encode(); break\n'
                ' print(b.split(b"\\r\\n")[0].decode(), 13<time.monotonic()-t<20, flush=True)\n'
                'x=[threading.Thread(target=trickle,args=(i,)) for i in (0,1)]\n[i.start() for i in x]\n[i.join() for i in x]')
        with Origin():
            got = run(policy({'w': rule(endpoint(), binaries=ANY)}), ['/usr/bin/python3', '-c', code])
        self.assertEqual(got.out, 'HTTP/1.1 408 Request Timeout True\n' * 2, got)
