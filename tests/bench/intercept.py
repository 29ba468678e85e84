#!/usr/bin/env python3
"""intercept.py [--build DIR] [--rounds N] [--seconds S] [--only WORD] [--who WORD] - what interception costs.

An nginx origin with certificates of its own authority, one load generator (pxload), our supervisor, and
the programs of intercept_peers.py, on the loopback of a network namespace that this script makes.  The
same load goes to the origin directly and through each of them, in turns; figures are medians.  Prints a
table for each case.  The load generator trusts nobody but the authority of the one it measures and
says who signed the certificate it saw: a peer that does not intercept is an error.
"""
import argparse
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import intercept_peers
import run

HERE = pathlib.Path(__file__).resolve().parent
ORIGIN = run.ORIGIN
OURS, DIRECT = 'this program', 'direct'
OUR_CA, PEER_CA, ORIGIN_CA = 'OpenShell Sandbox CA', 'Bench Interception CA', 'Bench Origin CA'
KNOWN = 4           # host names that every case but "first-time" uses
FIRST = {'first-8': 250, 'first-1': 50}     # together below TLS_MINT_BURST
IDLE = 1000
IDLE_LEAST = 950    # one that a busy peer drops does not end the whole run; the table says how many were held
HELD_S = 50         # below NET_KEEPALIVE_MS, the shortest of all time-outs here
TITLES = {
    'keep-1': 'Keep-alive GET, 1 connection', 'keep-16': 'Keep-alive GET, 16 connections',
    'new': 'New connections, known hosts, 8 at a time', 'resumed': 'New connections, known hosts, 8 at a time, client offers its session',
    'first-8': f'New connections, each to a first-time host, 8 at a time ({FIRST["first-8"]} hosts)',
    'first-1': f'New connections, each to a first-time host, 1 at a time ({FIRST["first-1"]} hosts)',
    'bulk': 'One download (256 MiB bodies)',
}
ARGS = {
    'keep-1': ['-K', '-c', '1', '-u', '/1k'], 'keep-16': ['-K', '-c', '16', '-u', '/1k'], 'new': ['-c', '8', '-u', '/0'],
    'resumed': ['-R', '-c', '8', '-u', '/0'], 'first-8': ['-c', '8', '-u', '/0'], 'first-1': ['-c', '1', '-u', '/0'],
    'bulk': ['-K', '-c', '1', '-u', '/256m'],
}


