#!/usr/bin/env python3
"""check_calls.py ROOT - every descriptor is born close-on-exec, and no result is lost in silence.

1. A call that makes a descriptor carries the flag that closes it at execve(2).  The old calls that
   have no room for such a flag (dup, pipe, accept, ...) are not used at all; dup2(2) only where a
   child arranges what the program that it becomes shall have.
2. A statement that is nothing but a call of a function with a result says (void), so that it can be
   seen to be meant.  That goes for our own functions that return int, ssize_t, size_t, bool or a
   pointer, and for those of the C library named below.
"""
import json
import pathlib
import re
import subprocess
import sys

FOLDERS = ('libcore', 'orchestrator', 'supervisor-process', 'supervisor-network')
FLAG = {        # call -> what must be among its arguments
    **dict.fromkeys(('open', 'openat', 'openat64', 'posix_openpt', 'pipe2', 'dup3'), r'\bO_CLOEXEC\b'),
    **dict.fromkeys(('socket', 'socketpair', 'accept4'), r'\bSOCK_CLOEXEC\b'),
    'memfd_create': r'\bMFD_CLOEXEC\b', 'epoll_create1': r'\bEPOLL_CLOEXEC\b', 'eventfd': r'\bEFD_CLOEXEC\b',
    'inotify_init1': r'\bIN_CLOEXEC\b', 'signalfd': r'\bSFD_CLOEXEC\b', 'timerfd_create': r'\bTFD_CLOEXEC\b',
    'recvmsg': r'\bMSG_CMSG_CLOEXEC\b', 'recvmmsg': r'\bMSG_CMSG_CLOEXEC\b',
    'fopen': r'"[^"]*e[^"]*"\s*$', 'mkostemp': r'\bO_CLOEXEC\b',
}
NEVER = {'dup', 'pipe', 'accept', 'creat', 'epoll_create', 'inotify_init', 'mkstemp', 'tmpfile', 'popen', 'freopen'}
ONLY = {        # call -> the files that may use it
    'dup2': {'supervisor-process/proc_spawn.c', 'supervisor-process/proc_ssh.c', 'orchestrator/orch_credential_command.c'},  # what execve(2) shall hand on
    'fdopendir': {'libcore/base/core_fd.c'},                                       # loses the descriptor when it fails
}
LIBC = '''close fcntl setsockopt ioctl kill unlink unlinkat mkdir mkdirat chmod fchmod fchmodat chown fchown fchownat
ftruncate prctl sigaction sigprocmask signal shutdown listen bind connect send recv read write dup2 dup3 waitpid waitid
setsid snprintf rmdir fclose fflush setrlimit sigfillset sigemptyset sigaddset clock_gettime nanosleep poll mlock munmap
madvise mprotect getrandom flock rename renameat link symlink chdir fchdir memcpy memmove memset mallopt close_range
syscall raise tcsetattr closedir printf fprintf fputs fwrite puts posix_spawn setpgid alarm umask sendmsg'''.split()


def blank(match):
    return re.sub(r'[^\n]', ' ', match[0])


def code_of(text):
    """The same text, place by place, without comments and preprocessor lines; the insides of strings stay."""
    text = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'|/\*.*?\*/|//[^\n]*',
                  lambda m: blank(m) if m[0][0] == '/' else m[0], text, flags=re.S)
    return re.sub(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', blank, text, flags=re.M)


def without_strings(code):
    return re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])+\'', lambda m: m[0][0] + '_' * (len(m[0]) - 2) + m[0][0], code)


def other_end(code, at, step):
    """The place of the parenthesis that belongs to the one at this place."""
    depth, i = 0, at
    while 0 <= i < len(code):
        depth += {'(': 1, ')': -1}.get(code[i], 0)
        if depth == 0:
            return i
        i += step
    return i


def begins_statement(code, at):
    """Nothing of an expression stands before this place."""
    before = code[:at].rstrip()
    if not before or before[-1] in ';{}':
        block = before[max(before.rfind('{'), before.rfind('}')) + 1:]
        return block.count('(') == block.count(')')         # else it is in the head of a for
    if before[-1] == ':':
        return bool(re.search(r'\b(case\s[^?;{}]*|default\s*):$', before[-200:]))
    if before[-1] == ')':
        return bool(re.search(r'\b(if|while|for|switch)\s*$', before[:other_end(before, len(before) - 1, -1)]))
    return bool(re.search(r'\b(else|do)$', before))


def functions_with_results(root):
    files = [str(p) for f in FOLDERS for p in (root / f).rglob('*.[ch]')]
    out = subprocess.run(['ctags', '--output-format=json', '--fields=+t', '--c-kinds=fp', '-f', '-', '-L', '-'],
                         input='\n'.join(files), capture_output=True, text=True, check=True).stdout
    tags = [t for t in map(json.loads, out.splitlines()) if 'typeref' in t]
    void = {t['name'] for t in tags if re.sub(r'^typename:|\b(static|inline)\b', '', t['typeref']).strip() == 'void'}
    return {t['name'] for t in tags} - void


def check_file(rel, text, with_result):
    bad, full = [], code_of(text)
    code = without_strings(full)
    for m in re.finditer(r'(?<![\w.>])([A-Za-z_]\w*)\s*\(', code):
        name, at = m[1], m.start()
        where = f'{rel}:{code.count(chr(10), 0, at) + 1}'
        if name in NEVER:
            bad.append(f'{where}: {name}() has no room for close-on-exec')
        if rel not in ONLY.get(name, {rel}):
            bad.append(f'{where}: {name}() is used in {", ".join(sorted(ONLY[name]))} alone')
        stop = other_end(code, m.end() - 1, 1)
        args = (full if name == 'fopen' else code)[m.end():stop]
        if name in FLAG and not re.search(FLAG[name], args.strip(), re.S):
            bad.append(f'{where}: {name}() without close-on-exec')
        if name == 'fcntl' and re.search(r'\bF_DUPFD\b', args):
            bad.append(f'{where}: F_DUPFD; use F_DUPFD_CLOEXEC')
        if name in with_result and re.match(r'\)\s*;', code[stop:stop + 200]) and begins_statement(code, at):
            bad.append(f'{where}: the result of {name}() is lost; say (void) where that is meant')
    return bad


def check(root):
    bad, with_result = [], functions_with_results(root) | set(LIBC)
    paths = sorted(p for f in FOLDERS for p in (root / f).rglob('*.[ch]'))
    for path in paths:
        bad += check_file(path.relative_to(root).as_posix(), path.read_text(), with_result)
    return bad, len(paths)


def main():
    bad, n = check(pathlib.Path(sys.argv[1]))
    print('\n'.join(bad))
    print(f'{n} files, {len(bad)} complaints')
    return 1 if bad or n == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
