#!/usr/bin/env bash
# Pin every dependency with hashes and without the address of any index. Needs uv. Run after changing pyproject.toml.
set -euo pipefail
cd "$(dirname "$0")/.."
flags=(--universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet)
uv pip compile "${flags[@]}" pyproject.toml --extra server -o requirements.lock >/dev/null
uv pip compile "${flags[@]}" pyproject.toml --extra server --extra parquet --extra river --group dev -c requirements.lock -o requirements-dev.lock >/dev/null
uv pip compile "${flags[@]}" --group build -o requirements-build.lock >/dev/null
uv pip compile "${flags[@]}" tests/interop/requirements.in -o tests/interop/requirements.lock >/dev/null
uv pip compile "${flags[@]}" --no-deps deploy/embedding.in -o requirements-embedding.lock >/dev/null
