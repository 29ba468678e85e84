"""Lines of the specification's catalogue of edge cases (network 12) that no other file names; ids as there.

docs/spec-coverage-http.md has the whole list.
"""
import base64
import json
import pathlib
import shutil
import tempfile

import lab
import test_credentials
from lab import PYTHON, LabTest, Origin, endpoint, policy, rule
from relay_lab import LAST, Recorder, case, converse, get, rest
from test_credentials import SECRET, entry

TOKEN_LEN = len('openshell:resolve:env:s') + 64 + len('_TOKEN')
CAP = 256 * 1024
L4 = policy({'web': rule(endpoint(), binaries=(PYTHON,))})


def with_token(document, command, seconds=60, endpoints=None, **more):
    del seconds
    return test_credentials.run([entry(value=SECRET, endpoints=endpoints)], command, document=document, **more)


def forward(target, *fields, **more):
    return case(get('http://origin.test' + target, 'origin.test', *fields, LAST, **more), open=None)


def answers_of(document, cases, runner=lab.run, reply=None, **more):
    with Recorder(reply) as origin:
        return converse(document, cases, runner=runner, **more), origin


class Bodies(LabTest):
    """12.1: what is read whole before it goes on (request_body_credential_rewrite)."""
    DOC = rest(request_body_credential_rewrite=True)

    def post(self, body, *fields, path='/v1/x'):
        return forward(path, 'Content-Type: text/plain', *fields, method='POST', body=body)

    def chunked(self, body, **more):
        return self.post(body, 'Transfer-Encoding: chunked', **more)

    def test_f06_largest_length_is_neither_allocated_nor_believed(self):
        most, huge = str(2**64 - 1), str(2**62)
        answers, origin = answers_of(self.DOC, [self.post(b'abc', f'Content-Length: {n}') for n in (most, huge)], with_token)
        self.assertEqual([(a.codes, a.json['error']) for a in answers], [([400], 'malformed_request'), ([413], 'body_too_large')])
        self.assertEqual(origin.raw, [])
        # Where it streams it is a length like others: the body that never comes is the client's affair.
        answers, origin = answers_of(rest(), [case(get('/x', 'origin.test', f'Content-Length: {huge}', method='POST', body=b'abc'), half=True),
                                              case(get('/y', 'origin.test', LAST))])
        self.assertEqual(([a.codes for a in answers], origin.targets), ([[], [200]], ['/y']), answers)

    def test_f11_f15_malformed_framing_and_trailers_are_400(self):
        bodies = [b'zz\r\nab\r\n0\r\n\r\n', b'2\r\nabc\r\n0\r\n\r\n', b'2\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n']
        answers, origin = answers_of(self.DOC, [self.chunked(b) for b in bodies], with_token)
        self.assertEqual([(a.codes, a.json['error']) for a in answers], [([400], 'malformed_request')] * 3, answers)
        self.assertEqual(origin.raw, [])

    def test_f12_f13_f14_the_bound_counts_the_framing(self):
        def wire(n):            # one chunk, n bytes with all that is around it
            size = n - len('3fff0\r\n\r\n0\r\n\r\n')
            return b'%05x\r\n%s\r\n0\r\n\r\n' % (size, b'a' * size)
        assert len(wire(CAP)) == CAP
        good = [self.post(b'a' * CAP, f'Content-Length: {CAP}'), self.chunked(wire(CAP))]
        bad = [self.post(b'a' * (CAP + 1), f'Content-Length: {CAP + 1}'), self.chunked(wire(CAP + 1)),
               self.chunked((b'1;' + b'e' * 1000 + b'\r\na\r\n') * 300 + b'0\r\n\r\n'), self.chunked(b'1\r\na\r\n' * 50000 + b'0\r\n\r\n')]
        answers, origin = answers_of(self.DOC, good + bad, with_token)
        self.assertEqual([a.codes for a in answers], [[200]] * 2 + [[413]] * 4, answers)
        self.assertEqual([r.field('content-length') for r in origin.requests], [[str(CAP)], [str(CAP - 14)]])

    def test_k23_k24_placeholder_in_a_body_follows_the_bindings(self):
        body = b'<@TOKEN@>'
        sent = f'Content-Length: {TOKEN_LEN + 2}'
        answers, origin = answers_of(self.DOC, [self.post(body, sent), self.post(body, sent, path='/v2/x')], with_token)
        self.assertEqual([a.codes for a in answers], [[200], [403]], answers)
        self.assertEqual(answers[1].json['error'], 'credential_endpoint_mismatch')
        self.assertEqual([(r.target, r.body) for r in origin.requests], [('/v1/x', f'<{SECRET}>'.encode())])


