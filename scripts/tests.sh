#!/usr/bin/env bash
# All tests on all cores. What failed there is run once more by itself: some tests kill processes and wait for others,
# and a busy machine can make them late. A few that pass then are told of; more than a few are a failure at once.
set -euo pipefail
python=${1:?the Python to run them with}
most=5

say() { printf '==> %s\n' "$*" >&2; }

code=0
"$python" -m pytest -n auto || code=$?
[ "$code" = 1 ] || exit "$code"
failed=$("$python" -c 'import json; print(len(json.load(open(".pytest_cache/v/cache/lastfailed"))))')
if [ "$failed" -gt "$most" ]; then
    say "$failed tests failed."
    exit 1
fi
say "$failed failed beside the others and are run again by themselves:"
"$python" -m pytest --last-failed --last-failed-no-failures=none -v
