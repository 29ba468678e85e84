"""Each executable of ours is made to try what it must not be able to do (tests/confinement/inject)."""
import os
import re
import signal
import subprocess

import lab
from lab import LabTest, Sandbox, policy, wait_for

# x86-64 numbers
OPENAT, SOCKET, EXECVE, PTRACE, CLONE, UNSHARE, SETNS, MOUNT = 257, 41, 59, 101, 56, 272, 308, 165
KILL, SETUID, UNLINKAT, RENAMEAT, BPF, INIT_MODULE, IO_URING, KEYCTL, BIND, CONNECT = 62, 105, 263, 264, 321, 175, 425, 250, 49, 42
EPERM, EACCES, EAFNOSUPPORT = -1, -13, -97
AT_FDCWD = -100 & (2 ** 64 - 1)


class Leaves(LabTest):
    def attempt(self, pid, number, *args):
        done = subprocess.run([str(lab.INJECT), str(pid), str(number), *map(str, args)], capture_output=True, text=True, timeout=20)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout.strip()

    def assertCannot(self, pid, attempts):
        for what, number, *args in attempts:
            with self.subTest(what=what):
                answer = self.attempt(pid, number, *args)
                self.assertRegex(answer, r'^(-1|-13|killed 31)$', what)

    def status(self, pid):
        with open(f'/proc/{pid}/status') as f:
            return dict(l.rstrip('\n').split(':', 1) for l in f)

    def test_network_leaf_has_nothing(self):
        with Sandbox(policy(), ['sleep', '100']) as box:
            box.wait_err('enforcing')
            leaf = wait_for(lambda: box.leaf('network'))
            status = self.status(leaf)
            self.assertNotIn('0', status['Uid'].split())
            self.assertNotIn('0', status['Gid'].split())
            for caps in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
                self.assertEqual(int(status[caps], 16), 0, caps)
            self.assertEqual(status['NoNewPrivs'].strip(), '1')
            self.assertEqual(status['Seccomp'].strip(), '2')
            self.assertCannot(leaf, [
                ('open a file', OPENAT, AT_FDCWD, '@/etc/passwd', 0), ('write a file', OPENAT, AT_FDCWD, '@/tmp/x', 0o101, 0o600),
                ('open proc', OPENAT, AT_FDCWD, '@/proc/self/mem', 2), ('execute', EXECVE, '@/bin/true', 0, 0),
                ('trace', PTRACE, 16, os.getpid(), 0, 0), ('new process', CLONE, 17, 0, 0, 0, 0), ('namespace', UNSHARE, 0x10000000),
                ('enter namespace', SETNS, 0, 0), ('mount', MOUNT, '@x', '@/tmp', '@tmpfs', 0, 0), ('signal others', KILL, os.getpid(), 0),
                ('become root', SETUID, 0), ('netlink', SOCKET, 16, 3, 0), ('packet', SOCKET, 17, 3, 0), ('raw', SOCKET, 2, 3, 255),
                ('unix', SOCKET, 1, 1, 0), ('bpf', BPF, 0, 0, 0), ('io_uring', IO_URING, 8, 0), ('keys', KEYCTL, 0, 0),
                ('remove', UNLINKAT, AT_FDCWD, '@/tmp/x', 0)])

    def test_process_leaf_cannot_do_what_it_no_longer_needs(self):
        with Sandbox(policy(), ['sleep', '100']) as box:
            box.wait_err('enforcing')
            leaf = box.leaf('process')
            self.assertEqual(self.status(leaf)['NoNewPrivs'].strip(), '1')
            self.assertEqual(self.status(leaf)['Seccomp'].strip(), '2')
            self.assertCannot(leaf, [
                ('mount', MOUNT, '@x', '@/tmp', '@tmpfs', 0, 0), ('bpf', BPF, 0, 0, 0), ('module', INIT_MODULE, 0, 0, '@'),
                ('kexec', 246, 0, 0, 0, 0), ('perf', 298, 0, 0, -1 & (2 ** 64 - 1), -1 & (2 ** 64 - 1), 0), ('userfaultfd', 323, 0),
                ('pivot_root', 155, '@/', '@/'), ('umount', 166, '@/tmp', 0)])

    def test_identity_worker_only_reads(self):
        with Sandbox(policy(), ['sleep', '100']) as box:
            box.wait_err('enforcing')
            leaf = box.leaf('process')
            def workers():      # the workload's own process has this name until it executes
                return [p for p in lab.children(leaf) if lab.exe_name(p) == 'openshell-supervisor-process'
                        and self.status(p)['Uid'].split()[0] == '0']
            wait_for(lambda: len(workers()) == 1)
            worker = workers()
            # It confines itself before it reads anything, which may be a moment after the workload has begun.
            wait_for(lambda: self.status(worker[0])['Seccomp'].strip() == '2')
            status = self.status(worker[0])
            self.assertEqual(int(status['CapEff'], 16), (1 << 19) | (1 << 2))      # SYS_PTRACE, DAC_READ_SEARCH
            self.assertEqual(int(status['CapBnd'], 16) & ~((1 << 19) | (1 << 2)), 0)
            self.assertCannot(worker[0], [
                ('write a file', OPENAT, AT_FDCWD, '@/tmp/x', 0o101, 0o600), ('execute', EXECVE, '@/bin/true', 0, 0),
                ('trace', PTRACE, 16, os.getpid(), 0, 0), ('new process', CLONE, 17, 0, 0, 0, 0), ('internet', SOCKET, 2, 1, 0),
                ('signal', KILL, os.getpid(), 0), ('become another', SETUID, 1000), ('remove', UNLINKAT, AT_FDCWD, '@/tmp/x', 0),
                ('mount', MOUNT, '@x', '@/tmp', '@tmpfs', 0, 0)])

    def test_bypass_monitor_has_nothing(self):
        with Sandbox(policy(), ['sh', '-c', f'{lab.CURL} -s --noproxy "*" http://192.0.2.7/; sleep 100']) as box:
            box.wait_err('192.0.2.7')       # it comes with the first refused packet
            leaf = box.leaf('process')
            monitor = wait_for(lambda: [p for p in lab.children(leaf) if self.status(p)['Uid'].split() == ['65534'] * 4])[0]
            status = self.status(monitor)
            for caps in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
                self.assertEqual(int(status[caps], 16), 0, caps)
            self.assertEqual((status['NoNewPrivs'].strip(), status['Groups'].strip()), ('1', ''))
            self.assertCannot(monitor, [
                ('open a file', OPENAT, AT_FDCWD, '@/etc/passwd', 0), ('execute', EXECVE, '@/bin/true', 0, 0),
                ('trace', PTRACE, 16, os.getpid(), 0, 0), ('new process', CLONE, 17, 0, 0, 0, 0), ('internet', SOCKET, 2, 1, 0),
                ('netlink', SOCKET, 16, 3, 12), ('connect', CONNECT, 0, 0, 0), ('signal', KILL, os.getpid(), 0),
                ('become another', SETUID, 1000), ('mount', MOUNT, '@x', '@/tmp', '@tmpfs', 0, 0), ('namespace', SETNS, 0, 0)])

    def test_orchestrator_is_hardened(self):
        with Sandbox(policy(), ['sleep', '100']) as box:
            box.wait_err('enforcing')
            self.assertEqual(self.status(box.process.pid)['NoNewPrivs'].strip(), '1')
            for pid in (box.process.pid, box.leaf('process'), box.leaf('network')):
                with open(f'/proc/{pid}/limits') as f:
                    self.assertRegex(f.read(), r'Max core file size +0 +0')
                # Not dumpable: its own files in proc belong to root even for a leaf of another uid.
                self.assertEqual(os.stat(f'/proc/{pid}/environ').st_uid, 0)
