"""Attacks 80-95: pretending to be a program that the policy trusts."""
import os
import pathlib
import shutil
import subprocess

import lab
from lab import BASH, CURL, PYTHON, LabTest, Origin, Sandbox, endpoint, policy, rule, run, wait_for

GET = b'GET http://origin.test/x HTTP/1.1\r\nHost: origin.test\r\nConnection: close\r\n\r\n'
CODE = ('def ask(s):\n s.sendall(' + repr(GET) + ')\n b=b""\n'
        ' while d:=s.recv(65536): b+=d\n return b.split(b" ")[1].decode() if b else "closed"\n'
        'import os,socket,sys,subprocess,time,array\n'
        'def new():\n s=socket.create_connection(("10.200.0.1",3128)); s.settimeout(15); return s\n')


class Identity(LabTest):
    def setUp(self):
        self.tools = pathlib.Path('/opt/lab/tools')
        self.tools.mkdir(parents=True, exist_ok=True)
        os.chown(self.tools, lab.USER, lab.USER)
        self.addCleanup(shutil.rmtree, self.tools)
        self.copy = self.tools / 'trusted-python'
        shutil.copy(PYTHON, self.copy)
        os.chown(self.copy, lab.USER, lab.USER)

    def doc(self, *binaries):
        return policy({'web': rule(endpoint(), binaries=[str(b) for b in binaries])},
                      read_write=[str(self.tools)])

    def go(self, code, *binaries, exe=PYTHON, **more):
        with Origin() as origin:
            got = run(self.doc(*(binaries or (exe,))), [str(exe), '-c', CODE + code], **more)
        got.connections = origin.connections
        return got

    def test_allowed_program_is_allowed(self):
        self.assertEqual(self.go('print(ask(new()))').out, '200\n')

    def test_80_binary_overwritten_after_first_use(self):
        code = (f'print(subprocess.run(["{self.copy}","-c",sys.argv[1]],stdout=-1,text=True).stdout.strip())\n'
                f'os.rename("{self.copy}","{self.copy}.old")\n'
                f'd=open("{self.copy}.old","rb").read(); open("{self.copy}","wb").write(d+b"\\0"); os.chmod("{self.copy}",0o755)\n'
                f'print(subprocess.run(["{self.copy}","-c",sys.argv[1]],stdout=-1,text=True).stdout.strip())')
        inner = CODE + 'print(ask(new()))'
        with Origin() as origin, Sandbox(self.doc(self.copy), [PYTHON, '-c', CODE + code, inner],
                                         args=['--log-level', 'info']) as box:
            got = box.finish()
        self.assertEqual(got.out.split(), ['200', '403'], got)
        self.assertIn('ntegrity', got.err, got)
        self.assertEqual(origin.connections, 1)

    def test_82_rename_and_hard_link_over_the_trusted_path(self):
        """The path alone gives nothing: the content must be that of first use."""
        code = (f'print(subprocess.run(["{self.copy}","-c",sys.argv[1]],stdout=-1,text=True).stdout.strip())\n'
                f'd=open("{PYTHON}","rb").read()+b"x"; open("{self.tools}/evil","wb").write(d); os.chmod("{self.tools}/evil",0o755)\n'
                f'os.unlink("{self.copy}"); os.link("{self.tools}/evil","{self.copy}")\n'
                f'print(subprocess.run(["{self.copy}","-c",sys.argv[1]],stdout=-1,text=True).stdout.strip())')
        with Origin() as origin:
            got = run(self.doc(self.copy), [PYTHON, '-c', CODE + code, CODE + 'print(ask(new()))'])
        self.assertEqual(got.out.split(), ['200', '403'], got)
        self.assertEqual(origin.connections, 1)

    def test_83_symlink_is_the_program_that_it_points_to(self):
        link = self.tools / 'link'
        link.symlink_to(PYTHON)
        # Called through a link: the kernel-resolved program counts.
        self.assertEqual(self.go('print(ask(new()))', PYTHON, exe=link).out, '200\n')
        # A policy that names the link allows its target.
        self.assertEqual(self.go('print(ask(new()))', link, exe=PYTHON).out, '200\n')
        # A link called like a trusted program does not make another program trusted.
        fake = self.tools / 'curl'
        fake.symlink_to(PYTHON)
        self.assertEqual(self.go('print(ask(new()))', CURL, exe=fake).out, '403\n')

    def test_83_deleted_program_keeps_its_name_only_while_no_other_has_it(self):
        code = (f'r=subprocess.Popen(["{self.copy}","-c",sys.argv[1]],stdin=-1,stdout=-1,text=True)\nr.stdout.readline()\n'
                f'os.unlink("{self.copy}")\nprint(r.communicate("go\\n")[0].strip())')
        inner = CODE + 'print("up",flush=True); sys.stdin.readline(); print(ask(new()))'
        with Origin():
            got = run(self.doc(self.copy), [PYTHON, '-c', CODE + code, inner])
        self.assertEqual(got.out.split(), ['200'], got)

    def test_86_no_writing_into_a_trusted_process(self):
        code = ('p=subprocess.Popen(["sleep","60"])\n'
                'try:\n f=open(f"/proc/{p.pid}/mem","r+b",0); m=open(f"/proc/{p.pid}/maps").readline(); f.seek(int(m.split("-")[0],16)); f.write(b"x"); print("WROTE")\n'
                'except OSError as e: print(type(e).__name__)\n'
                'import ctypes\nl=ctypes.CDLL(None,use_errno=True)\n'
                'print(l.ptrace(16,p.pid,0,0),ctypes.get_errno()); p.kill()')
        got = self.go(code)
        self.assertIn('-1 1', got.out, got)

    def test_88_script_is_its_interpreter(self):
        script = self.tools / 'script'
        script.write_text('#!/usr/bin/python3\n' + CODE + 'print(ask(new()))\n')
        script.chmod(0o755)
        with Origin():
            self.assertEqual(run(self.doc(script), [str(script)]).out, '403\n')
            self.assertEqual(run(self.doc(PYTHON), [str(script)]).out, '200\n')

    def test_88_loader_started_by_hand_is_the_loader(self):
        loader = os.path.realpath('/lib64/ld-linux-x86-64.so.2')
        with Origin() as origin:
            got = run(self.doc(self.copy), [loader, str(self.copy), '-c', CODE + 'print(ask(new()))'])
        self.assertEqual(got.out, '403\n', got)
        self.assertEqual(origin.connections, 0)

    def test_89_socket_shared_with_another_program_is_denied(self):
        code = ('s=new(); os.set_inheritable(s.fileno(),True)\n'
                'p=subprocess.Popen(["sleep","30"],close_fds=False)\n'
                'while os.readlink(f"/proc/{p.pid}/exe")==os.readlink("/proc/self/exe"): pass\n'
                'print(ask(s)); p.kill()')
        got = self.go(code)
        self.assertEqual(got.out, '403\n', got)
        self.assertIn('ambiguous', got.err, got)

    def test_89_socket_passed_to_a_program_that_is_not_allowed(self):
        inner = ('import socket,array,sys\nu=socket.socket(fileno=int(sys.argv[1]))\n_,a,_,_=u.recvmsg(1,64)\n'
                 's=socket.socket(fileno=array.array("i",a[0][2])[0]); s.setblocking(True)\ns.sendall(' + repr(GET) + ')\nb=b""\n'
                 'while d:=s.recv(65536): b+=d\nprint(b.split(b" ")[1].decode())')
        code = ('a,b=socket.socketpair(); os.set_inheritable(b.fileno(),True)\n'
                f'p=subprocess.Popen(["{self.copy}","-c",sys.argv[1],str(b.fileno())],close_fds=False)\n'
                's=new(); a.sendmsg([b"x"],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array("i",[s.fileno()]))]); s.close(); p.wait()')
        with Origin() as origin:
            got = run(self.doc(PYTHON), [PYTHON, '-c', CODE + code, inner])
        # The copy has the same content but another path, and is a child of the allowed program: as a
        # descendant it is allowed; what matters is the program that holds the socket.
        self.assertEqual(got.out, '200\n', got)
        with Origin() as origin:
            got = run(self.doc(self.copy), [PYTHON, '-c', CODE + 'print(ask(new()))'])
        self.assertEqual((got.out, origin.connections), ('403\n', 0), got)

    def test_89_process_whose_first_thread_has_ended_is_an_owner(self):
        """Proc shows no namespace, program or descriptors for it, only for its other threads."""
        code = ('import ctypes,threading\n'
                's=new(); os.set_inheritable(s.fileno(),True)\n'
                f'p=subprocess.Popen(["{CURL}","-s","-K","-"],stdin=-1,close_fds=False)\n'
                f'while os.readlink(f"/proc/{{p.pid}}/exe")!="{CURL}": pass\n'
                'def rest():\n'
                ' while os.path.exists("/proc/self/task/%d/fd/0" % os.getpid()): time.sleep(0.01)\n'
                ' print(ask(s),flush=True); p.kill(); os._exit(0)\n'
                'threading.Thread(target=rest).start()\nctypes.CDLL(None).syscall(60,0)')
        with Origin() as origin:
            got = run(self.doc(CURL), [PYTHON, '-c', CODE + code])
        self.assertEqual((got.out, origin.connections), ('403\n', 0), got)

    def test_a_path_through_a_linked_directory_names_the_program(self):
        """/bin is a link to /usr/bin nearly everywhere."""
        bin_link = self.tools / 'bin'
        bin_link.symlink_to('/usr/bin')
        named = bin_link / os.path.basename(PYTHON)
        self.assertEqual(self.go('print(ask(new()))', named, exe=PYTHON).out, '200\n')

    def test_89_fork_with_the_same_program_is_fine(self):
        self.assertEqual(self.go('s=new()\nif os.fork()==0: time.sleep(30)\nelse: print(ask(s))').out, '200\n')

    def test_91_orphan_gains_no_ancestor(self):
        """A child of an allowed program is allowed; once reparented it has lost that ancestor."""
        inner = CODE + ('\nwhile os.getppid()==int(sys.argv[1]): time.sleep(0.01)\n'
                        'open(sys.argv[2],"w").write(ask(new()))')
        out = self.tools / 'answer'
        code = (f'subprocess.Popen(["{self.copy}","-c",sys.argv[1],str(os.getpid()),"{out}"])')
        script = f'{PYTHON} -c "$0" "$1"; while [ ! -s {out} ]; do sleep 0.05; done; cat {out}'
        with Origin() as origin:
            got = run(self.doc(PYTHON), ['bash', '-c', script, CODE + code, inner])
        self.assertEqual((got.out, origin.connections), ('403', 0), got)

    def test_closed_before_the_answer_is_no_identity(self):
        self.assertEqual(self.go('s=new(); s.send(b"GET http://origin.test/ HTTP/1.1\\r\\n\\r\\n"); s.close(); time.sleep(0.5)').code, 0)

    def test_94_many_descriptors_and_processes_stay_bounded(self):
        code = ('import resource\nresource.setrlimit(resource.RLIMIT_NOFILE,(4000,4000)) if resource.getrlimit(7)[1]>=4000 else None\n'
                'f=[os.open("/dev/null",os.O_RDONLY) for _ in range(3000)]\n'
                'k=[subprocess.Popen(["sleep","60"]) for _ in range(100)]\n'
                't=time.monotonic(); print(ask(new()), time.monotonic()-t<3)\n[p.kill() for p in k]')
        self.assertEqual(self.go(code).out, '200 True\n')

    def test_95_relay_inside_counts_as_itself(self):
        with Origin() as origin:
            got = run(self.doc(CURL), ['bash', '-c', f'{CURL} -sS http://origin.test/ >/dev/null && echo ok; '
                                       f'{PYTHON} -c "$0"', CODE + 'print(ask(new()))'])
        self.assertEqual(got.out, 'ok\n403\n', got)

    def test_identity_switched_off_leaves_hosts_to_decide(self):
        for word, want in (('relaxed', '200\n'), ('required', '403\n')):
            got = self.go('print(ask(new()))', CURL, env={'OPENSHELL_NETWORK_BINARY_IDENTITY': word})
            self.assertEqual(got.out, want, got)
        self.assertNotIn('identity', got.err.split('enforcing')[0])
        got = self.go('s=new(); s.sendall(b"CONNECT evil.test:80 HTTP/1.1\\r\\n\\r\\n"); print(s.recv(100).split()[1].decode())', CURL,
                      env={'OPENSHELL_NETWORK_BINARY_IDENTITY': 'relaxed'})
        self.assertEqual(got.out, '403\n', got)
        self.assertRegex(got.err, 'enforcing.*callers NOT identified')
