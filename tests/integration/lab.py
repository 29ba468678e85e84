"""lab.py - a host of our own: network namespace, names, origins, and sandboxes started on it.

run.py starts every test class under unshare(1) with fresh network and mount namespaces; prepare()
then gives that host addresses on loopback, /etc/hosts and /etc/resolv.conf.  Nothing leaves the
machine: the addresses below exist only inside.
"""
import contextlib
import http.server
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

BUILD = pathlib.Path(os.environ.get('OPENSHELL_BUILD', 'build')).resolve()
SUPERVISOR = BUILD / 'orchestrator' / 'openshell-supervisor'
REFUSE = BUILD / 'tests' / 'confinement' / 'refuse'
INJECT = BUILD / 'tests' / 'confinement' / 'inject'
SYSTRY = BUILD / 'tests' / 'confinement' / 'systry'

ORIGIN = '192.31.196.10'    # a public address, here on our loopback only
EVIL = '192.31.196.20'
INTERNAL = '10.77.0.10'
METADATA = '169.254.169.254'
NAMES = {'origin.test': ORIGIN, 'evil.test': EVIL, 'internal.test': INTERNAL,
         'rebind.test': '127.0.0.1', 'meta.test': METADATA}
ETC = ('hosts', 'resolv.conf', 'passwd', 'group')   # files of a test's own
OWN = ('/opt/lab', '/tmp/lab', '/run/lab', '/srv', '/etc/openshell-tls')  # folders of a test's own
USER = 4242                 # no account of this number is needed
ROOTLESS = False            # supervisors are started by USER (test_rootless.py)
WAIT = 20                   # seconds; every wait below has a limit

CURL = os.path.realpath(shutil.which('curl') or '/usr/bin/curl')
PYTHON = os.path.realpath('/usr/bin/python3')
BASH = os.path.realpath('/bin/bash')
NODE = os.path.realpath(shutil.which('node') or '/usr/bin/node')
WGET = os.path.realpath('/usr/bin/wget')
NEWEST_DIR = tempfile.gettempdir()


def as_starter():
    """Words that make a command run as whoever starts the supervisors."""
    return ['setpriv', '--reuid', str(USER), '--regid', str(USER), '--clear-groups', '--'] if ROOTLESS else []


def sh(*argv):
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=WAIT).stdout


