#!/usr/bin/env bash
# From a fresh clone to a table of word error rates: sets the environment up, then runs egs/mini with the same options.
#   ./run.sh --help     explains them
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
for word in "$@"; do
  [[ $word != --help && $word != -h ]] || exec "$root/egs/mini/run.sh" --help
done
[[ -n ${DUALMODE_VENV:-} ]] || bash "$root/tools/setup.sh"
exec "$root/egs/mini/run.sh" "$@"
