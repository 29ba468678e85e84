#!/bin/sh
# demo.sh BUILD - the main job, offline: a local web server stands for the internet.
#
# Runs in network and mount namespaces of its own (unshare(1)), so that the web server's address
# and the names in /etc/hosts exist only here; an ordinary user gets them with a user namespace, and
# the supervisor is then started without any privilege.  Ends with "demonstration: all as expected",
# or with what was not and status 1.
set -eu

rootless=
[ "$(id -u)" = 0 ] || rootless="--user --map-current-user --keep-caps"
# shellcheck disable=SC2086 # several words
[ "${DEMO_INSIDE:-}" ] || exec env DEMO_INSIDE=1 \
    unshare $rootless --net --mount --propagation private -- "$0" "$@"
# What unshare(1) gave us for the stage is not for the supervisor.
plain=
[ -z "$rootless" ] || plain="setpriv --ambient-caps=-all --inh-caps=-all --"
user=64321
[ -z "$rootless" ] || user=$(id -u)

build=$1
supervisor=$build/orchestrator/openshell-supervisor
public=192.31.196.10 # a public address; here it exists on our own loopback only
dir=$(mktemp -d /tmp/openshell-demo.XXXXXX)
server=
cleanup() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    umount "$(readlink -f /etc/hosts)" 2>/dev/null || true
    rm -rf "$dir"
}
trap cleanup EXIT
chmod 755 "$dir"

ip link set lo up
ip addr add $public/32 dev lo
printf '127.0.0.1 localhost\n%s api.example.com\n%s evil.example.com\n' $public $public >"$dir/hosts"
mount --bind "$dir/hosts" "$(readlink -f /etc/hosts)"
mkdir "$dir/web" "$dir/work"
chmod 777 "$dir/work"
echo "hello from the internet" >"$dir/web/hello.txt"
echo "not for the agent" >"$dir/secret.txt"
chmod 644 "$dir/secret.txt"
mount -t tmpfs none /srv
cp "$dir/secret.txt" /srv/secret.txt
mkfifo "$dir/up"
python3 -u -c '
import functools, http.server, sys
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[2])
server = http.server.ThreadingHTTPServer((sys.argv[1], 80), handler)
open(sys.argv[3], "w").write("up")
server.serve_forever()' $public "$dir/web" "$dir/up" 2>"$dir/web.log" &
server=$!
cat "$dir/up" >/dev/null

curl=$(readlink -f "$(command -v curl)")
cat >/srv/policy.yaml <<POLICY
version: 1
process: {run_as_user: "$user", run_as_group: "$user"}
filesystem_policy:
  include_workdir: true
  read_only: [/usr, /lib, /proc, /etc, /dev/urandom]
  read_write: [/tmp, /dev/null]
network_policies:
  web:
    endpoints:
      - {host: api.example.com, port: 80}
    binaries:
      - {path: $curl}
POLICY
chmod 600 /srv/policy.yaml

echo "The policy:"
sed 's/^/    /' /srv/policy.yaml

bad=0
# step TEXT PATTERN COMMAND...: run COMMAND in the sandbox; its output must match PATTERN.
step() {
    text=$1 pattern=$2
    shift 2
    printf '\n== %s\n   $ %s\n' "$text" "$*"
    # shellcheck disable=SC2086
    $plain "$supervisor" --policy /srv/policy.yaml --workdir "$dir/work" -- "$@" >"$dir/out" 2>"$dir/err" || true
    [ -n "${shown:-}" ] || grep enforcing: "$dir/err" || true
    shown=1
    sed 's/^/   /' "$dir/out"
    grep -v enforcing: "$dir/err" | sed 's/^/   (supervisor) /' || true
    if ! cat "$dir/out" "$dir/err" | grep -Eq "$pattern"; then
        echo "   NOT AS EXPECTED: nothing matches $pattern"
        bad=1
    fi
}

step "an allowed request by an allowed program passes" 'hello from the internet' \
    curl -sS http://api.example.com/hello.txt
step "the same by another program is refused, and the reason says that it was the program" \
    'python3[^ ]*.* not allowed in policy|binary' \
    python3 -c 'import urllib.request as u, urllib.error
try: print(u.urlopen("http://api.example.com/hello.txt").read())
except urllib.error.HTTPError as e: print(e.code, e.read().decode())'
step "another host is refused" 'evil.example.com:80 is not allowed by any policy|policy_denied' \
    curl -sS http://evil.example.com/
step "a direct connection without the proxy fails in milliseconds" 'refused after 0\.[0-9]* s' \
    python3 -c 'import socket, time
t = time.monotonic()
try: socket.create_connection(("'$public'", 80), 5); print("CONNECTED")
except OSError as e: print(e.strerror.lower().split()[-1], "after %.3f s" % (time.monotonic() - t))'
step "a file outside the policy can't be read" 'Permission denied' cat /srv/secret.txt
step "id is not root" "uid=$user" id

echo
[ $bad = 0 ] && echo "demonstration: all as expected" || { echo "demonstration: something was not as expected"; exit 1; }
