"""TLS that ends in the leaf: real programs, upstream verification, refusals, bulk."""
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import tarfile
import tempfile

import lab
from lab import CURL, NODE, ORIGIN, PYTHON, WGET, LabTest, OriginHandler, Sandbox, endpoint, policy, rule, run
from relay_lab import LAST, Recorder, case, converse, get
from tls_lab import Authority, RawTls, TlsOrigin

GO, JAVA, OPENSSL = (shutil.which(x) for x in ('go', 'java', 'openssl'))
GNUTLS, NPM = (shutil.which(x) for x in ('gnutls-cli', 'npm'))


def tls_rest(*rules, binaries=(CURL,), port=443, **more):
    more.setdefault('enforcement', 'enforce')
    if rules:
        more['rules'] = [{'allow': {'method': m, 'path': p}} for m, p in rules]
    elif 'access' not in more:
        more['access'] = 'full'
    return policy({'api': rule(endpoint(port=port, protocol='rest', **more), binaries=binaries)})


class TlsTest(LabTest):     # no tests of its own
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca = Authority().issue('origin')
        cls.args = ['--upstream-ca', str(cls.ca.ca)]

    @classmethod
    def tearDownClass(cls):
        cls.ca.close()
        super().tearDownClass()

    def origin(self, **more):
        return TlsOrigin(self.ca.context('origin'), **more)

    def go(self, document, command, **more):
        return run(document, command, args=[*self.args, *more.pop('args', [])], **more)