class Targets(LabTest):
    """12.2, 12.3: targets, and what is told of them."""

    def test_k18_incomplete_placeholder_in_a_forward_target_is_400(self):
        marker = 'openshell:resolve:env:'
        targets = [f'/v1/{marker}', f'/v1/bot{marker}/x', '/v1/openshell%3Aresolve%3aenv%3A', '/v1/OPENSHELL-RESOLVE-ENV-X',
                   f'/v1/x?k={marker}', '/v1/x?k=%6fpenshell:resolve:env:']
        answers, origin = answers_of(rest(), [forward(t) for t in targets] + [case(get(t)) for t in targets], with_token)
        for answer in answers[:len(targets)]:
            self.assertEqual((answer.codes, answer.json['error']), ([400], 'invalid_credential_placeholder'), answer)
        for answer in answers[len(targets):]:
            self.assertEqual((answer.codes, answer.json['error']), ([500], 'credential_unavailable'), answer)
        self.assertEqual([bytes(r) for r in origin.raw if r], [])

    def test_p19_p20_p21_unchanged_bytes_version_and_origin_form(self):
        plain = "/a/B-._~!$&'()*+,=:@/%C3%A9/?x=%2f&&y=/../%00"
        cases = [case(get(plain.replace('%00', ''), 'origin.test', LAST)), case(get('/a/../b', None, version='1.0')),
                 case(get('/p/http://evil.test/x', 'origin.test', LAST))]
        with Origin(lab.EVIL) as evil:
            answers, origin = answers_of(rest(), cases)
        self.assertEqual([a.codes for a in answers], [[200]] * 3, answers)
        self.assertEqual([(r.target, r.version) for r in origin.requests],
                         [(plain.replace('%00', ''), 'HTTP/1.1'), ('/b', 'HTTP/1.0'), ('/p/http:/evil.test/x', 'HTTP/1.1')])
        self.assertEqual(evil.connections, 0)

    def test_p25_encoded_slash_is_found_beside_a_placeholder(self):
        doc = policy({'api': rule(
            endpoint(protocol='rest', enforcement='enforce', path='/npm/**', allow_encoded_slash=True, access='full'),
            endpoint(protocol='rest', enforcement='enforce', path='/v1/**', access='full'), binaries=(PYTHON,))})
        answers, origin = answers_of(doc, [case(get('/v1/@TOKEN@%2Fx', 'origin.test', LAST)), case(get('/npm/@TOKEN@%2fx', 'origin.test', LAST)),
                                           forward('/v1/@TOKEN@%2Fx')],
                                     lambda *a, **k: with_token(*a, endpoints=[{'host': 'origin.test', 'port': 80}], **k))
        self.assertEqual([a.codes for a in answers], [[400], [200], [400]], answers)
        self.assertEqual(origin.targets, [f'/npm/{SECRET}%2Fx'])

    def test_c28_q06_events_of_refused_targets_tell_neither_query_nor_placeholder(self):
        log = '/run/lab/targets.jsonl'
        bad = [b'GET http://origin.test/ok#f?tok=hush HTTP/1.1\r\nHost: x\r\n\r\n', b'GET http://a b/?tok=hush HTTP/1.1\r\n\r\n',
               b'GET http://u:hush@origin.test/ HTTP/1.1\r\n\r\n', b'GET http://origin.test/%zz?tok=hush HTTP/1.1\r\n\r\n',
               b'GET http://origin.test/v1/openshell:resolve:env:?hush HTTP/1.1\r\n\r\n']
        cases = [case(raw, open=None) for raw in bad] + [
            case(get('http://origin.test/ok') + bad[0], open=None), case(get('/%zz?tok=hush')), case(get('/no?tok=hush'))]
        answers, _ = answers_of(rest(('GET', '/ok')), cases, args=['--log-file', log, '--log-level', 'info'])
        self.assertEqual([a.codes for a in answers], [[400]] * 5 + [[200, 400], [400], [403]], answers)
        text = pathlib.Path(log).read_text()
        self.assertNotIn('hush', text + answers[0].err)
        self.assertNotIn('resolve:env', text + answers[0].err)
        rows = [r for r in map(json.loads, text.splitlines()) if r['kind'] == 'denial']
        self.assertEqual([(r['stage'], r['group'], r.get('path'), r.get('policy')) for r in rows], [
            ('forward', 'forward_parse_rejection', '/[INVALID_REQUEST_TARGET]', None)] * 3 + [
            ('forward-l7-parse-rejection', 'forward_parse_rejection', '/%zz', 'api'),
            ('forward-l7-parse-rejection', 'forward_parse_rejection', '/v1/[CREDENTIAL]', 'api'),
            ('forward', 'forward_parse_rejection', '/[INVALID_REQUEST_TARGET]', None),
            ('connect-l7-parse-rejection', 'l7_parse_rejection', '/%zz', 'api'),
            ('connect-l7', 'l7_policy', '/no', 'api')])     # section 13, 19: told like any other denial

    def test_c34_c35_activity_is_told_once_and_for_what_was_sent(self):
        with open('/etc/hosts', 'a') as f:
            f.write(f'{lab.ORIGIN} closed.test\n')
        doc = policy({'api': rule(endpoint(protocol='rest', access='full', enforcement='enforce'), endpoint('closed.test', 81), binaries=(PYTHON,))})
        cases = [case(get('/1') + get('/2', 'origin.test', LAST)), forward('/3'), case(get('http://closed.test:81/4', 'closed.test:81'), open=None)]
        answers, _ = answers_of(doc, cases, args=['--log-level', 'info'])
        self.assertEqual([a.codes for a in answers], [[200, 200], [200], [502]], answers)
        lines = [l.split(' -> ')[1].split(' [')[0] for l in answers[0].err.splitlines() if 'ALLOWED' in l]
        self.assertEqual(lines, [f'GET http://origin.test:80/{n}' for n in (1, 2, 3)], answers[0].err)

    def test_c33_internal_address_wins_over_missing_tls(self):
        blocked = pathlib.Path(tempfile.mkdtemp(prefix='lab-tls-', dir='/run')) / 'file'
        self.addCleanup(shutil.rmtree, blocked.parent)
        blocked.write_text('')
        with open('/etc/hosts', 'a') as f:
            f.write(f'{lab.INTERNAL} a.wide.test\n')
        doc = policy({'w': rule(endpoint('*.wide.test', 443), binaries=(PYTHON,))})
        answer = converse(doc, [case(b'', open='a.wide.test:443')], env={'OPENSHELL_PROXY_TLS_DIR': str(blocked)})[0]
        self.assertEqual((answer.codes, answer.json['error']), ([403], 'ssrf_denied'), answer)


