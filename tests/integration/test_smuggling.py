"""Attacks 28-36, 58: no request reaches an origin that was not decided, however it is read there."""
import base64
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import lab
import smuggle
from lab import NODE, ORIGIN, PYTHON, LabTest, Sandbox, endpoint, policy, rule, wait_for
from relay_lab import Recorder

NGINX = shutil.which('nginx', path=os.environ['PATH'] + ':/usr/sbin')

# Sends every message of a file through a tunnel of its own, several at a time.
SENDER = r'''
import base64, concurrent.futures, json, socket, sys, time
target = sys.argv[2]
def send(raw):
    s = socket.create_connection(("10.200.0.1", 3128)); s.settimeout(20)
    codes = []
    try:
        s.sendall(("CONNECT %s HTTP/1.1\r\n\r\n" % target).encode())
        head = b""
        while b"\r\n\r\n" not in head:
            d = s.recv(4096)
            if not d: return ["closed"]
            head += d
        s.sendall(base64.b64decode(raw)); s.shutdown(socket.SHUT_WR)
        time.sleep(0.02)    # every decision must be reported, and reports have a rate limit
        while s.recv(65536): pass
    except OSError as e: return [repr(e)]
    finally: s.close()
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    list(pool.map(send, json.load(open(sys.argv[1]))))
print("all sent", flush=True)
'''
METHODS = ('GET', 'POST', 'DELETE')


def document(port):
    rules = [{'allow': {'method': m, 'path': '/ok-*'}} for m in METHODS]
    return policy({'api': rule(endpoint(port=port, protocol='rest', enforcement='enforce', rules=rules), binaries=(PYTHON,))})


def decided(path):
    """Targets of the requests that the supervisor let through."""
    with open(path) as f:
        rows = [json.loads(line) for line in f]
    dropped = [r for r in rows if 'were not reported' in r.get('message', '')]
    assert not dropped, dropped
    return [r['path'] for r in rows if r['kind'] == 'activity' and r.get('method')]


def strict(raw):
    """Requests of a stream, by the letter of RFC 9112; anything else raises."""
    found, at = [], 0
    while at < len(raw):
        end = raw.index(b'\r\n\r\n', at)
        lines = raw[at:end].split(b'\r\n')
        assert not any(b'\n' in x or b'\r' in x or b'\0' in x for x in lines), lines
        method, target, version = lines[0].split(b' ')
        fields = [tuple(x.split(b': ', 1)) for x in lines[1:]]
        length = [v for k, v in fields if k.lower() == b'content-length']
        coding = [v for k, v in fields if k.lower() == b'transfer-encoding']
        assert len(length) + len(coding) <= 1, fields
        assert len([k for k, _ in fields if k.lower() == b'host']) == 1, fields
        found.append(target)
        at = end + 4
        if coding:
            assert coding == [b'chunked']
            while True:
                line = raw.index(b'\r\n', at)
                assert re.fullmatch(rb'[1-9a-f][0-9a-f]*|0', raw[at:line]), raw[at:line]
                size, at = int(raw[at:line], 16), line + 2
                if size == 0:
                    at = raw.index(b'\r\n', at) + 2 if raw[at:at + 2] == b'\r\n' else raw.index(b'\r\n\r\n', at) + 4
                    break
                at += size
                assert raw[at:at + 2] == b'\r\n'
                at += 2
        elif length:
            assert re.fullmatch(rb'[0-9]+', length[0])
            at += int(length[0])
        assert version in (b'HTTP/1.1', b'HTTP/1.0') and method.isupper()
    assert at == len(raw), 'bytes behind the last request'
    return found