class Bench:
    def __init__(self, options):
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='bench-', dir='/tmp'))
        os.chmod(self.dir, 0o755)
        self.supervisor = str(pathlib.Path(options.build).resolve() / 'orchestrator' / 'openshell-supervisor')
        self.running, self.pids = [], {}

    def up(self):
        run.sh('gcc', '-O2', '-o', str(self.dir / 'pxload'), str(HERE / 'pxload.c'), '-lssl', '-lcrypto', '-lpthread')
        run.sh('ip', 'link', 'set', 'lo', 'up')
        run.sh('ip', 'addr', 'add', f'{ORIGIN}/32', 'dev', 'lo')
        for setting in ('net.ipv4.ip_local_port_range=1024 65000', 'net.ipv4.tcp_max_tw_buckets=1024', 'net.core.somaxconn=16384',
                        'net.ipv4.ip_local_reserved_ports=3100-3199'):
            subprocess.run(['sysctl', '-qw', setting], stderr=subprocess.DEVNULL)
        self.names()
        self.certificates()
        self.origin()
        self.policy()
        self.peers()

    def names(self):
        """All names are the origin's; the file covers /etc/hosts in our mount namespace alone."""
        hosts = [f'h{i}' for i in range(KNOWN)]
        hosts += [f'{case}-{i}' for case, n in FIRST.items() for i in range(n * self.options.rounds)]
        path = self.dir / 'hosts'
        path.write_text('127.0.0.1 localhost\n' + ''.join(f'{ORIGIN} {h}.bench.test\n' for h in hosts))
        run.sh('mount', '--bind', str(path), '/etc/hosts')

    def authority(self, name, common_name):
        run.sh('openssl', 'ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', f'{name}.key', cwd=self.dir)
        run.sh('openssl', 'req', '-x509', '-new', '-key', f'{name}.key', '-subj', f'/CN={common_name}', '-days', '2',
               '-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-out', f'{name}.pem', cwd=self.dir)

    def certificates(self):
        self.authority('origin-ca', ORIGIN_CA)
        self.authority('peer-ca', PEER_CA)
        for key in ('origin', 'leaf'):
            run.sh('openssl', 'ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', f'{key}.key', cwd=self.dir)
        run.sh('openssl', 'req', '-new', '-key', 'origin.key', '-subj', '/CN=*.bench.test', '-out', 'origin.csr', cwd=self.dir)
        (self.dir / 'ext').write_text('subjectAltName=DNS:*.bench.test\nextendedKeyUsage=serverAuth\n')
        run.sh('openssl', 'x509', '-req', '-in', 'origin.csr', '-CA', 'origin-ca.pem', '-CAkey', 'origin-ca.key', '-set_serial', '2',
               '-days', '2', '-extfile', 'ext', '-out', 'origin.pem', cwd=self.dir)

    def start(self, name, argv, port):
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.dir / 'peers.log', 'ab'))
        self.running.append(process)
        self.pids[name] = process.pid

        def ready():
            if process.poll() is not None:
                raise SystemExit(f'intercept.py: {name} ended with {process.returncode}: {(self.dir / "peers.log").read_text()[-800:]}')
            return f':{port} ' in run.sh('ss', '-Hltn')
        run.wait_for(ready, 60)

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
ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:S:10m;
server {{ listen {ORIGIN}:443 ssl backlog=4096; ssl_certificate {d}/origin.pem; ssl_certificate_key {d}/origin.key; root {d}/www;
etag off; }} }}''')
        self.start('nginx', ['nginx', '-c', str(d / 'nginx.conf')], 443)

    def policy(self):
        path = self.dir / 'policy.yaml'
        path.write_text(json.dumps({
            'version': 1, 'process': {'run_as_user': '4242', 'run_as_group': '4242'},
            'filesystem_policy': {'include_workdir': True, 'read_only': ['/usr', '/lib', '/etc', '/proc', str(self.dir)],
                                  'read_write': ['/tmp', '/dev/null']},
            'network_policies': {'bench': {'endpoints': [{'host': '*.bench.test', 'port': 443, 'protocol': 'rest', 'enforcement': 'enforce',
                                                          'rules': [{'allow': {'method': 'GET', 'path': '/*'}}]}],
                                           'binaries': [{'path': str(self.dir / 'pxload')}]}}}))
        os.chmod(path, 0o600)

    def peers(self):
        d = self.dir
        ca, key, origin_ca = d / 'peer-ca.pem', d / 'peer-ca.key', d / 'origin-ca.pem'
        made = [intercept_peers.squid(d, ca, key, origin_ca, ORIGIN, f'intercept{os.getpid()}'),
                intercept_peers.sslsplit(d, ca, key, d / 'leaf.key', ORIGIN), intercept_peers.mitmproxy(d, ca, key, origin_ca)]
        for peer in made:
            self.start(peer.name, peer.argv, peer.port)
        self.peer = {peer.name: peer for peer in made}
        self.names_in_turn = [who for who in (DIRECT, OURS, *self.peer) if self.options.who in who]

    # ---- load ----

    def client(self, who, args):
        """The load generator's command line for who; for ours, the sandbox around it comes on top."""
        argv = [str(self.dir / 'pxload'), '-T', *args]
        if who == OURS:         # the file with the sandbox's authority alone
            return [*argv, '-o', f'{ORIGIN}:443', '-P', 'connect', '-x', run.PROXY, '-k', '$NODE_EXTRA_CA_CERTS']
        if who == DIRECT:
            return [*argv, '-o', f'{ORIGIN}:443', '-P', 'none', '-k', str(self.dir / 'origin-ca.pem')]
        peer, argv = self.peer[who], [*argv, '-k', str(self.dir / 'peer-ca.pem')]
        if peer.how == 'none':
            return [*argv, '-o', f'127.0.0.1:{peer.port}', '-P', 'none']
        return [*argv, '-o', f'{ORIGIN}:443', '-P', peer.how, '-x', f'127.0.0.1:{peer.port}']

    def sandboxed(self, line):
        return [self.supervisor, '--policy', str(self.dir / 'policy.yaml'), '--workdir', str(self.dir), '--log-level', 'error',
                '--upstream-ca', str(self.dir / 'origin-ca.pem'), '--', 'sh', '-c', line]

    def check(self, who, got, what):
        want = {DIRECT: ORIGIN_CA, OURS: OUR_CA}.get(who, PEER_CA)
        if got['issuer'] != want:
            raise SystemExit(f'intercept.py: {who}, {what}: the certificate was issued by {got["issuer"]!r} instead of {want!r}: {got}')
        return got

    def load(self, who, case, round_):
        if case in FIRST:
            count = FIRST[case]
            args = ['-H', f'{case}-%ld.bench.test', '-N', str(count), '-B', str(round_ * count), '-n', str(count), '-w', '0', '-d', '60']
        else:
            args = ['-H', 'h%ld.bench.test', '-N', str(KNOWN), '-w', '0.5', '-d', str(self.options.seconds)]
        argv = self.client(who, [*ARGS[case], *args])
        if who == OURS:
            argv = self.sandboxed(' '.join(argv))
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
        try:
            return self.check(who, json.loads(done.stdout), case)
        except ValueError:
            raise SystemExit(f'intercept.py: {argv}: {done.stdout}{done.stderr}') from None

    def traffic(self):
        results = {}
        for round_ in range(self.options.rounds):
            for case in (c for c in ARGS if self.options.only in c):
                turn = round_ % len(self.names_in_turn)
                for who in self.names_in_turn[turn:] + self.names_in_turn[:turn]:
                    got = self.load(who, case, round_)
                    results.setdefault((case, who), []).append(got)
                    print(f'{case:8} {who:14} {got["rps"]:8.0f}/s {got["gibs"]:5.2f} GiB/s p50 {got["lat_us"]["p50"]:8.0f} us '
                          f'p99 {got["lat_us"]["p99"]:8.0f} us, {got["resumed"]} of {got["handshakes"]} resumed, {got["err"]} errors '
                          f'{got["errors"]["first"]}', file=sys.stderr, flush=True)
        return results

    # ---- memory ----

    def pss(self, who, pid):
        found = run.Bench.family(pid, 'openshell-supervisor' if who == OURS else '')
        return sum(pss for group in run.Bench.pss(found).values() for pss, _ in group)

    def idle(self, who):
        """PSS before, with IDLE connections that have done one request each, and how many those were."""
        line = ' '.join(self.client(who, ['-I', str(IDLE), '-H', 'h%ld.bench.test', '-N', str(KNOWN), '-d', str(HELD_S), '-u', '/1k']))
        argv = ['sh', '-c', 'echo up; read go; exec ' + line]
        if who == OURS:
            argv = self.sandboxed(argv[2])
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.running.append(process)
        pid = process.pid if who == OURS else self.pids[who]
        process.stdout.readline()
        before = self.pss(who, pid)
        process.stdin.write('go\n')
        process.stdin.flush()
        held = int((process.stdout.readline().split() or ['', '0'])[1])
        time.sleep(1)       # tickets that are still on their way
        after = self.pss(who, pid)
        out, err = process.communicate('end\n', timeout=60)
        if held < IDLE_LEAST:
            raise SystemExit(f'intercept.py: {who} held {held} of {IDLE} idle connections: {out}{err}')
        got = self.check(who, json.loads(out.splitlines()[-1]), 'idle')
        print(f'idle     {who:14} {before} KiB, with {got["held_end"]}: {after} KiB {got["first_err"]}', file=sys.stderr, flush=True)
        return before, after, got['held_end']

    def memory(self):
        return {who: self.idle(who) for who in self.names_in_turn if who != DIRECT}

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.terminate()
        for process in self.running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


# ---- tables ----

def columns(case, results):
    rate = ('requests/s' if case.startswith('keep') else 'connections/s', lambda runs: f'{run.median(runs, "rps"):,.0f}')
    p50 = ('p50 us', lambda runs: f'{run.median(runs, "lat_us", "p50"):,.0f}')
    p99 = ('p99 us', lambda runs: f'{run.median(runs, "lat_us", "p99"):,.0f}')
    resumed = ('resumed', lambda runs: f'{statistics.median(100 * r["resumed"] / max(r["handshakes"], 1) for r in runs):.0f} %')

    def added(path):
        base = run.median(results[case, DIRECT], 'lat_us', path)
        return (f'added {path} us', lambda runs: f'{run.median(runs, "lat_us", path) - base:,.0f}')
    if case == 'keep-1':
        return [rate, p50, added('p50'), p99, added('p99')]
    if case == 'bulk':
        return [('GiB/s', lambda runs: f'{run.median(runs, "gibs"):.2f}')]
    return [rate, p50, p99] + ([resumed] if case == 'resumed' else [])


def report(results, memory):
    out = []
    for case in dict.fromkeys(c for c, _ in results):
        shown = columns(case, results)
        out += [f'### {TITLES[case]}', '', '| | ' + ' | '.join(name for name, _ in shown) + ' | errors |', '|-' * (len(shown) + 2) + '|']
        for who in (w for c, w in results if c == case):
            runs = results[case, who]
            out.append(f'| {who} | ' + ' | '.join(f(runs) for _, f in shown) + f' | {sum(r["err"] for r in runs)} |')
        out.append('')
    if memory:
        out += [f'### Memory with {IDLE:,} idle connections', '', '| | held | PSS KiB before | PSS KiB with them | KiB a connection |', '|-|-|-|-|-|']
        out += [f'| {who} | {held:,} | {before:,} | {after:,} | {(after - before) / held:.1f} |' for who, (before, after, held) in memory.items()]
    return '\n'.join(out)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument('--build', default=str(run.TOP / 'build'))
    arguments.add_argument('--rounds', type=int, default=3)
    arguments.add_argument('--seconds', type=float, default=3)
    arguments.add_argument('--only', default='', help='cases whose name has this word; "memory" alone for the idle connections')
    arguments.add_argument('--who', default='', help='only those whose name has this word; for looking into one, as tables need "direct"')
    options = arguments.parse_args()
    if os.environ.get('INTERCEPT_INSIDE') != '1':
        os.environ['INTERCEPT_INSIDE'] = '1'
        os.environ['PATH'] += ':/usr/sbin:/sbin'
        os.execvp('unshare', ['unshare', '--net', '--mount', '--propagation', 'private', '--', sys.executable, *sys.argv])
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))    # two descriptors a connection, for the peers too
    bench = Bench(options)
    try:
        bench.up()
        memory = bench.memory() if options.only in ('', 'memory') else {}
        results = bench.traffic()
        if not options.who:
            print(report(results, memory))
    finally:
        bench.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
