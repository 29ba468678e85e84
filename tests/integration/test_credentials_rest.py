"""Credentials on inspected endpoints: bodies that are rewritten or searched, answers that are scrubbed."""
import json
import unittest

import lab
from lab import CURL, LabTest, Origin, endpoint, policy, rule
from relay_lab import Recorder
from test_credentials import BOTH, SECRET, entry, run, sh

HIDDEN = '[CREDENTIAL]' + '*' * (len(SECRET) - len('[CREDENTIAL]'))


class Echo(Origin):
    """An origin that sends back what it was sent, in a header and in the body."""

    def __init__(self, kind='text/plain', coding=None, pieces=False):
        super().__init__()
        self.RequestHandlerClass = type('Handler', (EchoHandler,), {'kind': kind, 'coding': coding, 'pieces': pieces})


class EchoHandler(lab.OriginHandler):
    def answer(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length)
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        out = json.dumps({'path': self.path, 'headers': dict(self.headers), 'body': body.decode()}).encode()
        self.send_response(200)
        self.send_header('Content-Type', self.kind)
        self.send_header('X-Echo', self.headers.get('X-Key', ''))
        if self.coding:
            self.send_header('Content-Encoding', self.coding)
        if self.pieces:
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            for at in range(0, len(out), 7):
                piece = out[at:at + 7]
                self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
                self.wfile.flush()
            self.wfile.write(b'0\r\n\r\n')
            return
        self.send_header('Content-Length', str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = answer


def rules(**more):
    return {'web': rule(endpoint(protocol='rest', access='full', enforcement='enforce', **more), binaries=BOTH)}


class Inspected(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with Origin():
            got = lab.run(policy(rules()), ['curl', '-sS', 'http://origin.test/v1/x'])
        if 'unsupported_l7_protocol' in got.out:
            super().tearDownClass()
            raise unittest.SkipTest('this build has no inspection of requests')

    def test_scrubbed_in_header_and_body_also_over_chunks(self):
        for pieces in (False, True):
            with self.subTest(pieces=pieces), Echo(pieces=pieces) as origin:
                got = run([entry(value=SECRET)],
                          sh('curl -sS -i -u "user:$TOKEN" -H "X-Key: $TOKEN" "http://origin.test/v1/$TOKEN?k=$TOKEN"'),
                          rules=rules(scrub_responses=True))
                self.assertEqual(got.code, 0, got)
                self.assertEqual(origin.requests[0][2]['X-Key'], SECRET)
                self.assertEqual(origin.requests[0][2].get('Accept-Encoding', 'identity'), 'identity')
                self.assertNotIn(SECRET, got.out)
                self.assertIn(f'X-Echo: {HIDDEN}', got.out)
                self.assertIn(f'"X-Key": "{HIDDEN}"', got.out)
                self.assertIn(f'/v1/{HIDDEN}?k={HIDDEN}', got.out)
                self.assertRegex(got.out, r'"Authorization": "Basic \[CREDENTIAL\]\*+"')

    def test_scrubbed_in_trailers(self):
        def reply(request):
            value = request.field('X-Key')[0].encode()
            return (b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: image/png\r\n\r\n'
                    b'3\r\nabc\r\n0\r\nX-Back: ' + value + b'\r\n\r\n')

        with Recorder(reply) as origin:
            got = run([entry(value=SECRET)], sh('curl -sS -i --raw -H "X-Key: $TOKEN" http://origin.test/v1/x'),
                      rules=rules(scrub_responses=True))
        self.assertEqual(origin.requests[0].field('X-Key'), [SECRET])
        self.assertNotIn(SECRET, got.out)
        self.assertIn(f'X-Back: {HIDDEN}', got.out)

    def test_not_scrubbed_without_the_flag_or_in_other_types(self):
        for more, kind in (({}, 'text/plain'), ({'scrub_responses': True}, 'application/octet-stream')):
            with self.subTest(kind=kind), Echo(kind=kind):
                got = run([entry(value=SECRET)], sh('curl -sS -H "X-Key: $TOKEN" http://origin.test/v1/x'),
                          rules=rules(**more))
                self.assertIn(SECRET, got.out)

    def test_encoded_answer_that_can_not_be_searched_is_refused(self):
        for coding in ('gzip', 'br', 'deflate', 'zstd', 'identity, gzip'):
            with self.subTest(coding=coding), Echo(coding=coding):
                got = run([entry(value=SECRET)], sh('curl -sS -i -H "Accept-Encoding: *" -H "X-Key: $TOKEN" http://origin.test/v1/x'),
                          rules=rules(scrub_responses=True))
                self.assertRefused(got, 'HTTP/1.1 502', 'the response is compressed although that was not asked for')
                self.assertNotIn(SECRET, got.out)

    def ask(self, reply, *requests, doc=None):
        """Raw requests of which each carries the credential; the answers, and what the origin saw."""
        code = ('import os, socket, sys\nfor line in sys.argv[1:]:\n s = socket.create_connection(("10.200.0.1", 3128))\n'
                ' s.sendall((line % os.environ["TOKEN"]).encode()); s.shutdown(1); out = b""\n'
                ' while d := s.recv(65536): out += d\n print(out.decode("latin1").replace("\\r\\n", "|"))')
        lines = [f'{r} HTTP/1.1\r\nHost: origin.test\r\nX-Key: %s\r\nConnection: close\r\n\r\n' for r in requests]
        with Recorder(reply) as origin:
            got = run([entry(value=SECRET)], ['/usr/bin/python3', '-c', code, *lines], rules=doc or rules(scrub_responses=True))
        return got.out.splitlines(), origin.requests

    def test_range_is_not_asked_for_and_a_part_is_refused(self):
        """A secret that two parts share would be in neither."""
        half = len(SECRET) // 2

        def reply(r):
            if r.target == '/v1/part':
                return (f'HTTP/1.1 206 Partial Content\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-{half - 1}/{len(SECRET)}\r\n'
                        f'Content-Length: {half}\r\n\r\n{SECRET[:half]}').encode()
            return f'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}'.encode()
        ranged = ' HTTP/1.1\r\nRange: bytes=0-9\r\nIf-Range: "x"\r\nX:'
        answers, requests = self.ask(reply, 'GET http://origin.test/v1/whole' + ranged, 'GET http://origin.test/v1/part')
        self.assertEqual(len(answers), 2, answers)
        self.assertTrue(answers[0].startswith('HTTP/1.1 200') and answers[0].endswith(HIDDEN), answers)
        self.assertEqual((requests[0].field('range'), requests[0].field('if-range')), ([], []))
        self.assertTrue(answers[1].startswith('HTTP/1.1 502') and SECRET[:half] not in answers[1], answers)

    def test_answers_without_a_body_are_not_refused_for_its_coding(self):
        def reply(r):
            status = '304 Not Modified' if r.target == '/v1/304' else '200 OK'
            return f'HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: {0 if r.target == "/v1/0" else 9}\r\n\r\n'.encode()
        answers, _ = self.ask(reply, 'HEAD http://origin.test/v1/h', 'GET http://origin.test/v1/304', 'GET http://origin.test/v1/0')
        self.assertEqual([a.split()[1] for a in answers], ['200', '304', '200'], answers)

    def test_status_line_interim_head_and_trailers_are_scrubbed_too(self):
        answers, _ = self.ask(lambda r: (
            f'HTTP/1.1 103 Early Hints\r\nLink: <{SECRET}>\r\n\r\n'
            f'HTTP/1.1 200 {SECRET}\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: {SECRET}\r\n\r\n').encode(),
            'GET http://origin.test/v1/x')
        self.assertEqual(answers[0].count(HIDDEN), 3, answers)
        self.assertNotIn(SECRET, answers[0])

    def test_answer_without_type_is_scrubbed(self):
        answers, _ = self.ask(lambda r: f'HTTP/1.1 200 OK\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}'.encode(), 'GET http://origin.test/v1/x')
        self.assertTrue(answers[0].endswith(HIDDEN), answers)

    def test_endpoint_without_inspector_is_scrubbed_too(self):
        """Nobody judges its requests, but they pass through the same relay."""
        for more, shown in (({'scrub_responses': True}, HIDDEN), ({}, SECRET)):
            answers, _ = self.ask(lambda r: f'HTTP/1.1 200 OK\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}'.encode(),
                                  'GET http://origin.test/v1/x', doc={'web': rule(endpoint(**more), binaries=BOTH)})
            self.assertTrue(answers[0].endswith(shown), answers)

    def test_body_is_rewritten_where_the_endpoint_says_so(self):
        script = '''
            curl -sS -o /dev/null -H 'Content-Type: application/json' -d "{\\"k\\":\\"$TOKEN\\"}" http://origin.test/v1/a
            curl -sS -o /dev/null --data-urlencode "k=$TOKEN" -d "b=1" http://origin.test/v1/b
            curl -sS -o /dev/null -H 'Transfer-Encoding: chunked' -H 'Content-Type: text/plain' -d "<$TOKEN>" http://origin.test/v1/c'''
        with Origin() as origin:
            got = run([entry(value='a"b&c-secret')], sh(script), rules=rules(request_body_credential_rewrite=True))
        self.assertEqual([r[3] for r in origin.requests],
                         [b'{"k":"a\\"b&c-secret"}', b'k=a%22b%26c-secret&b=1', b'<a"b&c-secret>'], got)

    def test_body_in_a_wrong_place_is_refused(self):
        for script in ('-H "Content-Type: image/png" -d "$TOKEN"', '-d "$TOKEN=1"', '-d "k=openshell:resolve:env:NO"'):
            with self.subTest(script=script), Origin() as origin:
                got = run([entry(value=SECRET)], sh(f'curl -sS -i {script} http://origin.test/v1/x'),
                          rules=rules(request_body_credential_rewrite=True))
                self.assertRefused(got, 'HTTP/1.1 500')
                self.assertEqual(origin.requests, [])

    def test_body_without_opt_in_never_gets_through_with_a_placeholder(self):
        half = 'head -c 70000 /dev/zero | tr "\\0" x'
        for make in ('printf %s $TOKEN', f'{half}; printf %s $TOKEN; {half}', 'echo %6fpenshell%3aresolve%3Aenv:X'):
            with self.subTest(make=make), Origin() as origin:
                got = run([entry(value=SECRET)],
                          sh(f'({make}) > b; curl -sS -i --data-binary @b http://origin.test/v1/x'),
                          rules=rules())
                self.assertFalse(any(b'resolve' in r[3] for r in origin.requests), got)
                self.assertNotIn('200 OK', got.out)

    def test_rule_of_the_path_sees_no_placeholder(self):
        only = {'web': rule(endpoint(protocol='rest', enforcement='enforce',
                                     rules=[{'allow': {'method': 'GET', 'path': '/v1/bot*/send'}}]), binaries=(CURL,))}
        with Origin() as origin:
            got = run([entry(value=SECRET)],
                      sh('curl -sS http://origin.test/v1/bot$TOKEN/send; curl -sS -i http://origin.test/v1/bot$TOKEN/no'),
                      rules=only)
        self.assertEqual([r[1] for r in origin.requests], [f'/v1/bot{SECRET}/send'], got)
        self.assertRefused(got, 'policy_denied')
        self.assertNotIn('resolve:env', got.err)
