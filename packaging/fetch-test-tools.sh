#!/bin/sh
# fetch-test-tools.sh - put the clients that Debian does not ship into build-tools, from npm and PyPI, once.
#
# Deno, Yarn 1 and 4, pnpm (packaging/test-tools/package-lock.json), pip and uv (python.txt): about
# 70 MB to download. Versions and hashes are pinned there; npm and pip check them. No program of a
# package runs while it is installed. Which registries are asked is npm's and pip's own setting.
# A second run finds what the first one left and asks nobody.
#
# OPENSHELL_TEST_TOOLS=FOLDER is where they go instead; OPENSHELL_TEST_TOOLS=none goes without, and
# the tests that want them are skipped by name.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
lists=$here/packaging/test-tools
to=${OPENSHELL_TEST_TOOLS:-$here/build-tools}

die() { echo "fetch-test-tools.sh: $*; OPENSHELL_TEST_TOOLS=none goes without these clients" >&2; exit 1; }

[ "$to" != none ] || exit 0
want=$(cat "$lists/package.json" "$lists/package-lock.json" "$lists/python.txt" | sha256sum | cut -d ' ' -f 1)-$(uname -m)
if [ -r "$to/stamp" ] && [ "$(cat "$to/stamp")" = "$want" ]; then
    exit 0
fi
# It is replaced whole: never somebody's folder of something else.
[ ! -e "$to" ] || [ -e "$to/stamp" ] || rmdir "$to" 2>/dev/null || die "$to is not a folder of test tools"

fresh=$to.$$
log=$(mktemp)
trap 'rm -rf "$fresh" "$log"' EXIT
rm -rf "$fresh"
mkdir -p "$fresh"
echo "fetching Deno, Yarn, pnpm, pip and uv from npm and PyPI" >&2

cp "$lists/package.json" "$lists/package-lock.json" "$fresh"
npm ci --prefix "$fresh" --ignore-scripts --no-audit --no-fund >"$log" 2>&1 ||
    { cat "$log" >&2; die "npm can't install packaging/test-tools/package-lock.json; see above, and check that npm reaches a registry"; }
# What npm leaves out without a word, because no package fits this machine.
ls "$fresh"/node_modules/@deno/*/deno >/dev/null 2>&1 || echo "note: there is no Deno for $(uname -m)" >&2

# Wheels alone, so that nothing is built; Debian's pip, as the machine may have many.
/usr/bin/python3 -m pip install --target "$fresh/python" --only-binary :all: --no-deps --no-compile \
    --require-hashes -r "$lists/python.txt" >"$log" 2>&1 ||
    { cat "$log" >&2; die "pip can't install packaging/test-tools/python.txt; see above, and check that pip reaches an index"; }

chmod -R u+rwX,go+rX "$fresh" # the tests use them as another user
echo "$want" >"$fresh/stamp"
rm -rf "$to"
mv "$fresh" "$to"
