"""What a start prepares and checks on the host: capabilities, workspaces, sockets, devices, limits, veth."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

import lab
from lab import PYTHON, SUPERVISOR, LabTest, Sandbox, policy, run

IMAGE = {'OPENSHELL_OCI_IMAGE_USER': f'{lab.USER}:{lab.USER}'}


def supervisor(*argv, **more):
    return subprocess.run([str(SUPERVISOR), *argv], capture_output=True, text=True, timeout=20, **more)


def as_user(*argv):
    return ['setpriv', '--reuid', str(lab.USER), '--regid', str(lab.USER), '--clear-groups', '--', *argv]


class WithoutKill(LabTest):
    """Podman's default takes CAP_KILL away (GAP-2): the workload has another uid and must end all the same."""
    launcher = ['setpriv', '--bounding-set=-kill', '--inh-caps=-kill', '--']

    def test_timeout_and_signals_reach_the_workload(self):
        got = run(policy(), ['sleep', '1000'], args=['--timeout', '1'], launcher=self.launcher)
        self.assertEqual(got.code, 124, got)
        with Sandbox(policy(), ['sh', '-c', 'trap "echo got; exit 3" TERM; echo up; while :; do sleep 0.1; done'],
                     launcher=self.launcher) as box:
            box.wait_out('up')
            box.process.terminate()
            got = box.finish()
        self.assertEqual((got.code, got.out), (3, 'up\ngot\n'), got)

    def test_daemons_of_the_workload_end_with_it(self):
        loop = 'while :; do sleep 0.05; done'
        with self.leaves_nothing():
            got = run(policy(), ['sh', '-c', f'(setsid sh -c "{loop}" &); echo up'], launcher=self.launcher)
        self.assertEqual(got.out, 'up\n', got)


