"""The sandbox's authority over its life: a new network leaf has the same, and the workload never sees its key."""
import base64
import json
import os
import pathlib
import re
import subprocess
import time

import lab
from lab import PYTHON, LabTest, Sandbox, endpoint, policy, rule, wait_for
from tls_lab import Authority, TlsOrigin

# ---- P-256, enough to know a private key by its public one ----

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551
G = (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5)


def double(p):
    x, y, z = p
    s, m = 4 * x * y * y % P, 3 * (x - z * z) * (x + z * z) % P
    t = (m * m - 2 * s) % P
    return t, (m * (s - t) - 8 * y**4) % P, 2 * y * z % P


def add(p, q):
    """q is affine."""
    x, y, z = p
    if z == 0:
        return q[0], q[1], 1
    u, s = q[0] * z * z % P, q[1] * z**3 % P
    h, r = (u - x) % P, (s - y) % P
    if h == 0:
        return double(p) if r == 0 else (1, 1, 0)
    h2, h3, v = h * h % P, h**3 % P, x * h * h % P
    t = (r * r - h3 - 2 * v) % P
    return t, (r * (v - t) - y * h3) % P, z * h % P


def public_of(d):
    p = (1, 1, 0)
    for bit in bin(d)[2:]:
        p = double(p)
        if bit == '1':
            p = add(p, G)
    x, _, z = p
    return x * pow(z * z, -1, P) % P


def locked_memory(pid):
    """Where keys are: pages that a fork gets empty. (Those that mlock(2) holds, but the address sanitizer has none.)"""
    found, area = [], None
    with open(f'/proc/{pid}/smaps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as mem:
        for line in maps:
            if m := re.match(r'([0-9a-f]+)-([0-9a-f]+) ', line):
                area = [int(x, 16) for x in m.groups()]
            elif line.startswith('VmFlags:') and ' wf' in line:
                found.append(os.pread(mem.fileno(), area[1] - area[0], area[0]))
    return found


def find_key(pid, x):
    """The private key whose public one has this x: as mbedTLS keeps numbers (least byte first), or written (most first)."""
    tried = set()
    for page in locked_memory(pid):
        for at in range(0, len(page) - 31, 8):
            word = page[at:at + 32]
            if word in tried or any(word[i:i + 8].count(0) > 3 for i in range(0, 32, 8)):
                continue
            tried.add(word)
            for order in ('little', 'big'):
                d = int.from_bytes(word, order)
                if 0 < d < N and public_of(d) == x:
                    return d
    return None


def forms(secret):
    """How 32 bytes may be written down: raw in both orders, hexadecimal, and Base64 at each offset."""
    found = [secret, secret[::-1], secret.hex().encode(), secret.hex().upper().encode()]
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + secret)
        found.append(text[4 if offset else 0:-4])     # what is of the secret alone
    return found


