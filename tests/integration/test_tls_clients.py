"""Which variable makes which program trust the sandbox's authority, and take its proxy: one row for each program.

Each row's program runs in a sandbox with interception, five ways: with every variable that we set; with each
variable that docs/tls.md names for it and no other of them; with none, where it must refuse the certificate; and
for what the rules deny. Programs that are not installed are skipped by name.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

import lab
from lab import CURL, NODE, PYTHON, WGET, LabTest, policy, rule, endpoint, run
from registry_lab import RegistryHandler
from tls_lab import Authority, TlsOrigin

TOOLS = pathlib.Path(os.environ.get('OPENSHELL_TEST_TOOLS', pathlib.Path(__file__).parents[2] / 'build-tools'))
INSIDE = '/opt/lab/tools'       # where a sandbox sees them, whatever leads to them out here
VARIABLES = ('NODE_EXTRA_CA_CERTS', 'DENO_CERT', 'SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO',
             'CARGO_HTTP_CAINFO', 'PIP_CERT', 'AWS_CA_BUNDLE', 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
             'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE', 'HTTPLIB2_CA_CERTS', 'NIX_SSL_CERT_FILE', 'PERL_LWP_SSL_CA_FILE',
             'npm_config_cafile', 'SYSTEM_WGETRC', 'PHP_INI_SCAN_DIR', 'JAVA_TOOL_OPTIONS')
# only NAME COMMAND...: without the variables that name certificates, but NAME ("all": with every one).
ONLY = f'''
only() {{
    local keep=$1 v drop=()
    shift
    for v in {' '.join(VARIABLES)}; do [ $keep = all ] || [ $keep = $v ] || drop+=(-u $v); done
    env "${{drop[@]}}" "$@"
}}
export HOME=$PWD
'''
REFUSES = r'(?i)certificate|SELF_SIGNED|x509|UnknownIssuer|could not fetch|No matching distribution|PKIX'


def program(name):
    """The program itself, behind links."""
    path = shutil.which(name)
    return os.path.realpath(path) if path else None


class Client(LabTest):      # no tests of its own
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ca = Authority().issue('origin')

    @classmethod
    def tearDownClass(cls):
        cls.ca.close()
        super().tearDownClass()

    def need(self, *paths):
        for path in paths:
            if not path or not os.path.exists(path):
                self.skipTest(f'{os.path.basename(path) if path else "a program"} is not installed')

    def tools(self, *paths):
        """Make build-tools (packaging/fetch-test-tools.sh) visible in there; returns what the first pattern fits, inside."""
        found = [next(TOOLS.glob(p), None) for p in paths]
        for pattern, path in zip(paths, found):
            if not path:
                self.skipTest(f'{pattern} is not among the test tools (packaging/fetch-test-tools.sh)')
        return [self.mount(TOOLS, INSIDE) / path.relative_to(TOOLS) for path in found]

    def mount(self, folder, at):
        if not os.path.ismount(at):
            os.makedirs(at)
            lab.sh('mount', '--bind', str(folder), at)
        return pathlib.Path(at)

    def program_folder(self, **files):
        """A folder with programs of the test that a sandbox can read; removed at the end."""
        work = pathlib.Path(tempfile.mkdtemp(prefix='client-', dir='/opt/lab'))
        self.addCleanup(shutil.rmtree, work)
        os.chmod(work, 0o755)
        for name, text in files.items():
            (work / name.replace('_dot_', '.')).write_text(text)
        return work

    def rows(self, cases, script, binaries, before=''):
        """What the script said for each (variable, folder of the URL) in one sandbox; it gets https://origin.test/FOLDER as $1."""
        text = ONLY + before + '\n'
        for keep, folder in cases:
            # A folder of its own for each, as programs keep what they fetched.
            text += (f'mkdir -p {folder.replace("/", "-")}; cd {folder.replace("/", "-")}; echo "@@@"\n'
                     f'only {keep} bash -c \'{script}\' x https://origin.test/{folder} 2>&1; echo " exit $?"; cd "$HOME"\n')
        rules = [{'allow': {'method': m, 'path': '/ok/**'}} for m in ('GET', 'HEAD', 'POST')]
        doc = policy({'api': rule(endpoint(port=443, protocol='rest', enforcement='enforce', rules=rules), binaries=binaries)})
        with TlsOrigin(self.ca.context('origin'), handler=RegistryHandler) as origin:
            got = run(doc, ['bash', '-c', text], args=['--upstream-ca', str(self.ca.ca)], seconds=240)
            seen = [r[1] for r in origin.requests]
        return got, got.out.split('@@@')[1:], seen

    def check(self, script, reads, binaries, want='served', refuses=REFUSES, before=''):
        """reads: each variable that alone is enough; refuses: what it says when it has none of them (None: not asked)."""
        self.assertNotIn("'", script)
        self.need(*(b for b in binaries if not b.startswith('/opt/lab')))
        good = [('all', 'ok/all'), *((v, f'ok/{v}') for v in reads)]
        cases = [*good, ('all', 'no/x'), *([('none', 'ok/none')] if refuses else [])]
        got, said, seen = self.rows(cases, script, binaries, before)
        self.assertEqual(len(said), len(cases), got)
        for (_, folder), text in zip(good, said):
            self.assertIn(want, text, got)
            self.assertTrue(any(s.startswith(f'/{folder}/') for s in seen), (folder, seen))
        for text in said[len(good):]:
            self.assertNotIn(want, text, got)
        if refuses:
            self.assertRegex(said[-1], refuses, got)
        self.assertFalse([s for s in seen if s.startswith(('/ok/none', '/no'))], got)
        self.assertIn('/no/x', got.err, got)     # refused by a rule, not by accident


