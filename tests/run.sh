#!/usr/bin/env bash
# run.sh - install, build and run all tests; the last line is "N passed, N failed, N skipped", and
# above it stands once more, with what it printed, whatever failed.
#
# Builds three times: gcc as released, clang (warnings and clang-tidy), gcc with ASan and UBSan; the
# whole suite runs on the first and on the sanitised build, valgrind on the unit tests.  Must be
# root, as sandboxes need namespaces; everything happens in namespaces that the tests make.
# OPENSHELL_QUICK=1 leaves out clang-tidy and valgrind, for work on one change.
set -u

here=$(cd "$(dirname "$0")/.." && pwd)
top=${OPENSHELL_BUILD_ROOT:-$here}
passed=0 failed=0 skipped=0
export PYTHONDONTWRITEBYTECODE=1
export OPENSHELL_SPEC_DIR=${OPENSHELL_SPEC_DIR:-$here/../shared/spec}

if [ "$(id -u)" != 0 ]; then
    echo "run.sh: sandboxes need root; run it as root or with sudo" >&2
    exit 1
fi
"$here/packaging/install-dependencies.sh" build test || exit 1

failures=$(mktemp)
trap 'rm -f "$failures"' EXIT
FAILURE_LINES=40 # of each failed test, in the list at the end
export FAILURE_LINES

section() { printf '\n===== %s\n' "$1"; }

# one NAME COMMAND...: a check that passes or fails as a whole
one() {
    local name=$1
    shift
    section "$name"
    if "$@"; then
        passed=$((passed + 1))
        echo "passed  $name"
    else
        failed=$((failed + 1))
        echo "FAILED  $name" | tee -a "$failures"
    fi
}

configure() { # DIR OPTION... ; reuses a directory that is already configured
    local dir=$1
    shift
    [ -f "$dir/build.ninja" ] || meson setup "$dir" "$here" "$@"
}

configure_clang() { CC=clang configure "$1"; }

build() { ninja -C "$1" | tail -n 40; return "${PIPESTATUS[0]}"; }

# add COUNTS-AND-FAILURES.json NAME: add up what a runner reports, and keep what failed for the end
add() {
    local counts
    counts=$(python3 - "$1" "$2" "$failures" <<'PY'
import json, os, sys
try:
    report = json.load(open(sys.argv[1]))
except (OSError, ValueError):
    report = {'passed': 0, 'failed': 1, 'skipped': 0, 'failures': ['the runner left no report']}
with open(sys.argv[3], 'a') as out:
    for text in report['failures']:
        lines = text.split('\n')
        print(f'[{sys.argv[2]}]', *lines[:1], *lines[1:][-int(os.environ['FAILURE_LINES']):], sep='\n', file=out)
print(report['passed'], report['failed'], report['skipped'])
PY
    ) || counts="0 1 0"
    set -- $counts
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# meson_suite DIR [ARG]...: run meson's tests and add up its own report
meson_suite() {
    local dir=$1 summary
    shift
    section "unit, fuzz corpora, layering in $(basename "$dir")"
    rm -f "$dir"/meson-logs/testlog*.json
    summary=$(mktemp)
    meson test -C "$dir" --no-rebuild --print-errorlogs -t "${TIMEOUT_MULTIPLIER:-2}" "$@"
    python3 - "$dir"/meson-logs/testlog*.json >"$summary" <<'PY'
import json, sys
count = {'passed': 0, 'failed': 0, 'skipped': 0, 'failures': []}
for path in sys.argv[1:]:
    for line in open(path):
        row = json.loads(line)
        outcome = {'OK': 'passed', 'SKIP': 'skipped'}.get(row['result'], 'failed')
        count[outcome] += 1
        if outcome == 'failed':
            count['failures'].append('\n'.join([f"{row['result']} {row['name']}", row.get('stdout', ''), row.get('stderr', '')]))
print(json.dumps(count) if sum(map(count.get, ('passed', 'failed', 'skipped'))) else '')
PY
    add "$summary" "unit, fuzz, layering in $(basename "$dir")"
    rm -f "$summary"
}

integration() { # DIR NAME
    section "integration in $2"
    local summary
    summary=$(mktemp)
    OPENSHELL_BUILD=$1 python3 "$here/tests/integration/run.py" -j "${JOBS:-2}" --summary "$summary"
    add "$summary" "integration, $2"
    rm -f "$summary"
}

format_is_clean() {
    git -C "$here" ls-files '*.c' '*.h' | (cd "$here" && xargs clang-format --dry-run -Werror)
}
tidy_is_clean() {
    (cd "$here" && git ls-files 'libcore/*.c' 'orchestrator/*.c' 'supervisor-*/*.c' |
        xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p "$1" 2>/dev/null)
}

gcc_dir=$top/build clang_dir=$top/build-clang san_dir=$top/build-asan
one "configure gcc" configure "$gcc_dir"
one "build gcc" build "$gcc_dir"
one "configure clang" configure_clang "$clang_dir"
one "build clang" build "$clang_dir"
one "configure ASan and UBSan" configure "$san_dir" -Db_sanitize=address,undefined -Db_lundef=false \
    -Doptimization=1
one "build ASan and UBSan" build "$san_dir"
one "clang-format" format_is_clean
[ -n "${OPENSHELL_QUICK:-}" ] || one "clang-tidy" tidy_is_clean "$clang_dir"

meson_suite "$gcc_dir"
integration "$gcc_dir" gcc
# Leaks are errors, too; the sanitiser's own start needs what a leaf's filter forbids, so the leaves
# report through their exit status only.
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:exitcode=99 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
meson_suite "$san_dir" --suite unit --suite fuzz
# Not the tests that try filters, Landlock and namespaces: valgrind itself would be confined.
[ -n "${OPENSHELL_QUICK:-}" ] || TIMEOUT_MULTIPLIER=10 meson_suite "$gcc_dir" test_core_addr test_core_channel \
    test_core_text test_policy_vectors test_policy_edit test_policy_format test_policy_lint test_net_http test_net_target \
    test_orch_files test_orch_options test_proc_account test_proc_env test_proc_user test_confine_drop \
    fuzz_chunked fuzz_event fuzz_glob fuzz_hosts fuzz_http_head fuzz_ipc fuzz_orch_hosts fuzz_path \
    fuzz_policy_wire fuzz_policy_yaml fuzz_proc_account fuzz_proc_stat fuzz_spec fuzz_unix_list \
    --wrap 'valgrind --quiet --error-exitcode=98 --leak-check=full --child-silent-after-fork=no'
integration "$san_dir" ASan
one "quickstart demonstration" "$here/packaging/quickstart.sh"

if [ -s "$failures" ]; then
    section "what failed"
    cat "$failures"
fi
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