def prepare():
    """Make the namespace that run.py gave us into a small host."""
    # /run of its own: other sandboxes of this machine have their control sockets in the real one.
    resolv = os.path.realpath('/etc/resolv.conf')
    sh('mount', '-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', '/run')
    if resolv.startswith('/run/'):
        os.makedirs(os.path.dirname(resolv), exist_ok=True)
        pathlib.Path(resolv).touch()
    sh('ip', 'link', 'set', 'lo', 'up')
    for address in (ORIGIN, EVIL, INTERNAL, METADATA):
        sh('ip', 'addr', 'add', f'{address}/32', 'dev', 'lo')
    sh('ip', '-6', 'addr', 'add', '2001:500:84::10/128', 'dev', 'lo', 'nodad')
    for name in OWN:                    # other runs may use the same names at the same time
        os.makedirs(name, exist_ok=True)
        sh('mount', '-t', 'tmpfs', '-o', 'mode=755' if name.startswith('/etc') else 'mode=1777', 'lab', name)
    tmp = pathlib.Path(tempfile.mkdtemp(prefix='lab-etc-', dir='/tmp'))
    hosts = '127.0.0.1 localhost\n::1 localhost\n' + ''.join(
        f'{a} {n}\n' for n, a in NAMES.items())
    (tmp / 'hosts').write_text(hosts)
    (tmp / 'resolv.conf').write_text('nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
    for name in ('passwd', 'group'):    # no account `sandbox`, whatever this machine has
        lines = pathlib.Path(f'/etc/{name}').read_text().splitlines(True)
        (tmp / name).write_text(''.join(l for l in lines if not l.startswith('sandbox:')))
    for name in ETC:
        sh('mount', '--bind', str(tmp / name), os.path.realpath(f'/etc/{name}'))
    return tmp


class Origin(http.server.ThreadingHTTPServer):
    """A web server that remembers what reached it."""
    daemon_threads = True
    address_family = socket.AF_INET

    def __init__(self, address=ORIGIN, port=80):
        self.requests, self.connections = [], 0
        super().__init__((address, port), OriginHandler)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.05},
                                       daemon=True)
        self.thread.start()

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def handle_error(self, request, client_address):
        pass                # a client that goes away is not our failure

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class OriginHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self):
        length = int(self.headers.get('Content-Length') or 0)
        body = self.rfile.read(length) if length else b''
        self.server.requests.append((self.command, self.path, dict(self.headers), body))
        if self.path.startswith('/bytes/'):
            out = b'x' * int(self.path.split('/')[2])
        else:
            out = f'{self.command} {self.path} from {self.server.server_address[0]} '.encode() + body
        self.send_response(200)
        self.send_header('Content-Length', str(len(out)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(out)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Echo:
    """A TCP server that sends back what it gets; for tunnels and half-close."""

    def __init__(self, address=ORIGIN, port=443):
        self.socket = socket.create_server((address, port), backlog=128)
        self.accepted = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                self.accepted += 1
                threading.Thread(target=self._echo, args=(peer,), daemon=True).start()

    @staticmethod
    def _echo(peer):
        with peer, contextlib.suppress(OSError):
            while data := peer.recv(65536):
                peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def endpoint(host='origin.test', port=80, **more):
    return {'host': host, 'port': port, **more}


def rule(*endpoints, binaries=(CURL,)):
    return {'endpoints': list(endpoints), 'binaries': [{'path': b} for b in binaries]}


def policy(rules=None, user=USER, group=None, read_only=(), read_write=(), workdir=True, **more):
    """A policy document; JSON is YAML."""
    base_ro = ['/usr', '/lib', '/proc', '/dev/urandom', '/app', '/etc', '/var/log', '/opt', '/root/.nvm',
               '/usr/local']
    doc = {'version': 1,
           'filesystem_policy': {'include_workdir': workdir,
                                 'read_only': [p for p in base_ro if os.path.exists(p)] + list(read_only),
                                 'read_write': ['/tmp', '/dev/null', *read_write]},
           'network_policies': rules or {}}
    if user:
        doc['process'] = {'run_as_user': str(user), 'run_as_group': str(group or user)}
    doc.update(more)
    return json.dumps(doc, indent=1)


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f'exit {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}'


class Program(subprocess.Popen):
    """A program that does not outlive its block: ended at once if the test failed there, else after WAIT seconds."""

    def __exit__(self, kind, *more):
        late = threading.Timer(0 if kind else WAIT, self.kill)
        late.start()
        try:
            super().__exit__(kind, *more)
        finally:
            late.cancel()


class Sandbox:
    """A running supervisor.  Always used as a context manager; it is ended on leaving."""

    def __init__(self, document, command, args=(), env=None, workdir=None, stdin=subprocess.DEVNULL,
                 stdout=subprocess.PIPE, launcher=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='lab-', dir='/tmp'))
        os.chmod(self.dir, 0o755)
        self.work = pathlib.Path(workdir) if workdir else self.dir / 'work'
        if not workdir:
            self.work.mkdir()
            os.chown(self.work, USER, USER)
        # Where the workload can't write: a file that it could change is not read again.
        self.etc = pathlib.Path(tempfile.mkdtemp(prefix='lab-', dir='/run'))
        self.policy = self.etc / 'policy.yaml'
        launcher = [*as_starter(), *launcher]
        if ROOTLESS:
            os.chown(self.etc, USER, USER)
        argv = [*launcher, str(SUPERVISOR), '--workdir', str(self.work)]
        if document is not None:
            self.write_policy(document)
            argv += ['--policy', str(self.policy)]
        self.err_path = self.dir / 'stderr'
        self.argv = [*argv, *args, '--', *command]
        clean = {'PATH': os.environ['PATH'], 'LANG': 'C.UTF-8', **(env or {})}
        with open(self.err_path, 'wb') as err:
            self.process = subprocess.Popen(self.argv, stdin=stdin, stdout=stdout, stderr=err, env=clean)

    def write_policy(self, document):
        new = self.policy.with_suffix('.new')
        new.write_text(document)
        os.chmod(new, 0o600)
        if ROOTLESS:
            os.chown(new, USER, USER)
        os.rename(new, self.policy)

    @property
    def err(self):
        return self.err_path.read_text(errors='replace')

    def wait_err(self, pattern, seconds=WAIT):
        """Until stderr matches; the supervisor ending first, or the limit, is a failure."""
        return wait_for(lambda: re.search(pattern, self.err), seconds,
                        lambda: f'no {pattern!r} in stderr (exit {self.process.poll()}):\n{self.err}')

    def wait_out(self, pattern, seconds=WAIT):
        """Read the workload's output until it matches; returns all that was read so far."""
        data, end = getattr(self, 'seen', ''), time.monotonic() + seconds
        fd = self.process.stdout.fileno()
        while not re.search(pattern, data):
            left = end - time.monotonic()
            ready = select.select([fd], [], [], max(left, 0))[0] if left > 0 else []
            chunk = os.read(fd, 65536) if ready else b''
            if not chunk:
                raise AssertionError(f'no {pattern!r} in stdout:\n{data}\n--- stderr\n{self.err}')
            data += chunk.decode(errors='replace')
        self.seen = data
        return data

    def finish(self, seconds=60):
        out, _ = self.process.communicate(timeout=seconds)
        text = out.decode(errors='replace') if out is not None else ''
        return Result(self.process.returncode, getattr(self, 'seen', '') + text, self.err)

    def leaf(self, name):
        """pid of openshell-supervisor-NAME that this supervisor started (the oldest)."""
        return leaf_of(self.process.pid, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(15)
        if self.process.stdout:
            self.process.stdout.close()
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.etc, ignore_errors=True)


def run(document, command, seconds=60, **more):
    with Sandbox(document, command, **more) as box:
        return box.finish(seconds)


def wait_for(question, seconds=WAIT, complaint=lambda: 'condition not met'):
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(complaint())
        time.sleep(0.01)        # polling a condition of another process, not waiting a fixed time


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{task}/children') as f:
                found += [int(p) for p in f.read().split()]
    return found


def programs(pid):
    """What the supervisor of this pid started itself: the network leaf, the janitor, and whose child the process leaf is."""
    mine = children(pid)
    return mine + [p for janitor in mine if exe_name(janitor) == 'openshell-supervisor' for p in children(janitor)]


def leaf_of(pid, name):
    found = [p for p in programs(pid) if exe_name(p) == f'openshell-supervisor-{name}']
    return min(found) if found else None


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def exe_name(pid):
    try:
        return os.path.basename(os.readlink(f'/proc/{pid}/exe')).replace(' (deleted)', '')
    except OSError:
        return ''


def alive(pid):
    try:
        with open(f'/proc/{pid}/stat') as f:
            return f.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def namespaces_held():
    """Every network namespace that some process lives in or holds open."""
    found = set()
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError):
            found.add(os.readlink(f'/proc/{pid}/ns/net'))
            for fd in os.listdir(f'/proc/{pid}/fd'):
                with contextlib.suppress(OSError):
                    link = os.readlink(f'/proc/{pid}/fd/{fd}')
                    if link.startswith('net:'):
                        found.add(link)
    return found


