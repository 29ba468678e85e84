"""intercept_peers.py - the programs that intercept TLS beside ours: squid, sslsplit, mitmproxy.

Each is configured as favourably as its manual allows: no cache, no access log, one authority of ECDSA
P-256 for all, certificates of hosts kept in memory, connections kept alive for longer than a run.
squid and mitmproxy verify the origin as we do; sslsplit, which looks at no HTTP either, does not by default.
"""
import shutil
import subprocess

SQUID_CERTGEN = '/usr/lib/squid/security_file_certgen'
SQUID_PORT, SSLSPLIT_PORT, MITMPROXY_PORT = 3103, 3104, 3105


class Peer:
    """argv starts it; how: 'connect' for a proxy, 'none' for a listener that clients dial directly."""

    def __init__(self, name, argv, port, how):
        self.name, self.argv, self.port, self.how = name, argv, port, how


def need(program):
    if not shutil.which(program):
        raise SystemExit(f'{program} is missing, and a comparison without it is none; run packaging/install-dependencies.sh bench')
    return program


def squid(d, ca, key, origin_ca, origin, tag):
    work = d / 'squid'
    work.mkdir()
    config = d / 'squid.conf'
    config.write_text(f'''
http_port 127.0.0.1:{SQUID_PORT} ssl-bump tls-cert={ca} tls-key={key} generate-host-certificates=on dynamic_cert_mem_cache_size=64MB
sslcrtd_program {SQUID_CERTGEN} -s {work}/certs -M 64MB
sslcrtd_children 4 startup=2 idle=1
acl hello at_step SslBump1
ssl_bump peek hello
ssl_bump bump all
tls_outgoing_options cafile={origin_ca}
acl to_origin dst {origin}
http_access allow to_origin
http_access deny all
cache deny all
access_log none
cache_log {work}/cache.log
cache_store_log none
pid_filename {work}/pid
coredump_dir {work}
cache_effective_user proxy
shutdown_lifetime 0 seconds
max_filedescriptors 16000
client_idle_pconn_timeout 10 minutes
server_idle_pconn_timeout 10 minutes
pinger_enable off
via off
forwarded_for delete
netdb_filename none
''')
    done = subprocess.run([SQUID_CERTGEN, '-c', '-s', str(work / 'certs'), '-M', '64MB'], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise SystemExit(f'squid: {SQUID_CERTGEN}: {done.stdout}{done.stderr}')
    subprocess.run(['chown', '-R', 'proxy:proxy', str(work)], check=True, timeout=30)
    return Peer('squid ssl_bump', [need('squid'), '-n', tag, '-N', '-f', str(config)], SQUID_PORT, 'connect')


def sslsplit(d, ca, key, leaf_key, origin):
    # "ssl" and not "https": the latter asks the origin to close after each response.
    argv = [need('sslsplit'), '-k', str(key), '-c', str(ca), '-K', str(leaf_key), '-u', 'root',
            'ssl', '127.0.0.1', str(SSLSPLIT_PORT), origin, '443']
    return Peer('sslsplit', argv, SSLSPLIT_PORT, 'none')


def mitmproxy(d, ca, key, origin_ca):
    home = d / 'mitmproxy'
    home.mkdir()
    (home / 'mitmproxy-ca.pem').write_text(key.read_text() + ca.read_text())
    argv = [need('mitmdump'), '-q', '--listen-host', '127.0.0.1', '-p', str(MITMPROXY_PORT)]
    for option in (f'confdir={home}', f'ssl_verify_upstream_trusted_ca={origin_ca}', 'stream_large_bodies=1m', 'flow_detail=0',
                   'http2=false'):
        argv += ['--set', option]
    return Peer('mitmproxy', argv, MITMPROXY_PORT, 'connect')
