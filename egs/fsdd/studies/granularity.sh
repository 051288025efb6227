#!/usr/bin/env bash
# What do a granularity and a schedule of the masks cost?  For each seed one supernet is pre-trained and
# fine-tuned without pruning (egs/common/studies.sh); each row then prunes it to four nested sparsities and trains it
# further:
#   untrained      masks from the trained weights, and no further training
#   one-shot       masks from the trained weights, fixed
#   gradual        masks on a cubic ramp over the first half of the batches, then fixed
#   re-estimated   masks of the full sparsity, found anew in the first half, so that a weight may come back; then fixed
# A granularity without a schedule beside it is re-estimated.  8x4-calibrated is 8x4-one-shot by magnitudes times
# activations; 8x4-distilled, if asked for, is 8x4 with distillation.
#   SEEDS="0 1 2" ROWS="..." WORK_DIR=DIR egs/fsdd/studies/granularity.sh [OPTIONS OF run.sh]
# Leaves WORK_DIR/exp/asr_ROW_SEED, and unpruned.md and granularity.md, the tables before and after, with figures.
# Another corpus: CORPUS=mini, and UNPRUNED, options of the training without pruning; see egs/mini/studies/granularity.sh.
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
caller_dir=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../../${CORPUS:-fsdd}"
# shellcheck source=egs/common/studies.sh
source ../common/studies.sh

# settings_of ROW: sets $sparsities, $prune (lines of stage 3's YAML), $training (options of stage 4).
settings_of() {
  local granularity=${1%%-*} block='' schedule batches=240 rate=1.0e-3
  sparsities=(0.5 0.7 0.8 0.9)
  case $granularity in
    [1-9]*x[1-9]*) block=[${granularity/x/,}] granularity=blocks ;;
    n_of_m) block='[1,4]' sparsities=(0.5) ;; # 2 of 4
    unstructured | units) ;;
    *) die "ROWS has $1: a row begins with unstructured, units, n_of_m or a block such as 8x4" ;;
  esac
  case ${1#"${1%%-*}"} in
    '' | -untrained | -one-shot | -gradual | -re-estimated | -calibrated | -distilled) ;;
    *) die "ROWS has $1: behind the granularity may stand -untrained, -one-shot, -gradual, -re-estimated, -calibrated or \
-distilled" ;;
  esac
  case $1 in
    *-untrained) schedule="interval=0" batches=2 rate=1.0e-12 ;; # as good as none
    *-one-shot | *-calibrated) schedule="interval=0" ;;
    *-gradual) schedule="end=$((batches / 2)) interval=20 start=0" ;;
    *) schedule="end=$((batches / 2)) interval=20 start=1" ;;
  esac
  local list
  list=[$(IFS=, && echo "${sparsities[*]}")]
  prune=("sparsities: $list" "granularity: $granularity" ${block:+"block: $block"})
  training="$small --encoder_conf sparsities=$list --encoder_conf granularity=$granularity${block:+ --encoder_conf block=$block}"
  training+=" --max_epoch 1 --num_iters_per_epoch $batches --optim_conf lr=$rate --scheduler_conf max_lr=$rate"
  [[ $1 != *-distilled ]] || training+=" --model_conf distill_weight=0.1 --model_conf distill_after=0"
  for schedule in $schedule; do training+=" --pruning_conf $schedule"; done
}

begin_study "unstructured 4x4 8x4 16x4 units n_of_m
  8x4-untrained units-untrained 8x4-one-shot units-one-shot 8x4-gradual units-gradual 8x4-calibrated" "$@"
printf '%s\n' "sparsities: [$nothing]" "granularity: units" >"$conf/prune_unpruned.yaml"
sed "s/^batch_size:.*/batch_size: 16/" ../../conf/decode_dense.yaml >"$conf/decode_dense.yaml"
sed "s/^sparsity:.*/sparsity: $nothing/; s/^batch_size:.*/batch_size: 16/" ../../conf/decode_sparse.yaml \
  >"$conf/decode_streaming.yaml"
for sparsity in 0.5 0.7 0.8 0.9; do
  sed "s/^sparsity:.*/sparsity: $sparsity/; s/^batch_size:.*/batch_size: 16/" ../../conf/decode_sparse.yaml \
    >"$conf/decode_sparse_$sparsity.yaml"
done

for seed in "${seeds[@]}"; do
  common=(--work-dir "$work" --seed "$seed")
  ./run.sh "${common[@]}" --tag "unpruned_$seed" "$@" \
    --pretrain-args "$unpruned" --prune-config "$conf/prune_unpruned.yaml" --asr-args "$unpruned ${UNPRUNED:-}" \
    --decode-configs "$conf/decode_dense.yaml $conf/decode_streaming.yaml"
  for row in "${rows[@]}"; do
    settings_of "$row"
    printf '%s\n' "${prune[@]}" >"$conf/prune_$row.yaml"
    decoders=$conf/decode_dense.yaml
    for sparsity in "${sparsities[@]}"; do decoders+=" $conf/decode_sparse_$sparsity.yaml"; done
    calibration=''
    [[ $row != *-calibrated ]] || calibration="--calibrate $work/dump/train"
    ./run.sh "${common[@]}" --tag "${row}_$seed" --prune-args "$calibration" --prune-asr "unpruned_$seed" --stage 3 "$@" \
      --prune-config "$conf/prune_$row.yaml" --asr-args "$training" --decode-configs "$decoders"
  done
done
against=()
[[ " ${rows[*]} " != *" 8x4 "* ]] || against=(--against 8x4)
compare granularity "${against[@]}"
rows=(unpruned)
compare unpruned
