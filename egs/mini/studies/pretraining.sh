#!/usr/bin/env bash
# What is pre-training worth?  A tenth of the transcripts, all of the audio; fine-tuning from the pre-trained supernet and
# from random weights, with the same transcripts, settings and steps, for each seed.  Rows:
#   pretrained     as conf/tuning/pretrain.yaml has it, for longer
#   random         random weights
#   hidden_only    pretrained without the loss at visible frames
#   best_rq        as conf/tuning/pretrain_best_rq.yaml has it, for longer
# About 15 minutes a pre-training and 8 a fine-tuning on one core.
#   SEEDS="0 1 2" ROWS="pretrained random" WORK_DIR=DIR egs/mini/studies/pretraining.sh [OPTIONS OF run.sh]
# Leaves WORK_DIR/exp/asr_ROW_SEED, pretraining.md, the tables, and pretraining.png.
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
caller_dir=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=egs/common/studies.sh
source ../common/studies.sh

batches="--max_epoch 20"

# settings_of ROW: sets $start, what stage 4 starts from.
settings_of() {
  start=(--pretrain-args "$batches")
  case $1 in
    pretrained) ;;
    random) start+=(--stage 4 --from-scratch) ;;
    hidden_only) start=(--pretrain-args "$batches --model_conf visible_weight=0") ;;
    best_rq) start+=(--pretrain-config ../../conf/tuning/pretrain_best_rq.yaml) ;;
    *) die "ROWS has $1: it must be pretrained, random, hidden_only or best_rq" ;;
  esac
}

begin_study "pretrained random" "$@"
./run.sh --work-dir "$work" --stop-stage 1 "$@"
for seed in "${seeds[@]}"; do
  for row in "${rows[@]}"; do
    settings_of "$row"
    ./run.sh --work-dir "$work" --seed "$seed" --tag "${row}_$seed" --label-share 10 "${start[@]}" \
      --asr-args "--max_epoch 5 --pruning_conf end=600 --model_conf distill_after=400" "$@"
  done
done
compare pretraining
