"""Answers that come too late: a request that was refused is not done after all."""
import os
import signal

import lab
from lab import PYTHON, LabTest, Origin, Sandbox, endpoint, policy, rule

# Sends one request on a connection, prints the answer, keeps the connection, and asks again on another one.
CLIENT = r'''
import socket, sys
def ask(path):
    s = socket.create_connection(("10.200.0.1", 3128)); s.settimeout(20)
    s.sendall(b"GET http://origin.test/%s HTTP/1.1\r\nHost: origin.test\r\n\r\n" % path)
    print(path.decode(), s.recv(65536).split(b"\r\n")[0].decode(), flush=True)
    return s
kept = [ask(b"first")]
sys.stdin.readline()
kept.append(ask(b"late"))
sys.stdin.readline()
kept.append(ask(b"last"))
'''


class Late(LabTest):
    def test_identity_that_comes_after_the_refusal(self):
        stdin, feed = os.pipe()
        self.addCleanup(os.close, feed)
        doc = policy({'web': rule(endpoint(), binaries=(PYTHON,))})
        with Origin() as origin, Sandbox(doc, ['/usr/bin/python3', '-c', CLIENT], stdin=stdin) as box:
            os.close(stdin)
            box.wait_out('first HTTP/1.1 200')
            for worker in self.workers(box):
                os.kill(worker, signal.SIGSTOP)
            os.write(feed, b'\n')
            box.wait_out('late HTTP/1.1 403')
            for worker in self.workers(box):
                os.kill(worker, signal.SIGCONT)
            # The answer to the last question comes behind that to the late one.
            os.write(feed, b'\n')
            box.wait_out('last HTTP/1.1 200')
            box.finish()
            self.assertEqual([r[1] for r in origin.requests], ['/first', '/last'])

    @staticmethod
    def workers(box):
        """The children of the process leaf that are copies of itself: the identity worker is one."""
        leaf = box.leaf('process')
        return [p for p in lab.children(leaf) if lab.exe_name(p) == lab.exe_name(leaf)]
