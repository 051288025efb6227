#!/usr/bin/env bash
# From a fresh clone to a table of word error rates: sets the Python environment up (tools/setup.sh), then runs egs/mini.
#   ./run.sh --help     explains the options
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this
exec "$(dirname "${BASH_SOURCE[0]}")/egs/mini/run.sh" "$@"
