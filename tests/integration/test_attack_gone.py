"""Clients that go away while their server is silent: nothing is kept for them."""
import os
import threading

import lab
from lab import PYTHON, LabTest, Sandbox, endpoint, policy, rule, wait_for
from relay_lab import Recorder, case, converse, get, rest
from test_attack_storm import sockets

CLIENT = r'''
import socket, sys
def ask(path):
    s = socket.create_connection(("10.200.0.1", 3128)); s.settimeout(20)
    s.sendall(b"GET http://origin.test/%s HTTP/1.1\r\nHost: origin.test\r\n\r\n" % path)
    return s
mine = []
for path in sys.argv[1:]:
    s = ask(path.encode())
    if path == "events":
        while b"data" not in s.recv(65536): pass
    mine.append(s)
print("sent", flush=True)
sys.stdin.readline()
for s in mine: s.close()
print("closed", flush=True)
sys.stdin.readline()
'''
EVENTS = b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n'


class Gone(LabTest):
    def gone(self, path):
        stdin, feed = os.pipe()
        self.addCleanup(os.close, feed)

        def reply(request):
            if 'events' in request.target:
                return EVENTS
            return b''              # and silence

        doc = policy({'web': rule(endpoint(), binaries=(PYTHON,))})
        with Recorder(reply) as origin, Sandbox(doc, ['/usr/bin/python3', '-c', CLIENT, *[path] * 5], stdin=stdin) as box:
            os.close(stdin)
            leaf = wait_for(lambda: box.leaf('network'))
            box.wait_out('sent')
            # How long the kernel of the client remembers what it closed, and answers for it.
            inside = next(p for p in lab.descendants(box.process.pid) if lab.exe_name(p).startswith('python'))
            lab.sh('nsenter', '-t', str(inside), '-n', 'sysctl', '-q', '-w', 'net.ipv4.tcp_fin_timeout=2')
            wait_for(lambda: len(origin.requests) == 5)
            busy = sockets(leaf)
            os.write(feed, b'\n')
            box.wait_out('closed')
            wait_for(lambda: sockets(leaf) == busy - 10, 60, lambda: f'{busy} sockets before, {sockets(leaf)} after')
            os.write(feed, b'\n')
            self.assertEqual(box.finish().code, 0)

    def test_one_that_only_ended_its_direction_still_gets_the_answer(self):
        """The server answers when the second probe must have been sent."""
        later = threading.Event()
        threading.Timer(22, later.set).start()

        def reply(request):
            later.wait(60)
            return b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

        with Recorder(reply):
            answer = converse(rest(), [case(get('/ok'), half=True)])[0]
        self.assertEqual(answer.codes, [200], answer)

    def test_while_the_answer_is_awaited(self):
        self.gone('silent')

    def test_in_a_stream_of_events(self):
        self.gone('events')
