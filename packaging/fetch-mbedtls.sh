#!/bin/sh
# fetch-mbedtls.sh - put mbedTLS 3.6's source into subprojects/mbedtls, by apt, once.
#
# Debian 12 ships 2.28, which lacks TLS 1.3.  The source package of a newer Debian suite is taken
# from the mirrors that this system already uses, through an apt state of its own: nothing of the
# system changes, and no host name is written here.  apt verifies the signature of the suite's
# index with Debian's keyring and, through it, every file; packaging/mbedtls.sha256 pins the
# versions that we know on top.  A later 3.6 point release that is not in that list is taken on
# apt's word, since the mirrors drop a superseded one, which mostly happens for its security fixes.
# A second run finds what the first one left and asks nobody.
#
# OPENSHELL_MBEDTLS_TARBALL=FILE uses a tarball that you bring; its hash must be in the list.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
to=$here/subprojects/mbedtls
sums=$here/packaging/mbedtls.sha256
least=3.6.6 # CVE-2026-25835: earlier ones share random state across fork(2)
suites="trixie trixie-security"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() { echo "fetch-mbedtls.sh: $*" >&2; exit 1; }
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

if [ -r "$to/openshell-version" ] && at_least "$least" "$(cat "$to/openshell-version")"; then
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/package" "$work/tree"
if [ "$(id -u)" = 0 ] && getent passwd _apt >/dev/null; then chown _apt "$work/package"; fi

# own_apt PROGRAM ARGUMENT...: with our sources, lists and cache instead of the system's.
own_apt() {
    program=$1
    shift
    "$program" -q -o Dir::Etc::SourceList="$work/debian.sources" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" "$@"
}

# The system's own mirrors, by the suites that it takes from them.
write_sources() {
    . /etc/os-release
    name=${VERSION_CODENAME:-none}
    apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | sort -u |
        while read -r suite uri; do
            case $suite in
            "$name" | stable | oldstable | testing) want=${suites%% *} ;;
            "$name-security" | stable-security | oldstable-security) want=${suites#* } ;;
            *) continue ;;
            esac
            printf 'Types: deb-src\nURIs: %s\nSuites: %s\nComponents: main\n' "$uri" "$want"
            [ ! -r "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
            echo
        done >"$work/debian.sources"
    [ -s "$work/debian.sources" ] ||
        die "this system's apt knows no Debian mirror for '$name'; install mbedTLS 3.6 or newer" \
            "yourself and configure with -Dmbedtls=system"
}

# Download the newest 3.6 into package/ and print its upstream version.
download() {
    write_sources
    # One mirror that lacks the suite is no harm as long as another has it.
    own_apt apt-get update >"$work/log" 2>&1 || true
    version=$(own_apt apt-cache showsrc mbedtls 2>/dev/null | sed -n 's/^Version: \(3\.6\..*\)/\1/p' |
        sort -V | tail -n 1)
    [ -n "$version" ] || { cat "$work/log" >&2; die "no mbedTLS 3.6 in $suites; see above," \
        "and check that this machine reaches its Debian mirror"; }
    (cd "$work/package" && own_apt apt-get source --download-only "mbedtls=$version" >"$work/log" 2>&1) ||
        { cat "$work/log" >&2; die "can't download mbedtls $version; see above"; }
    echo "${version%%-*}"
}

# check FILE VERSION MUST: the pinned hash, if the version is pinned.
check() {
    want=$(sed -n "s/^\([0-9a-f]\{64\}\)  $2\$/\1/p" "$sums")
    have=$(sha256sum <"$1" | cut -d ' ' -f 1)
    if [ -n "$want" ]; then
        [ "$want" = "$have" ] || die "$1 is not the mbedTLS $2 that packaging/mbedtls.sha256 names"
    else
        [ "$3" = no ] || die "$1 has no hash in packaging/mbedtls.sha256"
        echo "note: mbedTLS $2 is newer than packaging/mbedtls.sha256; taken on apt's signature" >&2
    fi
}

unpack() { tar -xf "$1" -C "$2" --strip-components=1 --no-same-owner; }

if [ -n "${OPENSHELL_MBEDTLS_TARBALL:-}" ]; then
    tarball=$OPENSHELL_MBEDTLS_TARBALL
    [ -r "$tarball" ] || die "can't read $tarball"
    version=$(tar -tf "$tarball" | sed -n '1s/^mbedtls-\([0-9.]*\)\/.*/\1/p')
    must=yes
else
    echo "fetching mbedTLS's source by apt" >&2
    version=$(download)
    set -- "$work/package/mbedtls_$version.orig.tar."*
    tarball=$1 must=no
fi
at_least "$least" "$version" || die "found mbedTLS $version, but $least or a later 3.6 is needed"
check "$tarball" "$version" "$must"
unpack "$tarball" "$work/tree"
# Debian's own patches: where a security fix appears before the next release.
for debian in "$work/package/"*.debian.tar.*; do
    [ -e "$debian" ] || break
    mkdir "$work/debian"
    unpack "$debian" "$work/debian"
    grep -v '^#' "$work/debian/patches/series" 2>/dev/null | while read -r name rest; do
        [ -z "$name" ] || (cd "$work/tree" && patch -p1 -s -f <"$work/debian/patches/$name") ||
            die "Debian's patch $name does not apply"
    done
done

mkdir -p "$to.$$"
cp -R "$work/tree/library" "$work/tree/include" "$work/tree/3rdparty" "$work/tree/LICENSE" "$to.$$"
echo "$version" >"$to.$$/openshell-version"
rm -rf "$to"
mv "$to.$$" "$to"