# Looks for the words of its first line of input (each byte changed, so that this program isn't what it finds), whenever
# it gets another line; prints what it found and what it looked at.
SEARCH = r'''
import base64, json, os, stat, subprocess, sys
start, roots = sys.argv[1], sys.argv[2:]
words = {name: [bytes(b ^ 0x5a for b in base64.b64decode(w)) for w in list_] for name, list_ in json.loads(sys.stdin.readline()).items()}
plant = words['plant'][0]
me = os.getpid()
own = sorted(int(n) for n in os.listdir('/proc/self/fd'))
# What a search must be able to find: an environment, a descriptor, memory, two files.
held = os.open('held', os.O_RDWR | os.O_CREAT, 0o600); os.write(held, plant); os.unlink('held')
child = subprocess.Popen([sys.executable, '-c', 'import sys; d = sys.stdin.buffer.read(32); print(flush=True); sys.stdin.read()'],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={'PLANT': plant.hex()}, pass_fds=(held,))
child.stdin.write(plant); child.stdin.flush(); child.stdout.readline(); os.close(held)
with open('plant.txt', 'w') as f: f.write(plant.hex())
with open('plant.pem', 'wb') as f: f.write(base64.encodebytes(bytes(7) + plant))

def look(data, where, hits):
    joined = data.replace(b'\n', b'')
    for name, list_ in words.items():
        if any(w in data or w in joined for w in list_):
            hits.append([name, where])

def read(path, limit=1 << 22):
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return None
    try:
        if not (stat.S_ISREG(os.fstat(fd).st_mode) or path.startswith('/proc')): return None
        data = b''
        while len(data) < limit and (d := os.read(fd, 1 << 16)): data += d
        return data
    except OSError:
        return None
    finally:
        os.close(fd)

def memory(pid, hits):
    total = 0
    try:
        with open(f'/proc/{pid}/maps') as maps, open(f'/proc/{pid}/mem', 'rb', 0) as mem:
            for line in maps:
                a, b = (int(x, 16) for x in line.split()[0].split('-'))
                if line.split()[1][0] != 'r' or b - a > 1 << 28: continue
                try: data = os.pread(mem.fileno(), b - a, a)
                except (OSError, OverflowError): continue
                total += len(data)
                look(data, f'memory of {pid}', hits)
    except OSError:
        pass
    return total

def search():
    hits, count = [], {'proc': 0, 'memory': 0, 'descriptors': 0, 'files': 0, 'closed': 0}
    look('\0'.join(f'{k}={v}' for k, v in os.environ.items()).encode(), 'environment', hits)
    for fd in own:
        if fd > 2:
            data = read(f'/proc/self/fd/{fd}')
            count['descriptors'] += data is not None
            look(data or b'', f'descriptor {fd}', hits)
    skip = {'mem', 'pagemap', 'kmsg', 'kcore', 'kpagecount', 'kpageflags', 'kpagecgroup', 'smaps', 'numa_maps', 'smaps_rollup'}
    for top, folders, names in os.walk('/proc'):
        parts = top.split('/')
        folders[:] = [f for f in folders if f not in ('task', 'map_files', 'cwd', 'root', 'sys', 'bus', 'irq', 'fs', 'asound')]
        if len(parts) > 2 and parts[2] in (str(me), 'self', 'thread-self'):
            folders[:] = []
            continue
        for name in names:
            if name in skip: continue
            data = read(f'{top}/{name}')
            kind = 'descriptors' if parts[-1] == 'fd' else 'proc'
            count['closed' if data is None else kind] += 1
            look(data or b'', f'{top}/{name}', hits)
    for pid in filter(str.isdigit, os.listdir('/proc')):
        if int(pid) != me: count['memory'] += memory(pid, hits)
    # The key is younger than this: what wasn't changed since can't hold it. Others may write large files to /tmp.
    found = subprocess.run(['find', *roots, '-xdev', '-type', 'f', '-size', '-4097k', '-newerct', '@' + start, '-print0'], stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL).stdout
    for path in found.decode(errors='surrogateescape').split('\0')[:-1]:
        data = read(path)
        count['files'] += data is not None
        look(data or b'', path, hits)
    print(json.dumps({'hits': hits, 'count': count, 'child': child.pid}), flush=True)

for line in sys.stdin: search()
'''

PEER = '''
import base64, socket, ssl, sys
for line in sys.stdin:
    s = socket.create_connection(("10.200.0.1", 3128))
    s.sendall(b"CONNECT origin.test:443 HTTP/1.1\\r\\n\\r\\n")
    s.recv(999)
    with ssl.create_default_context().wrap_socket(s, server_hostname="origin.test") as t:
        print(base64.b64encode(t.getpeercert(True)).decode(), flush=True)
'''


def tls_policy(**more):
    return policy({'api': rule(endpoint(port=443, protocol='rest', enforcement='enforce', access='full'), binaries=(PYTHON,))}, **more)


def tell(box, text='x'):
    box.seen = ''
    box.process.stdin.write(text.encode() + b'\n')
    box.process.stdin.flush()


def replace_leaf(box):
    old = wait_for(lambda: box.leaf('network'))
    lab.kill(old)
    return wait_for(lambda: (new := box.leaf('network')) != old and new)


def x509(pem, *what):
    return subprocess.run(['openssl', 'x509', '-noout', *what], input=pem, capture_output=True, text=True, check=True).stdout


def key_id(pem, extension):
    return re.search(r'(?:[0-9A-F]{2}:){19}[0-9A-F]{2}', x509(pem, '-ext', extension))[0]


