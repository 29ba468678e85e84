"""The sandbox's authority as a workload finds it: files, environment, and what stays out of reach."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import unittest

import lab
from lab import LabTest, Sandbox, run

DIR = pathlib.Path('/etc/openshell-tls')
FILES = {'openshell-ca.pem', 'ca-bundle.pem', 'openshell-truststore.jks', 'wgetrc', 'openshell-php.ini'}
CA_FILE = ('NODE_EXTRA_CA_CERTS', 'DENO_CERT')
BUNDLE = ('SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'GIT_SSL_CAINFO', 'CARGO_HTTP_CAINFO', 'PIP_CERT',
          'AWS_CA_BUNDLE', 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH', 'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE', 'HTTPLIB2_CA_CERTS',
          'NIX_SSL_CERT_FILE', 'PERL_LWP_SSL_CA_FILE', 'npm_config_cafile')
# Reads everything that its variables name, and says what it read.
LOOK = '''
import os
for n in %r:
    p = os.environ[n]
    print(n, p, open(p, 'rb').read().count(b'BEGIN CERTIFICATE'), oct(os.stat(p).st_mode & 0o7777), os.stat(p).st_uid)
''' % (CA_FILE + BUNDLE,)


def variables(out):
    return dict(line.split('=', 1) for line in out.splitlines() if '=' in line)


def folders():
    return {p.name for p in DIR.glob('sandbox-*')} if DIR.exists() else set()


class Files(LabTest):
    def test_every_variable_names_a_file_that_can_be_read(self):
        got = run(lab.policy(), [lab.PYTHON, '-c', LOOK])
        self.assertEqual(got.code, 0, got)
        seen = dict((line.split()[0], line.split()[1:]) for line in got.out.splitlines())
        for name in CA_FILE:
            self.assertEqual(seen[name][1:], ['1', '0o444', '0'], (name, got))
        for name in BUNDLE:
            self.assertGreater(int(seen[name][1]), 1, (name, got))
            self.assertEqual(seen[name][2:], ['0o444', '0'])

    def test_folder_that_the_policy_does_not_list_can_still_be_read(self):
        folder = pathlib.Path('/srv/lab-tls')
        folder.parent.mkdir(exist_ok=True)
        other = pathlib.Path('/srv/lab-other')
        other.write_text('no')
        self.addCleanup(other.unlink)
        self.addCleanup(shutil.rmtree, folder, True)
        more = dict(env={'OPENSHELL_PROXY_TLS_DIR': str(folder)})
        got = run(lab.policy(), [lab.PYTHON, '-c', LOOK], **more)
        self.assertEqual(got.code, 0, got)
        self.assertIn(f'SSL_CERT_FILE {folder}/ca-bundle.pem', got.out)
        got = run(lab.policy(), ['/usr/bin/cat', str(other)], **more)
        self.assertNotEqual(got.code, 0, got)       # the folder alone was added

    def test_java_wget_and_php(self):
        values = variables(run(lab.policy(), ['/usr/bin/env'], args=['--env', 'JAVA_TOOL_OPTIONS=-Xmx64m', '--env', 'PHP_INI_SCAN_DIR=/mine']).out)
        folder = os.path.dirname(values['SSL_CERT_FILE'])
        self.assertEqual(values['SYSTEM_WGETRC'], folder + '/wgetrc')
        self.assertEqual(values['PHP_INI_SCAN_DIR'], '/mine:' + folder)
        self.assertRegex(variables(run(lab.policy(), ['/usr/bin/env']).out)['PHP_INI_SCAN_DIR'], '^:/etc/openshell-tls/sandbox-')
        self.assertRegex(values['JAVA_TOOL_OPTIONS'], rf'^-Xmx64m -Djavax.net.ssl.trustStore={folder}/openshell-truststore.jks '
                         r'.*-Dhttps.proxyHost=10\.200\.0\.1 -Dhttps.proxyPort=3128')

    def test_java_reads_the_store(self):
        if not shutil.which('keytool'):
            raise unittest.SkipTest('keytool is not installed')
        with Sandbox(lab.policy(), [lab.BASH, '-c', 'echo $SSL_CERT_FILE; cat']
                     , stdin=subprocess.PIPE) as box:
            folder = os.path.dirname(box.wait_out(r'\n').strip())
            done = subprocess.run(['keytool', '-list', '-keystore', folder + '/openshell-truststore.jks', '-storepass', 'changeit'],
                                  capture_output=True, text=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stdout)
            count = len(re.findall('BEGIN CERT', pathlib.Path(folder, 'ca-bundle.pem').read_text()))
            self.assertIn(f'{count} entries', done.stdout)
            box.process.stdin.close()
            box.process.wait(lab.WAIT)

    def test_each_sandbox_has_its_own_and_leaves_nothing(self):
        before = folders()
        with Sandbox(lab.policy(), [lab.BASH, '-c', 'echo up; read x'], stdin=subprocess.PIPE) as one, \
                Sandbox(lab.policy(), [lab.BASH, '-c', 'echo up; read x'], stdin=subprocess.PIPE) as two:
            one.wait_out('up')
            two.wait_out('up')
            mine = folders() - before
            self.assertEqual(len(mine), 2)
            texts = set()
            for name in mine:
                self.assertEqual({p.name for p in (DIR / name).iterdir()}, FILES)
                self.assertEqual(os.stat(DIR / name).st_mode & 0o777, 0o755)
                texts.add((DIR / name / 'openshell-ca.pem').read_text())
            self.assertEqual(len(texts), 2)
            one.process.stdin.close()
            two.process.stdin.close()
            one.process.wait(lab.WAIT)
            two.process.wait(lab.WAIT)
        self.assertEqual(folders(), before)

    def test_leftovers_of_a_crash_are_removed_and_live_ones_are_not(self):
        with Sandbox(lab.policy(), [lab.BASH, '-c', 'echo up; read x'], stdin=subprocess.PIPE) as live:
            live.wait_out('up')
            alive = folders()
            with Sandbox(lab.policy(), [lab.BASH, '-c', 'echo up; sleep 1000']) as box:
                box.wait_out('up')
                left = folders() - alive
                box.process.send_signal(signal.SIGKILL)
                box.process.wait(lab.WAIT)
                self.assertEqual(len(left), 1)
                lab.wait_for(lambda: folders() == alive)
            (DIR / 'sandbox-lab00000').mkdir()      # its janitor was killed as well
            self.assertEqual(run(lab.policy(), ['/bin/true']).code, 0)
            self.assertEqual(folders(), alive)
            live.process.stdin.close()
            live.process.wait(lab.WAIT)

    def test_named_folder(self):
        folder = '/tmp/lab-tls-dir'
        shutil.rmtree(folder, ignore_errors=True)
        self.addCleanup(shutil.rmtree, folder, True)
        before = folders()
        got = run(lab.policy(), ['/usr/bin/env'], env={'OPENSHELL_PROXY_TLS_DIR': folder})
        self.assertEqual(variables(got.out)['SSL_CERT_FILE'], folder + '/ca-bundle.pem', got)
        self.assertEqual(folders(), before)
        self.assertEqual({p.name for p in pathlib.Path(folder).iterdir()}, FILES)

    def test_folder_that_cannot_be_written_is_told_and_not_fatal(self):
        got = run(lab.policy(), ['/usr/bin/env'], env={'OPENSHELL_PROXY_TLS_DIR': '/proc/nowhere'})
        self.assertEqual(got.code, 0, got)
        self.assertIn('TLS can\'t be inspected', got.err)
        self.assertNotIn('SSL_CERT_FILE', variables(got.out))


class UpstreamCa(LabTest):
    def file(self, text):
        path = pathlib.Path('/tmp/lab-upstream.pem')
        path.write_text(text)
        self.addCleanup(path.unlink)
        return str(path)

    def test_goes_into_the_bundle(self):
        pem = subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=extra', '-keyout',
                              '/dev/null'], capture_output=True, text=True, check=True).stdout
        body = ''.join(pem.split('-----')[2].split())
        look = 'import os; t = open(os.environ["SSL_CERT_FILE"]).read(); print("".join(t.split()).count(%r))' % body
        for how in (dict(args=['--upstream-ca', self.file(pem)]), dict(env={'OPENSHELL_UPSTREAM_CA': '/tmp/lab-upstream.pem'})):
            got = run(lab.policy(), [lab.PYTHON, '-c', look], **how)
            self.assertEqual((got.code, got.out), (0, '1\n'), got)

    def test_wrong_file_ends_the_start(self):
        for path in (self.file('hello'), '/nonexistent.pem'):
            got = run(lab.policy(), ['/bin/true'], args=['--upstream-ca', path])
            self.assertEqual(got.code, 1, got)
            self.assertIn('--upstream-ca', got.err)


class Key(LabTest):
    def test_no_private_key_is_in_any_file_or_descriptor(self):
        with Sandbox(lab.policy(), [lab.BASH, '-c', 'echo up; read x'], stdin=subprocess.PIPE) as box:
            box.wait_out('up')
            pids = [box.process.pid, *lab.descendants(box.process.pid)]
            names = {os.readlink(f'/proc/{pid}/fd/{fd}') for pid in pids for fd in os.listdir(f'/proc/{pid}/fd')}
            self.assertFalse([n for n in names if 'openshell-ca-key' in n], names)
            for folder in DIR.glob('sandbox-*'):
                for path in folder.iterdir():
                    self.assertNotIn(b'PRIVATE', path.read_bytes())
            box.process.stdin.close()
            box.process.wait(lab.WAIT)

    def test_keys_are_in_locked_memory(self):
        if b'__asan_init' in lab.SUPERVISOR.read_bytes():
            raise unittest.SkipTest('the address sanitizer makes mlock(2) do nothing')
        with Sandbox(lab.policy(), [lab.BASH, '-c', 'echo up; read x'], stdin=subprocess.PIPE) as box:
            box.wait_out('up')
            for pid in (box.process.pid, box.leaf('network')):
                status = pathlib.Path(f'/proc/{pid}/status').read_text()
                self.assertGreaterEqual(int(re.search(r'VmLck:\s+(\d+)', status)[1]), 32, pid)
            box.process.stdin.close()
            box.process.wait(lab.WAIT)
