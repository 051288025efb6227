#!/usr/bin/env bash
# Trains and decodes in an environment that other toolkits share: transformers, speechbrain and lhotse beside this package.
#   bash tools/neighbours.sh [--venv DIR] [--work-dir DIR]      default: build/neighbours-venv and build/neighbours
# The environment takes 5.4 GB, most of it shared with uv's cache; the rest some minutes on 2 cores.
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=build/neighbours-venv work=build/neighbours
while (($#)); do
  case $1 in
    --venv | --work-dir)
      (($# > 1)) || { echo "tools/neighbours.sh: error: $1 needs a value" >&2; exit 2; }
      if [[ $1 == --venv ]]; then venv=$2; else work=$2; fi
      shift 2
      ;;
    -h | --help) sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit ;;
    *) echo "tools/neighbours.sh: error: unknown option $1; see --help" >&2; exit 2 ;;
  esac
done

bash tools/setup.sh --venv "$venv" --with-data
venv=$(cd "$venv" && pwd -P)
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" \
  --constraint tools/constraints.txt --override tools/overrides.txt --constraint tools/neighbours.txt transformers speechbrain

# The recipe: ESPnet looks for some of them by itself.
export DUALMODE_VENV=$venv HF_HUB_OFFLINE=1
egs/mini/run.sh --work-dir "$work" --small 12 --speeds 1.0 --max-rejected 20 \
  --pretrain-config conf/tiny/pretrain.yaml --asr-config conf/tiny/asr.yaml
# One process that holds them all, whoever is imported first.
for first in neighbours dualmode; do
  "$venv/bin/python" tools/neighbours.py "$work" --first "$first"
done
