#!/usr/bin/env bash
# Is one supernet as good as the two models that it replaces?  The same data, pre-trained weights, settings and steps for
#   supernet           both branches, as the recipe trains them
#   dense-alone        the dense full-context branch only
#   sparse-alone       the sparse streaming branch only, pruned as the supernet is
#   pruned-after       a dense streaming model alone, pruned in one shot when its training ends
#   pruned-late        the same, pruned in one shot after three quarters of its steps and trained for the rest
# all pruned in whole units, as the recipe does; blocks-supernet, blocks-sparse-alone, ... in blocks of 8x4.
#   SEEDS="0 1 2" ROWS="..." WORK_DIR=DIR egs/fsdd/studies/twins.sh [OPTIONS OF run.sh]
# MODEL=recipe trains the recipe's model instead of the studies', from the recipe's own pre-training; some of these do
# not converge at all with half of the steps.
# Leaves WORK_DIR/exp/asr_ROW_SEED, twins.md, the tables, and twins.png.
set -euo pipefail
unset CDPATH # by which cd would go elsewhere, or say where it went
caller_dir=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=egs/common/studies.sh
source ../common/studies.sh

batches=1920 # the 8 epochs of asr.yaml
case ${MODEL:-small} in
  small) start=unpruned pretraining=$unpruned ;; # the pre-training of granularity.sh in the same WORK_DIR
  recipe) start=base pretraining='' small='' ;;
  *) die "MODEL is $MODEL: it must be small or recipe" ;;
esac
dense=../../conf/decode_dense.yaml sparse=../../conf/decode_sparse.yaml

# settings_of ROW: sets $granularity, $training (options of stage 4), $decoders.
settings_of() {
  # Masks that keep everything until a step has those of the full sparsity.  What counts is the last epoch, the one with
  # the lowest learning rate: the best one might be from before the step.
  local once="--pruning_conf begin=0 --pruning_conf start=0 --pruning_conf interval=$batches
    --best_model_criterion train,optim0_lr0,min"
  granularity=units decoders=$sparse training=$small
  [[ $1 != blocks-* ]] || granularity=blocks training+=" --encoder_conf granularity=blocks --encoder_conf block=[8,4]"
  case ${1#blocks-} in
    supernet) decoders="$dense $sparse" ;;
    dense-alone) decoders=$dense training+=" --branch_conf sparse=0" ;;
    sparse-alone) training+=" --branch_conf dense=0" ;;
    pruned-after) training+=" --branch_conf dense=0 $once --pruning_conf end=$((batches - 1))" ;;
    pruned-late) training+=" --branch_conf dense=0 $once --pruning_conf end=$((batches * 3 / 4))" ;;
    *) die "ROWS has $1: it must be supernet, dense-alone, sparse-alone, pruned-after or pruned-late, or blocks- and one" ;;
  esac
}

begin_study "supernet dense-alone sparse-alone pruned-after pruned-late" "$@"
for granularity in units blocks; do
  sed "s/^granularity:.*/granularity: $granularity/" ../../conf/tuning/prune.yaml >"$conf/prune_$granularity.yaml"
done

for seed in "${seeds[@]}"; do
  common=(--work-dir "$work" --seed "$seed")
  ./run.sh "${common[@]}" --tag "${start}_$seed" --pretrain-args "$pretraining" --stop-stage 2 "$@"
  for row in "${rows[@]}"; do
    settings_of "$row"
    masks=twins_${granularity}_$seed
    ./run.sh "${common[@]}" --stage 3 --stop-stage 3 --tag "$masks" --pretrain-tag "${start}_$seed" \
      --prune-config "$conf/prune_$granularity.yaml" "$@"
    ./run.sh "${common[@]}" --stage 4 --tag "${row}_$seed" --prune-tag "$masks" --asr-args "$training" \
      --decode-configs "$decoders" "$@"
  done
done
compare twins
