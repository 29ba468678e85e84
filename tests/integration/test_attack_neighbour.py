"""Two sandboxes of one ordinary user: the workload of one is not let into the other."""
import os
import subprocess

import lab
from lab import LabTest, Sandbox, policy, wait_for
from test_rootless import Rootless

# Says hello at the control socket that is named on stdin: an answer is the way in.
CLIENT = r'''
import socket, struct, sys
print("ready", flush=True)
path = sys.stdin.readline().strip()
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(4)
try:
    s.connect(path)
    s.send(bytes.fromhex(sys.argv[1]))
    print("got", len(s.recv(4096)), flush=True)
except OSError as e:
    print("got", type(e).__name__, flush=True)
'''


HELLO = '0100000001000000' + '0801'        # CTL_HELLO, request 1; major 1


class Neighbour(Rootless, LabTest):
    def test_control_socket_that_a_later_sandbox_makes(self):
        place = '/tmp/lab/cross'
        os.makedirs(place, mode=0o700, exist_ok=True)
        os.chown(place, lab.USER, lab.USER)
        with Sandbox(policy(), ['/usr/bin/python3', '-c', CLIENT, HELLO], stdin=subprocess.PIPE) as one:
            one.wait_out('ready')
            with Sandbox(policy(), ['sleep', '1000'], args=['--ctl-socket', f'{place}/s.ctl']) as other:
                other.wait_err('enforcing')
                wait_for(lambda: os.path.exists(f'{place}/s.ctl'))
                one.process.stdin.write(f'{place}/s.ctl\n'.encode())
                one.process.stdin.flush()
                out = one.wait_out(r'got \w+')
                mine = subprocess.run(['setpriv', '--reuid', str(lab.USER), '--regid', str(lab.USER), '--clear-groups', str(lab.SUPERVISOR), 'ctl',
                                       'exec', '--socket', f'{place}/s.ctl', '--', 'echo', 'mine'], capture_output=True, text=True, timeout=30)
        self.assertEqual(mine.stdout, 'mine\n', mine)
        self.assertRegex(out, r'got (0|[A-Za-z]+Error)\b', 'the other sandbox answered')