def processes():
    """Everything that runs on this host; run.py gave it a process namespace of its own."""
    found = set()
    for pid in filter(str.isdigit, os.listdir('/proc')):
        if alive(int(pid)):
            found.add((int(pid), exe_name(pid)))
    return found


def traces():
    """What a sandbox could leave behind on this host."""
    links = re.findall(r'^\d+: ([^:@]+)', sh('ip', 'link'), re.M)
    sockets = {l.split()[-1] for l in pathlib.Path('/proc/net/unix').read_text().splitlines()[1:] if len(l.split()) > 7}
    mounts = pathlib.Path('/proc/self/mounts').read_text().split('\n')
    # /run/openshell and /etc/openshell-tls are shared folders that stay; what is in the former is looked at.
    files = [str(p) for d in ('/run', '/run/openshell', '/tmp', '/var/run/netns', '/dev/shm', '/dev/mqueue') if os.path.isdir(d)
             for p in pathlib.Path(d).iterdir()
             if str(p) != '/run/openshell' and not p.name.startswith('openshell-tls') and ('openshell' in str(p) or 'sandbox-' in p.name)]
    return {'processes': processes(), 'namespaces': namespaces_held(), 'links': set(links), 'mounts': set(mounts),
            'tables': set(sh('nft', 'list', 'tables').split('\n')), 'addresses': sh('ip', '-o', 'addr'),
            'routes': sh('ip', 'route', 'show', 'table', 'all'), 'sockets': sockets, 'files': set(files)}


class LabTest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.etc = prepare()

    @classmethod
    def tearDownClass(cls):
        for name in ETC:
            sh('umount', os.path.realpath(f'/etc/{name}'))
        sh('umount', '-l', '/run')
        shutil.rmtree(cls.etc)

    @contextlib.contextmanager
    def leaves_nothing(self):
        before = traces()
        yield
        try:
            wait_for(lambda: traces() == before, 5)
        except AssertionError:
            self.assertEqual(traces(), before)

    def assertRefused(self, result, *words):
        for word in words:
            self.assertIn(word, result.out + result.err, repr(result))


def kill(pid, signo=signal.SIGKILL):
    os.kill(pid, signo)
