#!/bin/sh
# What `make lint` checks beside C++: shell, Python, systemd units. Changes nothing; exit code 1 when something is found.
set -eu
cd "$(dirname "$0")/.."
failed=0

echo "lint: shell"
for script in $(git ls-files '*.sh' .ci/run); do
    case $(head -n 1 "$script") in
    *bash*) bash -n "$script" || failed=1 ;;
    *) sh -n "$script" || failed=1 ;;
    esac
    if command -v shellcheck >/dev/null; then shellcheck "$script" || failed=1; fi
done

echo "lint: Python"
git ls-files -z '*.py' | xargs -0 -r /usr/bin/python3 -m pyflakes || failed=1
git ls-files -z '*.py' |
    xargs -0 -r awk 'length > 140 { print FILENAME ":" FNR ": longer than 140 characters"; found = 1 } END { exit found }' || failed=1

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
