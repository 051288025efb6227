#!/usr/bin/env bash
# What is pre-training worth?  A tenth of the transcripts, all of the audio; fine-tuning from the pre-trained supernet and
# from random weights, with the same transcripts, settings and steps, for each seed.  About 35 minutes a seed on one core.
#   SEEDS="0 1 2" WORK_DIR=DIR egs/mini/studies/pretraining.sh [OPTIONS OF run.sh]
# Leaves WORK_DIR/exp/asr_pretrained_SEED, asr_random_SEED and pretraining.md, the table.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra seeds <<<"${SEEDS:-0 1 2}"
exp=$(realpath -m "${WORK_DIR:-.}")/exp
pretrained='' random=''
for seed in "${seeds[@]}"; do
  options=(--work-dir "${exp%/exp}" --seed "$seed" --label-share 10 --pretrain-args "--max_epoch 20"
    --asr-args "--max_epoch 5 --pruning_conf end=600 --model_conf distill_after=400" "$@")
  ./run.sh "${options[@]}" --tag "pretrained_$seed"
  ./run.sh "${options[@]}" --tag "random_$seed" --stage 4 --from-scratch
  pretrained+=,$exp/asr_pretrained_$seed random+=,$exp/asr_random_$seed
done
PYTHONPATH=../.. "${DUALMODE_VENV:-../../tools/venv}/bin/python" -m dualmode.bin.compare \
  "pre-trained=${pretrained#,}" "random weights=${random#,}" --out "$exp/pretraining.md" --json "$exp/pretraining.json"
