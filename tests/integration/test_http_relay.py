"""The HTTP request loop: framing, keep-alive, rules and refusals, in tunnels and for forward requests."""
import json
import re
import threading
import time

import lab
from lab import CURL, ORIGIN, PYTHON, LabTest, Sandbox, endpoint, policy, rule, run
from relay_lab import LAST, Recorder, case, converse, get, rest

L4 = policy({'web': rule(endpoint(), binaries=(PYTHON,))})


class Framing(LabTest):
    """What a message is, in both directions."""

    def one(self, raw, reply=None, document=None, **more):
        with Recorder(reply) as origin:
            answer = converse(document or rest(), [case(raw, **more)])[0]
        return answer, origin

    def test_keep_alive_uses_one_connection_each_way(self):
        answer, origin = self.one(get('/1') + get('/2') + get('/3', 'origin.test', LAST))
        self.assertEqual((answer.codes, origin.connections), ([200, 200, 200], 1), answer)
        self.assertEqual(origin.targets, ['/1', '/2', '/3'])

    def test_pipelined_requests_are_answered_in_order(self):
        reply = lambda r: f'HTTP/1.1 200 OK\r\nContent-Length: {len(r.target)}\r\n\r\n{r.target}'.encode()
        raw = b''.join(get(f'/n{i}') for i in range(40)) + get('/end', 'origin.test', LAST)
        answer, origin = self.one(raw, reply)
        self.assertEqual(re.findall(rb"\r\n\r\n(/n?\d*(?:end)?)", answer.out), [b'/n%d' % i for i in range(40)] + [b'/end'])

    def test_pipelined_request_behind_a_denied_one_never_leaves(self):
        answer, origin = self.one(get('/ok') + get('/no') + get('/ok2'), document=rest(('GET', '/ok*')))
        self.assertEqual((answer.codes, origin.targets), ([200, 403], ['/ok']), answer)

    def test_f17_f19_bytes_behind_a_body_are_the_next_request(self):
        for head, body in (('Content-Length: 5', b'hello'), ('Transfer-Encoding: chunked', b'5\r\nhello\r\n0\r\n\r\n')):
            raw = get('/ok', 'origin.test', head, method='POST', body=body) + get('/no') + get('/ok')
            answer, origin = self.one(raw, document=rest(('POST', '/ok'), ('GET', '/ok')))
            self.assertEqual((answer.codes, origin.targets, origin.requests[0].body), ([200, 403], ['/ok'], body), answer)
            self.assertNotIn(b'/no', b''.join(bytes(r) for r in origin.raw))

    def test_upload_that_its_client_gives_up_ends_upstream(self):
        raw = get('/ok', 'origin.test', 'Content-Length: 500', method='POST', body=b'hello')
        answer, origin = self.one(raw, half=True)
        self.assertEqual((answer.codes, origin.requests), ([], []), answer)

    def test_chunked_both_ways_with_trailers(self):
        body = b'5;x=y\r\nhello\r\n0006\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n'
        reply = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Back: 2\r\nSet-Cookie: no\r\n\r\n'
        raw = get('/c', 'origin.test', 'Transfer-Encoding: chunked', 'Trailer: X-Sum', method='POST', body=body)
        answer, origin = self.one(raw + get('/d', 'origin.test', LAST), lambda r: reply)
        sent = origin.requests[0].body
        # Sizes and extensions are ours, and so is where chunks begin.
        self.assertRegex(sent, rb'^(5\r\nhello\r\n6\r\n world|b\r\nhello world)\r\n0\r\nX-Sum: 1\r\n\r\n$')
        self.assertEqual(answer.codes, [200, 200])
        self.assertIn(b'3\r\nabc\r\n0\r\nX-Back: 2\r\n\r\n', answer.out)
        self.assertNotIn(b'Set-Cookie', answer.out)

    def test_32_trailers_that_frame_route_or_authenticate_are_refused(self):
        for name in ('Host', 'Authorization', 'Content-Length', 'Transfer-Encoding', 'Cookie'):
            body = f'1\r\na\r\n0\r\n{name}: x\r\n\r\n'.encode()
            raw = get('/c', 'origin.test', 'Transfer-Encoding: chunked', method='POST', body=body)
            answer, origin = self.one(raw)
            self.assertEqual((answer.codes, origin.requests), ([400], []), (name, answer))

    def test_response_bytes_behind_its_length_are_dropped(self):
        reply = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'
        answer, origin = self.one(get('/1') + get('/2', 'origin.test', LAST), lambda r: reply)
        self.assertEqual(answer.codes, [200, 200], answer)
        self.assertNotIn(b'evil', answer.out)
        self.assertEqual(origin.connections, 2)     # what sent too much is not used again

    def test_interim_responses_are_passed_on_and_the_final_one_follows(self):
        reply = b'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n' * 3 + b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
        answer, _ = self.one(get('/1', 'origin.test', LAST), lambda r: reply)
        self.assertEqual(answer.codes, [103, 103, 103, 200], answer)

    def test_interim_responses_are_bounded_and_not_for_http_1_0(self):
        reply = b'HTTP/1.1 103 Early\r\n\r\n' * 17 + b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
        answer, _ = self.one(get('/1', 'origin.test', LAST), lambda r: reply)
        self.assertNotIn(200, answer.codes)
        reply2 = b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'
        answer, _ = self.one(get('/1', version='1.0'), lambda r: reply2)
        self.assertEqual(answer.codes, [200])

    def test_expect_100_continue_reaches_the_origin(self):
        head = get('/up', 'origin.test', 'Content-Length: 5', 'Expect: 100-continue', LAST, method='POST')
        answer, origin = self.one([head, b'hello'], between=b'100 Continue')
        self.assertEqual((answer.codes, origin.requests[0].body), ([100, 200], b'hello'), answer)

    def test_head_204_and_304_have_no_body(self):
        def reply(r):
            if r.target == '/204':
                return b'HTTP/1.1 204 No Content\r\n\r\n'
            if r.target == '/304':
                return b'HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n'
            return b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n'
        raw = get('/h', method='HEAD') + get('/204') + get('/304') + get('/h', 'origin.test', LAST, method='HEAD')
        answer, origin = self.one(raw, reply)
        self.assertEqual((answer.codes, origin.connections), ([200, 204, 304, 200], 1), answer)

    def test_response_without_framing_ends_with_the_connection(self):
        answer, _ = self.one(get('/1') + get('/2'), lambda r: (b'HTTP/1.1 200 OK\r\n\r\nall of it', True))
        self.assertEqual(answer.codes, [200], answer)
        self.assertTrue(answer.out.endswith(b'all of it'))
        self.assertIn(b'Connection: close', answer.out)

    def test_chunked_response_is_plain_for_an_http_1_0_client(self):
        reply = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'
        answer, _ = self.one(get('/1', version='1.0'), lambda r: reply)
        self.assertTrue(answer.out.endswith(b'\r\n\r\nabc'), answer)
        self.assertNotIn(b'chunked', answer.out)

    def test_malformed_responses_are_refused_with_502(self):
        heads = [b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok',
                 b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
                 b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
                 b'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok', b'HTTP/2 200\r\n\r\n', b'nonsense\r\n\r\n',
                 b'HTTP/1.1 200 OK\nContent-Length: 0\n\nHTTP/1.1 200 OK\r\n\r\n',
                 b'HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n', b'HTTP/1.1 200 OK\r\n folded: x\r\n\r\n',
                 b'HTTP/1.1 200 OK\r\nX: \x00\r\n\r\n', b'HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n',
                 b'HTTP/1.1 200 OK\r\nX: ' + b'a' * 17000 + b'\r\n\r\n', b'HTTP/1.1 200 OK\r\nContent-']
        for head in heads:
            with self.subTest(head=head[:60]):
                answer, _ = self.one(get('/1'), lambda r: (head, True))
                self.assertEqual(answer.codes, [502], answer)
                self.assertIn(answer.json['error'], ('upstream_response_invalid', 'upstream_unreachable'))

    def test_truncated_bodies_cut_the_connection(self):
        for pieces in ([b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nshort'],
                       [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort'],
                       [b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n', b'5\r\nshort\r\n', b'zz\r\n']):
            answer, _ = self.one(get('/1'), lambda r: (pieces, True))
            # What came in one piece with its fault may not have been passed on at all.
            self.assertIn(answer.codes, ([200], [502]), answer)
            self.assertNotIn(b'\r\n0\r\n', answer.out)

    def test_answer_whose_body_is_malformed_from_the_start_is_502(self):
        head = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'
        answer, _ = self.one(get('/1'), lambda r: (head, True))
        self.assertEqual((answer.codes, answer.json['error']), ([502], 'upstream_response_invalid'), answer)

    def test_28_to_49_malformed_requests_get_400_and_never_leave(self):
        bad = {
            'two lengths': get('/x', 'origin.test', 'Content-Length: 1', 'Content-Length: 2', method='POST', body=b'ab'),
            'list of lengths': get('/x', 'origin.test', 'Content-Length: 1, 1', method='POST', body=b'a'),
            'signed length': get('/x', 'origin.test', 'Content-Length: +1', method='POST', body=b'a'),
            'length and coding': get('/x', 'origin.test', 'Content-Length: 1', 'Transfer-Encoding: chunked', body=b'0\r\n\r\n'),
            'coding and length': get('/x', 'origin.test', 'Transfer-Encoding: chunked', 'Content-Length: 1', body=b'0\r\n\r\n'),
            'gzip, chunked': get('/x', 'origin.test', 'Transfer-Encoding: gzip, chunked', body=b'0\r\n\r\n'),
            'chunked, identity': get('/x', 'origin.test', 'Transfer-Encoding: chunked, identity', body=b'0\r\n\r\n'),
            'xchunked': get('/x', 'origin.test', 'Transfer-Encoding: xchunked', body=b'0\r\n\r\n'),
            'two codings': get('/x', 'origin.test', 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked', body=b'0\r\n\r\n'),
            'coding in 1.0': get('/x', 'origin.test', 'Transfer-Encoding: chunked', version='1.0', body=b'0\r\n\r\n'),
            'chunk sign': get('/x', 'origin.test', 'Transfer-Encoding: chunked', body=b'+1\r\na\r\n0\r\n\r\n'),
            'chunk overflow': get('/x', 'origin.test', 'Transfer-Encoding: chunked', body=b'fffffffffffffffff\r\n'),
            'chunk without CR': get('/x', 'origin.test', 'Transfer-Encoding: chunked', body=b'1\na\n0\n\n'),
            'long extension': get('/x', 'origin.test', 'Transfer-Encoding: chunked', body=b'1;' + b'e' * 5000 + b'\r\na\r\n0\r\n\r\n'),
            'tab method': b'GET\t/x HTTP/1.1\r\nHost: origin.test\r\n\r\n',
            'lower-case method': get('/x', method='get'),
            'long method': get('/x', method='G' * 20000),
            'CONNECT in a tunnel': get('origin.test:80', method='CONNECT'),
            'two blanks': b'GET  /x HTTP/1.1\r\nHost: origin.test\r\n\r\n',
            'version': b'GET /x HTTP/1.2\r\nHost: origin.test\r\n\r\n',
            'bare LF': b'GET /x HTTP/1.1\nHost: origin.test\n\r\n\r\n',
            'bare CR': get('/x', 'origin.test', 'A: b\rc'),
            'folded': get('/x', 'origin.test', 'A: b', ' c: d'),
            'blank before colon': get('/x', 'origin.test', 'A : b'),
            'no colon': get('/x', 'origin.test', 'Ab'),
            'NUL': get('/x', 'origin.test', 'A: \x00'),
            'invalid UTF-8': get('/x', 'origin.test', 'A: \xff'),
            'Connection: host': get('/x', 'origin.test', 'Connection: host'),
            'Connection: content-length': get('/x', 'origin.test', 'Connection: content-length'),
            'empty option': get('/x', 'origin.test', 'Connection: a,,b'),
            'no Host': get('/x', None),
            'two Hosts': get('/x', 'origin.test', 'Host: origin.test'),
            'bad Host': get('/x', 'a b'),
            'user information': get('/x', 'u@origin.test'),
            'Host against target': get('http://origin.test/x', 'evil.test'),
            'other scheme': get('https://origin.test/x', 'origin.test'),
            'above root': get('/../x'),
            'encoded NUL': get('/x%00'),
            'bad escape': get('/x%zz'),
            'encoded slash': get('/a%2fb'),
            'raw byte above 7f': get('/\xc3\xa9'),
            'encoded CR LF': get('/x%0d%0aHost:y'),
            'fragment': get('/x#y'),
            'asterisk': get('*', method='OPTIONS'),
            'long path': get('/' + 'a' * 4096),
            'bad query': get('/x?a=%zz'),
            'half a WebSocket': get('/x', 'origin.test', 'Upgrade: websocket', 'Connection: upgrade'),
        }
        with Recorder() as origin:
            answers = converse(rest(), [case(get('/ok') + raw + get('/smuggled')) for raw in bad.values()])
        for name, answer in zip(bad, answers):
            self.assertEqual(answer.codes, [200, 431 if name == 'long method' else 400], (name, answer))
            if name == 'long method':
                continue
            head, body = answer.out.split(b'\r\n\r\n')[1:]
            self.assertIn(json.loads(body)['error'], ('malformed_request', 'invalid_request_target'), name)
            self.assertEqual(int(re.search(rb'Content-Length: (\d+)', head)[1]), len(body), name)
        self.assertEqual(set(origin.targets), {'/ok'})

    def test_head_of_16384_bytes_passes_in_a_tunnel_and_one_more_is_431(self):
        def head(n):
            raw = get('/', 'origin.test', LAST, 'X: ')
            return raw[:-4] + b'a' * (n - len(raw)) + b'\r\n\r\n'
        with Recorder() as origin:
            answers = converse(rest(), [case(head(16384)), case(head(16385))])
        self.assertEqual([a.codes for a in answers], [[200], [431]])
        self.assertEqual(len(origin.requests), 1)

    def test_58_hop_by_hop_fields_stay_here(self):
        raw = get('/x', 'ORIGIN.test.', 'Connection: X-Secret, close', 'X-Secret: 1', 'Keep-Alive: 5', 'TE: trailers',
                  'Proxy-Authorization: Basic x', 'Upgrade: foo', 'X-Kept: 2')
        answer, origin = self.one(raw)
        self.assertEqual(answer.codes, [200], answer)
        names = [n.lower() for n, _ in origin.requests[0].fields]
        self.assertEqual(names, ['host', 'x-kept', 'connection'])
        self.assertEqual(origin.requests[0].field('host'), ['origin.test'])

    def test_version_1_0_survives_and_no_host_gets_one(self):
        answer, origin = self.one(get('/x', None, version='1.0'))
        self.assertEqual(answer.codes, [200], answer)
        self.assertEqual((origin.requests[0].version, origin.requests[0].field('host')), ('HTTP/1.0', ['origin.test']))

    def test_a_kept_connection_that_died_is_replaced_for_safe_requests_without_body(self):
        """The server closes behind its first answer without saying so; what may have had an effect is not sent twice."""
        for method, fields, body, tries in (('GET', (), b'', 2), ('HEAD', (), b'', 2), ('OPTIONS', (), b'', 2),
                                            ('POST', ('Content-Length: 0',), b'', 1), ('PUT', (), b'', 1), ('DELETE', (), b'', 1),
                                            ('GET', ('Content-Length: 1',), b'x', 1), ('GET', ('Transfer-Encoding: chunked',), b'0\r\n\r\n', 1)):
            with Recorder(lambda r: None if origin.targets == ['/a', '/b?q'] else
                          b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n' + (b'' if r.method == 'HEAD' else b'ok')) as origin:
                raw = get('/a') + get('/b?q', 'origin.test', *fields, method=method, body=body) + get('/c', 'origin.test', LAST)
                answer = converse(rest(), [case(raw)])[0]
            self.assertEqual(answer.codes, [200, 200, 200] if tries == 2 else [200, 502], (method, answer))
            self.assertEqual(origin.targets, ['/a', '/b?q', '/b?q', '/c'] if tries == 2 else ['/a', '/b?q'], (method, answer))

    def test_a_second_try_is_the_last_and_none_follows_a_byte_of_an_answer(self):
        for last, tries in ((None, 2), ((b'HTTP/1.1 2', True), 1), ((b'HTTP/1.1 100 Continue\r\n\r\n', True), 1)):
            with Recorder(lambda r: last if r.target == '/b' else b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') as origin:
                answer = converse(rest(), [case(get('/a') + get('/b'))])[0]
            self.assertEqual(origin.targets, ['/a'] + ['/b'] * tries, (last, answer))
            self.assertNotIn(200, answer.codes[1:], answer)

    def test_answer_before_the_end_of_the_request_closes(self):
        def reply(r):
            return b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
        head = get('/up', 'origin.test', 'Content-Length: 10', method='POST', body=b'123')

        class Early(Recorder):
            def _one(self, peer, record):
                while b'123' not in record:
                    if not self._more(peer, record):
                        return False
                peer.sendall(b'HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n')
                return bool(self._more(peer, record))
        with Early(reply):
            answer = converse(rest(), [case(head)])[0]
        self.assertEqual(answer.codes, [413], answer)
        self.assertIn(b'Connection: close', answer.out)


class Tunnels(LabTest):
    """What is in a tunnel, and for whom."""

    def test_37_40_authority_must_be_the_tunnels(self):
        cases = [get('/x', 'evil.test'), get('/x', 'origin.test:8080'), get('http://evil.test/x', 'evil.test'),
                 get('/x', '192.31.196.20')]
        with Recorder() as origin:
            answers = converse(rest(), [case(raw) for raw in cases])
            answers += converse(L4, [case(raw) for raw in cases])
        for answer in answers:
            self.assertEqual(answer.codes, [403], answer)
            self.assertEqual(answer.json, {'error': 'request_authority_mismatch', 'message':
                             'HTTP request authority does not match the authorized tunnel endpoint'})
        self.assertEqual(origin.requests, [])

    def test_a_port_that_is_not_said_is_not_the_tunnels(self):
        with Recorder(port=8080) as origin:
            answers = converse(rest(port=8080), [case(get('/x', h, LAST), open='origin.test:8080')
                                                 for h in ('origin.test', 'origin.test:8080', 'ORIGIN.TEST.:8080')])
        self.assertEqual([a.codes for a in answers], [[403], [200], [200]])
        self.assertEqual([r.field('host') for r in origin.requests], [['origin.test:8080']] * 2)

    def test_bracketed_v6_host_equals_the_connect_host(self):
        six = '2001:500:84::10'
        with Recorder(address=six, port=80) as origin:
            doc = rest(host=six)
            answer = converse(doc, [case(get('/x', f'[{six}]', LAST), open=f'[{six}]:80')])[0]
        self.assertEqual((answer.codes, origin.targets), ([200], ['/x']), answer)

    def test_absolute_form_in_a_tunnel(self):
        with Recorder() as origin:
            answer = converse(rest(('GET', '/x')), [case(get('http://origin.test:80/x?q=1', 'origin.test', LAST))])[0]
        self.assertEqual((answer.codes, origin.targets), ([200], ['/x?q=1']), answer)

    def test_43_h2c_is_refused_on_inspected_endpoints(self):
        preface = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0'
        upgrade = get('/x', 'origin.test', 'Upgrade: h2c', 'Connection: Upgrade, HTTP2-Settings', 'HTTP2-Settings: AAMAAABkAAQ')
        with Recorder() as origin:
            answers = converse(rest(), [case(preface), case(upgrade), case(get('http://origin.test/x', 'origin.test',
                               'Upgrade: h2c', 'Connection: Upgrade'), open=None)])
        self.assertEqual([a.codes for a in answers], [[403]] * 3, answers)
        self.assertEqual(answers[0].json['error'], 'unsupported_l7_protocol')
        self.assertIn('prior-knowledge', answers[0].json['detail'])
        self.assertEqual(answers[1].json['error'], 'policy_denied')
        self.assertEqual(answers[2].json['error'], 'unsupported_l7_protocol')
        self.assertEqual([bytes(r) for r in origin.raw if r], [])

    def test_68_other_bytes_are_refused_on_inspected_endpoints_and_raw_elsewhere(self):
        junk = [b'SSH-2.0-x\r\n', b'\x00\x01\x02\x03', b'get /x HTTP/1.1\r\n\r\n', b'\x16\x02\x00\x00']
        with lab.Echo(port=80) as echo:
            answers = converse(rest(), [case(j, half=True) for j in junk])
            raw = converse(L4, [case(j, half=True) for j in junk])
        for answer in answers:
            self.assertEqual((answer.codes, answer.json['error']), ([403], 'unsupported_l7_protocol'), answer)
        self.assertEqual([a.out for a in raw], junk)
        self.assertEqual(echo.accepted, 2 * len(junk))

    def test_server_that_speaks_first_works_without_inspection_and_not_with(self):
        class Greeter(Recorder):
            def _serve(self, peer):
                with peer:
                    peer.sendall(b'220 ready\r\n')
                    self.raw.append(peer.recv(100))
                    peer.sendall(b'bye')
        with Greeter() as origin:
            plain = converse(L4, [case([b'', b'QUIT\r\n'], between=b'ready')])[0]
            seen = list(origin.raw)
            inspected = converse(rest(), [case(b'')])[0]
        self.assertEqual((plain.out, seen), (b'220 ready\r\nbye', [b'QUIT\r\n']))
        self.assertEqual(inspected.codes, [403], inspected)

    def test_skip_is_raw(self):
        doc = policy({'web': rule(endpoint(tls='skip'), binaries=(PYTHON,))})
        with lab.Echo(port=80):
            answer = converse(doc, [case(b'GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n', half=True)])[0]
        self.assertIn(b'evil.test', answer.out)

    def test_34_bytes_behind_connect_are_the_tunnels_first(self):
        raw = b'CONNECT origin.test:80 HTTP/1.1\r\nHost: origin.test:80\r\n\r\n' + get('/early', 'origin.test', LAST)
        with Recorder() as origin:
            answer = converse(rest(), [case(raw, open=None)])[0]
        self.assertEqual((answer.codes, origin.targets), ([200, 200], ['/early']), answer)

    def test_websocket_is_relayed_behind_a_decided_handshake(self):
        def reply(r):
            if r.field('upgrade') != ['websocket'] or r.field('connection') != ['Upgrade']:
                return b'HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n'
            return b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst'

        class Chat(Recorder):
            def _answer(self, peer, request):
                peer.sendall(self.reply(request))
                peer.sendall(peer.recv(100).upper())
                return False
        ask = get('/chat', 'origin.test', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
                  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
        with Chat(reply) as origin:
            for doc in (rest(('GET', '/chat')), L4):
                answer = converse(doc, [case([ask, b'hello'], between=b'first')])[0]
                self.assertEqual(answer.codes, [101], answer)
                self.assertTrue(answer.out.endswith(b'firstHELLO'), answer)
            denied = converse(rest(('GET', '/other')), [case(ask)])[0]
        self.assertEqual((denied.codes, len(origin.requests)), ([403], 2), denied)

    def test_a_reload_closes_tunnels(self):
        """Inspected, and where requests merely pass through."""
        def through(path):
            return policy({'web' + path.strip('/'): rule(endpoint(), binaries=(PYTHON,))})
        code = ('import socket,sys\ns=socket.create_connection(("10.200.0.1",3128)); s.settimeout(30)\n'
                's.sendall(b"CONNECT origin.test:80 HTTP/1.1\\r\\n\\r\\n"); s.recv(999)\n'
                's.sendall(b"GET /a HTTP/1.1\\r\\nHost: origin.test\\r\\n\\r\\n"); b=b""\n'
                'while not b.endswith(b"ok"): b+=s.recv(999)\nprint(b[:15], flush=True)\n'
                'print("end", s.recv(999), file=open("end", "w"), flush=True); sys.stdin.read()')
        for doc in (lambda path: rest(('GET', path)), through):
            with Recorder(), Sandbox(doc('/a'), ['/usr/bin/python3', '-c', code]) as box:
                box.wait_out('200')
                box.wait_err('enforcing')

                def ended():
                    # A file that is changed at once may be changed before it is watched: until it takes.
                    box.write_policy(doc(f'/b{time.monotonic_ns()}'))
                    time.sleep(0.1)
                    end = box.work / 'end'
                    return end.exists() and end.read_text()
                self.assertEqual(lab.wait_for(ended).strip(), "end b''")


class Rules(LabTest):
    """REST rules in tunnels and for forward requests."""

    def both(self, document, requests):
        """[(method, target)] -> [(code in a tunnel, code as forward request)], and what the origin saw."""
        cases = [case(get(t, 'origin.test', LAST, method=m)) for m, t in requests]
        cases += [case(get('http://origin.test' + t, 'origin.test', LAST, method=m), open=None) for m, t in requests]
        with Recorder() as origin:
            self.answers = converse(document, cases)
        codes = [a.codes[0] for a in self.answers]
        return list(zip(codes[:len(requests)], codes[len(requests):])), origin

    def check(self, document, table):
        codes, origin = self.both(document, [(m, t) for m, t, _ in table])
        self.assertEqual(codes, [(c, c) for _, _, c in table], self.answers)
        self.assertEqual(len(origin.requests), 2 * sum(c == 200 for _, _, c in table))

    def test_methods_and_paths(self):
        self.check(rest(('GET', '/api/**'), ('POST', '/api/items/*')), [
            ('GET', '/api/x/y', 200), ('HEAD', '/api/x', 200), ('OPTIONS', '/api/x', 403), ('POST', '/api/items/7', 200),
            ('POST', '/api/items/7/8', 403), ('DELETE', '/api/items/7', 403), ('GET', '/other', 403)])

    def test_r01_r02_r03_r12_methods_and_queries_of_both_kinds_of_rule(self):
        self.check(rest(('patch', '/low'), ('POST', '/post'), ('GET', '/get')), [
            ('PATCH', '/low', 200), ('HEAD', '/post', 403), ('OPTIONS', '/get', 403), ('HEAD', '/get', 200)])
        self.check(rest(access='full', deny_rules=[{'method': 'post', 'path': '/d', 'query': {'v': {'any': ['a*', 'z']}}}]), [
            ('POST', '/d?v=b&v=abc', 403), ('POST', '/d?v=z', 403), ('POST', '/d?v=b', 200), ('POST', '/d', 200), ('GET', '/d?v=z', 200)])

    def test_presets(self):
        self.check(rest(access='read-only'), [('GET', '/', 200), ('HEAD', '/', 200), ('OPTIONS', '/', 200), ('POST', '/', 403)])
        self.check(rest(access='read-write'), [('PUT', '/', 200), ('PATCH', '/', 200), ('DELETE', '/', 403)])
        self.check(rest(access='full'), [('DELETE', '/', 200), ('PURGE', '/', 200)])

    def test_deny_rules_win(self):
        self.check(rest(access='full', deny_rules=[{'method': 'GET', 'path': '/secret/**'}, {'method': '*', 'path': '/x'}]),
                   [('GET', '/secret/1', 403), ('HEAD', '/secret/1', 403), ('POST', '/secret/1', 200), ('PUT', '/x', 403)])

    def test_queries(self):
        self.check(rest(('GET', '/q', {'v': '1*'}), ('GET', '/any', {'v': {'any': ['a', 'b+c']}})), [
            ('GET', '/q?v=12', 200), ('GET', '/q?v=12&v=2', 403), ('GET', '/q', 403), ('GET', '/q?v=15&other=3', 200),
            ('GET', '/any?v=b%2Bc', 200), ('GET', '/any?v=b+c', 403), ('GET', '/any?v=a&v=z', 403)])

    def test_canonical_path_is_judged_and_sent(self):
        table = [('/public/../secret', 403), ('/public/%2e%2e/secret', 403), ('//public/../secret', 403),
                 ('/public/..;x/secret', 403), ('/public/./a', 200), ('/public//a', 200), ('/x/../public/%7Ea', 200),
                 ('/public/a;v=1/b', 200), ('/public/%c3%a9?k=%2e%2e', 200)]
        codes, origin = self.both(rest(('GET', '/public/**')), [('GET', t) for t, _ in table])
        self.assertEqual(codes, [(c, c) for _, c in table], self.answers)
        self.assertEqual(origin.targets, ['/public/a', '/public/a', '/public/~a', '/public/a/b', '/public/%C3%A9?k=%2e%2e'] * 2)

    def test_encoded_slash_only_where_it_is_allowed(self):
        doc = policy({'api': rule(
            endpoint(protocol='rest', enforcement='enforce', path='/npm/**', allow_encoded_slash=True,
                     rules=[{'allow': {'method': 'GET', 'path': '/npm/**'}}]),
            endpoint(protocol='rest', enforcement='enforce', path='/api/**',
                     rules=[{'allow': {'method': 'GET', 'path': '/api/**'}}]), binaries=(PYTHON,))})
        codes, origin = self.both(doc, [('GET', '/npm/@a%2fb'), ('GET', '/api/a%2Fb'), ('GET', '/npm/a%2f..%2fb')])
        self.assertEqual(codes, [(200, 200), (400, 400), (400, 400)], self.answers)
        self.assertEqual(origin.targets, ['/npm/@a%2Fb'] * 2)
        self.assertIn('allow_encoded_slash', self.answers[1].json['detail'])

    def test_the_most_specific_path_chooses_and_none_is_refused(self):
        doc = policy({'api': rule(
            endpoint(protocol='rest', enforcement='enforce', path='/a/**', rules=[{'allow': {'method': 'GET', 'path': '/a/**'}}]),
            endpoint(protocol='rest', enforcement='audit', path='/a/free/**', rules=[{'allow': {'method': 'GET', 'path': '/none'}}]),
            endpoint(protocol='graphql', access='read-only', path='/graphql'), binaries=(PYTHON,))})
        self.check(doc, [('GET', '/a/x', 200), ('POST', '/a/x', 403), ('POST', '/a/free/x', 200), ('GET', '/b', 403),
                         ('POST', '/graphql', 403)])
        self.assertEqual(self.answers[4].json['protocol'], 'graphql')

    def test_audit_forwards_and_says_so(self):
        with Recorder() as origin:
            answer = converse(rest(('GET', '/ok'), enforcement='audit'), [case(get('/no', 'origin.test', LAST))],
                              args=['--log-level', 'info'])[0]
        self.assertEqual((answer.codes, origin.targets), ([200], ['/no']))
        self.assertRegex(answer.err, r'ALLOWED.*GET.*/no.*not permitted by policy')

    def test_refusal_in_a_tunnel_has_all_that_3_13_names(self):
        with Recorder():
            answer = converse(rest(('GET', '/ok')), [case(get('/no?secret=1', method='PUT'))])[0]
        body = answer.json
        for key, want in {'error': 'policy_denied', 'policy': 'api', 'rule': 'PUT /no', 'layer': 'l7', 'protocol': 'rest',
                          'method': 'PUT', 'path': '/no', 'host': 'origin.test', 'port': 80, 'binary': PYTHON,
                          'next_steps': []}.items():
            self.assertEqual(body[key], want, body)
        self.assertEqual(body['rule_missing'], {'type': 'rest_allow', 'layer': 'l7', 'method': 'PUT', 'path': '/no',
                                                'host': 'origin.test', 'port': 80, 'binary': PYTHON})
        self.assertIn('PUT /no not permitted by policy', body['detail'])
        self.assertIn(b'X-OpenShell-Policy: api\r\n', answer.out)
        self.assertIn(b'Connection: close\r\n', answer.out)
        self.assertNotIn(b'secret', answer.out)

    def test_refusal_names_the_closest_rule_and_the_remedy(self):
        with Recorder():
            answer = converse(rest(('GET', '/ok')), [case(get('/ok', method='PUT'))])[0]
        self.assertIn('PUT', answer.json['remedy'], answer)

    def test_forward_refusal(self):
        with Recorder():
            answer = converse(rest(('GET', '/ok')), [case(get('http://origin.test/no', method='PUT'), open=None)])[0]
        self.assertEqual(answer.json['error'], 'policy_denied')
        self.assertIn('PUT origin.test:80/no denied by L7 policy: PUT /no not permitted by policy', answer.json['detail'])

    def test_other_binaries_do_not_share_rules(self):
        doc = policy({'a': rule(endpoint(protocol='rest', enforcement='enforce', rules=[{'allow': {'method': 'GET', 'path': '/a'}}]),
                                binaries=(PYTHON,)),
                      'b': rule(endpoint(protocol='rest', enforcement='enforce', rules=[{'allow': {'method': 'GET', 'path': '/b'}}]),
                                binaries=(CURL,))})
        self.check(doc, [('GET', '/a', 200), ('GET', '/b', 403)])

    def test_endpoint_without_protocol_is_not_judged_by_path(self):
        """A tunnel's paths are its own business; a forward request has one spelling."""
        codes, origin = self.both(L4, [('GET', '/any/../thing'), ('PURGE', '/a%2fb;v=1')])
        self.assertEqual(codes, [(200, 200), (200, 400)], self.answers)
        self.assertEqual(origin.targets, ['/any/../thing', '/a%2fb;v=1', '/thing'])


class Bulk(LabTest):
    """Bodies of any size in constant memory."""

    def hwm(self, pid):
        with open(f'/proc/{pid}/status') as f:
            return int(re.search(r'VmHWM:\s+(\d+)', f.read())[1])

    def test_large_bodies_leave_memory_flat(self):
        done = threading.Event()

        class Sink(Recorder):
            """Counts uploads instead of keeping them; serves as many bytes as the path says."""
            total = 0

            def _serve(self, peer):
                with peer:
                    data = b''
                    while b'\r\n\r\n' not in data:
                        data += peer.recv(65536)
                    head, rest_of = data.split(b'\r\n\r\n', 1)
                    left = int((re.search(rb'Content-Length: (\d+)', head) or [0, 0])[1]) - len(rest_of)
                    while left > 0:
                        left -= len(peer.recv(min(left, 1 << 20)))
                    n = int(head.split()[1][1:])
                    peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % n)
                    block = bytes(1 << 20)
                    for _ in range(n >> 20):
                        peer.sendall(block)
                    done.set()
        doc = rest(binaries=(CURL,))
        script = ('curl -sS http://origin.test/1048576 -o /dev/null && echo warm && read x;'
                  'head -c 104857600 /dev/zero | curl -sS -H Expect: --data-binary @- http://origin.test/1048576 -o /dev/null -w "%{http_code}\\n";'
                  'curl -sS -p http://origin.test/1073741824 | wc -c; echo done; read x')
        import subprocess
        with Sink(), Sandbox(doc, ['sh', '-c', script], stdin=subprocess.PIPE) as box:
            box.wait_out('warm')
            pid = box.leaf('network')
            before = self.hwm(pid)
            box.process.stdin.write(b'\n')
            box.process.stdin.flush()
            out = box.wait_out('done', 120)
            after = self.hwm(pid)
            box.process.stdin.write(b'\n')
            box.process.stdin.flush()
            box.finish()
        self.assertIn('200\n1073741824', out)
        self.assertLess(after - before, 2048, (before, after))

    def test_a_reader_that_stops_stops_the_server(self):
        """Neither side's bytes pile up here: the server gets stuck when its client does not read."""
        sent = []

        class Flood(Recorder):
            def _serve(self, peer):
                with peer:
                    peer.recv(65536)
                    peer.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n')
                    peer.setblocking(False)
                    import select
                    block, n = bytes(65536), 0
                    while select.select([], [peer], [], 1)[1] and n < 1 << 30:
                        n += peer.send(block)
                    sent.append(n)
        code = ('import socket,sys\ns=socket.create_connection(("10.200.0.1",3128))\n'
                's.sendall(b"GET http://origin.test/ HTTP/1.1\\r\\nHost: origin.test\\r\\n\\r\\n")\n'
                's.recv(10); print("reading stopped", flush=True); sys.stdin.read(1)')
        import subprocess
        with Flood(), Sandbox(rest(), ['/usr/bin/python3', '-c', code], stdin=subprocess.PIPE) as box:
            box.wait_out('stopped')
            lab.wait_for(lambda: sent, 30)
            with open(f'/proc/{box.leaf("network")}/status') as f:
                memory = int(re.search(r'VmHWM:\s+(\d+)', f.read())[1])
            box.process.stdin.write(b'x')
            box.process.stdin.flush()
            box.finish()
        self.assertLess(sent[0], 64 << 20)
        self.assertLess(memory, 64 << 10)


assert json and ORIGIN and run
