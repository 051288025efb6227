#!/usr/bin/env bash
# All checks: sets up what they need, then ruff (lint, format) and mypy (types) on the Python, shellcheck on the shell, pytest.
#   bash test/run.sh [OPTIONS OF PYTEST]      such as -k streaming, or test/supernet
# Each is run whatever the others said; the status is 0 only if all are well.
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this
set -uo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
# shellcheck source=egs/common/lib.sh
source egs/common/lib.sh
bash tools/setup.sh --with-tests --with-device --with-server || exit
PATH=$PWD/tools/venv/bin:$PATH

# shell_scripts: prints the tracked files that are shell, by their names or first lines, each ended by a zero byte.
shell_scripts() {
  local file first
  while IFS= read -r -d '' file; do
    [[ -f $file ]] || continue
    IFS= read -r first <"$file" 2>/dev/null || true
    [[ $file == *.sh || ${first:-} =~ ^'#!'.*[/\ ](bash|sh)( |$) ]] && printf '%s\0' "$file"
  done < <(git ls-files -z) 2>/dev/null
  return 0
}

summary=() status=0
# check NAME COMMAND...
check() {
  local name=$1 began=$SECONDS verdict=ok
  shift
  printf '\n== %s\n' "$name"
  "$@" || { verdict="FAILED (status $?)" status=1; }
  summary+=("$(printf '%-12s %-20s %4d s' "$name" "$verdict" $((SECONDS - began)))")
}

mapfile -d '' -t scripts < <(shell_scripts)
check ruff ruff check .
check format ruff format --check .
check types python -m mypy
check shellcheck shellcheck -x "${scripts[@]}"
# A process a core, each with one thread of its own; test/conftest.py says which tests stay together.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
check pytest python -m pytest --numprocesses "$(cores)" --dist loadscope --no-loadscope-reorder "$@"

printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
exit "$status"