class Relays(LabTest):
    """12.9 to 12.11: upgrades, authorities, old clients."""
    WEBSOCKET = ('Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
    SWITCH = b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'

    def test_c27_x08_x10_upgrades_have_one_connection_pair(self):
        for connection in ('Upgrade', 'keep-alive, Upgrade', 'upgrade,X-Gone'):
            for extra in (b'', b'first'):
                ask = ('Connection: ' + connection, 'X-Gone: 1', *self.WEBSOCKET)
                cases = [case(get('/chat', 'origin.test', *ask), wait=b'\r\n\r\n' + extra),
                         case(get('http://origin.test/chat', 'origin.test', *ask), open=None, wait=b'\r\n\r\n' + extra)]
                answers, origin = answers_of(rest(), cases, reply=lambda r, e=extra: self.SWITCH + e)
                self.assertEqual([(a.codes, a.out.endswith(b'\r\n\r\n' + extra)) for a in answers], [([101], True)] * 2, answers)
                for request in origin.requests:
                    self.assertEqual((request.field('connection'), request.field('upgrade')), (['Upgrade'], ['websocket']))
                    self.assertEqual(request.field('x-gone'), [] if 'X-Gone' in connection else ['1'])

    def test_upgrade_behind_another_request_of_its_connection(self):
        """Over a kept connection the head stays for a second try until the answer is there."""
        ask = get('/a') + get('/chat', 'origin.test', 'Connection: Upgrade', *self.WEBSOCKET) + b'spoken early'

        class Chat(Recorder):
            def _answer(self, peer, request):
                if request.target == '/a':
                    return super()._answer(peer, request)
                peer.sendall(Relays.SWITCH)     # nothing of what was spoken early comes before it
                peer.sendall(peer.recv(100).upper())
                return False
        with Chat() as origin:
            answer = converse(rest(), [case(ask, wait=b'EARLY')])[0]
        self.assertEqual((answer.codes, origin.targets, origin.connections), ([200, 101], ['/a', '/chat'], 1), answer)
        self.assertTrue(answer.out.endswith(b'\r\n\r\nSPOKEN EARLY'), answer)

    def test_t06_h2c_needs_both_tokens(self):
        """Named by no Connection field it is no upgrade, and ends here like every Upgrade."""
        answers, origin = answers_of(rest(), [case(get('/x', 'origin.test', 'Upgrade: h2c', LAST)),
                                              case(get('/y', 'origin.test', 'Upgrade: h2c', 'Connection: upgrade'))])
        self.assertEqual([a.codes for a in answers], [[200], [403]], answers)
        self.assertEqual([(r.target, r.field('upgrade')) for r in origin.requests], [('/x', [])])

    def test_x16_x17_a_credential_needs_an_authority(self):
        basic = 'Authorization: Basic ' + base64.b64encode(b'u:openshell:resolve:env:TOKEN').decode()
        key = 'X-Key: @TOKEN@'
        cases = [case(get('/v1/a', 'evil.test', key)), case(get('/v1/b', None, key, version='1.0')), case(get('/v1/c', None, basic, version='1.0')),
                 case(get('/v1/@TOKEN@', None, version='1.0')), case(get('/v1/d', None, version='1.0')), case(get('/v1/e', 'origin.test', key, version='1.0'))]
        for document in (rest(), policy({'web': rule(endpoint(allow_uninspected_credentials=True), binaries=(PYTHON,))})):
            answers, origin = answers_of(document, cases, with_token)
            for answer in answers[:4]:
                self.assertEqual((answer.codes, answer.json['error']), ([403], 'request_authority_mismatch'), answer)
            self.assertEqual([a.codes for a in answers[4:]], [[200]] * 2, answers)
            self.assertEqual([(r.target, r.field('x-key'), r.field('host')) for r in origin.requests],
                             [('/v1/d', [], ['origin.test']), ('/v1/e', [SECRET], ['origin.test'])])

    def test_x18_absolute_form_without_port_is_for_the_default_one(self):
        with Recorder(port=8080) as origin:
            answers = converse(rest(port=8080), [case(get(f'http://origin.test{p}/x', f'origin.test{p}', LAST), open='origin.test:8080') for p in ('', ':80', ':8080')])
        self.assertEqual(([a.codes for a in answers], origin.targets), ([[403], [403], [200]], ['/x']), answers)

    def test_protocols_of_later_parts_are_refused_by_name(self):
        """1.9: no request of them is relayed unread, whatever it looks like, and audit changes nothing."""
        for protocol, more in (('websocket', {'access': 'full'}), ('graphql', {'access': 'full'}),
                               ('json-rpc', {'rules': [{'allow': {'method': '*'}}]}), ('mcp', {'rules': [{'allow': {'method': 'tools/list'}}]})):
            for enforcement in ('enforce', 'audit'):
                doc = policy({'api': rule(endpoint(protocol=protocol, enforcement=enforcement, **more), binaries=(PYTHON,))})
                answers, origin = answers_of(doc, [case(get('/x', method='POST')), case(get('/x', 'origin.test', 'Connection: Upgrade', *self.WEBSOCKET)),
                                                   forward('/x', method='POST')])
                for answer in answers:
                    self.assertEqual((answer.codes, answer.json['error'], answer.json['protocol']), ([403], 'policy_denied', protocol), answer)
                    self.assertIn(f'asks for inspection as {protocol}, which this build does not have', answer.json['detail'])
                self.assertEqual([bytes(r) for r in origin.raw if r], [])

    def test_79_signatures_are_refused_by_name(self):
        doc = rest(access='full', credential_signing='sigv4', signing_service='s3')
        answers, origin = answers_of(doc, [case(get('/x')), forward('/x')])
        for answer in answers:
            self.assertEqual((answer.codes, answer.json['error']), ([403], 'policy_denied'), answer)
            self.assertIn('refused rather than sent unsigned', answer.json['detail'])
        self.assertEqual([bytes(r) for r in origin.raw if r], [])

    def test_middleware_without_which_nothing_may_flow_ends_the_start(self):
        doc = json.loads(rest())
        for on_error, good in ((None, False), ('fail_closed', False), ('fail_open', True)):
            doc['network_middlewares'] = {'guard': {'middleware': 'm', 'endpoints': {'include': ['origin.test']},
                                                    **({'on_error': on_error} if on_error else {})}}
            got = lab.run(json.dumps(doc), ['echo', 'ran'])
            self.assertEqual((got.code, got.out), (0, 'ran\n') if good else (1, ''), got)
            if not good:
                self.assertIn('network_middlewares.guard: middlewares are not built yet', got.err)
            else:
                self.assertEqual(got.err.count('network_middlewares.guard: middlewares are not built yet; traffic flows without'), 1, got)

    def test_71_hidden_placeholders_never_become_the_secret(self):
        """Base64 anywhere but in Basic, halves, and other spellings stay what they are, or are refused."""
        def b64(text):
            return base64.b64encode(text.encode()).decode()
        cases = [case(get('/v1/a', 'origin.test', LAST, 'X-A: ' + b64('openshell:resolve:env:TOKEN'), 'Authorization: Bearer ' + b64('openshell:resolve:env:TOKEN'))),
                 case(get('/v1/b', 'origin.test', LAST, 'X-A: openshell:resolve:', 'X-A: env:TOKEN')),
                 case(get('/v1/c?a=openshell:resolve:&b=env:TOKEN', 'origin.test', LAST)),
                 case(get('/v1/d', 'origin.test', LAST, 'X-A: OpenShell:Resolve:Env:TOKEN')),
                 case(get('/v1/e', 'origin.test', LAST, 'X-A: %256fpenshell:resolve:env:TOKEN')),
                 case(get('/v1/f', 'origin.test', LAST, 'X-A: %6fpenshell%3Aresolve%3Aenv%3ATOKEN')),
                 case(get('/v1/g', 'origin.test', LAST, 'X-A: "@TOKEN@"')), case(get('/v1/h', 'origin.test', LAST, 'X-A: a=@TOKEN@'))]
        answers, origin = answers_of(rest(), cases, with_token)
        self.assertEqual([a.codes for a in answers], [[200]] * 5 + [[500]] * 3, answers)
        self.assertNotIn(SECRET.encode(), b''.join(bytes(r) for r in origin.raw))