def folder_of(before):
    """The folder of the authority that was made since."""
    new = {p for p in pathlib.Path('/etc/openshell-tls').glob('sandbox-*')} - before
    assert len(new) == 1, new
    return new.pop()


class Replaced(LabTest):
    def test_a_new_leaf_mints_under_the_same_authority(self):
        before = set(pathlib.Path('/etc/openshell-tls').glob('sandbox-*'))
        ca = Authority().issue('origin')
        self.addCleanup(ca.close)
        with TlsOrigin(ca.context('origin')), Sandbox(tls_policy(), [PYTHON, '-c', PEER], args=['--upstream-ca', str(ca.ca)],
                                                      stdin=subprocess.PIPE) as box:
            certificates = []
            for i in range(2):
                if i:
                    replace_leaf(box)
                tell(box)
                der = base64.b64decode(box.wait_out(r'\n', 60))      # verified by the client, with the file that it had at its start
                certificates.append('-----BEGIN CERTIFICATE-----\n' + base64.encodebytes(der).decode() + '-----END CERTIFICATE-----\n')
            authority = (folder_of(before) / 'openshell-ca.pem').read_text()
            box.process.stdin.close()
            self.assertEqual(box.process.wait(20), 0, box.err)
        one, two = certificates
        self.assertEqual(key_id(one, 'authorityKeyIdentifier'), key_id(authority, 'subjectKeyIdentifier'))
        self.assertEqual(key_id(two, 'authorityKeyIdentifier'), key_id(authority, 'subjectKeyIdentifier'))
        # The key of hosts is the leaf's own, and went with it.
        self.assertNotEqual(x509(one, '-pubkey'), x509(two, '-pubkey'))
        self.assertNotEqual(x509(one, '-serial'), x509(two, '-serial'))


class Key(LabTest):
    def test_the_workload_finds_the_key_nowhere(self):
        """Not in files, its environment, descriptors, memory that it may read, or /proc: also while a leaf is replaced.

        The test reads the key out of the orchestrator's memory; what the workload plants itself shows that the
        search would find it.
        """
        before = set(pathlib.Path('/etc/openshell-tls').glob('sandbox-*'))
        document = tls_policy()
        listed = json.loads(document)['filesystem_policy']
        start = str(int(time.time()) - 1)
        roots = [*(p for p in listed['read_only'] + listed['read_write'] if p != '/proc'), '.', '/etc/openshell-tls']
        with Sandbox(document, [PYTHON, '-c', SEARCH, start, *roots], stdin=subprocess.PIPE) as box:
            wait_for(lambda: set(pathlib.Path('/etc/openshell-tls').glob('sandbox-*')) - before, 60)
            wait_for(lambda: box.leaf('network'), 60)
            box.wait_err('enforcing', 60)
            pem = (folder_of(before) / 'openshell-ca.pem').read_text()
            point = bytes.fromhex(''.join(re.search(r'pub:\n((?:\s+(?:[0-9a-f]{2}:?)+\n)+)', x509(pem, '-text'))[1].replace(':', '').split()))
            self.assertEqual((len(point), point[0]), (65, 4))
            key = find_key(box.process.pid, int.from_bytes(point[1:33], 'big'))
            self.assertIsNotNone(key, 'the key is not in the locked memory of the orchestrator')
            plant = os.urandom(32)
            words = {'key': forms(key.to_bytes(32, 'big')), 'plant': forms(plant)}
            tell(box, json.dumps({k: [base64.b64encode(bytes(b ^ 0x5a for b in w)).decode() for w in v] for k, v in words.items()}))
            for again in (False, True):
                if again:
                    replace_leaf(box)
                tell(box)
                said = json.loads(box.wait_out(r'\n', 200))
                found = {w for name, w in said['hits'] if name == 'plant'}
                for where in ('./plant.txt', './plant.pem', f'/proc/{said["child"]}/environ', f'memory of {said["child"]}'):
                    self.assertIn(where, found, said)
                self.assertTrue(any(w.startswith(f'/proc/{said["child"]}/fd/') for w in found), found)
                self.assertEqual([w for name, w in said['hits'] if name == 'key'], [], said)
                for kind in ('proc', 'memory', 'files', 'closed'):
                    self.assertGreater(said['count'][kind], 0, said)
            box.process.stdin.close()
            box.process.wait(lab.WAIT)
