#!/bin/sh
# install-dependencies.sh [build|test|bench]... - install what is missing from Debian's packages.
#
# "build" is what compiling and running need; "test" what tests/run.sh needs on top; "bench" the
# programs that tests/bench compares with.  Asks apt only when something is missing, so that a
# second run works offline; the same goes for the sources of mbedTLS and libssh, and, in "test", for
# clients from npm and PyPI, which fetch-*.sh get.
# docs/dependencies.md gives the reason for each library.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

build="gcc libc6-dev meson ninja-build pkg-config python3 protobuf-compiler protobuf-c-compiler
libprotobuf-c-dev libprotobuf-dev libevent-dev libseccomp-dev libyaml-dev libcjson-dev libc-ares-dev
libnl-3-dev libnl-route-3-dev libnl-nf-3-dev libnftables-dev libssl-dev libssh-dev libipsec-mb-dev nettle-dev libgmp-dev patch bzip2 xz-utils
iproute2 util-linux curl ca-certificates"
test="clang clang-tidy clang-format llvm libclang-rt-14-dev valgrind universal-ctags nftables wget
nodejs npm golang-go default-jdk-headless git procps strace gdb netcat-openbsd python3-jsonschema python3-yaml
passwd mandoc openssl gnutls-bin nginx-light python3-requests python3-aiohttp python3-httpx python3-httplib2
python3-pip awscli cargo gh libnss3-tools ruby perl liblwp-protocol-https-perl php-cli php-curl
openssh-client openssh-sftp-server rsync tmux vim less"
bench="squid-openssl tinyproxy nginx-light bubblewrap make sslsplit mitmproxy strace"

list=
for group in "${@:-build}"; do
    case $group in
    build) list="$list $build" ;;
    test) list="$list $test" ;;
    bench) list="$list $bench" ;;
    *) echo "install-dependencies.sh: no such group '$group'; use build, test or bench" >&2; exit 2 ;;
    esac
done

has() { command -v "$1" >/dev/null 2>&1; }

missing=
for package in $list; do
    # A tool that came another way than by its package (node, git, gcc) serves as well.
    case $package in
    nodejs) has node && continue ;;
    npm) has npm && continue ;;
    golang-go) has go && continue ;;
    default-jdk-headless) has javac && continue ;;
    cargo) has cargo && continue ;;
    libipsec-mb-dev) [ "$(dpkg --print-architecture)" = amd64 ] || continue ;; # exists there only
    esac
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
        missing="$missing $package"
done

# What doesn't come as a package.
fetch() {
    "$here/fetch-mbedtls.sh"
    "$here/fetch-libssh.sh"
    case " $* " in *" test "*) "$here/fetch-test-tools.sh" ;; esac
}
[ -n "$missing" ] || { fetch "$@"; exit; }

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "install-dependencies.sh: missing packages:$missing; run this as root or install sudo" >&2
        exit 1
    }
    as_root=sudo
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq >&2
# Services that Debian would start on installation are not wanted here.
$as_root sh -c 'p=/usr/sbin/policy-rc.d; made=
[ -e $p ] || { printf "#!/bin/sh\nexit 101\n" >$p; chmod 755 $p; made=1; }
apt-get install -y -qq --no-install-recommends '"$missing"' >&2; r=$?
[ -z "$made" ] || rm -f $p; exit $r'
fetch "$@"
