#!/usr/bin/env bash
# The parts that no Python package carries: installed when we may, else said with what their absence costs.
# `demo`: what users need. `test`: what the tests need too. HEADRACE_APT=0 leaves the system alone.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:?demo or test}

say() { printf '==> %s\n' "$*" >&2; }

wanted() {
    grep -v '^#' requirements/debian.txt
    if [ "$what" = test ]; then grep -v '^#' requirements/debian-dev.txt; fi
}

missing() {
    local package
    for package in $(wanted); do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s ' "$package"
    done
}

cost() {
    case $1 in
        tesseract-ocr-eng) echo "scanned pages and pictures in Latin script are not read" ;;
        tesseract-ocr-osd) echo "the script and the turn of scanned pages are not recognised" ;;
        tesseract-ocr-*) echo "scans in the language '${1#tesseract-ocr-}' are read badly or not at all" ;;
        chromium) echo "the tests of the report in a real browser are skipped" ;;
        *) echo "some tests are skipped" ;;
    esac
}

if ! command -v dpkg-query >/dev/null; then
    say "This is no Debian or Ubuntu: install Tesseract's language data yourself and set TESSDATA_PREFIX, else scans are not read."
    exit 0
fi
lacking=$(missing)
[ -z "$lacking" ] && exit 0
if [ "$(id -u)" = 0 ] && [ "${HEADRACE_APT:-1}" = 1 ]; then
    say "Installing system parts: $lacking"
    # shellcheck disable=SC2086
    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $lacking) >/dev/null 2>&1 || true
    lacking=$(missing)
fi
if [ -n "$lacking" ]; then
    say "Missing system parts, and what each costs:"
    for package in $lacking; do say "  $package: $(cost "$package")"; done
    say "To have them: sudo apt-get install --no-install-recommends $lacking"
fi
