"""Bodies that are read whole take memory; how many at a time is bounded, and the bound is given back."""
from lab import PYTHON, LabTest, endpoint, policy, rule
from relay_lab import Recorder
from test_credentials import SECRET, entry, run

CLIENT = r'''
import resource, socket
resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
HEAD = b"POST http://origin.test/v1/x HTTP/1.1\r\nHost: origin.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
def begin():
    s = socket.create_connection(("10.200.0.1", 3128)); s.settimeout(20)
    s.sendall(HEAD)
    return s
def codes(socks):
    return [int(s.recv(4096).split(b" ")[1]) for s in socks]
many = [begin() for _ in range(257)]
print(codes(many).count(100), flush=True)
for s in many[:256]: s.sendall(b"hello")
print(codes(many[:256]).count(200))
print(codes([begin() for _ in range(200)]).count(100))
'''


class Bodies(LabTest):
    def test_one_more_than_there_may_be_is_refused_and_later_ones_are_not(self):
        rules = {'web': rule(endpoint(protocol='rest', access='full', enforcement='enforce',
                                      request_body_credential_rewrite=True), binaries=(PYTHON,))}
        with Recorder() as origin:
            got = run([entry(value=SECRET)], ['/usr/bin/python3', '-c', CLIENT], document=policy(rules))
        self.assertEqual(got.out.split(), ['256', '256', '200'], got)
        self.assertEqual(len(origin.requests), 256)
