#!/bin/sh
# quickstart.sh [-- CMD...] - install what is missing, build, and run the main job.
#
# Without arguments: a short demonstration, offline, that shows its policy.  With "-- CMD...": runs
# CMD in the current directory under the embedded default policy.  As root the command runs as
# another user; as an ordinary user it keeps yours, and no privilege is needed (only installing
# what is missing asks for sudo).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
build=${OPENSHELL_BUILD:-$here/build}

"$here/packaging/install-dependencies.sh" build
if [ ! -f "$build/build.ninja" ]; then
    meson setup "$build" "$here" >"$here/build-setup.log" 2>&1 || { cat "$here/build-setup.log" >&2; exit 1; }
    rm -f "$here/build-setup.log"
fi
ninja -C "$build" orchestrator/openshell-supervisor supervisor-process/openshell-supervisor-process \
    supervisor-process/openshell-supervisor-ssh supervisor-network/openshell-supervisor-network >&2

# The workload runs as you; when you are root without sudo, as the account "sandbox".
if [ "$(id -u)" = 0 ] && [ -z "${SUDO_UID:-}" ] && ! getent passwd sandbox >/dev/null; then
    echo "making the account 'sandbox' that the workload runs as" >&2
    useradd --system --user-group --no-create-home --home-dir /sandbox --shell /bin/sh sandbox
fi

if [ "${1:-}" = -- ]; then
    shift
    exec "$build/orchestrator/openshell-supervisor" --workdir "$PWD" -- "$@"
fi
if [ $# -gt 0 ]; then
    echo "usage: quickstart.sh [-- CMD...]" >&2
    exit 2
fi
exec "$here/packaging/demo.sh" "$build"
