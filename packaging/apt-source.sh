# apt-source.sh - get Debian's source packages by an apt state of its own; sourced by fetch-*.sh.
#
# Nothing of the system changes, and no host name is written here: the mirrors are those that this
# system already uses.  apt verifies the signature of a suite's index with Debian's keyring and,
# through it, every file; a *.sha256 beside the caller pins the versions that we know on top.
# The caller sets: here (the tree), package, title, series (the versions that do, as a sed pattern),
# least (the lowest), suites ("SUITE SUITE-security"), and calls fetch_tree DIRECTORY...

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
sums=$here/packaging/$package.sha256
to=$here/subprojects/$package

die() { echo "fetch-$package.sh: $*" >&2; exit 1; }
at_least() { [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

own_patch=$here/packaging/$package.patch # may be absent

is_here() {
    [ -r "$to/openshell-version" ] && at_least "$least" "$(cat "$to/openshell-version")" || return 1
    [ ! -e "$own_patch" ] || cmp -s "$own_patch" "$to/openshell.patch"
}

make_folders() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    chmod 755 "$work"
    mkdir -p "$work/lists/partial" "$work/archives/partial" "$work/package" "$work/tree"
    if [ "$(id -u)" = 0 ] && getent passwd _apt >/dev/null; then chown _apt "$work/package"; fi
}

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
        die "this system's apt knows no Debian mirror for '$name'; install $title yourself and" \
            "configure with -D$package=system"
}

# Download the newest of the series into package/ and print its upstream version.
download() {
    write_sources
    # One mirror that lacks the suite is no harm as long as another has it.
    own_apt apt-get update >"$work/log" 2>&1 || true
    version=$(own_apt apt-cache showsrc "$package" 2>/dev/null | sed -n "s/^Version: \\($series.*\\)/\\1/p" |
        sort -V | tail -n 1)
    [ -n "$version" ] || { cat "$work/log" >&2; die "no $title in $suites; see above," \
        "and check that this machine reaches its Debian mirror"; }
    (cd "$work/package" && own_apt apt-get source --download-only "$package=$version" >"$work/log" 2>&1) ||
        { cat "$work/log" >&2; die "can't download $package $version; see above"; }
    echo "${version%%-*}"
}

# check FILE VERSION MUST: the pinned hash, if the version is pinned.
check() {
    want=$(sed -n "s/^\([0-9a-f]\{64\}\)  $2\$/\1/p" "$sums")
    have=$(sha256sum <"$1" | cut -d ' ' -f 1)
    if [ -n "$want" ]; then
        [ "$want" = "$have" ] || die "$1 is not the $package $2 that packaging/$package.sha256 names"
    else
        [ "$3" = no ] || die "$1 has no hash in packaging/$package.sha256"
        echo "note: $package $2 is newer than packaging/$package.sha256; taken on apt's signature" >&2
    fi
}

unpack() { tar -xf "$1" -C "$2" --strip-components=1 --no-same-owner; }

# fetch_tree DIRECTORY...: what is built of the package, into subprojects/.  $tarball may be set: one
# that somebody brought, whose hash must be pinned.
fetch_tree() {
    if [ -n "${tarball:-}" ]; then
        [ -r "$tarball" ] || die "can't read $tarball"
        version=$(tar -tf "$tarball" | sed -n "1s/^$package-\([0-9.]*\)\/.*/\1/p")
        must=yes
    else
        echo "fetching $title's source by apt" >&2
        version=$(download)
        for tarball in "$work/package/${package}_$version.orig.tar."*; do
            case $tarball in *.asc) ;; *) break ;; esac
        done
        must=no
    fi
    at_least "$least" "$version" || die "found $package $version, but $least or a later one of $title is needed"
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
    if [ -e "$own_patch" ]; then
        (cd "$work/tree" && patch -p1 -s -f <"$own_patch") || die "$own_patch does not apply to $version"
    fi
    mkdir -p "$to.$$"
    [ ! -e "$own_patch" ] || cp "$own_patch" "$to.$$/openshell.patch"
    for name in "$@"; do cp -R "$work/tree/$name" "$to.$$"; done
    echo "$version" >"$to.$$/openshell-version"
    rm -rf "$to"
    mv "$to.$$" "$to"
}
