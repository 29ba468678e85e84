"""An ordinary user starts the supervisor: everything but the change of identity holds as well.

The attack, main job and bypass tests run again, started by uid 4242 without any capability; a test
that can't hold without root is overridden here, with its reason.
"""
import os
import subprocess

import lab
import test_attack_identity
import test_attack_kernel
import test_attack_supervisor
import test_bypass
import test_leftovers
import test_main_job
import test_shell
from lab import LabTest, Sandbox, policy, run, wait_for
from terminal import Terminal

LEAVES = ('openshell-supervisor', 'openshell-supervisor-process', 'openshell-supervisor-network')     # not a session program, which comes and goes


class Rootless:
    @classmethod
    def setUpClass(cls):
        lab.ROOTLESS = True
        super().setUpClass()


class Kernel(Rootless, test_attack_kernel.Kernel, LabTest):
    pass


class Identity(Rootless, test_attack_identity.Identity, LabTest):
    pass


class Bypass(Rootless, test_bypass.Bypass, LabTest):
    def test_host_side_refuses_and_reports_when_the_workload_s_own_fence_is_gone(self):
        self.skipTest('veth needs root')

    def test_in_veth_mode_too(self):
        got = run(policy(), ['true'], args=['--network-link', 'veth'])
        self.assertEqual(got.code, 1, got)
        self.assertIn('needs root', got.err)


class Traffic(Rootless, test_main_job.Traffic, LabTest):
    pass


class Confined(Rootless, test_main_job.Confined, LabTest):
    def test_sudo_user_is_used_when_nobody_is_named(self):
        """SUDO_UID means nothing when one is not root."""
        got = run(policy(user=None), ['id', '-u'], env={'SUDO_UID': '4243', 'SUDO_GID': '4243'})
        self.assertEqual(got.out.strip(), str(lab.USER), got)

    def test_root_is_refused_however_it_is_named(self):
        got = run(policy(user=None), ['id', '-u'], env={'SUDO_UID': '0', 'SUDO_GID': '0'})
        self.assertEqual(got.out.strip(), str(lab.USER), got)
        for env in ({'OPENSHELL_SANDBOX_UID': '0', 'OPENSHELL_SANDBOX_GID': '0'}, {'OPENSHELL_OCI_IMAGE_USER': 'root'}):
            with self.subTest(env=env):
                got = run(policy(user=None), ['id'], env=env)
                self.assertEqual((got.code, got.out), (1, ''), got)
                self.assertIn('start as root', got.err)