class Workspace(LabTest):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='lab-ws-', dir='/srv' if os.path.isdir('/srv') else '/opt'))
        self.dir.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.dir)

    def image(self, workdir, command=('pwd',)):
        return run(policy(user=None), list(command), env=IMAGE, args=['--workdir', str(workdir)])

    def test_image_workspace_must_be_usable_already(self):
        mine = self.dir / 'mine'
        mine.mkdir()
        os.chown(mine, lab.USER, lab.USER)
        got = self.image(mine, ['sh', '-c', 'pwd; echo $HOME; touch x && echo wrote'])
        self.assertEqual(got.out.split(), [str(mine), str(mine), 'wrote'], got)
        theirs = self.dir / 'theirs'
        theirs.mkdir()
        for bad, word in ((theirs, "can't be written"), (self.dir / 'none', 'missing'), ('relative', 'absolute'),
                          ('/etc/openshell/x', 'reserved'), ('/proc', 'reserved'), (f'{self.dir}/../x', 'absolute'),
                          (f'{self.dir}//mine', 'absolute')):
            with self.subTest(bad=bad):
                got = self.image(bad)
                self.assertEqual((got.code, got.out), (1, ''), got)
                self.assertIn(word, got.err)
        self.assertEqual(os.stat(theirs).st_uid, 0)
        link = self.dir / 'link'
        link.symlink_to(mine)
        self.assertEqual(self.image(link).code, 1)

    def test_image_without_workspace_gets_the_managed_one(self):
        if os.path.exists('/sandbox'):
            self.skipTest('this machine has a /sandbox of its own')
        self.addCleanup(lambda: os.path.isdir('/sandbox') and shutil.rmtree('/sandbox'))
        got = self.image('/', ['sh', '-c', 'pwd; touch x && echo wrote'])
        self.assertEqual(got.out.split(), ['/sandbox', 'wrote'], got)
        self.assertEqual(os.stat('/sandbox').st_uid, lab.USER)

    def test_validate_workspace(self):
        mine = self.dir / 'mine'
        mine.mkdir()
        os.chown(mine, lab.USER, lab.USER)
        words = ['validate-workspace', '--workdir', str(mine), '--expected-uid', str(lab.USER), '--expected-gid', str(lab.USER)]
        done = subprocess.run(as_user(str(SUPERVISOR), *words), capture_output=True, text=True, timeout=20)
        self.assertEqual((done.returncode, done.stderr), (0, ''), done)
        self.assertEqual(list(mine.iterdir()), [])
        done = supervisor(*words)
        self.assertEqual(done.returncode, 1)
        self.assertIn('not as expected', done.stderr)
        mine.chmod(0o555)
        done = subprocess.run(as_user(str(SUPERVISOR), *words), capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn("can't be written", done.stderr)
        self.assertEqual(supervisor('validate-workspace').returncode, 1)

    def test_copy_self(self):
        done = supervisor('copy-self', str(self.dir / 'a' / 'b' / 'sup'))
        self.assertEqual((done.returncode, done.stderr), (0, ''), done)
        self.assertEqual(os.stat(self.dir / 'a/b/sup').st_mode & 0o7777, 0o755)
        into = self.dir / 'into'
        into.mkdir()
        done = subprocess.run([str(SUPERVISOR), 'copy-self', str(into)], timeout=20, preexec_fn=lambda: os.umask(0o077))
        self.assertEqual(sorted(p.name for p in into.iterdir()),
                         ['openshell-supervisor', 'openshell-supervisor-network', 'openshell-supervisor-process'])
        self.assertTrue(all(p.stat().st_mode & 0o7777 == 0o755 for p in into.iterdir()))
        # What was copied runs, with the leaves that were copied with it.
        done = subprocess.run([str(into / 'openshell-supervisor'), '--workdir', '/tmp', '--', 'echo', 'works'],
                              env={'PATH': os.environ['PATH'], 'SUDO_UID': '4242', 'SUDO_GID': '4242'}, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.stdout, 'works\n', done)
        self.assertEqual(supervisor('copy-self').returncode, 2)


class Hidden(LabTest):
    def test_spiffe_socket_is_out_of_reach_even_when_policy_lists_its_directory(self):
        place = pathlib.Path('/srv/lab-spiffe')
        place.mkdir(parents=True)
        self.addCleanup(shutil.rmtree, place)
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(str(place / 'agent.sock'))
        os.chmod(place / 'agent.sock', 0o777)
        server.listen()
        (place / 'bundle').write_text('secret')
        env = {'OPENSHELL_PROVIDER_SPIFFE_WORKLOAD_API_SOCKET': f'unix:{place}/agent.sock'}
        code = f'import os,socket\nprint(os.listdir("{place}"))\ntry: socket.socket(socket.AF_UNIX).connect("{place}/agent.sock"); print("CONNECTED")\nexcept OSError as e: print(type(e).__name__)'
        got = run(policy(read_only=[str(place), str(place / 'agent.sock')]), [PYTHON, '-c', code + '\nprint("SPIFFE" in str(os.environ))'], env=env)
        self.assertEqual(got.out.split('\n')[:3], ['[]', 'FileNotFoundError', 'False'], got)
        self.assertTrue((place / 'bundle').exists())

    def test_spiffe_in_a_shared_directory_is_refused(self):
        for bad in ('tcp:127.0.0.1:1', '/run/agent.sock', 'agent.sock', '/agent.sock'):
            got = run(policy(), ['true'], env={'OPENSHELL_PROVIDER_SPIFFE_WORKLOAD_API_SOCKET': bad})
            self.assertEqual(got.code, 1, got)
            self.assertIn('SPIFFE', got.err)

    def test_spiffe_on_a_host_that_refuses_mounts_ends_the_start(self):
        got = run(policy(), ['true'], env={'OPENSHELL_PROVIDER_SPIFFE_WORKLOAD_API_SOCKET': '/srv/spire/agent.sock'},
                  launcher=[str(lab.REFUSE), 'mounts', '--'])
        self.assertEqual(got.code, 1, got)
        self.assertIn("can't be hidden", got.err)


class Limits(LabTest):
    def test_pid_limit_is_asked_for(self):
        """In a cgroup view of our own: a tmpfs over /sys/fs/cgroup."""
        view = pathlib.Path('/sys/fs/cgroup')
        lab.sh('mount', '-t', 'tmpfs', 'none', str(view))
        self.addCleanup(lab.sh, 'umount', str(view))
        env = {'OPENSHELL_REQUIRE_RUNTIME_PID_LIMIT': '1'}
        got = run(policy(), ['true'], env=env)
        self.assertEqual(got.code, 1, got)
        self.assertIn('no limit on the number of processes can be read', got.err)
        self.assertEqual(run(policy(), ['true']).code, 0)
        groups = [l.rstrip('\n').split(':', 2) for l in open('/proc/self/cgroup')]
        group = next(g for g in groups if g[1] in ('', 'pids'))
        folder = view / ('pids' if group[1] else '') / group[2].lstrip('/')
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'pids.max').write_text('max\n')
        got = run(policy(), ['true'], env=env)
        self.assertEqual(got.code, 1, got)
        self.assertIn('is not limited', got.err)
        (folder / 'pids.max').write_text('2048\n')
        self.assertEqual(run(policy(), ['true'], env=env).code, 0)

    def test_skill_is_written_only_when_asked_for(self):
        etc = pathlib.Path('/etc/openshell')
        existed = etc.exists()
        etc.mkdir(exist_ok=True)
        lab.sh('mount', '-t', 'tmpfs', 'none', str(etc))
        agents = pathlib.Path('/AGENTS.md')
        had_agents = agents.exists()

        def clean():
            lab.sh('umount', str(etc))
            if not existed:
                etc.rmdir()
            if not had_agents and agents.exists():
                agents.unlink()
        self.addCleanup(clean)
        run(policy(), ['true'])
        self.assertEqual(list(etc.iterdir()), [])
        got = run(policy(), ['cat', '/etc/openshell/skills/policy-advisor/SKILL.md'], args=['--install-skill'])
        self.assertIn('How to ask for access', got.out, got)
        got = run(policy(), ['sh', '-c', 'echo x >/etc/openshell/skills/policy_advisor.md'], args=['--install-skill'])
        self.assertNotEqual(got.code, 0, got)


