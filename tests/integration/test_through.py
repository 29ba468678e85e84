"""The tests of the main job, and the attacks on the kernel, once more through `ctl exec` and through ssh.

Whatever starts a process, it has the same restrictions.  What differs from the main process is how it is
started, so each class keeps one sandbox per policy and starts a process in it for each run() of a test.
A test that is about the start of a sandbox, or about its main process, is left out by name.
"""
import shlex
import subprocess

import test_attack_kernel
import test_main_job
from lab import LabTest, Result
from test_main_session import ctl
from test_ssh import Ssh


class Through:
    """module is the one whose run() is replaced."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.boxes, cls.old = {}, cls.module.run
        cls.module.run = cls.run_in

    @classmethod
    def tearDownClass(cls):
        cls.module.run = cls.old
        for box in cls.boxes.values():
            box.__exit__(None, None, None)
        super().tearDownClass()

    @classmethod
    def run_in(cls, document, command, seconds=60):
        box = cls.boxes.get(document)
        if not box:
            box = cls.boxes[document] = Ssh(document=document, path=f'/run/openshell/through{len(cls.boxes)}.sock')
        got = cls.start(box, command, seconds)
        return Result(got.returncode, got.stdout.decode(errors='replace'), got.stderr.decode(errors='replace') + box.err)


class Exec(Through):
    @staticmethod
    def start(box, command, seconds):
        return ctl(box, 'exec', '--', *command, stdin=subprocess.DEVNULL)


class Secure(Through):
    @staticmethod
    def start(box, command, seconds):
        return box.ssh(shlex.join(command), seconds=seconds, stdin=subprocess.DEVNULL)


class Traffic:
    module = test_main_job
    # Many sandboxes, not many processes.
    test_several_sandboxes_at_once = None
    # Uploads by the main process; both have their own in test_shell and test_ssh.
    test_upload_and_download_are_whole = None


class Confined:
    module = test_main_job
    # About the options and the environment of the start.
    test_start_line_lists_what_is_enforced = None
    test_environment_is_built_not_inherited = None
    test_sudo_user_is_used_when_nobody_is_named = None
    test_root_is_refused_however_it_is_named = None
    test_default_policy_allows_nothing_out = None


class Kernel:
    module = test_attack_kernel
    # The main process talks with the test.
    test_109_signals_to_the_supervisor = None
    # Looks at what listens on a host without SSH and without other processes inside.
    test_112_no_way_to_the_leaves = None
    # The end of the sandbox, a reload, a start that fails.
    test_113_fork_bomb_ends_with_the_sandbox = None
    test_115_huge_policy_is_refused_and_changes_nothing = None
    test_121_landlock_required_but_missing_path_ends_the_start = None


class ExecTraffic(Exec, Traffic, test_main_job.Traffic, LabTest):
    pass


class ExecConfined(Exec, Confined, test_main_job.Confined, LabTest):
    pass


class ExecKernel(Exec, Kernel, test_attack_kernel.Kernel, LabTest):
    pass


class SshTraffic(Secure, Traffic, test_main_job.Traffic, LabTest):
    pass


class SshConfined(Secure, Confined, test_main_job.Confined, LabTest):
    pass


class SshKernel(Secure, Kernel, test_attack_kernel.Kernel, LabTest):
    pass