class Host(Rootless, LabTest):
    def test_start_line_says_what_is_not_changed(self):
        got = run(policy(user=4243), ['id', '-u'])
        self.assertEqual(got.out.strip(), str(lab.USER), got)
        self.assertRegex(got.err, r'enforcing: user \S+ \(uid 4242, gid 4242; unchanged, as it was started without root\), network sealed')
        self.assertIn('asks for user 4243', got.err)

    def test_no_identity_but_the_own_one_exists(self):
        got = run(policy(), ['sh', '-c', 'cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups'])
        self.assertEqual(got.out.split(), ['4242', '4242', '1', '4242', '4242', '1', 'deny'], got)

    def test_refused_user_namespaces_name_the_remedy(self):
        got = run(policy(), ['true'], launcher=[str(lab.REFUSE), 'userns', '--'])
        self.assertEqual(got.code, 1, got)
        self.assertIn('let that allow unshare(2) of user namespaces, or start as root', got.err)

    def test_user_namespaces_that_a_sysctl_forbids(self):
        """The limit is set in a user namespace of the test's, so that this machine keeps its own."""
        inner = ['sh', '-c', 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --ambient-caps=-all --inh-caps=-all "$@"', 'sh']
        launcher = ['unshare', '--user', '--map-current-user', '--keep-caps', '--', *inner]
        got = run(policy(), ['true'], launcher=launcher)
        self.assertEqual(got.code, 1, got)
        self.assertIn('user.max_user_namespaces', got.err)

    def test_supervisor_of_the_same_user_is_out_of_reach(self):
        """By signal, priority, limit, memory, and the sockets that its own uid could open."""
        code = ('import os,resource,sys\nfor p in map(int,sys.argv[1].split()):\n'
                ' for f in (lambda: os.kill(p,9), lambda: os.setpriority(0,p,19), lambda: resource.prlimit(p,7,(3,3)),\n'
                '   lambda: open(f"/proc/{p}/mem","rb"), lambda: os.listdir(f"/proc/{p}/fd"), lambda: open(f"/proc/{p}/environ").read()):\n'
                '  try: f(); print("DID")\n  except OSError as e: print(type(e).__name__)\nprint("end")')
        with Sandbox(policy(), ['sh', '-c', f'{lab.CURL} -s --noproxy "*" http://192.0.2.7/; read pids; exec /usr/bin/python3 -c "$0" "$pids"', code], stdin=subprocess.PIPE) as box:
            box.wait_err('192.0.2.7')
            def ours():     # orchestrator, janitor, two leaves, identity worker, bypass monitor; the workload until it executes
                return [box.process.pid, *[p for p in lab.descendants(box.process.pid) if lab.exe_name(p) in LEAVES]]
            wait_for(lambda: len(ours()) == 6)
            pids = ours()
            box.process.stdin.write((' '.join(map(str, pids)) + '\n').encode())
            box.process.stdin.flush()
            out = box.wait_out('end')
            self.assertNotIn('DID', out)
            self.assertTrue(all(lab.alive(p) for p in pids))


class Doors(Rootless, LabTest):
    """ctl and SSH of a sandbox that an ordinary user started, used by that user."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        with open('/etc/passwd', 'a') as f:     # ssh(1) and sftp-server want an account; this file is the test's own
            f.write(f'labuser:x:{lab.USER}:{lab.USER}::/tmp/lab:/bin/bash\n')
        cls.runtime = f'/run/user/{lab.USER}'
        os.makedirs(cls.runtime, mode=0o700)
        os.chown(cls.runtime, lab.USER, lab.USER)

    def start(self, *command, args=(), **more):
        return Sandbox(policy(), command, args=['--name', 'doors', *args], env={'XDG_RUNTIME_DIR': self.runtime}, **more)

    def as_user(self, *words, uid=lab.USER, **more):
        env = {'PATH': os.environ['PATH'], 'XDG_RUNTIME_DIR': self.runtime, 'HOME': '/tmp/lab'}
        return subprocess.run(['setpriv', '--reuid', str(uid), '--regid', str(uid), '--clear-groups', '--', *words],
                              capture_output=True, timeout=30, env=env, **{'stdin': subprocess.DEVNULL, **more})

    def ctl(self, *words, **more):
        return self.as_user(str(lab.SUPERVISOR), 'ctl', *words, **more)

    def running(self, box):
        box.wait_err('enforcing')
        wait_for(lambda: self.ctl('exec', '--', 'true').returncode == 0)

    def test_ctl_exec_and_shell_in_the_users_own_folder(self):
        with self.leaves_nothing(), self.start('sleep', '1000') as box:
            self.running(box)
            path = f'{self.runtime}/openshell'
            self.assertEqual((os.stat(path).st_mode & 0o777, os.stat(path).st_uid), (0o700, lab.USER))
            self.assertEqual(os.stat(f'{path}/doors.ctl').st_mode & 0o777, 0o600)
            got = self.ctl('exec', '--', 'sh', '-c', 'cat; id -u; echo err >&2; exit 7', stdin=None, input=b'in ')
            self.assertEqual((got.stdout, got.stderr, got.returncode), (b'in 4242\n', b'err\n', 7))
            got = self.ctl('shell', stdin=None, input=b'echo $((6*7)); exit 4\n')
            self.assertEqual((got.stdout, got.returncode), (b'42\n', 4))
            self.assertNotEqual(self.as_user(str(lab.SUPERVISOR), 'ctl', 'exec', '--', 'true', uid=4300).returncode, 0)

    def test_restrictions_are_mains(self):
        probe = ['/usr/bin/python3', '-c', test_shell.PROBE, 'SOCKET']
        with self.start('sh', '-c', 'read x; exec "$@"', 'sh', *probe, stdin=subprocess.PIPE) as box:
            self.running(box)
            got = self.ctl('exec', '--', *probe)
            self.assertEqual(got.returncode, 0, got)
            main, _ = box.process.communicate(b'go\n', timeout=30)
        self.assertEqual(got.stdout.decode(), main.decode())
        self.assertNotIn('possible', main.decode())

    def test_ssh_sftp_and_terminal(self):
        with self.start('sleep', '1000', args=['--ssh-socket-path', f'{self.runtime}/openshell-ssh/s']) as box:
            self.running(box)
            config = box.dir / 'config'
            config.write_bytes(self.ctl('ssh-config').stdout)
            ssh = ['ssh', '-F', str(config)]
            got = self.as_user(*ssh, 'sandbox', 'cat; id -u; exit 7', stdin=None, input=b'in ')
            self.assertEqual((got.stdout, got.returncode), (b'in 4242\n', 7), got)
            batch = box.dir / 'batch'
            batch.write_text(f'put {config} there\n')
            got = self.as_user('sftp', '-F', str(config), '-b', str(batch), 'sandbox')
            self.assertEqual(got.returncode, 0, got)
            self.assertEqual((box.work / 'there').read_bytes(), config.read_bytes())
            drop = ['setpriv', '--reuid', str(lab.USER), '--regid', str(lab.USER), '--clear-groups', '--']
            with Terminal([*drop, *ssh, '-tt', 'sandbox', 'sh'], env={'XDG_RUNTIME_DIR': self.runtime}, rows=31, columns=99) as t:
                cooked = t.modes()
                t.ask('stty size; tty', r'31 99\s+/dev/pts/\d+')
                # The session program has no other identity to take; it has nothing else either.
                pid = next(p for p in lab.descendants(box.process.pid) if lab.exe_name(p) == 'openshell-supervisor-ssh')
                with open(f'/proc/{pid}/status') as f:
                    status = dict(l.split(':', 1) for l in f)
                self.assertEqual((int(status['CapEff'], 16), status['NoNewPrivs'].strip(), status['Seccomp'].strip()), (0, '1', '2'))
                t.send('exit 5\r')
                self.assertEqual(t.wait(), 5)
                self.assertEqual(t.modes(), cooked)

    GREETING = ('import socket,sys\np=sys.argv[1]; s=socket.socket(socket.AF_UNIX); s.settimeout(20)\n'
                'try: s.connect("\\0"+p[1:] if p[0]=="@" else p); print(s.recv(4))\nexcept OSError as e: print(type(e).__name__)')

    CARRY = ('import os,select,socket,sys\np=sys.argv[1]; s=socket.socket(socket.AF_UNIX); s.connect("\\0"+p[1:] if p[0]=="@" else p)\n'
             'while True:\n for r in select.select([0,s],[],[])[0]:\n'
             '  data=os.read(r if r==0 else s.fileno(),65536)\n  if not data: sys.exit()\n'
             '  s.sendall(data) if r==0 else os.write(1,data)\n')

    def test_ssh_at_the_socket_itself(self):
        """The process leaf can't look at processes outside of its user namespace; the orchestrator can."""
        for path in (f'{self.runtime}/openshell-ssh/own', '@lab-rootless-ssh'):
            with self.subTest(path), self.start('sleep', '1000', args=['--ssh-socket-path', path]) as box:
                self.running(box)
                greet = ['/usr/bin/python3', '-c', self.GREETING, path]
                carry = box.dir / 'carry.py'
                carry.write_text(self.CARRY)
                got = self.as_user('ssh', '-F', '/dev/null', '-o', f'ProxyCommand=/usr/bin/python3 {carry} {path}', '-o', 'StrictHostKeyChecking=no',
                                   '-o', 'UserKnownHostsFile=/dev/null', 'sandbox@sandbox', 'id -u; exit 7')
                self.assertEqual((got.stdout, got.returncode), (b'4242\n', 7), got)
                # Twenty at once: each is asked about in its turn.
                many = 'for i in $(seq 20); do "$@" & done; wait'
                self.assertEqual(self.as_user('sh', '-c', many, 'sh', *greet).stdout.split(), [b"b'SSH-'"] * 20)
                self.assertEqual(self.as_user(*greet, uid=4300).stdout.strip() in (b"b''", b'PermissionError', b'ConnectionResetError'), True)

    def test_ssh_socket_lets_no_workload_in(self):
        """Neither this sandbox's, were it to reach the socket, nor one of another sandbox that was there before the socket."""
        place = '/tmp/lab/cross-ssh'
        os.makedirs(place, mode=0o700, exist_ok=True)
        os.chown(place, lab.USER, lab.USER)
        path = f'{place}/s'
        waits = ['sh', '-c', 'read x; exec /usr/bin/python3 -c "$@"', 'sh', self.GREETING, path]
        with Sandbox(policy(), waits, stdin=subprocess.PIPE) as other:
            other.wait_err('enforcing')
            with self.start('sleep', '1000', args=['--ssh-socket-path', path]) as box:
                self.running(box)
                main = next(p for p in lab.descendants(box.process.pid) if lab.exe_name(p) == 'sleep')
                got = subprocess.run(['nsenter', f'--net=/proc/{main}/ns/net', 'setpriv', '--reuid', str(lab.USER), '--regid', str(lab.USER),
                                      '--clear-groups', '/usr/bin/python3', '-c', self.GREETING, path], capture_output=True, text=True, timeout=30)
                self.assertIn(got.stdout.strip(), ("b''", 'ConnectionResetError'), got)
                box.wait_err('is inside the sandbox')
                out, _ = other.process.communicate(b'go\n', timeout=30)
                self.assertIn(out.decode().strip(), ("b''", 'ConnectionResetError', 'FileNotFoundError', 'PermissionError'))


class Streams(Rootless, test_main_job.Streams, LabTest):
    pass


class SupervisorHost(Rootless, test_attack_supervisor.Host, LabTest):
    pass


class Killed(Rootless, test_leftovers.Killed, LabTest):
    links = ([],)

    def test_without_the_right_to_signal_other_users(self):
        self.skipTest('there is one user only')


class SupervisorLogs(Rootless, test_attack_supervisor.Logs, LabTest):
    pass


class SupervisorRefusals(Rootless, test_attack_supervisor.Refusals, LabTest):
    pass
