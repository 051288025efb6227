#!/usr/bin/env bash
# Kills the recipe with SIGKILL at random moments, starts it again each time, and compares what it ends with to an
# undisturbed run: data, features, masks, weights and transcripts must be the same.  Not a part of test/run.sh.
#   KILLS=20 SEED=0 WORK_DIR=DIR test/faults.sh        about 10 minutes on 2 cores
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
cd "$(dirname "${BASH_SOURCE[0]}")/.."

kills=${KILLS:-20} work=$(realpath -m "${WORK_DIR:-$(mktemp -d)}")
RANDOM=${SEED:-0}
export OMP_NUM_THREADS=1
options=(--small 12 --speeds 1.0 --pretrain-config conf/tiny/pretrain.yaml --asr-config conf/tiny/asr.yaml --max-rejected 20)
mkdir -p "$work"

recipe() { egs/mini/run.sh --work-dir "$work/$1" "${options[@]}"; }

SECONDS=0
recipe undisturbed >"$work/undisturbed.log" 2>&1
whole=$SECONDS
echo "an undisturbed run took $whole s"
done_kills=0
while ((done_kills < kills)); do
  # Half of a run at most, so that the later stages are reached, and hit, after a few of them.
  wait_ms=$((200 + RANDOM % (whole * 500)))
  setsid egs/mini/run.sh --work-dir "$work/killed" "${options[@]}" >>"$work/killed.log" 2>&1 &
  shell=$!
  sleep "$((wait_ms / 1000)).$(printf %03d $((wait_ms % 1000)))"
  if ! kill -KILL "$shell" 2>/dev/null; then
    echo "ended before kill $((done_kills + 1)): all stages are done; starting over to be killed again"
    rm -rf "$work/killed"
    continue
  fi
  wait "$shell" 2>/dev/null || true
  done_kills=$((done_kills + 1))
  echo "kill $done_kills after $wait_ms ms: $(tail -n 1 "$work/killed.log")"
done
recipe killed >>"$work/killed.log" 2>&1

# Lists name the work folder, and results say when and how fast.
compare() {
  local name
  for name in "$@"; do
    diff <(sed "s#$work/undisturbed#WORK#g" "$work/undisturbed/$name") <(sed "s#$work/killed#WORK#g" "$work/killed/$name") ||
      { echo "$name differs" >&2; exit 1; }
  done
}
(cd "$work/undisturbed" && find data dump exp -type f \( -name text -o -name '*.scp' -o -name utt2spk -o -name '*.ark' \
  -o -name cmvn.json -o -name tokens.txt \) | sort) >"$work/files"
mapfile -t files <"$work/files"
compare "${files[@]}"
PYTHONPATH=.:runtime "${DUALMODE_VENV:-tools/venv}/bin/python" - "$work" <<'PYTHON'
import sys
from pathlib import Path

import torch

from dualmode.models.weights import find_checkpoint

for model in ("pretrain_base", "prune_base", "asr_base"):
    one, other = (
        torch.load(find_checkpoint(Path(sys.argv[1], run, "exp", model)), weights_only=True)
        for run in ("undisturbed", "killed")
    )
    different = [name for name in one if not torch.equal(one[name], other[name])]
    assert one.keys() == other.keys() and not different, f"{model}: {different[:3]} differ"
PYTHON
echo "$kills kills, $SECONDS s: ${#files[@]} files and the weights and masks of three models are the same"