class Gpu(LabTest):
    """Device nodes stand for a GPU: /dev/null's numbers under NVIDIA's names, in a /dev of our own."""
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dev = pathlib.Path(tempfile.mkdtemp(prefix='lab-dev-', dir='/run'))
        lab.sh('mount', '-t', 'tmpfs', '-o', 'mode=0755', 'none', str(cls.dev))
        for name, minor in (('null', 3), ('zero', 5), ('full', 7), ('random', 8), ('urandom', 9)):
            os.mknod(cls.dev / name, 0o20666, os.makedev(1, minor))
            os.chmod(cls.dev / name, 0o666)
        (cls.dev / 'pts').mkdir()
        (cls.dev / 'shm').mkdir()
        (cls.dev / 'ptmx').touch()
        lab.sh('mount', '--rbind', '/dev/pts', str(cls.dev / 'pts'))
        lab.sh('mount', '--rbind', str(cls.dev), '/dev')

    @classmethod
    def tearDownClass(cls):
        lab.sh('umount', '-R', '-l', '/dev')
        lab.sh('umount', '-R', '-l', str(cls.dev))
        super().tearDownClass()

    def devices(self, *names):
        for name in names:
            os.mknod(f'/dev/{name}', 0o20666, os.makedev(1, 3))
            os.chmod(f'/dev/{name}', 0o666)
            self.addCleanup(os.unlink, f'/dev/{name}')

    def tried(self, *names, **more):
        script = '; '.join(f'(: >/dev/{n}) 2>/dev/null && echo {n}' for n in names) + '; true'
        got = run(policy(**more), ['sh', '-c', script])
        self.assertEqual(got.code, 0, got)
        return got.out.split()

    def test_devices_of_a_gpu_are_usable(self):
        self.devices('nvidiactl', 'nvidia-uvm', 'nvidia0', 'nvidia11', 'nvidiax')
        self.assertEqual(self.tried('nvidiactl', 'nvidia-uvm', 'nvidia0', 'nvidia11', 'nvidiax'),
                         ['nvidiactl', 'nvidia-uvm', 'nvidia0', 'nvidia11'])

    def test_names_of_threads_can_be_written_below_proc(self):
        script = 'echo renamed >/proc/self/task/$$/comm && echo yes'
        self.assertNotIn('yes', run(policy(), ['sh', '-c', script]).out)
        self.devices('nvidiactl')
        self.assertIn('yes', run(policy(), ['sh', '-c', script]).out)

    def test_without_a_control_device_nothing_is_added(self):
        self.devices('nvidia0')
        self.assertEqual(self.tried('nvidia0'), [])

    def test_wsl_has_one_device(self):
        self.devices('dxg')
        self.assertEqual(self.tried('dxg'), ['dxg'])

    def test_what_the_user_lists_read_only_stays_read_only(self):
        self.devices('nvidiactl', 'nvidia0')
        self.assertEqual(self.tried('nvidiactl', 'nvidia0', read_only=['/dev/nvidia0']), ['nvidiactl'])


class Veth(LabTest):
    def test_many_at_once_never_share_an_address(self):
        n = 12
        with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(n) as pool:
            boxes = [stack.enter_context(Sandbox(policy(), ['sleep', '100'], args=['--network-link', 'veth'])) for _ in range(n)]
            lines = list(pool.map(lambda b: b.wait_err(r'veth at (10\.200\.\d+\.\d+)', 60)[1], boxes))
            self.assertEqual(len(set(lines)), n, lines)
            hosts = re.findall(r'inet (10\.200\.\d+\.\d+)/30', lab.sh('ip', '-4', 'addr'))
            self.assertEqual(len(set(hosts)), n, hosts)
            self.assertFalse(set(hosts) & set(lines))

    def test_net_that_the_host_uses_is_not_taken(self):
        """Everything but two /30 is routed elsewhere, and another sandbox, which has no address yet, holds one."""
        for net in ('10.200.0.0/17', '10.200.128.0/18', '10.200.192.0/19', '10.200.224.0/20', '10.200.240.0/21', '10.200.248.0/22',
                    '10.200.252.0/23', '10.200.254.0/24', '10.200.255.0/25', '10.200.255.128/26', '10.200.255.192/27', '10.200.255.224/28',
                    '10.200.255.240/29'):
            lab.sh('ip', 'route', 'add', net, 'dev', 'lo')
            self.addCleanup(lab.sh, 'ip', 'route', 'del', net, 'dev', 'lo')
        other = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(other.close)
        other.bind('\0openshell-veth-0ac8fff8')
        with Sandbox(policy(), ['sleep', '100'], args=['--network-link', 'veth']) as box:
            self.assertEqual(box.wait_err(r'veth at (10\.200\.\d+\.\d+)')[1], '10.200.255.254')
            got = run(policy(), ['true'], args=['--network-link', 'veth'])
            self.assertEqual(got.code, 1, got)
            self.assertIn('no free /30', got.err)

