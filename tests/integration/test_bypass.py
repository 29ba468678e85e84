"""The bypass monitor: who tried to go past the proxy, where to, and what to do about it."""
import json
import os
import re
import shutil
import subprocess
import time

import lab
from lab import BASH, CURL, PYTHON, LabTest, Sandbox, policy, wait_for

TCP = ('import socket,sys,time\nfor a in sys.argv[1:]:\n h,p=a.rsplit(":",1)\n t=time.monotonic()\n'
       ' try: socket.create_connection((h,int(p)),10); print("CONNECTED")\n'
       ' except OSError as e: print(type(e).__name__, time.monotonic()-t < 0.9)\n')
UDP = ('import socket,sys,time\ns=socket.socket(2,2)\ntry: s.sendto(b"x",(sys.argv[1],int(sys.argv[2])))\n'
       'except OSError as e: print(type(e).__name__)\nsys.stdout.flush(); time.sleep(float(sys.argv[3]))\n')


LOG = '/run/lab-log/events.json'


class Bypass(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        os.makedirs(os.path.dirname(LOG), exist_ok=True)
        os.chown(os.path.dirname(LOG), lab.USER, lab.USER)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(os.path.dirname(LOG))
        super().tearDownClass()

    def go(self, command, args=(), **more):
        """Result, and the denial events of the bypass monitor as they are in the log file."""
        with Sandbox(policy(), command, args=['--log-file', LOG, *args], **more) as box:
            got = box.finish()
        with open(LOG) as f:
            events = [json.loads(l) for l in f]
        os.unlink(LOG)
        return got, [e for e in events if e.get('stage') == 'bypass' and e['kind'] == 'denial']

    def test_tcp_names_program_destination_and_remedy(self):
        got, events = self.go([PYTHON, '-c', TCP, '192.0.2.7:443'])
        self.assertEqual(got.out, 'ConnectionRefusedError True\n', got)
        self.assertEqual(len(events), 1, (events, got))
        e = events[0]
        self.assertEqual((e['host'], e['port'], e['binary'], e['severity']), ('192.0.2.7', 443, PYTHON, 'medium'), e)
        self.assertGreater(e['source_port'], 0)
        for word in ('HTTPS_PROXY', 'NODE_USE_ENV_PROXY=1', 'host: 192.0.2.7', 'port: 443', f'path: {PYTHON}'):
            self.assertIn(word, e['reason'])
        self.assertRegex(got.err, r'DENIED python3[.0-9]*\(\d+\) -> 192\.0\.2\.7:443')

    def test_tcp_over_ipv6(self):
        got, events = self.go([PYTHON, '-c', TCP, '2001:db8::7:443'])
        self.assertEqual(got.out, 'ConnectionRefusedError True\n', got)
        self.assertEqual([(e['host'], e['port'], e.get('binary')) for e in events], [('2001:db8::7', 443, PYTHON)], got)

    def test_one_event_per_attempt_and_ancestors(self):
        got, events = self.go([BASH, '-c', f'{PYTHON} -c "$0" 192.0.2.7:443 192.0.2.8:80; {CURL} --noproxy "*" -s http://192.0.2.9/; :', TCP])
        self.assertEqual([(e['host'], e.get('binary'), e.get('ancestors')) for e in events],
                         [('192.0.2.7', PYTHON, [BASH]), ('192.0.2.8', PYTHON, [BASH]), ('192.0.2.9', CURL, [BASH])], got)

    def test_udp_and_dns_have_hints_of_their_own(self):
        got, events = self.go([BASH, '-c', f'{PYTHON} -c "$0" 192.0.2.7 53 0.2; {PYTHON} -c "$0" 192.0.2.7 443 0.2', UDP])
        self.assertEqual(got.out.split(), ['PermissionError'] * 2, got)
        self.assertEqual([(e['port'], e.get('binary')) for e in events], [(53, PYTHON), (443, PYTHON)], got)
        self.assertIn('looked up by the proxy', events[0]['reason'])
        self.assertIn('QUIC', events[1]['reason'])

    def test_a_sender_that_is_gone_is_reported_with_its_uid(self):
        """Its last report comes before the end of the sandbox, though the process is gone."""
        got, events = self.go([PYTHON, '-c', UDP, '192.0.2.7', '53', '0'])
        self.assertEqual(len(events), 1, got)
        self.assertTrue(events[0].get('binary') == PYTHON or f'uid {lab.USER}' in events[0]['reason'], events)

    def test_shared_socket_is_no_programs(self):
        code = ('import os,socket,subprocess,threading\ns=socket.socket(); s.set_inheritable(True)\n'
                'p=subprocess.Popen(["sleep","30"],close_fds=False)\n'
                'while os.readlink(f"/proc/{p.pid}/exe")==os.readlink("/proc/self/exe"): pass\n'
                'try: s.connect(("192.0.2.7",443))\nexcept OSError as e: print(type(e).__name__)\np.kill()')
        got, events = self.go([PYTHON, '-c', code])
        self.assertEqual(len(events), 1, got)
        self.assertNotIn('binary', events[0])

    def test_shown_within_a_second(self):
        with Sandbox(policy(), [PYTHON, '-c', TCP + 'sys.stdout.flush(); time.sleep(60)', '192.0.2.7:443']) as box:
            box.wait_out('ConnectionRefusedError True\n')
            box.wait_err(r'DENIED python3[.0-9]*\(\d+\) -> 192\.0\.2\.7:443', 1)

    def test_the_probe_is_not_reported(self):
        got, events = self.go(['true'])
        self.assertEqual(events, [], got)
        self.assertNotIn('bypass', got.err)

    def test_flood_is_refused_at_once_and_bounded_in_the_log(self):
        code = ('import socket,time\nt=time.monotonic()\nfor i in range(300):\n s=socket.socket()\n'
                ' try: s.connect(("192.0.2.7",1000+i)); print("CONNECTED")\n except ConnectionRefusedError: pass\n s.close()\n'
                'print(time.monotonic()-t < 20)')
        got, events = self.go([PYTHON, '-c', code])
        self.assertEqual(got.out, 'True\n', got)
        self.assertTrue(1 <= len(events) <= 200, len(events))

    def watched(self):
        """A workload that connects to each host:port of its input, so that the monitor is there."""
        code = ('import socket,sys,time\nfor l in sys.stdin:\n h,p=l.strip().rsplit(":",1)\n t=time.monotonic()\n'
                ' try: socket.create_connection((h,int(p)),10); print("CONNECTED")\n'
                ' except OSError as e: print(type(e).__name__, time.monotonic()-t < 3)\n sys.stdout.flush()\n')
        return Sandbox(policy(), [PYTHON, '-c', code], stdin=subprocess.PIPE)

    def attempt(self, box, to):
        box.seen = ''
        box.process.stdin.write(f'{to}\n'.encode())
        box.process.stdin.flush()
        box.wait_out('ConnectionRefusedError True\n')

    def monitor(self, box):
        """The child of the leaf without any capability; it comes with the first refused packet."""
        def find():
            for p in lab.children(box.leaf('process') or 0):
                with open(f'/proc/{p}/status') as f:
                    if lab.exe_name(p).startswith('openshell') and re.search(r'^CapEff:\t0+$', f.read(), re.M):
                        return p
        return wait_for(find)

    def test_there_is_no_monitor_before_there_is_anything_to_report(self):
        with self.watched() as box:
            box.wait_err('enforcing')
            wait_for(lambda: [p for p in lab.descendants(box.process.pid) if lab.exe_name(p).startswith('python')])
            ours = [p for p in lab.children(box.leaf('process')) if lab.exe_name(p).startswith('openshell')]
            self.assertEqual(len(ours), 1)      # the identity worker
            self.attempt(box, '192.0.2.7:443')
            self.assertNotIn(self.monitor(box), ours)

    def test_monitor_that_dies_leaves_the_fence_closed_and_fast(self):
        with self.watched() as box:
            self.attempt(box, '192.0.2.7:443')
            lab.kill(self.monitor(box))
            box.wait_err('refused, but not reported')
            start = time.monotonic()
            self.attempt(box, '192.0.2.8:443')
            self.assertLess(time.monotonic() - start, 0.9)      # not by the repetition after a second

    def test_identity_worker_that_dies_takes_the_reports_with_it_and_nothing_else(self):
        for first in (True, False):
            with self.subTest(attempt_before=first), self.watched() as box:
                box.wait_err('enforcing')
                wait_for(lambda: [p for p in lab.descendants(box.process.pid) if lab.exe_name(p).startswith('python')])
                worker = [p for p in lab.children(box.leaf('process')) if lab.exe_name(p).startswith('openshell')]
                if first:
                    self.attempt(box, '192.0.2.7:443')
                lab.kill(worker[0])
                box.wait_err('identity worker died')
                box.wait_err('refused, but not reported')
                self.attempt(box, '192.0.2.8:443')

    def test_monitor_that_is_stopped_delays_but_does_not_open(self):
        with self.watched() as box:
            self.attempt(box, '192.0.2.7:443')
            lab.kill(self.monitor(box), 19)
            self.attempt(box, '192.0.2.8:443')

    def test_host_side_refuses_and_reports_when_the_workload_s_own_fence_is_gone(self):
        code = 'import sys\nfor l in sys.stdin:\n sys.argv=["",l.strip()]\n exec(' + repr(TCP) + ')\n sys.stdout.flush()\n'
        with lab.Origin('0.0.0.0', 8080) as origin, Sandbox(policy(), [PYTHON, '-c', code], stdin=subprocess.PIPE,
                                                           args=['--network-link', 'veth']) as box:
            address = box.wait_err(r'veth at (10\.200\.\d+\.\d+)')[1]
            host = re.sub(r'\d+$', lambda m: str(int(m[0]) - 1), address)
            self.assertIn('openshell_', lab.sh('nft', 'list', 'tables'))
            main = wait_for(lambda: [p for p in lab.descendants(box.process.pid) if lab.exe_name(p).startswith('python')])[0]
            lab.sh('nsenter', f'--net=/proc/{main}/ns/net', 'nft', 'delete', 'table', 'inet', 'openshell_fence')
            box.process.stdin.write(f'{host}:8080\n'.encode())
            box.process.stdin.flush()
            box.wait_out('ConnectionRefusedError True\n')
            box.wait_err(rf'DENIED python3[.0-9]*\(\d+\) -> {re.escape(host)}:8080', 5)
            self.assertEqual(origin.connections, 0)

    def test_in_veth_mode_too(self):
        got, events = self.go([PYTHON, '-c', TCP, '192.0.2.7:443'], args=['--network-link', 'veth'])
        self.assertEqual([(e['host'], e.get('binary')) for e in events], [('192.0.2.7', PYTHON)], got)
