"""libcore/tls against other people's TLS: OpenSSL, GnuTLS, Go, Node, Java, curl, wget, Python.

tls_tool (tests/support) is our code at the command line.  Programs that are not installed here are
skipped by name.
"""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import textwrap
import unittest

import lab
from lab import LabTest, sh

TOOL = lab.BUILD / 'tests' / 'unit' / 'tls' / 'tls_tool'
HOST = 'origin.test'


def run(*argv, stdin='', **more):
    return subprocess.run([str(a) for a in argv], capture_output=True, text=True, input=stdin,
                          timeout=300, **more)  # a compiler may run first


def need(*names):
    for name in names:
        if not shutil.which(name):
            raise unittest.SkipTest(f'{name} is not installed')


class Tls(LabTest):
    """A folder of its own, and a tls_tool that serves."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix='lab-tls-', dir='/tmp'))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)
        super().tearDownClass()

    def serve(self, n=1, host=HOST):
        """Start tls_tool serve; returns its port."""
        self.server = subprocess.Popen([str(TOOL), 'serve', str(self.dir), host, str(n)],
                                       stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.server.stdout.close)
        self.addCleanup(self.server.wait)
        self.addCleanup(self.server.kill)
        return int(self.server.stdout.readline().split()[1])

    def line(self):
        """What the server says of the next connection."""
        return self.server.stdout.readline().strip()


class Certificates(Tls, LabTest):
    def mint(self, host):
        done = run(TOOL, 'mint', self.dir, host)
        self.assertEqual(done.returncode, 0, done.stdout)
        return self.dir / 'ca.pem', self.dir / 'leaf.pem'

    def test_openssl_strict(self):
        for host, check in (('a-b.example_x.test', '-verify_hostname'), ('192.0.2.7', '-verify_ip'),
                            ('2001:db8::7', '-verify_ip'), ('x' * 63 + '.' + 'y' * 63 + '.test', '-verify_hostname')):
            ca, leaf = self.mint(host)
            done = run('openssl', 'verify', '-x509_strict', '-purpose', 'sslserver', check, host,
                       '-CAfile', ca, leaf)
            self.assertEqual(done.returncode, 0, (host, done.stdout, done.stderr))
            done = run('openssl', 'verify', '-x509_strict', '-CAfile', ca, ca)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run('openssl', 'verify', check, '192.0.2.99' if 'ip' in check else 'other.test', '-CAfile', ca, leaf)
            self.assertNotEqual(done.returncode, 0)

    def test_certtool(self):
        need('certtool')
        ca, leaf = self.mint(HOST)
        done = run('certtool', '--verify', '--load-ca-certificate', ca, '--infile', leaf,
                   '--verify-hostname', HOST, '--verify-profile', 'high')
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn('The certificate is trusted', done.stdout)

    def test_content(self):
        ca, leaf = self.mint(HOST)
        text = run('openssl', 'x509', '-in', leaf, '-noout', '-text').stdout
        for want in ('CN = ' + HOST, 'DNS:' + HOST, 'CA:FALSE', 'Digital Signature', 'TLS Web Server Authentication',
                     'Authority Key Identifier', 'Subject Key Identifier', 'ecdsa-with-SHA256', 'NIST CURVE: P-256'):
            self.assertIn(want, text)
        text = run('openssl', 'x509', '-in', ca, '-noout', '-text').stdout
        for want in ('CN = OpenShell Sandbox CA, O = OpenShell', 'CA:TRUE', 'Certificate Sign, CRL Sign'):
            self.assertIn(want, text)
        self.assertNotIn('pathlen', text)

    def test_serials_differ(self):
        serials = set()
        for _ in range(3):
            _, leaf = self.mint(HOST)
            serials.add(sh('openssl', 'x509', '-in', str(leaf), '-noout', '-serial'))
        self.assertEqual(len(serials), 3)

    def test_java_store(self):
        need('keytool')
        self.mint(HOST)
        done = run('keytool', '-list', '-keystore', self.dir / 'store.jks', '-storepass', 'changeit')
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn('1 entry', done.stdout)
        done = run('keytool', '-list', '-keystore', self.dir / 'store.jks', '-storepass', 'wrong!')
        self.assertNotEqual(done.returncode, 0)


class Clients(Tls, LabTest):
    """Real clients against our server side."""

    def connect(self, port):
        return ['-connect', f'127.0.0.1:{port}', '-servername', HOST, '-CAfile', str(self.dir / 'ca.pem'),
                '-verify_return_error', '-verify_hostname', HOST]

    def test_openssl_both_versions(self):
        for flag, version in (('-tls1_2', 'TLSv1.2'), ('-tls1_3', 'TLSv1.3')):
            for group in ('X25519', 'P-256', 'P-384', 'P-521'):
                port = self.serve()
                done = run('openssl', 's_client', *self.connect(port), flag, '-groups',
                           group if flag == '-tls1_3' or group == 'P-256' else f'{group}:P-256', '-quiet',
                           '-alpn', 'h2,http/1.1', stdin='GET / HTTP/1.1\r\n\r\n')
                self.assertIn('hello', done.stdout, (flag, group, done.stderr))
                line = self.line()
                self.assertRegex(line, rf'^ok {version} .*GCM.* full alpn=1 sni={HOST} ')

    def test_no_alpn_is_served_and_h2_alone_is_not(self):
        port = self.serve(2)
        run('openssl', 's_client', *self.connect(port), '-quiet', stdin='GET / HTTP/1.1\r\n\r\n')
        self.assertRegex(self.line(), r'^ok .* alpn=0')
        done = run('openssl', 's_client', *self.connect(port), '-alpn', 'h2')
        self.assertIn('no application protocol', done.stderr)
        self.assertRegex(self.line(), r'^failed no_http11')

    def test_old_versions_and_ciphers_are_refused(self):
        for flags in (['-tls1_1', '-cipher', 'ALL@SECLEVEL=0'], ['-tls1_2', '-cipher', 'AES128-GCM-SHA256'],
                      ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA'], ['-tls1_2', '-sigalgs', 'ECDSA+SHA1']):
            port = self.serve()
            done = run('openssl', 's_client', *self.connect(port), *flags)
            self.assertNotEqual(done.returncode, 0, flags)
            self.assertRegex(self.line(), r'^failed (nothing_in_common|protocol_error|refused_by_peer)', flags)

    def test_resumption(self):
        for flag in ('-tls1_2', '-tls1_3'):
            port = self.serve(2)
            session = self.dir / 'session'
            run('openssl', 's_client', *self.connect(port), flag, '-quiet', '-sess_out', session,
                stdin='GET / HTTP/1.1\r\n\r\n')
            run('openssl', 's_client', *self.connect(port), flag, '-quiet', '-sess_in', session,
                stdin='GET / HTTP/1.1\r\n\r\n')
            self.assertIn(' full ', self.line())
            self.assertIn(' resumed ', self.line())

    def test_early_data_is_not_taken(self):
        port = self.serve(2)
        session = self.dir / 'session'
        run('openssl', 's_client', *self.connect(port), '-tls1_3', '-quiet', '-sess_out', session,
            stdin='GET / HTTP/1.1\r\n\r\n')
        self.assertIn('ok', self.line())
        text = run('openssl', 'sess_id', '-in', session, '-noout', '-text').stdout
        self.assertIn('Max Early Data: 0', text)

    def test_renegotiation_is_refused(self):
        port = self.serve()
        done = run('openssl', 's_client', *self.connect(port), '-tls1_2', stdin='R\n')
        self.assertIn('RENEGOTIATING', done.stdout + done.stderr)
        self.assertNotIn('HTTP/1.1 200', done.stdout)
        self.assertNotRegex(self.line(), '^ok')

    def test_other_server_name_is_refused(self):
        port = self.serve()
        done = run('openssl', 's_client', '-connect', f'127.0.0.1:{port}', '-servername', 'evil.test')
        self.assertIn('unrecognized name', done.stderr)
        self.assertRegex(self.line(), r'^failed sni_differs')

    def test_client_that_does_not_trust_us_is_told_apart(self):
        for flag in ('-tls1_2', '-tls1_3'):
            port = self.serve()
            done = run('openssl', 's_client', '-connect', f'127.0.0.1:{port}', flag, '-verify_return_error',
                       '-servername', HOST, '-CAfile', '/etc/ssl/certs/ca-certificates.crt')
            self.assertNotEqual(done.returncode, 0)
            self.assertRegex(self.line(), r'^failed refused_by_peer: .*unknown CA.*SSL_CERT_FILE')

    def test_fragmented_hello(self):
        for flag in ('-tls1_2', '-tls1_3'):
            port = self.serve()
            done = run('openssl', 's_client', *self.connect(port), flag, '-quiet', '-split_send_frag', '512',
                       '-max_send_frag', '512', stdin='GET / HTTP/1.1\r\n\r\n')
            self.assertIn('hello', done.stdout, done.stderr)

    def test_gnutls(self):
        need('gnutls-cli')
        for priority, version in (('NORMAL:-VERS-ALL:+VERS-TLS1.2', 'TLSv1.2'), ('NORMAL:-VERS-ALL:+VERS-TLS1.3', 'TLSv1.3')):
            port = self.serve()
            done = run('gnutls-cli', '--x509cafile', self.dir / 'ca.pem', '--priority', priority, '--sni-hostname', HOST,
                       '--verify-hostname', HOST, '--port', port, '127.0.0.1', stdin='GET / HTTP/1.1\r\n\r\n')
            self.assertIn('hello', done.stdout, done.stdout + done.stderr)
            self.assertRegex(self.line(), f'^ok {version}')

    def test_curl(self):
        port = self.serve()
        done = run('curl', '-sS', '--resolve', f'{HOST}:{port}:127.0.0.1', f'https://{HOST}:{port}/',
                   env={'CURL_CA_BUNDLE': str(self.dir / 'bundle.pem'), 'PATH': os.environ['PATH']})
        self.assertEqual(done.stdout, 'hello\n', done.stderr)

    def test_wget_by_its_own_file(self):
        need('wget')
        port = self.serve(host='localhost')
        (self.dir / 'wgetrc').write_text(f"ca_certificate = {self.dir / 'bundle.pem'}\n")
        done = run('wget', '-q', '-O', '-', f'https://localhost:{port}/',
                   env={'SYSTEM_WGETRC': str(self.dir / 'wgetrc'), 'PATH': os.environ['PATH'], 'HOME': str(self.dir)})
        self.assertEqual(done.stdout, 'hello\n', done.stderr)

    def test_python(self):
        port = self.serve(host='localhost')
        done = run(lab.PYTHON, '-c', f'import urllib.request as u; print(u.urlopen("https://localhost:{port}/").read())',
                   env={'SSL_CERT_FILE': str(self.dir / 'bundle.pem')})
        self.assertIn('hello', done.stdout, done.stderr)

    def test_node(self):
        need('node')
        port = self.serve(host='localhost')
        done = run(lab.NODE, '-e', f'fetch("https://localhost:{port}/").then(r => r.text()).then(t => console.log(t))',
                   env={'NODE_EXTRA_CA_CERTS': str(self.dir / 'ca.pem'), 'PATH': os.environ['PATH']})
        self.assertIn('hello', done.stdout, done.stderr)

    def test_java(self):
        need('java')
        port = self.serve(host='localhost')
        (self.dir / 'Get.java').write_text(textwrap.dedent('''
            import java.net.URI; import java.net.http.*;
            public class Get { public static void main(String[] a) throws Exception {
              var r = HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[0])).build(),
                HttpResponse.BodyHandlers.ofString());
              System.out.println(r.body()); } }'''))
        done = run('java', self.dir / 'Get.java', f'https://localhost:{port}/',
                   env={'JAVA_TOOL_OPTIONS': f'-Djavax.net.ssl.trustStore={self.dir / "store.jks"} '
                        '-Djavax.net.ssl.trustStorePassword=changeit', 'PATH': os.environ['PATH']})
        self.assertIn('hello', done.stdout, done.stderr)

    def test_go(self):
        need('go')
        port = self.serve(host='localhost')
        (self.dir / 'get.go').write_text(textwrap.dedent('''
            package main
            import ("fmt"; "io"; "net/http"; "os")
            func main() { r, err := http.Get(os.Args[1]); if err != nil { fmt.Println(err); os.Exit(1) }
              b, _ := io.ReadAll(r.Body); fmt.Print(string(b)) }'''))
        done = run('go', 'run', self.dir / 'get.go', f'https://localhost:{port}/',
                   env={**os.environ, 'SSL_CERT_FILE': str(self.dir / 'bundle.pem'), 'GOTOOLCHAIN': 'local'})
        self.assertIn('hello', done.stdout, done.stdout + done.stderr)


CONF = '''[ca]
default_ca = d
[d]
dir = {d}
database = {d}/index.txt
serial = {d}/serial
new_certs_dir = {d}
policy = p
unique_subject = no
default_md = sha256
[p]
commonName = supplied
[req]
distinguished_name = dn
[dn]
'''


class Upstreams(Tls, LabTest):
    """Our client side against OpenSSL's server, with certificates that are wrong in one way each."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        d = cls.dir
        (d / 'conf').write_text(CONF.format(d=d))
        (d / 'index.txt').write_text('')
        (d / 'serial').write_text('1000\n')
        for name in ('root', 'other'):
            sh('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30',
               '-config', str(d / 'conf'), '-subj', f'/CN={name}', '-keyout', str(d / f'{name}.key'), '-out',
               str(d / f'{name}.pem'), '-addext', 'basicConstraints=critical,CA:TRUE')

    def certificate(self, name, san=f'DNS:{HOST}', key='ec', ca='root', dates=(), more='', md='sha256'):
        d = self.dir
        newkey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] if key == 'ec' else ['-newkey', key]
        sh('openssl', 'req', '-new', *newkey, '-nodes', '-config', str(d / 'conf'), '-subj', f'/CN={HOST}',
           '-keyout', str(d / f'{name}.key'), '-out', str(d / f'{name}.csr'))
        (d / 'ext').write_text('basicConstraints=CA:FALSE\n' + (f'subjectAltName={san}\n' if san else '') + more)
        start, end = dates or ('20200101000000Z', '20400101000000Z')
        sh('openssl', 'ca', '-batch', '-config', str(d / 'conf'), '-cert', str(d / f'{ca}.pem'), '-keyfile',
           str(d / f'{ca}.key'), '-in', str(d / f'{name}.csr'), '-out', str(d / f'{name}.pem'), '-startdate', start,
           '-enddate', end, '-extfile', str(d / 'ext'), '-md', md, '-notext')
        return name

    def origin(self, name, *flags):
        port = 4433     # this namespace is ours alone
        server = subprocess.Popen(['openssl', 's_server', '-accept', f'127.0.0.1:{port}', '-cert', str(self.dir / f'{name}.pem'),
                                   '-key', str(self.dir / f'{name}.key'), '-www', *flags], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, stdin=subprocess.PIPE, text=True)
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.stdin.close)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        while 'ACCEPT' not in server.stdout.readline():
            self.assertIsNone(server.poll())
        self.running = server
        return port

    def get(self, port, n=1, host=HOST):
        done = run(TOOL, 'get', self.dir / 'root.pem', host, port, n)
        return done.stdout.strip().splitlines()

    def stop(self):
        self.running.kill()
        self.running.wait()

    def test_good_ones(self):
        name = self.certificate('good')
        rsa = self.certificate('goodrsa', key='rsa:2048')
        for flags, version in ((['-tls1_2'], 'TLSv1.2'), (['-tls1_3'], 'TLSv1.3')):
            for cert in (name, rsa):
                lines = self.get(self.origin(cert, *flags), 2)
                self.assertRegex(lines[0], f'^ok {version} .* full ')
                self.assertRegex(lines[1], f'^ok {version} .* resumed ')
                self.stop()

    def test_pss_in_tls12(self):
        name = self.certificate('pss', key='rsa:2048')
        for hash_name in ('SHA256', 'SHA384', 'SHA512'):
            port = self.origin(name, '-tls1_2', '-sigalgs', f'RSA-PSS+{hash_name}')
            self.assertRegex(self.get(port)[0], '^ok TLSv1.2')
            self.stop()

    def test_wrong_ones_and_why(self):
        wrong = {
            'certificate_expired': [dict(dates=('20200101000000Z', '20210101000000Z'))],
            'certificate_not_yet_valid': [dict(dates=('20380101000000Z', '20400101000000Z'))],
            'certificate_for_other_host': [dict(san='DNS:other.test'), dict(san=''), dict(san='DNS:*.origin.test'),
                                           dict(san='IP:127.0.0.1'), dict(san='DNS:*.test.origin.test,DNS:test')],
            'certificate_issuer_unknown': [dict(ca='other')],
            'certificate_too_weak': [dict(md='sha1'), dict(key='rsa:1024')],
            'certificate_unsuitable': [dict(more='extendedKeyUsage=clientAuth\n')],
        }
        for reason, cases in wrong.items():
            for i, case in enumerate(cases):
                name = self.certificate(f'{reason}{i}', **case)
                lines = self.get(self.origin(name, '-cipher', 'ALL@SECLEVEL=0'))
                self.assertRegex(lines[0], f'^failed {reason}: .*{HOST}', (case, lines))
                self.stop()

    def test_expiry_names_the_day(self):
        name = self.certificate('old', dates=('20200101000000Z', '20210203000000Z'))
        self.assertIn('expired on 2021-02-03', self.get(self.origin(name))[0])

    def test_wildcard_and_addresses(self):
        name = self.certificate('wild', san='DNS:*.test')
        self.assertRegex(self.get(self.origin(name))[0], '^ok')
        self.stop()
        name = self.certificate('address', san='IP:192.31.196.10')
        port = self.origin(name)
        self.assertRegex(self.get(port, host='192.31.196.10')[0], '^ok')
        self.assertRegex(self.get(port, host='192.31.196.11')[0], '^failed certificate_for_other_host')

    def test_self_signed(self):
        d = self.dir
        sh('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-config', str(d / 'conf'),
           '-subj', f'/CN={HOST}', '-addext', f'subjectAltName=DNS:{HOST}', '-keyout', str(d / 'self.key'), '-out', str(d / 'self.pem'))
        self.assertRegex(self.get(self.origin('self'))[0], r'^failed certificate_issuer_unknown: .*--upstream-ca')

    def test_client_certificate(self):
        name = self.certificate('asks')
        for flag in ('-tls1_2', '-tls1_3'):
            port = self.origin(name, flag, '-verify', '1')     # asks, goes on without
            self.assertRegex(self.get(port)[0], r'^ok .* asked=1')
            self.stop()
            port = self.origin(name, flag, '-Verify', '1')     # insists
            self.assertRegex(self.get(port)[0], r'^failed client_certificate_wanted: .*tls: skip')
            self.stop()

    def test_nothing_in_common(self):
        name = self.certificate('oldcipher', key='rsa:2048')
        for flags in (['-tls1_2', '-cipher', 'AES128-SHA'], ['-tls1_1', '-cipher', 'ALL@SECLEVEL=0']):
            lines = self.get(self.origin(name, *flags))
            self.assertRegex(lines[0], r'^failed nothing_in_common', lines)
            self.stop()

    def test_alpn_of_upstream(self):
        name = self.certificate('alpn')
        self.assertRegex(self.get(self.origin(name, '-alpn', 'http/1.1'))[0], '^ok .* alpn=1')
        self.stop()
        # OpenSSL's example server takes no protocol rather than refusing h2's lack.
        self.assertRegex(self.get(self.origin(name, '-alpn', 'h2'))[0], '^(ok .* alpn=0|failed no_http11)')