class Programs(TlsTest, LabTest):
    """Each is refused where the rules say so, and served where they allow it."""

    def allowed_and_refused(self, command, denied, binaries, want='GET /ok from', **more):
        with self.origin() as origin:
            doc = tls_rest(('GET', '/ok'), binaries=binaries)
            got = self.go(doc, command, **more)
            self.assertIn(want, got.out, got)
            paths = [r[1] for r in origin.requests]
            refused = self.go(doc, denied, **more)
            self.assertEqual([r[1] for r in origin.requests], paths, refused)
        self.assertIn('/ok', paths)
        self.assertRegex(refused.out + refused.err, r'policy_denied|403', refused)

    def test_curl(self):
        self.allowed_and_refused(['curl', '-sS', 'https://origin.test/ok'], ['curl', '-sS', 'https://origin.test/no'], (CURL,))

    def test_wget(self):
        self.allowed_and_refused(['wget', '-qO-', 'https://origin.test/ok'], ['wget', '-O-', 'https://origin.test/no'], (WGET,))

    def test_python_urllib(self):
        code = 'import sys,urllib.request as u; print(u.urlopen("https://origin.test" + sys.argv[1]).read().decode())'
        self.allowed_and_refused(['/usr/bin/python3', '-c', code, '/ok'], ['/usr/bin/python3', '-c', code, '/no'], (PYTHON,))

    def test_python_requests(self):
        code = ('import sys,requests\ns=requests.Session()\nfor _ in range(3): r=s.get("https://origin.test" + sys.argv[1])\n'
                'print(r.status_code, r.text)')
        self.allowed_and_refused(['/usr/bin/python3', '-c', code, '/ok'], ['/usr/bin/python3', '-c', code, '/no'], (PYTHON,))

    def test_python_aiohttp(self):
        code = ('import sys,asyncio,aiohttp\nasync def main():\n async with aiohttp.ClientSession(trust_env=True) as s:\n'
                '  for _ in range(3):\n   async with s.get("https://origin.test" + sys.argv[1]) as r: print(r.status, await r.text())\n'
                'asyncio.run(main())')
        self.allowed_and_refused(['/usr/bin/python3', '-c', code, '/ok'], ['/usr/bin/python3', '-c', code, '/no'], (PYTHON,))

    # Node before 24 has no proxy of its own: a tunnel, then https inside it.
    NODE_HTTPS = '''
const http = require('http'), https = require('https'), p = new URL(process.env.HTTPS_PROXY);
http.request({host: p.hostname, port: p.port, method: 'CONNECT', path: 'origin.test:443'}).on('connect', (r, socket) => {
  https.get({host: 'origin.test', path: process.argv[1], socket, agent: false, servername: 'origin.test'}, r => {
    let b = ''; r.on('data', d => b += d); r.on('end', () => console.log(r.statusCode, b)); });
}).end();
'''

    def test_node_https(self):
        self.allowed_and_refused([NODE, '-e', self.NODE_HTTPS, '/ok'], [NODE, '-e', self.NODE_HTTPS, '/no'], (NODE,))

    def test_node_fetch(self):
        undici = pathlib.Path(NODE).parent.parent / 'lib/node_modules/npm/node_modules/undici'
        major = int(lab.sh(NODE, '--version')[1:].split('.')[0])
        if major < 24 and not undici.exists():
            self.skipTest('this Node has neither NODE_USE_ENV_PROXY nor undici beside it')
        agent = (f"const {{ProxyAgent, setGlobalDispatcher}} = require('{undici}'); "
                 'setGlobalDispatcher(new ProxyAgent(process.env.HTTPS_PROXY)); ') if major < 24 else ''
        code = agent + "fetch('https://origin.test' + process.argv[1]).then(async r => console.log(r.status, await r.text()))"
        self.allowed_and_refused([NODE, '-e', code, '/ok'], [NODE, '-e', code, '/no'], (NODE,))

    def test_go(self):
        if not GO:
            self.skipTest('no go')
        source = ('package main\nimport ("fmt"; "io"; "net/http"; "os")\nfunc main() {\n for i := 0; i < 3; i++ {\n'
                  '  r, err := http.Get("https://origin.test" + os.Args[1])\n  if err != nil { fmt.Println(err); os.Exit(1) }\n'
                  '  b, _ := io.ReadAll(r.Body); fmt.Println(r.StatusCode, string(b)); r.Body.Close()\n }\n}\n')
        work = pathlib.Path(tempfile.mkdtemp(prefix='lab-go-', dir='/usr/local/lib'))
        self.addCleanup(shutil.rmtree, work)
        os.chmod(work, 0o755)
        (work / 'get.go').write_text(source)
        subprocess.run([GO, 'build', '-o', str(work / 'get'), str(work / 'get.go')], check=True, capture_output=True, timeout=300,
                       env={**os.environ, 'GOFLAGS': '-mod=mod', 'GO111MODULE': 'off', 'CGO_ENABLED': '0'})
        program = str(work / 'get')
        self.allowed_and_refused([program, '/ok'], [program, '/no'], (program,))

    def test_java_http_client(self):
        if not JAVA:
            self.skipTest('no java')
        source = ('import java.net.*; import java.net.http.*;\npublic class Get { public static void main(String[] a) throws Exception {\n'
                  ' var p = URI.create(System.getenv("HTTPS_PROXY"));\n'
                  ' var c = HttpClient.newBuilder().proxy(ProxySelector.of(new InetSocketAddress(p.getHost(), p.getPort()))).build();\n'
                  ' for (int i = 0; i < 3; i++) { var r = c.send(HttpRequest.newBuilder(URI.create("https://origin.test" + a[0])).build(),'
                  ' HttpResponse.BodyHandlers.ofString()); System.out.println(r.statusCode() + " " + r.body()); } } }\n')
        java = os.path.realpath(JAVA)
        work = pathlib.Path(tempfile.mkdtemp(prefix='lab-java-', dir='/usr/local/lib'))
        self.addCleanup(shutil.rmtree, work)
        os.chmod(work, 0o755)
        (work / 'Get.java').write_text(source)
        subprocess.run([os.path.dirname(java) + '/javac', '-d', str(work), str(work / 'Get.java')], check=True, timeout=120)
        command = [java, '-Xmx128m', '-XX:ReservedCodeCacheSize=32m', '-cp', str(work), 'Get']
        self.allowed_and_refused([*command, '/ok'], [*command, '/no'], (java,), seconds=120)

    def s_client(self, version):
        openssl = os.path.realpath(OPENSSL)
        script = (f'printf "GET $1 HTTP/1.1\\r\\nHost: origin.test\\r\\nConnection: close\\r\\n\\r\\n" | {openssl} s_client -{version} -quiet'
                  ' -proxy 10.200.0.1:3128 -connect origin.test:443 -servername origin.test -CAfile "$SSL_CERT_FILE" -verify_return_error'
                  ' -verify_hostname origin.test -ign_eof')
        self.allowed_and_refused(['sh', '-c', script, 'x', '/ok'], ['sh', '-c', script, 'x', '/no'], (openssl,))

    def test_openssl_tls_1_2(self):
        self.s_client('tls1_2')

    def test_openssl_tls_1_3(self):
        self.s_client('tls1_3')

    def test_gnutls(self):
        if not GNUTLS:
            self.skipTest('no gnutls-cli')
        # gnutls-cli knows no proxies: a little one on loopback opens its tunnel.
        bridge = ('import socket,threading,sys,subprocess,os\nl=socket.create_server(("127.0.0.1",4443))\n'
                  'def pump(a,b):\n while d:=a.recv(65536): b.sendall(d)\n b.shutdown(1)\n'
                  'def serve():\n c,_=l.accept(); s=socket.create_connection(("10.200.0.1",3128))\n'
                  ' s.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n"); h=b""\n while b"\\r\\n\\r\\n" not in h: h+=s.recv(1)\n'
                  ' threading.Thread(target=pump,args=(s,c),daemon=True).start(); pump(c,s)\n'
                  'threading.Thread(target=serve,daemon=True).start()\n'
                  'p=subprocess.Popen(["gnutls-cli","--x509cafile",os.environ["SSL_CERT_FILE"],"--sni-hostname","origin.test",'
                  '"--verify-hostname","origin.test","-p","4443","127.0.0.1"],stdin=subprocess.PIPE,stdout=subprocess.PIPE,stderr=subprocess.STDOUT)\n'
                  'p.stdin.write(b"GET %s HTTP/1.1\\r\\nHost: origin.test\\r\\nConnection: close\\r\\n\\r\\n" % sys.argv[1].encode()); p.stdin.flush()\n'
                  'print(p.stdout.read().decode()); p.stdin.close()')
        self.allowed_and_refused(['/usr/bin/python3', '-c', bridge, '/ok'], ['/usr/bin/python3', '-c', bridge, '/no'], (PYTHON,))