class Shell(Client, LabTest):
    def test_curl(self):
        self.check('curl -sS $1/x', ('CURL_CA_BUNDLE', 'SSL_CERT_FILE'), (CURL,))

    def test_wget(self):
        self.check('wget -t1 -O- $1/x', ('SYSTEM_WGETRC',), (WGET,))

    def test_git(self):
        """Debian's git has GnuTLS under libcurl."""
        helper = os.path.realpath(lab.sh('git', '--exec-path').strip() + '/git-remote-https')
        self.check('git ls-remote $1/repo.git', ('GIT_SSL_CAINFO',), (program('git'), helper), want='lab-branch')

    def test_gh(self):
        """As for every program of Go's own TLS."""
        self.check('GH_ENTERPRISE_TOKEN=x gh api --hostname origin.test $1/x', ('SSL_CERT_FILE',), (program('gh'),))

    def test_aws(self):
        before = 'export AWS_ACCESS_KEY_ID=a AWS_SECRET_ACCESS_KEY=b AWS_DEFAULT_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true AWS_MAX_ATTEMPTS=1'
        self.need('/usr/bin/aws')
        self.check('/usr/bin/aws --endpoint-url $1/s3/ s3 ls', ('AWS_CA_BUNDLE', 'REQUESTS_CA_BUNDLE'), (PYTHON,), want='lab-bucket', before=before)


