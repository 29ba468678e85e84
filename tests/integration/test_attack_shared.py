"""One connection to the proxy, handed from one program to another: each request is its sender's own."""
from lab import BASH, INTERNAL, PYTHON, LabTest, Origin, endpoint, policy, rule, run

# Asks once, waits until the proxy looks again who is there, and becomes another program that asks on.
CODE = r'''
import os, socket, time
s = socket.create_connection(("10.200.0.1", 3128))
s.sendall(b"GET http://db.internal.test/python HTTP/1.1\r\nHost: db.internal.test\r\n\r\n")
head = s.recv(65536)
print(head.split(b"\r\n")[0].decode(), flush=True)
os.dup2(s.fileno(), 5)
time.sleep(1.1)
os.execv("/bin/bash", ["bash", "-c", r"""
printf 'GET http://db.internal.test/bash HTTP/1.1\r\nHost: db.internal.test\r\nConnection: close\r\n\r\n' >&5
while IFS= read -r -u 5 line || [ "$line" ]; do echo "$line"; done"""])
'''


class Shared(LabTest):
    def test_kept_server_is_one_that_this_program_may_reach(self):
        with open('/etc/hosts', 'a') as hosts:
            hosts.write(f'{INTERNAL} db.internal.test\n')
        doc = policy({
            'inside': rule(endpoint('db.internal.test'), binaries=(PYTHON,)),
            'public': rule(endpoint('*.internal.test'), binaries=(BASH,))})
        with Origin(INTERNAL) as origin:
            got = run(doc, ['/usr/bin/python3', '-c', CODE])
        self.assertIn('HTTP/1.1 200', got.out, got)
        self.assertIn('ssrf_denied', got.out, got)
        self.assertEqual([r[1] for r in origin.requests], ['/python'])