class GitHandler(OriginHandler):
    """git http-backend (CGI)."""

    def git(self):
        path, _, query = self.path.partition('?')
        self.server.requests.append((self.command, self.path, dict(self.headers), b''))
        if 'chunked' in self.headers.get('Transfer-Encoding', ''):
            body = b''
            while size := int(self.rfile.readline().split(b';')[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        env = {'PATH': os.environ['PATH'], 'GIT_PROJECT_ROOT': self.server.root, 'GIT_HTTP_EXPORT_ALL': '1', 'PATH_INFO': path,
               'QUERY_STRING': query, 'REQUEST_METHOD': self.command, 'CONTENT_TYPE': self.headers.get('Content-Type', ''),
               'CONTENT_LENGTH': str(len(body)), 'REMOTE_USER': 'lab', 'REMOTE_ADDR': '127.0.0.1',
               'HTTP_CONTENT_ENCODING': self.headers.get('Content-Encoding', ''), 'GIT_PROTOCOL': self.headers.get('Git-Protocol', '')}
        done = subprocess.run(['git', 'http-backend'], input=body, capture_output=True, env=env, timeout=60)
        head, _, out = done.stdout.partition(b'\r\n\r\n')
        fields = [h.split(': ', 1) for h in head.decode().split('\r\n')]
        self.send_response(int(dict(fields).get('Status', '200').split()[0]))
        for name, value in fields:
            if name != 'Status':
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = git


class Git(TlsTest, LabTest):
    def test_clone_fetch_and_push_by_rules(self):
        root = pathlib.Path(tempfile.mkdtemp(prefix='lab-git-', dir='/run'))
        self.addCleanup(shutil.rmtree, root)
        env = {**os.environ, 'GIT_AUTHOR_NAME': 'a', 'GIT_AUTHOR_EMAIL': 'a@b', 'GIT_COMMITTER_NAME': 'a', 'GIT_COMMITTER_EMAIL': 'a@b',
               'HOME': str(root), 'GIT_CONFIG_GLOBAL': '/dev/null', 'GIT_CONFIG_SYSTEM': '/dev/null'}

        def git(*words, cwd=root):
            return subprocess.run(['git', *words], cwd=cwd, check=True, capture_output=True, env=env, timeout=60).stdout.decode()
        git('init', '-q', '-b', 'main', 'work')
        (root / 'work' / 'big').write_bytes(os.urandom(3_000_000))
        git('add', '.', cwd=root / 'work')
        git('commit', '-qm', 'one', cwd=root / 'work')
        git('clone', '-q', '--bare', 'work', 'repo.git')
        git('config', 'http.receivepack', 'true', cwd=root / 'repo.git')
        http = os.path.realpath(shutil.which('git'))
        helper = subprocess.run(['git', '--exec-path'], capture_output=True, text=True).stdout.strip() + '/git-remote-https'
        binaries = (http, os.path.realpath(helper), os.path.realpath(helper.replace('https', 'http')))
        reading = [('GET', '/repo.git/info/refs'), ('POST', '/**/git-upload-pack')]
        script = ('export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b HOME=$PWD; '
                  'git clone -q https://origin.test/repo.git c && cd c && sha256sum <big && git fetch -q && echo fetched;'
                  'git checkout -q -b new && head -c 2000000 /dev/urandom >more && git add . && git commit -qm two;'
                  'git -c http.postBuffer=65536 push -q origin new && echo pushed || echo refused')
        with TlsOrigin(self.ca.context('origin'), handler=GitHandler) as origin:
            origin.root = str(root)
            got = self.go(tls_rest(*reading, binaries=binaries), ['sh', '-c', script], seconds=120)
            self.assertIn(hashlib.sha256((root / 'work' / 'big').read_bytes()).hexdigest(), got.out, got)
            self.assertRegex(got.out, r'fetched\nrefused', got)
            self.assertNotIn('new', git('branch', cwd=root / 'repo.git'))
            self.assertNotIn('/repo.git/git-receive-pack', [r[1] for r in origin.requests])
            got = self.go(tls_rest(*reading, ('POST', '/repo.git/git-receive-pack'), binaries=binaries), ['sh', '-c', script], seconds=120)
            self.assertIn('pushed', got.out, got)
            self.assertIn('new', git('branch', cwd=root / 'repo.git'))
            self.assertIn('more', git('ls-tree', '--name-only', 'new', cwd=root / 'repo.git'))


class Npm(TlsTest, LabTest):
    def test_install_of_a_scoped_package(self):
        if not NPM:
            self.skipTest('no npm')
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode='w:gz') as t:
            for name, text in (('package/package.json', '{"name":"@lab/dep","version":"1.0.0"}'), ('package/index.js', 'module.exports=42')):
                info = tarfile.TarInfo(name)
                info.size = len(text)
                t.addfile(info, io.BytesIO(text.encode()))
        data = tar.getvalue()
        import base64
        integrity = 'sha512-' + base64.b64encode(hashlib.sha512(data).digest()).decode()

        class Registry(OriginHandler):
            def do_GET(self):
                self.server.requests.append((self.command, self.path, dict(self.headers), b''))
                out, kind = data, 'application/octet-stream'
                if not self.path.endswith('.tgz'):
                    kind = 'application/json'
                    out = json.dumps({'name': '@lab/dep', 'dist-tags': {'latest': '1.0.0'}, 'versions': {'1.0.0': {
                        'name': '@lab/dep', 'version': '1.0.0', 'dist': {'tarball': 'https://origin.test/t/dep-1.0.0.tgz',
                                                                         'integrity': integrity}}}}).encode()
                self.send_response(200)
                self.send_header('Content-Type', kind)
                self.send_header('Content-Length', str(len(out)))
                self.end_headers()
                self.wfile.write(out)
        script = ('export HOME=$PWD npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false'
                  ' npm_config_globalconfig=$PWD/g npm_config_userconfig=$PWD/u; echo "{}" >package.json;'
                  'npm install --registry https://origin.test/ @lab/dep && node -e "console.log(require(\'@lab/dep\'))"')
        doc = tls_rest(('GET', '/@lab%2Fdep'), ('GET', '/t/*'), binaries=(NODE,), allow_encoded_slash=True)
        with TlsOrigin(self.ca.context('origin'), handler=Registry) as origin:
            got = self.go(doc, ['sh', '-c', script], seconds=120)
        self.assertIn('42', got.out, got)
        self.assertIn('/@lab%2Fdep', [r[1] for r in origin.requests])


class Curl(TlsTest, LabTest):
    def test_uploads_downloads_resumption_and_expect(self):
        class Files(OriginHandler):
            def do_PUT(self):
                if self.headers.get('Expect'):
                    self.server.expected += 1
                self.server.stored = self.rfile.read(int(self.headers['Content-Length']))
                self.send_response(201)
                self.send_header('Content-Length', '0')
                self.end_headers()

            def do_GET(self):
                data, start = self.server.stored, int((re.search(r'bytes=(\d+)-', self.headers.get('Range', '')) or [0, 0])[1])
                self.send_response(206 if start else 200)
                if start:
                    self.send_header('Content-Range', f'bytes {start}-{len(data) - 1}/{len(data)}')
                self.send_header('Content-Length', str(len(data) - start))
                self.end_headers()
                self.wfile.write(data[start:])

        script = ('head -c 20000000 /dev/urandom >up; curl -sS -T up https://origin.test/f && curl -sS https://origin.test/f | cmp - up && echo same;'
                  'head -c 7000001 up >part; curl -sS -C - -o part https://origin.test/f && cmp part up && echo resumed')
        with TlsOrigin(self.ca.context('origin'), handler=Files) as origin:
            origin.expected = 0
            got = self.go(tls_rest(), ['sh', '-c', script])
        self.assertEqual(got.out.split(), ['same', 'resumed'], got)
        self.assertEqual(origin.expected, 1)

    def test_bulk_leaves_memory_flat(self):
        """100 MiB up, 1 GiB down, over TLS on both sides."""
        def serve(tls):
            data = b''
            while b'\r\n\r\n' not in data:
                data += tls.recv(65536)
            head, rest = data.split(b'\r\n\r\n', 1)
            left = int((re.search(rb'Content-Length: (\d+)', head) or [0, 0])[1]) - len(rest)
            while left > 0:
                left -= len(tls.recv(65536))
            n = int(head.split()[1][1:])
            tls.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % n)
            block = bytes(1 << 20)
            for _ in range(n >> 20):
                tls.sendall(block)
            tls.unwrap()
        script = ('curl -sS https://origin.test/1048576 -o /dev/null && echo warm && read x;'
                  'head -c 104857600 /dev/zero | curl -sS -H Expect: --data-binary @- https://origin.test/1048576 -o /dev/null -w "%{http_code}\\n";'
                  'curl -sS https://origin.test/1073741824 | wc -c; echo done; read x')
        with RawTls(self.ca.context('origin'), serve), Sandbox(tls_rest(), ['sh', '-c', script], args=self.args, stdin=subprocess.PIPE) as box:
            box.wait_out('warm')
            pid = box.leaf('network')
            sanitised = 'libasan' in pathlib.Path(f'/proc/{pid}/maps').read_text()

            def hwm():
                return int(re.search(r'VmHWM:\s+(\d+)', pathlib.Path(f'/proc/{pid}/status').read_text())[1])
            before = hwm()
            box.process.stdin.write(b'\n')
            box.process.stdin.flush()
            out = box.wait_out('done', 240)
            after = hwm()
            box.process.stdin.write(b'\n')
            box.process.stdin.flush()
            box.finish()
        self.assertIn('200\n1073741824', out)
        # The address sanitiser keeps freed memory for a while (256 MiB).
        spare = 400 << 10 if sanitised else 0
        self.assertLess(after - before, 4096 + spare, (before, after))

    def test_idle_connections_cost_little(self):
        """Nobody's buffers are kept where there are no bytes: 96 KiB a connection with them, 23 without."""
        code = '''
import os, socket, ssl, sys
tls, held = ssl.create_default_context(), []
def connect():
    s = socket.create_connection(("10.200.0.1", 3128))
    s.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\nHost: origin.test:443\\r\\n\\r\\n")
    while not s.recv(4096).endswith(b"\\r\\n\\r\\n"): pass
    held.append(tls.wrap_socket(s, server_hostname="origin.test"))
    get(held[-1])
def get(s):
    s.sendall(b"GET /idle HTTP/1.1\\r\\nHost: origin.test\\r\\n\\r\\n")
    data = b""
    while not data.endswith(b"from origin"): data += s.recv(4096)
for word, n in (("warm", 50), ("many", 200)):
    for _ in range(n): connect()
    print(word, flush=True)
    sys.stdin.readline()
for s in held: get(s)
print("all go on", flush=True)
'''

        class Handler(OriginHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header('Content-Length', '11')
                self.end_headers()
                self.wfile.write(b'from origin')

        with TlsOrigin(self.ca.context('origin'), handler=Handler), \
                Sandbox(tls_rest(binaries=(PYTHON,)), ['/usr/bin/python3', '-c', code], args=self.args, stdin=subprocess.PIPE) as box:
            used = []
            for word in ('warm', 'many'):
                box.wait_out(word, 120)
                pid = box.leaf('network')
                status = pathlib.Path(f'/proc/{pid}/status').read_text()
                used.append(int(re.search(r'RssAnon:\s+(\d+)', status)[1]))
                sanitised = 'libasan' in pathlib.Path(f'/proc/{pid}/maps').read_text()
                box.process.stdin.write(b'\n')
                box.process.stdin.flush()
            box.wait_out('all go on', 120)
            got = box.finish()
            self.assertEqual(got.code, 0, got)
        if not sanitised:       # which pads every block
            self.assertLess((used[1] - used[0]) / 200, 32, used)


class Verification(TlsTest, LabTest):
    """What is wrong with an upstream is said, and its server gets no request."""

    def refused(self, context, reason, args=None, document=None):
        with Recorder(port=443, tls=context) as origin:
            got = run(document or tls_rest(), ['curl', '-sS', '-w', '\\n%{http_code}', '-H', 'Authorization: secret', 'https://origin.test/x'],
                      args=args or self.args)
        self.assertEqual(origin.requests, [], got)
        text, code = got.out.rsplit('\n', 1)
        body = json.loads(text)
        self.assertEqual((code, body['error']), ('502', 'upstream_tls_failed'), got)
        self.assertIn(reason, body['detail'], got)
        self.assertIn('origin.test', body['detail'], got)      # and whose
        return body

    def test_unknown_issuer(self):
        other = Authority('Other CA').issue('origin')
        self.addCleanup(other.close)
        self.refused(other.context('origin'), 'issuer')

    def test_without_upstream_ca_our_own_is_unknown_too(self):
        self.refused(self.ca.context('origin'), 'issuer', args=['--log-level', 'warn'])

    def test_self_signed(self):
        self.ca.issue('self', signer=None)
        self.refused(self.ca.context('self'), 'issuer')

    def test_expired(self):
        self.ca.issue('old').date('old', '20200101000000Z', '20210203000000Z')
        body = self.refused(self.ca.context('old'), 'expired')
        self.assertIn('2021-02-03', body['reason'])

    def test_not_yet_valid(self):
        self.ca.issue('early').date('early', '20380101000000Z', '20400101000000Z')
        body = self.refused(self.ca.context('early'), 'not_yet_valid')
        self.assertIn('2038-01-01', body['reason'])

    def test_other_name(self):
        self.ca.issue('evil', host='evil.test')
        self.refused(self.ca.context('evil'), 'other_host')

    def test_sha1(self):
        self.ca.issue('weak', digest='-sha1')
        self.refused(self.ca.context('weak', weak=True), 'weak')

    def test_certificate_for_clients_only(self):
        self.ca.issue('client', usage='clientAuth')
        self.refused(self.ca.context('client'), 'unsuitable')

    def below(self, extensions):
        self.ca.sub('sub', extensions).issue('below', signer='sub').chain('below', 'sub')
        return self.ca.context('below')

    def test_authority_for_other_names(self):
        """Not critical, or mbedTLS would refuse it itself."""
        self.refused(self.below('nameConstraints=permitted;DNS:other.test\n'), 'for_other_host')
        self.refused(self.below('nameConstraints=excluded;DNS:test\n'), 'for_other_host')

    def test_authority_with_critical_constraints(self):
        """mbedTLS can't take it in, whichever version; the reason says what to do."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.below('nameConstraints=critical,permitted;DNS:origin.test\n')
            context.minimum_version = context.maximum_version = version
            body = self.refused(context, 'certificate_unsuitable')
            self.assertIn('name constraints that are critical', body['reason'])
            self.assertIn('tls: skip', body['reason'])

    def test_critical_extension_that_nobody_knows(self):
        body = self.refused(self.below('1.2.3.4.5=critical,DER:0500\n'), 'certificate_unsuitable')
        self.assertNotIn('name constraints', body['reason'])

    def test_authority_for_mail_alone(self):
        self.refused(self.below('extendedKeyUsage=emailProtection\n'), 'unsuitable')

    def test_authority_below_another_that_may(self):
        for extensions in ('', 'nameConstraints=permitted;DNS:origin.test\n', 'extendedKeyUsage=serverAuth,clientAuth\n'):
            with self.subTest(extensions), TlsOrigin(self.below(extensions)):
                got = self.go(tls_rest(), ['curl', '-sS', 'https://origin.test/ok'])
                self.assertIn('GET /ok from', got.out, got)

    def test_old_protocol(self):
        context = self.ca.context('origin', weak=True)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        self.refused(context, 'nothing_in_common')

    def test_65_client_certificate_wanted(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = self.ca.context('origin', verify_mode=ssl.CERT_REQUIRED, minimum_version=version, maximum_version=version)
            context.load_verify_locations(self.ca.ca)
            body = self.refused(context, 'client_certificate')
            self.assertIn('tls: skip', body['reason'])

    def test_no_tls_at_all(self):
        with lab.Echo(port=443):
            got = self.go(tls_rest(), ['curl', '-sS', 'https://origin.test/x'])
        self.assertEqual(json.loads(got.out)['error'], 'upstream_tls_failed', got)

    def test_a_denied_request_is_refused_before_any_upstream_handshake(self):
        with Recorder(port=443, tls=self.ca.context('origin')) as origin:
            got = self.go(tls_rest(('GET', '/ok')), ['curl', '-sS', 'https://origin.test/no'])
        self.assertEqual((json.loads(got.out)['error'], [bytes(r) for r in origin.raw]), ('policy_denied', [b'']), got)


class Interception(TlsTest, LabTest):
    def talk(self, document, cases, log=None, **more):
        with Recorder(port=443, tls=self.ca.context('origin'), **more) as origin:
            answers = converse(document, cases, args=[*self.args, *(['--log-file', log] if log else [])])
        return answers, origin

    def tunnel(self, raw, **more):
        return case(raw, open='origin.test:443', tls='origin.test', **more)

    def test_keep_alive_and_pipelining_inside_tls(self):
        raw = get('/1') + get('/2') + get('/3', 'origin.test', LAST)
        (answer,), origin = self.talk(tls_rest(binaries=(PYTHON,)), [self.tunnel(raw)])
        self.assertEqual((answer.codes, origin.connections, origin.targets), ([200] * 3, 1, ['/1', '/2', '/3']), answer)

    def test_endpoint_without_protocol_is_terminated_too(self):
        doc = policy({'web': rule(endpoint(port=443), binaries=(PYTHON,))})
        answers, origin = self.talk(doc, [self.tunnel(get('/x', 'origin.test', LAST)), self.tunnel(get('/x', 'evil.test')),
                                          self.tunnel(b'* OK not HTTP\r\n\r\n')])
        self.assertEqual([a.codes for a in answers], [[200], [403], [400]], answers)
        self.assertEqual(answers[1].json['error'], 'request_authority_mismatch')
        self.assertEqual(origin.targets, ['/x'])

    def test_37_40_host_inside_tls_must_be_the_tunnels(self):
        answers, origin = self.talk(tls_rest(binaries=(PYTHON,)), [
            self.tunnel(get('/x', h)) for h in ('evil.test', 'origin.test:80', 'origin.test:8443')] + [
            self.tunnel(get('http://origin.test/x', 'origin.test')), self.tunnel(get('https://origin.test/x', 'origin.test:443', LAST))])
        self.assertEqual([a.codes for a in answers], [[403], [403], [403], [400], [200]], answers)
        self.assertEqual(origin.targets, ['/x'])

    def test_38_sni_that_differs_from_connect_is_closed(self):
        code = ('import socket,ssl\ns=socket.create_connection(("10.200.0.1",3128))\n'
                's.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n"); s.recv(999)\nc=ssl.create_default_context(); c.check_hostname=False\n'
                'try: c.wrap_socket(s,server_hostname="evil.test"); print("open")\nexcept OSError as e: print("closed", e)')
        with Recorder(port=443, tls=self.ca.context('origin')) as origin:
            got = self.go(tls_rest(binaries=(PYTHON,)), ['/usr/bin/python3', '-c', code])
        self.assertIn('closed', got.out, got)
        self.assertEqual(origin.requests, [])
        self.assertRegex(got.err, 'DENIED.*sni_differs', got)

    def test_skip_leaves_tls_to_the_two_ends(self):
        doc = policy({'web': rule(endpoint(port=443, tls='skip'), binaries=(CURL,))})
        with self.origin():
            skipped = self.go(doc, ['curl', '-sSvk', 'https://origin.test/x'])
            ended = self.go(tls_rest(), ['curl', '-sSvk', 'https://origin.test/x'])
        self.assertIn('GET /x', skipped.out, skipped)
        self.assertIn('issuer: CN=Test CA', skipped.err)
        self.assertIn('issuer: CN=OpenShell Sandbox CA', ended.err)

    def test_malformed_and_denied_inside_tls(self):
        answers, origin = self.talk(tls_rest(('GET', '/ok'), binaries=(PYTHON,)), [
            self.tunnel(get('/ok', 'origin.test', 'Content-Length: 1', 'Content-Length: 2')), self.tunnel(get('/no')),
            self.tunnel(get('/ok') + get('/no') + get('/ok'))])
        self.assertEqual([a.codes for a in answers], [[400], [403], [200, 403]], answers)
        self.assertEqual(origin.targets, ['/ok'])

    def test_events_name_the_true_scheme(self):
        """Inside TLS https, in the clear http, also on the same port; for a tunnel neither."""
        log = '/run/lab/scheme.jsonl'
        answers, _ = self.talk(tls_rest(('GET', '/ok'), binaries=(PYTHON,)), [
            self.tunnel(get('/1')), case(get('/2', 'origin.test:443'), open='origin.test:443'),
            case(get('http://origin.test:443/3'), open=None)], log=log)
        lines = re.findall(r'HTTP:GET .*? -> GET (\S+)', answers[0].err)
        self.assertEqual(lines, ['https://origin.test:443/1', 'http://origin.test:443/2', 'http://origin.test:443/3'], answers[0].err)
        rows = [r for r in map(json.loads, pathlib.Path(log).read_text().splitlines()) if r.get('host') == 'origin.test']
        self.assertEqual({r.get('scheme') for r in rows if r.get('method')}, {'http', 'https'}, rows)
        self.assertFalse([r for r in rows if 'scheme' in r and not r.get('method')], rows)

    def test_clear_http_on_the_tls_port_is_judged_too(self):
        """A client may speak HTTP in the clear through the tunnel; rules and authority hold there as well."""
        answers, origin = self.talk(tls_rest(('GET', '/ok'), binaries=(PYTHON,)), [
            case(get('/no', 'origin.test:443'), open='origin.test:443'), case(get('/ok'), open='origin.test:443')])
        self.assertEqual([a.codes for a in answers], [[403], [403]], answers)
        self.assertEqual(origin.requests, [])

    def test_67_bytes_behind_close_notify_are_nothing(self):
        code = ('import socket,ssl\ns=socket.create_connection(("10.200.0.1",3128))\n'
                's.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n"); s.recv(999)\nc=ssl.create_default_context()\n'
                't=c.wrap_socket(s,server_hostname="origin.test")\nt.sendall(b"GET /1 HTTP/1.1\\r\\nHost: origin.test\\r\\n\\r\\n")\n'
                'print(t.recv(999)[:15])\nraw=t.unwrap()\ntry:\n raw.sendall(b"GET /2 HTTP/1.1\\r\\nHost: origin.test\\r\\n\\r\\n")\n raw.recv(99)\n'
                'except OSError: pass')
        with Recorder(port=443, tls=self.ca.context('origin')) as origin:
            got = self.go(tls_rest(binaries=(PYTHON,)), ['/usr/bin/python3', '-c', code])
        self.assertEqual(origin.targets, ['/1'], got)

    def test_67_half_closed_client_still_gets_its_answer(self):
        """With close_notify behind its request, or with the bare end of its connection."""
        code = ('import socket,ssl\nfor way in ("notify", "bare"):\n s=socket.create_connection(("10.200.0.1",3128))\n'
                ' s.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n"); s.recv(999)\n i,o=ssl.MemoryBIO(),ssl.MemoryBIO()\n'
                ' t=ssl.create_default_context().wrap_bio(i,o,server_hostname="origin.test")\n'
                ' def do(f):\n  while True:\n   try: r=f()\n   except ssl.SSLWantReadError: r=None\n   s.sendall(o.read())\n'
                '   if r is not None: return r\n   d=s.recv(65536); i.write(d) if d else i.write_eof()\n'
                ' do(lambda: t.do_handshake() or 1); do(lambda: t.write(b"GET /%s HTTP/1.1\\r\\nHost: origin.test\\r\\n\\r\\n" % way.encode()))\n'
                ' if way=="notify":\n  try: t.unwrap()\n  except ssl.SSLError: pass\n  s.sendall(o.read())\n s.shutdown(1)\n'
                ' n=0\n while d:=s.recv(65536): n+=len(d)\n print(way, n>100)')
        with Recorder(port=443, tls=self.ca.context('origin')) as origin:
            got = self.go(tls_rest(binaries=(PYTHON,)), ['/usr/bin/python3', '-c', code])
        self.assertEqual((got.out, origin.targets), ('notify True\nbare True\n', ['/notify', '/bare']), got)

    def test_68_other_bytes_inside_tls_are_denied(self):
        junk = [b'SSH-2.0-x\r\n\r\n', b'\x00\x01\x02\x03\r\n\r\n', b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'\x16\x03\x01\x00\x05hello\r\n\r\n']
        answers, origin = self.talk(tls_rest(binaries=(PYTHON,)), [self.tunnel(j) for j in junk])
        self.assertEqual([a.codes for a in answers], [[400]] * len(junk), answers)
        self.assertEqual([bytes(r) for r in origin.raw if r], [])

    def test_truncated_response_is_not_passed_off_as_whole(self):
        """TLS that ends without close_notify, under a body that ends with its connection."""
        def cut(tls):
            tls.recv(65536)
            tls.sendall(b'HTTP/1.1 200 OK\r\n\r\npart')
            tls.shutdown(socket.SHUT_RDWR)
        with RawTls(self.ca.context('origin'), cut):
            answer, = converse(tls_rest(binaries=(PYTHON,)), [self.tunnel(get('/x'))], args=self.args)
        self.assertIn(b'part!SSL', answer.out)

    def test_websocket_inside_tls(self):
        def chat(tls):
            data = b''
            while b'\r\n\r\n' not in data:
                data += tls.recv(4096)
            tls.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst')
            tls.sendall(tls.recv(100).upper())
            tls.unwrap()
        ask = get('/chat', 'origin.test', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Version: 13',
                  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==')
        with RawTls(self.ca.context('origin'), chat):
            answer = converse(tls_rest(('GET', '/chat'), binaries=(PYTHON,)), [self.tunnel([ask, b'hello'], between=b'first')], args=self.args)[0]
        self.assertEqual(answer.codes, [101], answer)
        self.assertTrue(answer.out.endswith(b'firstHELLO'), answer)

    def test_64_many_names_leave_the_leaf_serving(self):
        names = {f'n{i}.test': ORIGIN for i in range(300)}
        with open('/etc/hosts', 'a') as f:
            f.writelines(f'{a} {n}\n' for n, a in names.items())
        code = ('import socket,ssl\nok=0; c=ssl.create_default_context()\nfor i in range(300):\n s=socket.create_connection(("10.200.0.1",3128))\n'
                ' s.sendall(b"CONNECT n%d.test:443 HTTP/1.1\\r\\n\\r\\n" % i); s.recv(999)\n'
                ' try: c.wrap_socket(s,server_hostname="n%d.test" % i).close(); ok+=1\n except OSError: pass\n s.close()\nprint(ok)')
        doc = policy({'web': rule(endpoint(), *[endpoint(n, 443) for n in names], binaries=(PYTHON,))})
        with Recorder(port=443, tls=self.ca.context('origin')):
            got = self.go(doc, ['/usr/bin/python3', '-c', code])
        self.assertGreaterEqual(int(got.out), 256, got)

    def test_no_authority_is_503_before_200(self):
        blocked = pathlib.Path(tempfile.mkdtemp(prefix='lab-tls-', dir='/run')) / 'file'
        self.addCleanup(shutil.rmtree, blocked.parent)
        blocked.write_text('')
        code = ('import socket\ns=socket.create_connection(("10.200.0.1",3128))\n'
                's.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n")\nb=b""\nwhile d:=s.recv(999): b+=d\nprint(b.decode())')
        with Recorder(port=443) as origin:
            got = self.go(tls_rest(binaries=(PYTHON,)), ['/usr/bin/python3', '-c', code], env={'OPENSHELL_PROXY_TLS_DIR': str(blocked)})
            skip = self.go(policy({'web': rule(endpoint(port=443, tls='skip'), binaries=(PYTHON,))}), [
                '/usr/bin/python3', '-c', code.replace('while d:=s.recv(999): b+=d', 'b=s.recv(999)')],
                env={'OPENSHELL_PROXY_TLS_DIR': str(blocked)})
        self.assertRefused(got, 'HTTP/1.1 503', '"error":"tls_termination_unavailable"')
        self.assertIn('HTTP/1.1 200', skip.out, skip)
        self.assertEqual(origin.requests, [])

