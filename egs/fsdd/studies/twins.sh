#!/usr/bin/env bash
# Is one supernet as good as the two models that it replaces?  The same data, pre-trained weights, settings and steps for
#   supernet       both branches, as the recipe trains them
#   dense alone    the dense full-context branch only
#   sparse alone   the sparse streaming branch only
#   pruned after   a dense streaming model alone, pruned in one shot when its training ends
# pruned in whole units, as the recipe does, or in blocks of 8x4.
# About an hour a seed on one core; with half of the steps, some do not converge at all.
#   SEEDS="0 1 2" ROWS="supernet dense sparse pruned blocks-supernet blocks-sparse" WORK_DIR=DIR \
#     egs/fsdd/studies/twins.sh [OPTIONS OF run.sh]
# Leaves WORK_DIR/exp/asr_NAME_SEED, twins.md, the tables, and twins.png.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=egs/common/lib.sh
source ../common/lib.sh

seeds=() rows=()
split_words seeds "${SEEDS:-0 1 2}"
split_words rows "${ROWS:-supernet dense sparse pruned blocks-supernet blocks-sparse}"
work=$(realpath -m "${WORK_DIR:-.}")
exp=$work/exp
mkdir -p "$work/conf"
sed "s/^granularity:.*/granularity: blocks/" ../../conf/tuning/prune.yaml >"$work/conf/prune_blocks.yaml"
batches=1920 # the 8 epochs of asr.yaml
declare -A arguments=(
  [supernet]=""
  [dense]="--branch_conf sparse=0"
  [sparse]="--branch_conf dense=0"
  # Masks that keep everything, until the last batch has those of the full sparsity; the last epoch is what counts, and
  # the one with the lowest learning rate.
  [pruned]="--branch_conf dense=0 --pruning_conf end=$((batches - 1)) --pruning_conf interval=$batches
    --pruning_conf start=0 --best_model_criterion train,optim0_lr0,min"
)
dense=../../conf/decode_dense.yaml sparse=../../conf/decode_sparse.yaml
declare -A decoders=([supernet]="$dense $sparse" [dense]=$dense [sparse]=$sparse [pruned]=$sparse)
declare -A titles=(
  [supernet]=supernet [dense]="dense alone" [sparse]="sparse alone" [pruned]="pruned after"
  [blocks-supernet]="supernet, blocks" [blocks-sparse]="sparse alone, blocks"
)
for name in supernet sparse; do
  arguments[blocks-$name]="${arguments[$name]} --encoder_conf granularity=blocks --encoder_conf block=[8,4]"
  decoders[blocks-$name]=${decoders[$name]}
done
declare -A folders=()

for seed in "${seeds[@]}"; do
  common=(--work-dir "$work" --seed "$seed")
  ./run.sh "${common[@]}" --tag "base_$seed" --stop-stage 2 "$@"
  for name in "${rows[@]}"; do
    masks=base_$seed prune=../../conf/tuning/prune.yaml
    [[ $name != blocks-* ]] || masks=blocks_base_$seed prune=$work/conf/prune_blocks.yaml
    ./run.sh "${common[@]}" --stage 3 --stop-stage 3 --tag "$masks" --pretrain-tag "base_$seed" --prune-config "$prune" "$@"
    ./run.sh "${common[@]}" --stage 4 --tag "${name}_$seed" --prune-tag "$masks" \
      --asr-args "${arguments[$name]}" --decode-configs "${decoders[$name]}" "$@"
    folders[$name]+=,$exp/asr_${name}_$seed
  done
done
columns=()
for name in "${rows[@]}"; do columns+=("${titles[$name]}=${folders[$name]#,}"); done
PYTHONPATH=../.. "${DUALMODE_VENV:-../../tools/venv}/bin/python" -m dualmode.bin.compare "${columns[@]}" \
  --out "$exp/twins.md" --json "$exp/twins.json" --plot "$exp/twins.png"
