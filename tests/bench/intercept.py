#!/usr/bin/env python3
"""intercept.py [--build DIR] [--rounds N] [--seconds S] - what interception costs, against TLS without it.

An nginx origin with a certificate of its own authority, the load generator (pxload), and our
supervisor, on the loopback of a network namespace that this script makes.  The same load goes to the
origin directly and through the sandbox, where TLS ends and rules judge each request; both take turns,
figures are medians.  Prints a table.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ORIGIN, PROXY = '192.31.196.10', '10.200.0.1:3128'
TESTS = [('keep-alive GET, 1 connection', ['-K', '-c', '1', '-u', '/1k']), ('keep-alive GET, 16 connections', ['-K', '-c', '16', '-u', '/1k']),
         ('new connections, 8 at a time', ['-c', '8', '-u', '/0']), ('one download', ['-K', '-c', '1', '-u', '/256m'])]


def sh(*argv, **more):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120, **more).stdout


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='bench-', dir='/tmp'))
        os.chmod(self.dir, 0o755)
        self.supervisor = str(pathlib.Path(options.build).resolve() / 'orchestrator' / 'openshell-supervisor')
        sh('gcc', '-O2', '-o', str(self.dir / 'pxload'), str(HERE / 'pxload.c'), '-lssl', '-lcrypto', '-lpthread')
        sh('ip', 'link', 'set', 'lo', 'up')
        sh('ip', 'addr', 'add', f'{ORIGIN}/32', 'dev', 'lo')
        self.certificates()
        self.nginx = self.origin()
        self.policy()

    def certificates(self):
        key = ('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out')
        sh('openssl', *key, 'ca.key', cwd=self.dir)
        sh('openssl', 'req', '-x509', '-new', '-key', 'ca.key', '-subj', '/CN=Bench CA', '-days', '2', '-out', 'ca.pem', cwd=self.dir)
        sh('openssl', *key, 'o.key', cwd=self.dir)
        sh('openssl', 'req', '-new', '-key', 'o.key', '-subj', f'/CN={ORIGIN}', '-out', 'o.csr', cwd=self.dir)
        (self.dir / 'ext').write_text(f'subjectAltName=IP:{ORIGIN}\n')
        sh('openssl', 'x509', '-req', '-in', 'o.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', '2', '-days', '2', '-extfile', 'ext',
           '-out', 'o.pem', cwd=self.dir)

    def origin(self):
        (self.dir / 'www').mkdir()
        for name, size in (('0', 0), ('1k', 1024), ('256m', 256 << 20)):
            with open(self.dir / 'www' / name, 'wb') as f:
                f.truncate(size)
        d = self.dir
        (d / 'nginx.conf').write_text(f'''
user root; worker_processes 1; pid {d}/nginx.pid; error_log {d}/nginx.err crit; daemon off;
events {{ worker_connections 9000; multi_accept on; }}
http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_timeout 600s; keepalive_requests 1000000000;
server {{ listen {ORIGIN}:443 ssl backlog=4096; ssl_certificate {d}/o.pem; ssl_certificate_key {d}/o.key; root {d}/www; etag off; }} }}''')
        process = subprocess.Popen(['nginx', '-c', str(d / 'nginx.conf')], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while ':443 ' not in sh('ss', '-Hltn'):
            if time.monotonic() > end:
                raise SystemExit('intercept.py: the origin did not come up')
            time.sleep(0.02)
        return process

    def policy(self):
        path = self.dir / 'policy.yaml'
        path.write_text(json.dumps({
            'version': 1, 'process': {'run_as_user': '4242', 'run_as_group': '4242'},
            'filesystem_policy': {'include_workdir': True, 'read_only': ['/usr', '/lib', '/etc', '/proc', str(self.dir)],
                                  'read_write': ['/tmp', '/dev/null']},
            'network_policies': {'bench': {'endpoints': [{'host': ORIGIN, 'port': 443, 'protocol': 'rest', 'enforcement': 'enforce',
                                                          'rules': [{'allow': {'method': 'GET', 'path': '/*'}}]}],
                                           'binaries': [{'path': str(self.dir / 'pxload')}]}}}))
        os.chmod(path, 0o600)

    def load(self, args, ours, seconds=None):
        argv = [str(self.dir / 'pxload'), '-T', '-o', f'{ORIGIN}:443', '-H', ORIGIN, '-d', str(seconds or self.options.seconds), '-w', '0.5', *args]
        if ours:
            line = ' '.join([*argv, '-P', 'connect', '-x', PROXY, '-k', '$SSL_CERT_FILE'])
            argv = [self.supervisor, '--policy', str(self.dir / 'policy.yaml'), '--workdir', str(self.dir), '--log-level', 'error',
                    '--upstream-ca', str(self.dir / 'ca.pem'), '--', 'sh', '-c', line]
        else:
            argv += ['-P', 'none', '-k', str(self.dir / 'ca.pem')]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise SystemExit(f'intercept.py: {argv}: {done.stdout}{done.stderr}') from None

    def run(self):
        results = {}
        for round_ in range(self.options.rounds):
            for name, args in TESTS:
                for ours in (False, True) if round_ % 2 == 0 else (True, False):
                    results.setdefault((name, ours), []).append(self.load(args, ours))
        print('| load | | per second | GiB/s | p50 us | p99 us | errors |\n|-|-|-|-|-|-|-|')
        for name, _ in TESTS:
            for ours in (False, True):
                runs = results[name, ours]

                def median(*path):
                    values = []
                    for r in runs:
                        for key in path:
                            r = r[key]
                        values.append(r)
                    return statistics.median(values)
                print(f'| {name} | {"intercepted" if ours else "direct"} | {median("rps"):.0f} | {median("gibs"):.2f} | '
                      f'{median("lat_us", "p50"):.0f} | {median("lat_us", "p99"):.0f} | {sum(r["err"] for r in runs)} |')

    def close(self):
        self.nginx.terminate()
        self.nginx.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument('--build', default='build')
    arguments.add_argument('--rounds', type=int, default=3)
    arguments.add_argument('--seconds', type=float, default=3)
    options = arguments.parse_args()
    if os.environ.get('INTERCEPT_INSIDE') != '1':
        os.environ['INTERCEPT_INSIDE'] = '1'
        os.environ['PATH'] += ':/usr/sbin:/sbin'
        os.execvp('unshare', ['unshare', '--net', '--mount', '--propagation', 'private', '--', sys.executable, *sys.argv])
    bench = Bench(options)
    try:
        bench.run()
    finally:
        bench.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
