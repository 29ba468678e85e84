"""registry_lab.py - an origin that is a package index for pip, cargo and npm, and a little of S3, below any folder.

Every path begins with two folders, by which a test tells its requests apart: /ok/NAME/... and /no/NAME/...
"""
import base64
import hashlib
import io
import json
import tarfile
import zipfile

from lab import OriginHandler

HOST = 'origin.test'


def tgz(**files):
    """A tar.gz of text files; __ in a name stands for a slash, and _dot_ for a dot."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as t:
        for name, text in files.items():
            info = tarfile.TarInfo(name.replace('__', '/').replace('_dot_', '.').replace('1_0_0', '1.0.0'))
            info.size = len(text)
            t.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


def wheel():
    out = io.BytesIO()
    info = 'labdep-1.0.dist-info'
    with zipfile.ZipFile(out, 'w') as z:
        z.writestr('labdep.py', 'value = "labdep works"\n')
        z.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\nName: labdep\nVersion: 1.0\n')
        z.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nGenerator: lab\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        z.writestr(f'{info}/RECORD', f'labdep.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n')
    return out.getvalue()


WHEEL = wheel()
PACKAGE = tgz(package__package_dot_json='{"name":"labdep","version":"1.0.0"}', package__index_dot_js='module.exports="labdep works"')
CRATE = tgz(**{'labdep-1_0_0__Cargo_dot_toml': '[package]\nname="labdep"\nversion="1.0.0"\nedition="2021"\n',
               'labdep-1_0_0__src__lib_dot_rs': 'pub fn value() -> u32 { 42 }\n'})
BUCKETS = ('<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
           '<Owner><ID>1</ID></Owner><Buckets><Bucket><Name>lab-bucket</Name><CreationDate>2024-01-01T00:00:00.000Z</CreationDate>'
           '</Bucket></Buckets></ListAllMyBucketsResult>')
REFS = '0123456789012345678901234567890123456789\trefs/heads/lab-branch\n'


def simple(base):
    digest = hashlib.sha256(WHEEL).hexdigest()
    return f'<!DOCTYPE html><html><body><a href="{base}/f/labdep-1.0-py3-none-any.whl#sha256={digest}">labdep-1.0-py3-none-any.whl</a></body></html>'


def crate():
    return json.dumps({'name': 'labdep', 'vers': '1.0.0', 'deps': [], 'features': {}, 'yanked': False,
                       'cksum': hashlib.sha256(CRATE).hexdigest()}) + '\n'


def package(base):
    integrity = 'sha512-' + base64.b64encode(hashlib.sha512(PACKAGE).digest()).decode()
    one = {'name': 'labdep', 'version': '1.0.0', 'dist': {
        'tarball': f'https://{HOST}{base}/labdep/-/labdep-1.0.0.tgz', 'integrity': integrity,
        'shasum': hashlib.sha1(PACKAGE).hexdigest()}}
    return json.dumps({'name': 'labdep', 'dist-tags': {'latest': '1.0.0'}, 'versions': {'1.0.0': one},
                       'time': {'1.0.0': '2024-01-01T00:00:00.000Z', 'modified': '2024-01-01T00:00:00.000Z'}})


def page(base, rest):
    """(content type, body) of what lies below base; None: nothing does."""
    return {
        '/simple/labdep/': ('text/html', simple(base)), '/f/labdep-1.0-py3-none-any.whl': ('application/octet-stream', WHEEL),
        '/config.json': ('application/json', json.dumps({'dl': f'https://{HOST}{base}/crates/{{crate}}-{{version}}.crate'})),
        '/la/bd/labdep': ('text/plain', crate()), '/crates/labdep-1.0.0.crate': ('application/octet-stream', CRATE),
        '/labdep': ('application/json', package(base)), '/labdep/-/labdep-1.0.0.tgz': ('application/octet-stream', PACKAGE),
        '/repo.git/info/refs': ('text/plain', REFS), '/s3/': ('application/xml', BUCKETS),
    }.get(rest)


class RegistryHandler(OriginHandler):
    def do_GET(self):
        path = self.path.partition('?')[0]
        base = '/'.join(path.split('/')[:3])
        kind, body = page(base, path[len(base):]) or ('text/plain', f'served {path}\n')
        body = body.encode() if isinstance(body, str) else body
        self.server.requests.append((self.command, path, dict(self.headers), b''))
        self.send_response(200)
        self.send_header('Content-Type', kind)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(b'' if self.command == 'HEAD' else body)

    do_HEAD = do_GET
