#!/usr/bin/env bash
# What does a granularity cost?  Supernets of four nested sparsities each, from one pre-training for each seed, with the
# same settings and steps.  About 90 minutes a seed on one core; with a third of the steps, some do not converge at all.
#   SEEDS="0 1 2" GRANULARITIES="..." WORK_DIR=DIR egs/fsdd/studies/granularity.sh [OPTIONS OF run.sh]
# Leaves WORK_DIR/exp/asr_NAME_SEED, and granularity.md, the table.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

read -ra seeds <<<"${SEEDS:-0 1 2}"
read -ra names <<<"${GRANULARITIES:-unstructured 4x4 8x4 16x4 units}"
sparsities=(0.5 0.7 0.8 0.9)
work=$(realpath -m "${WORK_DIR:-.}") exp=$(realpath -m "${WORK_DIR:-.}")/exp
list=$(IFS=, && echo "[${sparsities[*]}]")
decoders=../../conf/decode_dense.yaml
mkdir -p "$work/conf"
for sparsity in "${sparsities[@]}"; do
  sed "s/^sparsity:.*/sparsity: $sparsity/" ../../conf/decode_sparse.yaml >"$work/conf/decode_sparse_$sparsity.yaml"
  decoders+=" $work/conf/decode_sparse_$sparsity.yaml"
done

columns=()
for name in "${names[@]}"; do
  case $name in
    *x*) setting=block value=[${name/x/,}] ;;
    *) setting=granularity value=$name ;;
  esac
  printf '%s\n' "sparsities: $list" "$setting: $value" >"$work/conf/prune_$name.yaml"
  training="--encoder_conf sparsities=$list --encoder_conf $setting=$value"
  folders=''
  for seed in "${seeds[@]}"; do
    options=(--work-dir "$work" --seed "$seed" --pretrain-tag "base_$seed" --prune-config "$work/conf/prune_$name.yaml"
      --asr-args "$training" --decode-configs "$decoders" "$@")
    [[ -f $exp/pretrain_base_$seed/config.yaml ]] || ./run.sh "${options[@]}" --tag "base_$seed" --stop-stage 2
    ./run.sh "${options[@]}" --tag "${name}_$seed" --stage 3
    folders+=,$exp/asr_${name}_$seed
  done
  columns+=("$name=${folders#,}")
done
PYTHONPATH=../.. "${DUALMODE_VENV:-../../tools/venv}/bin/python" -m dualmode.bin.compare "${columns[@]}" \
  --out "$exp/granularity.md" --json "$exp/granularity.json"