class Smuggling(LabTest):
    def send(self, count, port, seed=1):
        work = pathlib.Path(tempfile.mkdtemp(prefix='lab-smuggle-', dir='/run'))
        self.addCleanup(shutil.rmtree, work)
        raws = [raw for _, raw in smuggle.messages(count, port, seed)]
        path = pathlib.Path(tempfile.mkdtemp(prefix='lab-messages-', dir='/tmp')) / 'messages'
        os.chmod(path.parent, 0o755)
        path.write_text(json.dumps([base64.b64encode(r).decode() for r in raws]))
        self.addCleanup(shutil.rmtree, path.parent)
        with Sandbox(document(port), ['/usr/bin/python3', '-c', SENDER, str(path), f'origin.test:{port}'],
                     args=['--log-level', 'error', '--log-file', str(work / 'events')]) as box:
            got = box.finish(240)
        self.assertIn('all sent', got.out, got)
        return decided(work / 'events')

    def check_targets(self, paths):
        self.assertEqual([p for p in paths if not re.fullmatch(r'/ok-\d+(%0D%0A.*)?', p)], [])

    def test_origin_sees_what_was_decided_and_nothing_else(self):
        with Recorder() as origin:
            paths = self.send(4500, 80)
        self.check_targets(paths)
        self.assertGreater(len(paths), 300)
        streams = [bytes(r) for r in origin.raw if r]
        seen = []
        for raw in streams:
            whole = raw
            try:
                seen += strict(raw)
            except (AssertionError, ValueError, IndexError):
                # A body that was cut: what is there must be one request, and its head a whole one.
                head, _, body = whole.rpartition(b' HTTP/1.')
                self.assertTrue(body, whole[:500])
                seen += self.cut(whole)
        self.assertEqual(len(seen), len(paths))
        self.assertEqual([t for t in seen if not t.startswith(b'/ok-')], [])

    def cut(self, raw):
        """Requests of a stream whose last body was not finished: by their heads, bodies skipped."""
        found, at = [], 0
        while at < len(raw):
            end = raw.index(b'\r\n\r\n', at)
            head = raw[at:end]
            found.append(head.split(b' ')[1])
            length = re.search(rb'\r\nContent-Length: (\d+)', head)
            if b'\r\nTransfer-Encoding: chunked' in head:
                return found        # only the last one can be unfinished
            at = end + 4 + (int(length[1]) if length else 0)
        return found

    def test_no_reading_of_the_bytes_finds_another_request(self):
        """Readers that take bare LF as a line end, or the other one of two lengths, see the same."""
        with Recorder() as origin:
            self.send(1000, 80, seed=2)
        for raw in (bytes(r) for r in origin.raw if r):
            for head in re.split(rb'\r\n\r\n', raw)[:1]:
                self.assertEqual(head.count(b'\n'), head.count(b'\r\n'), head)
                self.assertLessEqual(len(re.findall(rb'(?im)^(content.length|transfer.encoding)', head)), 2, head)

    def test_nginx_counts_as_we_do(self):
        if not NGINX:
            self.skipTest('no nginx')
        work = pathlib.Path(tempfile.mkdtemp(prefix='lab-nginx-', dir='/tmp'))
        self.addCleanup(shutil.rmtree, work)
        (work / 'conf').write_text(
            f'daemon off; master_process off; pid {work}/pid; error_log {work}/error;\nevents {{}}\n'
            f'http {{ access_log {work}/access; client_max_body_size 0; client_body_temp_path {work}/b; proxy_temp_path {work}/p;'
            f' fastcgi_temp_path {work}/f; uwsgi_temp_path {work}/u; scgi_temp_path {work}/s;\n'
            f' server {{ listen {ORIGIN}:8080; location / {{ return 200 ok; }} }} }}')
        nginx = subprocess.Popen([NGINX, '-c', str(work / 'conf'), '-p', str(work)])
        try:
            self.listening(8080)
            paths = self.send(1000, 8080)
        finally:
            nginx.terminate()
            nginx.wait()
        lines = [x for x in (work / 'access').read_text().splitlines() if '"" 400 0' not in x]
        self.assertEqual(len(lines), len(paths), lines[-5:])
        self.assertEqual([x for x in lines if ' /ok-' not in x], [])

    def test_node_counts_as_we_do(self):
        code = ('const fs = require("fs"); const s = require("http").createServer((q, r) => { fs.appendFileSync(1, q.url + "\\n");'
                ' q.resume(); q.on("end", () => r.end("ok")); q.on("error", () => {}); });'
                's.on("clientError", (e, k) => { if (e.code !== "ECONNRESET" && e.code !== "HPE_INVALID_EOF_STATE")'
                ' fs.appendFileSync(1, "/error-" + e.code + "\\n"); k.destroy(); });'
                f's.listen(8081, "{ORIGIN}");')
        with tempfile.TemporaryFile() as out:
            node = subprocess.Popen([NODE, '-e', code], stdout=out)
            try:
                self.listening(8081)
                paths = self.send(1000, 8081)
            finally:
                node.terminate()
                node.wait()
            out.seek(0)
            seen = out.read().decode().split()
        self.assertEqual([u for u in seen if not u.startswith('/ok-')], [])
        self.assertEqual(len(seen), len(paths))

    def test_python_counts_as_we_do(self):
        with lab.Origin(port=8082) as origin:
            paths = self.send(1000, 8082)
        # http.server knows no chunks, so what stands in them is its next "request"; it is not ours.
        seen = [r[1] for r in origin.requests if '/ok-' in r[1]]
        self.assertEqual(len(seen), len(paths))

    def listening(self, port):
        import socket

        def can():
            with socket.socket() as s:
                return s.connect_ex((ORIGIN, port)) == 0
        wait_for(can)
