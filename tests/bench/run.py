#!/usr/bin/env python3
"""run.py [--build DIR] [--rounds N] [--seconds S] [--only WORD] - measure, and write docs/performance.md.

Everything runs side by side in one go, in a network namespace that this script makes (unshare(1)),
on loopback: an nginx origin, the load generator (pxload), the bare splice relay that is the limit of
what a CONNECT proxy can do (relay), squid, tinyproxy, bubblewrap, and our supervisor.  Peers are
interleaved, in a rotated order; figures are medians.  Every run has a duration, every wait a limit.
Interception is measured by intercept.py at the end, against squid, sslsplit and mitmproxy.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parents[1]
ORIGIN = '192.31.196.10'        # exists on our own loopback only
PORT = 8080
OURS, PROXY = 'this program', '10.200.0.1:3128'


def sh(*argv, **more):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120, **more).stdout


def wait_for(question, seconds=20):
    end = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > end:
            raise SystemExit('run.py: something did not come up in time')
        time.sleep(0.02)
    return answer


class Bench:
    def __init__(self, options):
        self.options, self.build = options, pathlib.Path(options.build).resolve()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='bench-', dir='/tmp'))
        os.chmod(self.dir, 0o755)
        self.supervisor = str(self.build / 'orchestrator' / 'openshell-supervisor')
        self.rows, self.running = [], []

    def compile(self):
        for name, libs in (('pxload', ['-lssl', '-lcrypto', '-lpthread']), ('relay', []), ('launchbench', [])):
            sh('gcc', '-O2', '-o', str(self.dir / name), str(HERE / f'{name}.c'), *libs)

    def start(self, *argv, **more):
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=open(self.dir / 'peers.log', 'ab'), **more)
        self.running.append(process)
        return process

    def listening(self, port):
        return f':{port} ' in sh('ss', '-Hltn')

    def host(self):
        sh('ip', 'link', 'set', 'lo', 'up')
        sh('ip', 'addr', 'add', f'{ORIGIN}/32', 'dev', 'lo')
        for setting in ('net.ipv4.ip_local_port_range=1024 65000', 'net.ipv4.tcp_max_tw_buckets=1024',
                        'net.core.somaxconn=16384', 'net.ipv4.ip_local_reserved_ports=3100-3199,8080'):
            subprocess.run(['sysctl', '-qw', setting], stderr=subprocess.DEVNULL)

    def origin(self):
        www = self.dir / 'www'
        www.mkdir()
        for name, size in (('0', 0), ('1k', 1024), ('1g', 1 << 30)):
            with open(www / name, 'wb') as f:
                f.truncate(size)
        (self.dir / 'nginx.conf').write_text(f'''
user root; worker_processes 2; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx.err crit; daemon off;
events {{ worker_connections 19000; multi_accept on; }}
http {{ access_log off; sendfile on; sendfile_max_chunk 2m; tcp_nodelay on; keepalive_timeout 600s;
keepalive_requests 1000000000; open_file_cache max=100; open_file_cache_valid 1h;
server {{ listen {ORIGIN}:{PORT} backlog=16384; root {www}; etag off; }} }}''')
        self.start('nginx', '-c', str(self.dir / 'nginx.conf'))
        wait_for(lambda: self.listening(PORT))

    def peers(self):
        self.start(str(self.dir / 'relay'), '-l', '3100')
        squid = self.dir / 'squid'
        squid.mkdir()
        shutil.chown(squid, 'proxy', 'proxy')
        (self.dir / 'squid.conf').write_text(f'''
http_port 127.0.0.1:3101
acl to_origin dst {ORIGIN}
http_access allow to_origin
http_access deny all
cache deny all
access_log none
cache_log {squid}/cache.log
cache_store_log none
pid_filename {squid}/pid
coredump_dir {squid}
cache_effective_user proxy
shutdown_lifetime 0 seconds
max_filedescriptors 10000
pinger_enable off
via off
netdb_filename none
''')
        self.start('squid', '-n', f'bench{os.getpid()}', '-N', '-f', str(self.dir / 'squid.conf'))
        (self.dir / 'tinyproxy.conf').write_text(f'''
User root
Group root
Port 3102
Listen 127.0.0.1
Timeout 600
LogLevel Critical
LogFile "{self.dir}/tinyproxy.log"
MaxClients 4000
DisableViaHeader Yes
ConnectPort {PORT}
''')
        self.start('tinyproxy', '-d', '-c', str(self.dir / 'tinyproxy.conf'))
        for port in (3100, 3101, 3102):
            wait_for(lambda p=port: self.listening(p))

    def policy(self):
        path = self.dir / 'policy.yaml'
        path.write_text(json.dumps({
            'version': 1, 'process': {'run_as_user': '4242', 'run_as_group': '4242'},
            'filesystem_policy': {'include_workdir': True, 'read_only': ['/usr', '/lib', '/etc', '/proc', str(self.dir)],
                                  'read_write': ['/tmp', '/dev/null']},
            # tls: skip - bytes pass as in the bare relay; without it what looks like HTTP is parsed.
            'network_policies': {'bench': {'endpoints': [{'host': ORIGIN, 'port': PORT, 'tls': 'skip'}],
                                           'binaries': [{'path': str(self.dir / 'pxload')}]}}}))
        os.chmod(path, 0o600)
        return str(path)

    def ours(self, *command):
        return [self.supervisor, '--policy', self.policy(), '--workdir', str(self.dir), '--log-level', 'error', '--',
                *command]

    def load(self, peer, how, *args):
        proxy = {'bare relay': '127.0.0.1:3100', 'squid': '127.0.0.1:3101', 'tinyproxy': '127.0.0.1:3102',
                 OURS: PROXY}.get(peer)
        argv = [str(self.dir / 'pxload'), '-P', how if proxy else 'none', '-o', f'{ORIGIN}:{PORT}', '-H', ORIGIN,
                '-d', str(self.options.seconds), '-w', '0.5', *args]
        if proxy:
            argv += ['-x', proxy]
        done = subprocess.run(self.ours(*argv) if peer == OURS else argv, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise SystemExit(f'run.py: {peer} {how} {args}: {done.stdout}{done.stderr}') from None

    TESTS = [
        ('setup-c1', 'connect', ['-c', '1', '-u', '/0'], ('direct', 'bare relay', 'squid', 'tinyproxy', OURS)),
        ('setup-c8', 'connect', ['-c', '8', '-u', '/0'], ('direct', 'bare relay', 'squid', 'tinyproxy', OURS)),
        ('setup-c64', 'connect', ['-c', '64', '-u', '/0'], ('direct', 'bare relay', 'squid', 'tinyproxy', OURS)),
        ('bulk-1', 'connect', ['-K', '-c', '1', '-u', '/1g'], ('direct', 'bare relay', 'squid', 'tinyproxy', OURS)),
        ('bulk-8', 'connect', ['-K', '-c', '8', '-u', '/1g'], ('direct', 'bare relay', 'squid', 'tinyproxy', OURS)),
        ('forward-c64', 'forward', ['-K', '-c', '64', '-u', '/1k'], ('direct', 'squid', 'tinyproxy', OURS)),
    ]

    def traffic(self):
        results = {}
        for round_ in range(self.options.rounds):
            for name, how, args, peers in self.TESTS:
                if self.options.only and self.options.only not in name:
                    continue
                turn = round_ % len(peers)
                for peer in peers[turn:] + peers[:turn]:
                    got = self.load(peer, how, *args)
                    results.setdefault((name, peer), []).append(got)
                    print(f'{name:12} {peer:12} {got["rps"]:9.0f}/s {got["gibs"]:6.2f} GiB/s p50 {got["lat_us"]["p50"]:8.0f} us '
                          f'p99 {got["lat_us"]["p99"]:8.0f} us, {got["err"]} errors {got["errors"]["first"]}', flush=True)
        return results

    def launch(self):
        spec = self.dir / 'launch.spec'
        true = '/bin/true'
        bwrap = f'bwrap --unshare-all --die-with-parent --new-session --ro-bind / / --dev /dev --proc /proc --uid 65534 --gid 65534 {true}'
        ours = ' '.join(self.ours(true))
        default = f'{self.supervisor} --workdir {self.dir}/work -- {true}'
        (self.dir / 'work').mkdir(exist_ok=True)
        spec.write_text(f'fork and exec\t{true}\nbubblewrap\t{bwrap}\n{OURS}, default policy\t{default}\n{OURS}, a network rule\t{ours}\n')
        env = dict(os.environ, SUDO_UID='4242', SUDO_GID='4242')
        out = sh(str(self.dir / 'launchbench'), '-n', str(self.options.launches), '-f', str(spec), cwd=str(self.dir), env=env)
        rows = {}
        for line in out.splitlines()[1:]:
            cells = line.split('\t')
            if cells[5] != '0':
                raise SystemExit(f'run.py: launch failed: {line}')
            rows.setdefault(cells[1], []).append(float(cells[2]) / 1000)
        return rows

    def hold(self, command):
        """Start our supervisor with a command that waits; returns the process."""
        process = subprocess.Popen(self.ours(*command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=open(self.dir / 'hold.log', 'wb'))
        self.running.append(process)
        return process

    @staticmethod
    def family(pid, program='openshell-supervisor'):
        """Pids of the process and what descends from it, as far as their executable's name begins so."""
        found, todo = [], [pid]
        while todo:
            p = todo.pop()
            try:
                if os.path.basename(os.readlink(f'/proc/{p}/exe')).startswith(program):
                    found.append(p)
                for t in os.listdir(f'/proc/{p}/task'):
                    todo += [int(c) for c in open(f'/proc/{p}/task/{t}/children').read().split()]
            except OSError:
                pass
        return found

    @staticmethod
    def pss(pids):
        total = {}
        for p in pids:
            text = open(f'/proc/{p}/smaps_rollup').read()
            name = os.path.basename(os.readlink(f'/proc/{p}/exe'))
            peak = int(re.search(r'VmHWM:\s+(\d+)', open(f'/proc/{p}/status').read())[1])
            total.setdefault(name, []).append((int(re.search(r'^Pss:\s+(\d+)', text, re.M)[1]), peak))
        return total

    def memory(self):
        process = self.hold([str(self.dir / 'pxload'), '-P', 'connect', '-o', f'{ORIGIN}:{PORT}', '-H', ORIGIN, '-x', PROXY,
                             '-I', '1000', '-d', '60'])
        line = process.stdout.readline().decode()
        with_tunnels = self.pss(self.family(process.pid))
        held = int(line.split()[1]) if line.startswith('HOLD') else -1
        process.stdin.write(b'\n')
        process.stdin.close()
        process.wait(60)
        process = self.hold(['sh', '-c', 'echo up; read x'])
        process.stdout.readline()
        idle = self.pss(self.family(process.pid))
        time.sleep(2)           # files are watched from a moment after the start on
        wakeups = self.wakeups(self.family(process.pid))
        process.stdin.close()
        process.wait(60)
        return held, idle, with_tunnels, wakeups

    def wakeups(self, pids):
        out = self.dir / 'strace'
        argv = ['timeout', '10', 'strace', '-f', '-qq', '-o', str(out)] + [a for p in pids for a in ('-p', str(p))]
        subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines = [l for l in out.read_text().splitlines() if 'unfinished' not in l and 'detached' not in l and 'resumed' not in l]
        return lines

    def syscalls(self):
        out = self.dir / 'start-strace'
        subprocess.run(['strace', '-f', '-qq', '-o', str(out), *self.ours('/bin/true')], stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        names, count = {}, {}
        for line in out.read_text(errors='replace').splitlines():
            pid, _, rest = line.partition(' ')
            rest = rest.strip()
            if rest.startswith('<...') or rest.startswith('+++') or rest.startswith('---'):
                continue
            found = re.match(r'execve\("[^"]*/(openshell-supervisor[a-z-]*)"', rest)
            if found:
                names[pid] = found[1]
            count[pid] = count.get(pid, 0) + 1
        total = {}
        for pid, n in count.items():
            name = names.get(pid, 'its children (worker, probe, workload)')
            total[name] = total.get(name, 0) + n
        return total

    def decision(self):
        exe = self.build / 'tests' / 'bench' / 'bench_decide'
        subprocess.run(['ninja', '-C', str(self.build), 'tests/bench/bench_decide'], capture_output=True)
        if not exe.exists():
            return 'not built'
        return sh(str(exe)).strip()

    def evaluate(self):
        done = subprocess.run([sys.executable, str(HERE / 'bench_eval.py'), '--build', str(self.build)], capture_output=True, text=True, timeout=300)
        return (done.stdout + done.stderr).strip()

    def intercept(self):
        """The tables of intercept.py, which has a network of its own; it says on standard error how far it is."""
        if self.options.only:
            return ''
        argv = [sys.executable, str(HERE / 'intercept.py'), '--build', str(self.build), '--rounds', str(self.options.rounds),
                '--seconds', str(self.options.seconds)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=3600)
        if done.returncode:
            raise SystemExit('run.py: intercept.py failed; see above')
        return done.stdout.strip()

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


def median(runs, *path):
    values = []
    for run in runs:
        for key in path:
            run = run[key]
        values.append(run)
    return statistics.median(values)


def table(results, name, cells):
    peers = [p for n, p in results if n == name]
    rows = []
    for peer in peers:
        runs = results[(name, peer)]
        errors = sum(r['err'] for r in runs)
        rows.append(f'| {peer} | ' + ' | '.join(f(runs) for f in cells) + f' | {errors} |')
    return rows


INTERCEPTION = '''TLS is ended, each request judged by rules, and TLS begun anew: `tests/bench/intercept.py`, on a network of its own
with an nginx origin (ECDSA P-256, TLS 1.3) and the same load generator for all, which trusts the authority of the one that it
measures and nothing else, offers http/1.1, and checks who issued the certificate that it saw. The others are Debian's packages
(`tests/bench/intercept_peers.py`): squid with `ssl_bump` and its certificate helper, mitmproxy (`mitmdump`), sslsplit
as a listener with a fixed destination, as it is no proxy for CONNECT: it looks at no HTTP and does not verify the origin; the other three
do. All have a P-256 authority and keep certificates in memory. In each round each case goes through all in turns, in a rotated
order. This program starts anew for each run, the others once; a first-time host is a name that none has seen before, and
their number stays below what this program mints without delay (`TLS_MINT_BURST`). "Added" is the difference to direct TLS in the
same run. Idle connections have done one request, so that both of their halves are up; the memory is the PSS of
all processes of a program (not of the workload), after its start and with the connections.
'''


def report(bench, results, launches, memory, syscalls, decision):
    held, idle, tunnels, wakeups = memory
    rate = lambda r: f'{median(r, "rps"):,.0f}'
    p50 = lambda r: f'{median(r, "lat_us", "p50"):,.0f}'
    p99 = lambda r: f'{median(r, "lat_us", "p99"):,.0f}'
    gib = lambda r: f'{median(r, "gibs"):.2f}'
    cpu = next((l.split(':', 1)[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name')), '?')
    out = [f'''# Performance

Written by `tests/bench/run.py` on {datetime.date.today()}: Linux {platform.release()}, {os.cpu_count()} cores ({cpu}) shared by load
generator, proxy and origin; {bench.options.rounds} rounds of {bench.options.seconds} s, interleaved; medians. Identity and policy are on for this
program: the load generator is the workload. "Bare relay" is the least that a CONNECT proxy can do (no
policy, no identity, splice); our endpoint has `tls: skip`, so that tunnels carry bytes as they are. Absolute figures move by a third between machines and hours; ratios are what to compare. [profile.md](profile.md) says why aims are missed.
''']
    for name, title in (('setup-c1', 'CONNECT set-ups, 1 client'), ('setup-c8', 'CONNECT set-ups, 8 clients'),
                        ('setup-c64', 'CONNECT set-ups, 64 clients')):
        if any(n == name for n, _ in results):
            out += [f'## {title} (CONNECT, one GET inside, close)', '', '| | set-ups/s | p50 us | p99 us | errors |', '|-|-|-|-|-|',
                    *table(results, name, (rate, p50, p99)), '']
    for name, title in (('bulk-1', 'Bulk through one tunnel'), ('bulk-8', 'Bulk through eight tunnels')):
        if any(n == name for n, _ in results):
            out += [f'## {title}', '', '| | GiB/s | errors |', '|-|-|-|', *table(results, name, (gib,)), '']
    if any(n == 'forward-c64' for n, _ in results):
        out += ['## Forward requests, keep-alive, 64 clients', '', '| | requests/s | p50 us | p99 us | errors |', '|-|-|-|-|-|',
                *table(results, 'forward-c64', (rate, p50, p99)), '']
    out += ['## Start-up of /bin/true', '', '| | median ms | best ms |', '|-|-|-|']
    out += [f'| {n} | {statistics.median(v):.1f} | {min(v):.1f} |' for n, v in launches.items()]
    out += ['', 'System calls of one start: ' + ', '.join(f'{n} {c}' for n, c in sorted(syscalls.items())) + '.', '',
            '## Memory', '', f'| executable | idle PSS KiB | peak RSS KiB | PSS KiB with {held} idle tunnels |', '|-|-|-|-|']
    for name in idle:
        a, b = idle[name], tunnels.get(name, [])
        out.append(f'| {name} ({len(a)}) | {sum(x for x, _ in a):,} | {max(y for _, y in a):,} | {sum(x for x, _ in b):,} |')
    total, more = (sum(x for v in m.values() for x, _ in v) for m in (idle, tunnels))
    out.append(f'| all | {total:,} | | {more:,} ({(more - total) / max(held, 1):.1f} KiB a tunnel) |')
    out += ['', f'Wake-ups in 10 idle seconds (strace of all processes of ours): {len(wakeups)}'
            + (': `' + '`, `'.join(w[:80] for w in wakeups[:5]) + '`' if wakeups else '') + '.', '',
            '## One decision', '', '```', decision, '```', '',
            '## policy eval', '', '```', bench.evaluate(), '```', '',
            '## Interception', '', INTERCEPTION, bench.intercept(), '']
    return '\n'.join(out)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument('--build', default=str(TOP / 'build'))
    arguments.add_argument('--rounds', type=int, default=5)
    arguments.add_argument('--seconds', type=float, default=2.5)
    arguments.add_argument('--launches', type=int, default=30)
    arguments.add_argument('--only', default='')
    arguments.add_argument('--write', default=str(TOP / 'docs' / 'performance.md'))
    options = arguments.parse_args()
    if os.environ.get('BENCH_INSIDE') != '1':
        sh(str(TOP / 'packaging' / 'install-dependencies.sh'), 'build', 'bench')
        os.environ['BENCH_INSIDE'] = '1'
        os.execvp('unshare', ['unshare', '--net', '--mount', '--propagation', 'private', '--', sys.executable, *sys.argv])
    bench = Bench(options)
    try:
        bench.compile()
        bench.host()
        bench.origin()
        bench.peers()
        launches = bench.launch()
        for name, values in launches.items():
            print(f'launch {name}: median {statistics.median(values):.1f} ms, best {min(values):.1f}', flush=True)
        memory = bench.memory()
        syscalls = bench.syscalls()
        decision = bench.decision()
        results = bench.traffic()
        text = report(bench, results, launches, memory, syscalls, decision)
        if not options.only:
            pathlib.Path(options.write).write_text(text)
        print(text)
    finally:
        bench.close()


if __name__ == '__main__':
    main()
