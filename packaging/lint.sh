#!/bin/sh
# What `make lint` checks beside the format: clang-tidy, shell, Python. Changes nothing; exit code 1 when something is found.
#   lint.sh "<preprocessor flags>" "<PostgreSQL's server include folder>" [C++ files; default: all of ours]
set -eu
cd "$(dirname "$0")/.."
flags=$1
pg_include=$2
shift 2
failed=0
jobs=$(getconf _NPROCESSORS_ONLN)
list=$(mktemp)
trap 'rm -f "$list"' EXIT
if [ $# -gt 0 ]; then printf '%s\n' "$@"; else git ls-files '*.cpp'; fi >"$list"

# Reads file names; $1 is the compiler's flags. One process per file, silent when clean.
tidy() {
    LINT_FLAGS=$1 xargs -r -n 1 -P "$jobs" sh -c '
        [ -e "$1" ] || exit 0
        # shellcheck disable=SC2086
        if ! out=$(clang-tidy --quiet "$1" -- $LINT_FLAGS 2>&1); then printf "%s\n" "$out"; exit 1; fi' lint
}

echo "lint: clang-tidy, $(wc -l <"$list") files"
# The version is a string with quotes in it, which would not survive the way through the shell.
flags="-std=c++20 -pthread $(printf '%s' "$flags" | sed "s/-DMUSKRAT_VERSION=[^ ]*//") -DMUSKRAT_VERSION=__FILE__"
grep -v '^extension/' "$list" | tidy "$flags" || failed=1
grep '^extension/' "$list" | tidy "-std=c++20 -fno-exceptions -fno-rtti -Wno-register -I. -isystem $pg_include" || failed=1

echo "lint: shell"
for script in $(git ls-files '*.sh' .ci/run); do
    case $(head -n 1 "$script") in
    *bash*) bash -n "$script" || failed=1 ;;
    *) sh -n "$script" || failed=1 ;;
    esac
    if command -v shellcheck >/dev/null; then shellcheck "$script" || failed=1; fi
done

echo "lint: Python"
git ls-files -z '*.py' | xargs -0 -r /usr/bin/python3 packaging/lint.py || failed=1

if command -v systemd-analyze >/dev/null && [ "$(id -u)" -eq 0 ]; then
    echo "lint: systemd units"
    for unit in packaging/*.service; do
        # What is not installed here is no fault of the unit's.
        out=$(systemd-analyze verify --man=no "$unit" 2>&1 | grep -F "$(basename "$unit")" |
            grep -v -e 'is not executable' -e 'not found' -e 'Failed to') || true
        [ -z "$out" ] || { printf '%s\n' "$out"; failed=1; }
    done
fi
exit $failed
