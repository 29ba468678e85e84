#!/bin/sh
# fetch-libssh.sh - put libssh 0.11's source into subprojects/libssh, by apt, once.
#
# The system's libssh would do but for one thing: it reads the terminal modes of a client and has no
# function that tells them (docs/dependencies.md).  apt-source.sh says how the source is got.
# A later 0.11 that is not in packaging/libssh.sha256 is taken on apt's word, as with mbedTLS.
#
# OPENSHELL_LIBSSH_TARBALL=FILE uses a tarball that you bring; its hash must be in the list.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
package=libssh title="libssh 0.11" series='0\.11\.'
least=0.11.5 # CVE-2026-59850: data callbacks on closed channels
suites="trixie trixie-security"
. "$here/packaging/apt-source.sh"

is_here && exit 0
make_folders
tarball=${OPENSHELL_LIBSSH_TARBALL:-}
fetch_tree src include COPYING BSD