class Python(Client, LabTest):
    def library(self, module, code, reads):
        if subprocess.run(['/usr/bin/python3', '-c', f'import {module}'], capture_output=True).returncode:
            self.skipTest(f'{module} is not installed')
        self.check(f'/usr/bin/python3 -c "import sys, {module}; {code}" $1/x', reads, (PYTHON,))

    def test_urllib(self):
        self.library('urllib.request', 'print(urllib.request.urlopen(sys.argv[1]).read())', ('SSL_CERT_FILE',))

    def test_requests(self):
        self.library('requests', 'print(requests.get(sys.argv[1]).text)', ('REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'))

    def test_httpx(self):
        self.library('httpx', 'print(httpx.get(sys.argv[1]).text)', ('SSL_CERT_FILE',))

    def test_httplib2(self):
        self.library('httplib2', 'print(httplib2.Http().request(sys.argv[1]))', ('HTTPLIB2_CA_CERTS',))

    PIP = ('python3 {} --retries 0 install --no-cache-dir --target . -i $1/simple labdep && PYTHONPATH=. python3 -c '
           '"import labdep; print(labdep.value)"')

    def test_pip_of_debian(self):
        self.need('/usr/lib/python3/dist-packages/pip')
        self.check(self.PIP.format('-m pip').replace('python3', '/usr/bin/python3'), ('PIP_CERT', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE'),
                   (PYTHON,), want='labdep works', before='export PIP_CONFIG_FILE=/dev/null')

    def test_pip_of_its_project(self):
        """Its own certificates and, where the Python is new enough, the system's."""
        pip, = self.tools('python/pip')
        self.check(self.PIP.format(pip).replace('python3', '/usr/bin/python3'), ('PIP_CERT', 'REQUESTS_CA_BUNDLE', 'SSL_CERT_FILE'),
                   (PYTHON,), want='labdep works', before='export PIP_CONFIG_FILE=/dev/null')

    def test_uv(self):
        uv, = self.tools('python/bin/uv')
        before = 'export UV_PYTHON=/usr/bin/python3 UV_PYTHON_DOWNLOADS=never UV_HTTP_RETRIES=0 UV_NO_CONFIG=1'
        self.check(f'{uv} pip install --no-cache --target . --index-url $1/simple labdep && PYTHONPATH=. /usr/bin/python3 -c '
                   '"import labdep; print(labdep.value)"', ('SSL_CERT_FILE',), (str(uv),), want='labdep works', before=before)


class Rust(Client, LabTest):
    def test_cargo(self):
        """A sparse registry; programs before 1.68 take one when told that they are nightly ones."""
        cargo, rustc = shutil.which('cargo'), shutil.which('rustc')
        self.need(cargo, rustc)
        inside = pathlib.Path(subprocess.run([rustc, '--print', 'sysroot'], capture_output=True, text=True, check=True).stdout.strip())
        if inside == pathlib.Path('/usr'):
            cargo, rustc = os.path.realpath(cargo), os.path.realpath(rustc)
        else:                   # rustup's, maybe in the home of somebody whose home is closed
            self.need(inside / 'bin' / 'cargo')
            cargo, rustc = (str(self.mount(inside, '/opt/lab/rust') / 'bin' / n) for n in ('cargo', 'rustc'))
        before = f'export RUSTC={rustc} RUSTC_BOOTSTRAP=1'
        script = ('export CARGO_HOME=$PWD/home; mkdir -p src .cargo; echo "fn main() {}" >src/main.rs;'
                  'printf "[package]\\nname=\\"p\\"\\nversion=\\"0.1.0\\"\\n[dependencies]\\nlabdep={version=\\"1\\",registry=\\"lab\\"}\\n" >Cargo.toml;'
                  'printf "[registries.lab]\\nindex=\\"sparse+$1/\\"\\n[net]\\nretry=0\\n[unstable]\\nsparse-registry=true\\n" >.cargo/config.toml;'
                  f'{cargo} fetch && cat home/registry/src/*/labdep-1.0.0/src/lib.rs')
        self.check(script, ('CARGO_HTTP_CAINFO',), (cargo,), want='pub fn value', before=before)

    def test_deno(self):
        """rustls."""
        deno, = self.tools('node_modules/@deno/*/deno')
        code = 'const r = await fetch(Deno.args[0]); console.log(r.status, await r.text())'
        self.check(f'echo "{code}" >x.js; {deno} run --allow-net --no-config x.js $1/x', ('DENO_CERT', 'NODE_EXTRA_CA_CERTS'), (str(deno),),
                   before='export DENO_NO_UPDATE_CHECK=1')


class Node(Client, LabTest):
    # Nothing of this machine's npmrc; the last test has one of its own.
    BEFORE = ('export npm_config_update_notifier=false npm_config_fetch_retries=0 npm_config_globalconfig=$HOME/none npm_config_audit=false '
              'npm_config_fund=false')
    PROJECT = 'echo "{\\"name\\":\\"x\\",\\"version\\":\\"1.0.0\\",\\"dependencies\\":{\\"labdep\\":\\"1.0.0\\"}}" >package.json;'
    SAY = ' && node -e "console.log(require(\\"labdep\\"))"'
    READS = ('NODE_EXTRA_CA_CERTS', 'npm_config_cafile')

    def test_npm(self):
        self.need(program('npm'))
        self.check(self.PROJECT + 'npm install --registry $1/' + self.SAY, self.READS, (NODE,), want='labdep works', before=self.BEFORE)

    def test_npm_with_a_cafile_in_its_configuration(self):
        """Which by itself makes it forget NODE_EXTRA_CA_CERTS."""
        self.need(program('npm'))
        before = self.BEFORE + '\necho cafile=/etc/ssl/certs/ca-certificates.crt >$HOME/.npmrc'
        self.check(self.PROJECT + 'npm install --registry $1/' + self.SAY, ('npm_config_cafile',), (NODE,), want='labdep works', before=before)

    def test_pnpm(self):
        """Without any of them it prints nothing and stays where it is, so that is not asked."""
        pnpm, = self.tools('node_modules/pnpm/bin/pnpm.cjs')
        self.check(self.PROJECT + f'node {pnpm} install --registry $1/ --store-dir s --cache-dir c --fetch-retries 0' + self.SAY, self.READS,
                   (NODE,), want='labdep works', before=self.BEFORE, refuses=None)

    def test_yarn_1(self):
        yarn, = self.tools('node_modules/yarn/bin/yarn.js')
        # It looks for a global npmrc beside Node whatever the variable says, so that a machine may have a cafile.
        self.check(self.PROJECT + f'node {yarn} install --no-progress --registry $1 --cache-folder c' + self.SAY, ('npm_config_cafile',),
                   (NODE,), want='labdep works', before=self.BEFORE)

    def test_yarn_4(self):
        """Which reads YARN_HTTPS_PROXY and no other proxy variable."""
        yarn, = self.tools('node_modules/@yarnpkg/cli-dist/bin/yarn.js')
        before = ('export YARN_ENABLE_TELEMETRY=0 YARN_HTTP_RETRY=0 YARN_ENABLE_IMMUTABLE_INSTALLS=false YARN_NODE_LINKER=node-modules '
                  'YARN_ENABLE_GLOBAL_CACHE=false YARN_IGNORE_PATH=1')
        self.check(self.PROJECT + f'touch yarn.lock; YARN_GLOBAL_FOLDER=$PWD/g YARN_NPM_REGISTRY_SERVER=$1 node {yarn} install' + self.SAY, ('NODE_EXTRA_CA_CERTS',),
                   (NODE,), want='labdep works', before=before)


class Languages(Client, LabTest):
    def test_ruby(self):
        self.check('ruby -rnet/http -e "puts Net::HTTP.get(URI(ARGV[0]))" $1/x', ('SSL_CERT_FILE',), (program('ruby'),))

    def test_perl_lwp(self):
        self.need(program('perl'), '/usr/share/perl5/LWP/Protocol/https.pm')
        work = self.program_folder(get_dot_pl='use LWP::UserAgent; my $u = LWP::UserAgent->new; $u->env_proxy; my $r = $u->get($ARGV[0]);\n'
                                   'print $r->code, " ", $r->decoded_content;')
        self.check(f'perl {work}/get.pl $1/x', ('PERL_LWP_SSL_CA_FILE',), (program('perl'),))

    def test_perl_http_tiny(self):
        self.need(program('perl'), '/usr/share/perl5/IO/Socket/SSL.pm')
        work = self.program_folder(get_dot_pl='use HTTP::Tiny; my $r = HTTP::Tiny->new(verify_SSL => 1)->get($ARGV[0]);\n'
                                   'print $r->{status}, " ", $r->{content};')
        self.check(f'perl {work}/get.pl $1/x', ('SSL_CERT_FILE',), (program('perl'),))

    def test_php_curl(self):
        """libcurl itself reads no variable."""
        self.need(program('php'))
        work = self.program_folder(get_dot_php='<?php $c = curl_init($argv[1]); curl_setopt($c, CURLOPT_RETURNTRANSFER, 1);\n'
                                   'echo curl_exec($c), curl_error($c), "\\n";')
        self.check(f'php {work}/get.php $1/x', ('PHP_INI_SCAN_DIR',), (program('php'),))

    def test_php_streams(self):
        """They take no proxy from a variable either: the script gives it."""
        self.need(program('php'))
        work = self.program_folder(get_dot_php='<?php $p = parse_url(getenv("HTTPS_PROXY")); echo file_get_contents($argv[1], false,\n'
                                   'stream_context_create(["http" => ["proxy" => "tcp://{$p["host"]}:{$p["port"]}", "ignore_errors" => true]]));')
        self.check(f'php {work}/get.php $1/x', ('PHP_INI_SCAN_DIR', 'SSL_CERT_FILE'), (program('php'),))

    JAVA = '''import java.net.*; import java.net.http.*;
public class Get { public static void main(String[] a) throws Exception {
  if (a[0].equals("client")) {
    var r = HttpClient.newHttpClient().send(HttpRequest.newBuilder(URI.create(a[1])).build(), HttpResponse.BodyHandlers.ofString());
    System.out.println(r.statusCode() + " " + r.body());
  } else
    System.out.println(new String(URI.create(a[1]).toURL().openStream().readAllBytes()));
} }
'''

    def test_java(self):
        """Both of its clients; JAVA_TOOL_OPTIONS is also how Java learns of the proxy, so without it nothing goes out."""
        java, javac = program('java'), program('javac')
        self.need(java, javac)
        work = self.program_folder(Get_dot_java=self.JAVA)
        subprocess.run([javac, '-d', str(work), str(work / 'Get.java')], check=True, capture_output=True, timeout=120)
        for kind in ('client', 'url'):
            self.check(f'{java} -Xmx128m -XX:ReservedCodeCacheSize=32m -cp {work} Get {kind} $1/x', ('JAVA_TOOL_OPTIONS',), (java,),
                       refuses=r'Exception')

    # A little proxy on loopback, for programs that know none: opens the tunnel and starts the program.
    BRIDGE = '''import socket, subprocess, sys, threading
listener = socket.create_server(("127.0.0.1", 4443))
def pump(a, b):
    while d := a.recv(65536): b.sendall(d)
    b.shutdown(socket.SHUT_WR)
def serve():
    client, _ = listener.accept()
    proxy = socket.create_connection(("10.200.0.1", 3128))
    proxy.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n")
    head = b""
    while b"\\r\\n\\r\\n" not in head: head += proxy.recv(1)
    threading.Thread(target=pump, args=(proxy, client), daemon=True).start()
    pump(client, proxy)
threading.Thread(target=serve, daemon=True).start()
with open("request", "wb") as f:
    f.write(b"GET %s HTTP/1.1\\r\\nHost: origin.test\\r\\nConnection: close\\r\\n\\r\\n" % sys.argv[1].encode())
done = subprocess.run(sys.argv[2:], stdin=open("request", "rb"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
print(done.stdout.decode(), done.returncode)
'''

    def test_nss(self):
        """It has a database, and no variable: nothing is set for it, but what we mint must please it."""
        self.need(program('certutil'), program('tstclnt'))
        work = self.program_folder(bridge_dot_py=self.BRIDGE)
        for version in ('tls1.2', 'tls1.3'):
            script = ('mkdir db; certutil -N -d sql:db --empty-password; certutil -A -d sql:db -n lab -t C,, -a -i "$NODE_EXTRA_CA_CERTS";'
                      f'/usr/bin/python3 {work}/bridge.py "${{1#https://origin.test}}/x" tstclnt -d sql:db -h 127.0.0.1 -p 4443 -a origin.test'
                      f' -4 -V {version}:{version}')
            self.check(script, ('NODE_EXTRA_CA_CERTS',), (PYTHON,), refuses='SEC_ERROR')
