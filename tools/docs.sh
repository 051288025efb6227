#!/usr/bin/env bash
# Builds the documents as a site, build/site/index.html, in an environment of its own; links that lead nowhere fail it.
#   bash tools/docs.sh [--serve]      --serve shows it on 127.0.0.1:8000 instead
# Needs Python 3.11 or later with the venv module; the first time it fetches packages, the pages fetch nothing.
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
cd "$(dirname "${BASH_SOURCE[0]}")/.."
environment=build/docs-venv
if ! cmp -s tools/docs.txt "$environment/installed.txt"; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tools/docs.sh: error: needs Python 3.11 or later" >&2; exit 2; }
  python3 -m venv --clear "$environment"
  "$environment/bin/python" -m pip install --quiet --no-deps -r tools/docs.txt
  cp tools/docs.txt "$environment/installed.txt"
fi
"$environment/bin/python" -m doctest tools/docstrings.py
NO_MKDOCS_2_WARNING=1 exec "$environment/bin/python" tools/docs.py "$@"
