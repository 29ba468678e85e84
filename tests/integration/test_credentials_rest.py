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

    def test_compressed_answer_that_can_not_be_searched_is_refused(self):
        with Echo(coding='gzip'):
            got = run([entry(value=SECRET)], sh('curl -sS -i -H "X-Key: $TOKEN" http://origin.test/v1/x'),
                      rules=rules(scrub_responses=True))
        self.assertRefused(got, 'HTTP/1.1 502')
        self.assertNotIn(SECRET, got.out)

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
