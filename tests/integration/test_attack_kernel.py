"""Attacks 96-121: the kernel's interface, descriptors, terminals, signals - tried from inside."""
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess

import lab
from lab import PYTHON, LabTest, Origin, Sandbox, endpoint, policy, rule, run, wait_for

EPERM, ENOSYS, EACCES, SIGSYS = -1, -38, -13, 31
AF = {'unix': 1, 'inet': 2, 'inet6': 10, 'netlink': 16, 'packet': 17, 'key': 15, 'alg': 38, 'vsock': 40, 'bluetooth': 31,
      'smc': 43, 'tipc': 30, 'can': 29, 'xdp': 44, 'qipcrtr': 42}


class Kernel(LabTest):
    """Each call is made raw by tests/confinement/systry, as the workload."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.tools = pathlib.Path('/opt/lab/kernel')
        cls.tools.mkdir(parents=True, exist_ok=True)
        cls.systry = str(cls.tools / 'systry')
        shutil.copy(lab.SYSTRY, cls.systry)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.tools)
        super().tearDownClass()

    def tried(self, *calls):
        """Run systry with each argument list; returns its printed numbers, or 'signal N'."""
        lines = [f'{self.systry} {" ".join(map(str, c))} || echo "signal $(($?-128))"' for c in calls]
        got = run(policy(read_only=[str(self.tools)]), ['bash', '-c', '\n'.join(lines)])
        out = [int(l) if not l.startswith('signal') else l for l in got.out.split('\n') if l]
        self.assertEqual(len(out), len(calls), got)
        return out

    def assertDenied(self, calls, allowed=(EPERM,)):
        for call, result in zip(calls, self.tried(*calls)):
            with self.subTest(call=call):
                self.assertIn(result, allowed)

    def test_97_98_socket_families_and_types(self):
        fams = [(41, AF[n], t, 0) for n in ('packet', 'key', 'alg', 'vsock', 'bluetooth', 'smc', 'tipc', 'can', 'xdp', 'qipcrtr')
                for t in (1, 2, 3)]
        raw = [(41, AF[n], t, p) for n in ('inet', 'inet6') for t, p in ((3, 1), (3, 255), (3, 6), (2, 1), (2, 58), (1, 132), (5, 132),
                                                                       (10, 0), (3 | 0o2000000, 255))]
        netlink = [(41, 16, 3, p) for p in (4, 9, 12, 15, 21)]
        self.assertDenied(fams + raw + netlink)

    def test_97_high_bits_do_not_hide_a_family(self):
        self.assertDenied([(41, 0x100000011, 3, 0), (41, 0x100000000 + AF['vsock'], 1, 0), (41, 2, 0x100000003, 255)])

    def test_ordinary_sockets_work(self):
        calls = [(41, AF['unix'], 1, 0), (41, 2, 1, 0), (41, 2, 2, 0), (41, 10, 1, 6), (41, 16, 3, 0), (41, 2, 1 | 0o2000000, 6)]
        self.assertTrue(all(r >= 0 for r in self.tried(*calls)))

    def test_100_foreign_call_tables(self):
        for call in (('--x32', 39), ('--x32', 41, 17, 3, 0), ('--int80', 20)):
            with self.subTest(call=call):
                self.assertIn(self.tried(call)[0], (ENOSYS, f'signal {SIGSYS}', 'signal 11'))

    def test_101_namespaces(self):
        new_user, new_net, new_ns = 0x10000000, 0x40000000, 0x20000
        unshare = [(272, f) for f in (new_user, new_net, new_ns, new_user | new_net, 0x100000000 | new_user)]
        clone = [(56, f | 17) for f in (new_user, new_net, new_ns, 0x04000000, 0x08000000, 0x02000000, 0x20000000)]
        self.assertDenied(unshare + clone + [(308, 0, 0)])
        self.assertEqual(self.tried((435, 0, 0)), [ENOSYS])

    def test_103_keys_bpf_modules_and_friends(self):
        self.assertDenied([(250, 0, -3), (248, '@user', '@x', '@y', 1, -3), (249, '@user', '@x', 0, 0), (321, 0, 0, 0), (323, 0),
                           (298, 0, 0, -1, -1, 0), (246, 0, 0, 0, 0), (320, 0, 0, 0, 0, 0), (175, 0, 0, '@'), (313, 0, '@', 0),
                           (176, '@x', 0), (304, 0, 0, 0), (425, 8, 0), (426, 0, 0, 0, 0, 0), (427, 0, 0, 0, 0), (101, 0),
                           (310, 1, 0, 0, 0, 0, 0), (311, 1, 0, 0, 0, 0, 0), (434, 1, 0), (438, 0, 0, 0), (424, 0, 0, 0, 0)])

    def test_mounts(self):
        self.assertDenied([(165, '@x', '@/tmp', '@tmpfs', 0, 0), (166, '@/tmp', 0), (155, '@/', '@/'), (428, -100, '@/', 0),
                           (429, 0, '@', 0, '@', 0), (430, '@tmpfs', 0), (431, 0, 0, 0, 0, 0), (432, 0, 0, 0), (433, -100, '@/', 0),
                           (442, -100, '@/', 0, 0, 0), (467, -100, '@/', 0, 0, 0)])

    def test_filters_cannot_be_added(self):
        self.assertDenied([(317, 1, 0, 0), (157, 22, 2, 0)])

    def test_103_memfd_and_execveat_by_descriptor(self):
        self.assertDenied([(319, '@x', 0), (322, 3, '@', 0, 0, 0x1000)])

    def test_106_terminal_injection(self):
        tiocsti, tioclinux = 0x5412, 0x541c
        self.assertDenied([(16, 0, tiocsti, '@x'), (16, 0, tioclinux, '@x'), (16, 0, 0x100000000 | tiocsti, '@x')])

    def test_capabilities_and_privileges(self):
        got = run(policy(), ['grep', '-E', '^(Cap|NoNewPrivs|Seccomp:|Groups|Uid|Gid)', '/proc/self/status'])
        status = dict(l.split(':', 1) for l in got.out.splitlines())
        for name in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
            self.assertEqual(int(status[name], 16), 0, got)
        self.assertEqual((status['NoNewPrivs'].strip(), status['Seccomp'].strip()), ('1', '2'))
        self.assertEqual(set(status['Uid'].split() + status['Gid'].split()), {str(lab.USER)})
        self.assertNotIn('0', status['Groups'].split())

    def test_setuid_programs_give_nothing(self):
        tool = self.tools / 'suid-id'
        shutil.copy('/usr/bin/id', tool)
        os.chown(tool, 0, 0)
        os.chmod(tool, 0o4755)
        got = run(policy(read_only=[str(self.tools)]), [str(tool), '-u'])
        self.assertEqual(got.out.strip(), str(lab.USER), got)

    def test_104_abstract_and_path_sockets_of_the_host(self):
        host = socket.socket(socket.AF_UNIX)
        self.addCleanup(host.close)
        host.bind('\0lab-host-service')
        host.listen()
        path = '/srv/lab-host.sock'
        os.makedirs('/srv', exist_ok=True)
        file = socket.socket(socket.AF_UNIX)
        self.addCleanup(lambda: (file.close(), os.unlink(path)))
        file.bind(path)
        os.chmod(path, 0o777)
        file.listen()
        code = ('import socket\nfor a in ("\\0lab-host-service","/srv/lab-host.sock"):\n'
                ' try: socket.socket(socket.AF_UNIX).connect(a); print("CONNECTED")\n except OSError as e: print(type(e).__name__)')
        got = run(policy(), ['/usr/bin/python3', '-c', code])
        self.assertIn(got.out.split()[0], ("ConnectionRefusedError", "PermissionError"), got)
        self.assertNotIn("CONNECTED", got.out, got)

    def test_109_signals_to_the_supervisor(self):
        code = ('import os,sys\nfor p in sys.argv[1].split():\n'
                ' for f in (lambda p: os.kill(p,9), lambda p: os.setpriority(0,p,19)):\n'
                '  try: f(int(p)); print("DID")\n  except OSError as e: print(e.errno)\nprint("end",flush=True)\nsys.stdin.read()')
        with Sandbox(policy(), ['sh', '-c', 'echo up; read pids; exec /usr/bin/python3 -c "$0" "$pids"', code], stdin=subprocess.PIPE) as box:
            box.wait_out('up')       # the held child looks like a leaf until it executes
            pids = [box.process.pid, *[p for p in lab.descendants(box.process.pid) if lab.exe_name(p).startswith('openshell')]]
            box.process.stdin.write((' '.join(map(str, pids)) + '\n').encode())
            box.process.stdin.flush()
            out = box.wait_out('end')
            self.assertNotIn('DID', out)
            self.assertTrue(all(lab.alive(p) for p in pids))

    def test_109_signals_to_others_of_the_same_user(self):
        other = subprocess.Popen(['setpriv', '--reuid', str(lab.USER), '--regid', str(lab.USER), '--clear-groups', 'sleep', '60'])
        self.addCleanup(lambda: (other.kill(), other.wait()))
        wait_for(lambda: lab.exe_name(other.pid) == 'sleep')
        got = run(policy(), ['/usr/bin/python3', '-c', f'import os\ntry: os.kill({other.pid},9); print("DID")\nexcept OSError as e: print(e.errno)\n'
                             f'try: open("/proc/{other.pid}/environ").read(); print("READ")\nexcept OSError as e: print(e.errno)'])
        self.assertNotIn('DID', got.out, got)
        self.assertNotIn('READ', got.out, got)
        self.assertIsNone(other.poll())

    def test_104_shared_memory_and_queues_of_the_host(self):
        """System V objects that any user could open are not there."""
        key, path = 0x4c414201, '/lab-queue'
        libc = ctypes.CDLL(None, use_errno=True)
        made = libc.shmget(key, 4096, 0o1666), libc.msgget(key, 0o1666), libc.semget(key, 1, 0o1666)
        self.addCleanup(lambda: (libc.shmctl(made[0], 0, None), libc.msgctl(made[1], 0, None), libc.semctl(made[2], 0, 0)))
        self.assertTrue(all(i >= 0 for i in made), made)
        code = (f'import ctypes\nl=ctypes.CDLL(None,use_errno=True)\nk={key}\n'
                'for f in (lambda: l.shmget(k,0,0), lambda: l.msgget(k,0), lambda: l.semget(k,0,0)): print(f())')
        self.assertEqual(run(policy(), ['/usr/bin/python3', '-c', code]).out.split(), ['-1'] * 3)

    def test_109_limits_and_priorities_of_others_of_the_same_user(self):
        """The kernel would let one process of a user end another by a limit on processor time."""
        other = subprocess.Popen(['setpriv', '--reuid', str(lab.USER), '--regid', str(lab.USER), '--clear-groups', 'sleep', '60'])
        self.addCleanup(lambda: (other.kill(), other.wait()))
        wait_for(lambda: lab.exe_name(other.pid) == 'sleep')
        prlimit, setpriority, ioprio_set = 302, 141, 251
        self.assertDenied([(prlimit, other.pid, 0, '@' + '\1' * 8, 0), (prlimit, other.pid, 7, 0, '@' + 'x' * 16),
                           (setpriority, 2, 0, 19), (setpriority, 1, os.getpgid(other.pid), 19),
                           (ioprio_set, 3, 0, 0), (ioprio_set, 2, os.getpgid(other.pid), 0)])
        self.assertEqual(os.getpriority(os.PRIO_PROCESS, other.pid), 0)
        self.assertRegex(pathlib.Path(f'/proc/{other.pid}/limits').read_text(), r'Max cpu time +unlimited +unlimited')
        own = 'import resource,os; resource.setrlimit(resource.RLIMIT_CPU,(60,60)); os.setpriority(0,0,5); print("own")'
        self.assertEqual(run(policy(), ['/usr/bin/python3', '-c', own]).out, 'own\n')

    def test_110_only_three_descriptors(self):
        got = run(policy(), ['/usr/bin/python3', '-c', 'import os; print(sorted(int(f) for f in os.listdir("/proc/self/fd")))'])
        self.assertEqual(got.out.strip(), '[0, 1, 2, 3]', got)      # 3 is the listing itself

    def test_112_no_way_to_the_leaves(self):
        """No socket of ours is in a place, or in an abstract name, that the workload could reach."""
        with Sandbox(policy(), ['sh', '-c', 'cat /proc/net/unix; echo ---; cat /proc/net/tcp /proc/net/tcp6; echo end; sleep 100']) as box:
            out = box.wait_out('end')
        self.assertNotIn('openshell', out.split('---')[0])
        listening = [l for l in out.split('---')[1].splitlines() if re.search(r' 0A ', l)]
        self.assertEqual(len(listening), 1, out)        # the proxy, and nothing else

    def test_113_fork_bomb_ends_with_the_sandbox(self):
        # Bounded by its own limit, so that a failing test does not hurt the machine.
        bomb = 'ulimit -u 200; f() { f | f & }; f; sleep 1; echo over'
        with self.leaves_nothing():
            with Sandbox(policy(user=4299, group=4299), ['bash', '-c', bomb], workdir='/tmp') as box:
                box.process.wait(60)

    def test_116_tunnel_is_fenced_from_local_services(self):
        """The proxy's own address and the host's loopback are no destinations."""
        code = ('import socket\nfor t in ("10.200.0.1:3128","127.0.0.1:80","localhost:80","rebind.test:80"):\n'
                ' s=socket.create_connection(("10.200.0.1",3128)); s.sendall(f"CONNECT {t} HTTP/1.1\\r\\n\\r\\n".encode())\n'
                ' print(s.recv(100).split()[1].decode())')
        hosts = [endpoint('10.200.0.1', 3128), endpoint('127.0.0.1'), endpoint('localhost'), endpoint('rebind.test')]
        with Origin('127.0.0.1') as origin:
            got = run(policy({'w': rule(*hosts, binaries=(PYTHON,))}), ['/usr/bin/python3', '-c', code])
        self.assertEqual(set(got.out.split()), {'403'}, got)
        self.assertEqual(origin.connections, 0)

    def test_118_nothing_may_be_created_outside(self):
        got = run(policy(), ['sh', '-c', 'for p in /etc/x /usr/x /root/x /srv/x /run/x /var/x /x /proc/sys/kernel/x; do touch $p 2>/dev/null && echo $p; done; true'])
        self.assertEqual(got.out, '', got)

    def test_115_huge_policy_is_refused_and_changes_nothing(self):
        with Sandbox(policy(), ['sleep', '100']) as box:
            box.wait_err('enforcing')
            box.write_policy('version: 1\n' + '# x\n' * 100000)
            box.wait_err('(?i)previous policy')
            self.assertIsNone(box.process.poll())

    def test_107_escapes_in_hosts_and_names_are_neutralised(self):
        name = self.tools / 'a\x1b[2Jb'
        shutil.copy('/usr/bin/curl', name)
        raw = 'CONNECT evil\x1b[31m.test:80 HTTP/1.1\r\n\r\n'
        code = f'import socket\ns=socket.create_connection(("10.200.0.1",3128)); s.sendall({raw!r}.encode()); s.recv(1000)'
        got = run(policy(read_only=[str(self.tools)]), ['sh', '-c', f'"{name}" -s http://evil.test/; /usr/bin/python3 -c "$0"', code])
        self.assertNotIn('\x1b', got.err, got)
        self.assertIn('evil.test', got.err, got)

    def test_121_landlock_required_but_missing_path_ends_the_start(self):
        doc = policy(read_only=['/no/such/dir'], landlock={'compatibility': 'hard_requirement'})
        got = run(doc, ['true'])
        self.assertEqual(got.code, 1, got)
        self.assertIn('/no/such/dir', got.err)
