#!/usr/bin/env bash
# Runs egs/mini/demo/first_minute.ipynb from top to bottom, in an environment of its own with dualmode-runtime alone.
#   bash tools/notebook.sh [--venv DIR]      default: build/notebook-venv
# Needs Python 3.11 or later with the venv module, and a C++17 compiler; the first time it fetches packages.
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."

environment=build/notebook-venv
while (($#)); do
  case $1 in
    --venv)
      environment=${2:?--venv needs a value}
      [[ $environment == /* ]] || environment=$caller/$environment
      shift 2
      ;;
    -h | --help) sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
    *) echo "tools/notebook.sh: error: unknown option $1; see --help" >&2; exit 2 ;;
  esac
done

if ! cmp -s tools/notebook.txt "$environment/installed.txt"; then
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "tools/notebook.sh: error: needs Python 3.11 or later" >&2; exit 2; }
  if [[ ! -f $environment/pyvenv.cfg && -n $(find "$environment" -mindepth 1 -maxdepth 1 -print -quit 2>/dev/null) ]]; then
    echo "tools/notebook.sh: error: $environment holds something else than an environment: name another --venv" >&2
    exit 2
  fi
  python3 -m venv --clear "$environment"
  "$environment/bin/python" -m pip install --quiet --no-deps -r tools/notebook.txt
  cp tools/notebook.txt "$environment/installed.txt"
fi
"$environment/bin/python" -m pip install --quiet --no-deps --force-reinstall ./runtime
exec "$environment/bin/python" tools/notebook.py
