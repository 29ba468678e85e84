#!/bin/sh
# fetch-mbedtls.sh - put mbedTLS 3.6's source into subprojects/mbedtls, by apt, once.
#
# Debian 12 ships 2.28, which lacks TLS 1.3; apt-source.sh says how a newer suite's source is got.
# A later 3.6 point release that is not in packaging/mbedtls.sha256 is taken on
# apt's word, since the mirrors drop a superseded one, which mostly happens for its security fixes.
# A second run finds what the first one left and asks nobody.
#
# OPENSHELL_MBEDTLS_TARBALL=FILE uses a tarball that you bring; its hash must be in the list.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
package=mbedtls title="mbedTLS 3.6" series='3\.6\.'
least=3.6.6 # CVE-2026-25835: earlier ones share random state across fork(2)
suites="trixie trixie-security"
. "$here/packaging/apt-source.sh"

is_here && exit 0
make_folders
tarball=${OPENSHELL_MBEDTLS_TARBALL:-}
fetch_tree library include 3rdparty LICENSE
