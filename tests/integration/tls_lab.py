"""tls_lab.py - a certificate authority of the test, and TLS origins with good and bad certificates."""
import contextlib
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

import lab


class Authority:
    """Writes into a directory that sandboxes can't see: ca.pem, and NAME.pem with NAME.key."""

    def __init__(self, name='Test CA'):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='lab-ca-', dir='/run'))
        self.ca = self.dir / 'ca.pem'
        self.serial = 1
        self.run('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', 'ca.key')
        self.run('req', '-x509', '-new', '-key', 'ca.key', '-subj', f'/CN={name}', '-days', '30', '-out', 'ca.pem')

    def run(self, *words):
        return subprocess.run(['openssl', *words], cwd=self.dir, check=True, capture_output=True, timeout=60).stdout

    def issue(self, file, host='origin.test', days=('-days', '30'), digest='-sha256', signer='ca', usage='serverAuth'):
        self.serial += 1
        self.run('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', f'{file}.key')
        self.run('req', '-new', '-key', f'{file}.key', '-subj', f'/CN={host}', '-out', f'{file}.csr')
        kind = 'IP' if host.replace('.', '').isdigit() else 'DNS'
        (self.dir / 'ext').write_text(f'subjectAltName={kind}:{host}\nextendedKeyUsage={usage}\n')
        sign = ['-signkey', f'{file}.key'] if signer is None else ['-CA', f'{signer}.pem', '-CAkey', f'{signer}.key']
        self.run('x509', '-req', '-in', f'{file}.csr', *sign, '-set_serial', str(self.serial), *days, digest,
                 '-extfile', 'ext', '-out', f'{file}.pem')
        return self

    def sub(self, name, extensions):
        """A further authority below this one; issue(..., signer=name) and then chain()."""
        self.serial += 1
        (self.dir / 'ext').write_text('basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n' + extensions)
        self.run('ecparam', '-genkey', '-name', 'prime256v1', '-noout', '-out', f'{name}.key')
        self.run('req', '-new', '-key', f'{name}.key', '-subj', f'/CN={name}', '-out', f'{name}.csr')
        self.run('x509', '-req', '-in', f'{name}.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', str(self.serial),
                 '-days', '30', '-extfile', 'ext', '-out', f'{name}.pem')
        return self

    def chain(self, file, *above):
        """The server shows these behind its own."""
        path = self.dir / f'{file}.pem'
        path.write_text(path.read_text() + ''.join((self.dir / f'{a}.pem').read_text() for a in above))
        return self

    def date(self, file, start, end):
        """Sign what issue() made once more, with these dates (YYYYMMDDHHMMSSZ)."""
        (self.dir / 'index').write_text('')
        (self.dir / 'conf').write_text('[ca]\ndefault_ca=d\n[d]\ndatabase=index\nnew_certs_dir=.\npolicy=p\ndefault_md=sha256\n'
                                       'serial=serial\nunique_subject=no\n[p]\ncommonName=supplied\n')
        self.run('ca', '-batch', '-config', 'conf', '-cert', 'ca.pem', '-keyfile', 'ca.key', '-in', f'{file}.csr', '-out', f'{file}.pem',
                 '-rand_serial', '-startdate', start, '-enddate', end, '-extfile', 'ext', '-notext')
        return self

    def context(self, file, weak=False, **more):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if weak:
            context.set_ciphers('ALL:@SECLEVEL=0')
        context.load_cert_chain(self.dir / f'{file}.pem', self.dir / f'{file}.key')
        for name, value in more.items():
            setattr(context, name, value)
        return context

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)


class TlsOrigin(lab.Origin):
    """lab.Origin over TLS; a handshake takes place in the thread of its connection."""

    def __init__(self, context, address=lab.ORIGIN, port=443, handler=None):
        self.context = context
        super().__init__(address, port)
        if handler:
            self.RequestHandlerClass = handler

    def finish_request(self, request, client_address):
        with contextlib.suppress(OSError):
            request = self.context.wrap_socket(request, server_side=True)
            super().finish_request(request, client_address)
            request.unwrap()


class RawTls:
    """Calls fn(connection) for each TLS connection."""

    def __init__(self, context, fn, port=443):
        self.context, self.fn = context, fn
        self.socket = socket.create_server((lab.ORIGIN, port), backlog=64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.socket.accept()
                threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer):
        with contextlib.suppress(OSError), self.context.wrap_socket(peer, server_side=True) as tls:
            self.fn(tls)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
