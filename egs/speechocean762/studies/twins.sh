#!/usr/bin/env bash
# Is one supernet as good as the models that it replaces, on sentences by people who were never heard?  See --help, and
# docs/evidence.md for what was planned.
# shellcheck disable=SC2154  # options set variables
set -euo pipefail
export LC_ALL=C.UTF-8 # numbers have points
caller_dir=$PWD
script=$(realpath "${BASH_SOURCE[0]}")
cd "${script%/*}/.."
# shellcheck source=egs/common/lib.sh
source ../common/lib.sh
# shellcheck source=egs/common/options.sh
source ../common/options.sh
# shellcheck source=egs/common/queue.sh
source ../common/queue.sh

first=(supernet dense-alone sparse-alone espnet dense-pruned scratch undistilled)
later=(dense-double sparse-double espnet-double rnnt-supernet rnnt-dense-alone rnnt-sparse-alone)
remedies=(dense-first alternate alternate-taught half-batches more-distillation fixed-masks alternate-double
  dense-half-batches sparse-half-batches rnnt-after-alternate rnnt-alternate)

option speechocean-dir DIR "" "the corpus's folder (default: cloned from its home on GitHub, about 700 MB)"
option work-dir DIR "" "where everything is written (default: the corpus's folder)"
option rows NAMES "${first[*]} ${later[*]} ${remedies[*]}" "what is trained, separated by spaces, in this order"
option seeds LIST "1 2 3" "of trainings"
option rates LIST "8.0e-4 4.0e-4 1.6e-3" "peak learning rates of fine-tuning: each row is trained at all of them, and counts \
with the one that is best on valid; the first one is trained first"
option updates N 2500 "batches of fine-tuning, a multiple of 20"
option pretrain-updates N 1200 "batches of pre-training, a multiple of 24; 0: all rows but none start from random weights, \
and scratch is left out"
option flat-start N 0 "first updates of all that starts from random weights in which tokens are evenly placed (model_conf: \
flat_start)"
option asr-config FILE conf/tuning/asr.yaml "sizes and batches of fine-tuning, for a larger machine"
option pretrain-config FILE conf/tuning/pretrain.yaml "the same of pre-training"
option rnnt-config FILE conf/tuning/asr_rnnt.yaml "the same of the RNN-T on top, which trains half as many batches"
option small N "" "only N utterances in every set: to see whether everything runs"
option resamples N 10000 "of the bootstrap"
option jobs N "$(cores)" "trainings side by side, of one thread each: as many as there are cores, or as the GPU holds"
option ngpu N 0 "1: trainings run on the GPU, which they share"
flag tables "only write the tables of what is done"

print_help() {
  cat <<'TEXT'
usage: egs/speechocean762/studies/twins.sh [options]

Rows (CTC; all with the same data, tokens, batches, updates, mean of the best epochs):
  supernet           both branches in each update, pre-trained and fine-tuned, with distillation (weight 0.1)
  dense-alone        the dense full-context branch only, in pre-training and in fine-tuning
  sparse-alone       the sparse streaming branch only, in both, pruned as the supernet is
  espnet             ESPnet's Conformer as wide and deep, full context, from random weights (studies/reference.py)
  dense-pruned       dense-alone for half of the updates, then pruned in one shot, and streaming alone for the other half
  scratch            the supernet from random weights
  undistilled        the supernet without distillation
  dense-double, sparse-double, espnet-double
                     alone with twice the updates: each may compute as much as the whole supernet
  rnnt-supernet, rnnt-dense-alone, rnnt-sparse-alone
                     an RNN-T on the CTC row of the same rate and seed, trained on for half as many updates
Rows that ask how the supernet could learn more with as much computing as it has (remedies.yaml):
  dense-first        dense-alone, then both branches for half of the updates, with distillation from the beginning
  alternate          one branch in each update, in turn, for twice the updates, without distillation: as the recipe trains
  alternate-taught   the same with distillation, which adds a fifteenth of the computing
  alternate-double   alternate with twice as many updates: as much computing as dense-double and sparse-double together
  half-batches       batches of half the length, twice the updates
  dense-half-batches, sparse-half-batches
                     the same of dense-alone and sparse-alone: as many updates of their weights as alternate makes
  more-distillation  the weight of distillation 0.5
  fixed-masks        the masks that pre-training found, for the whole of fine-tuning
  rnnt-after-alternate
                     rnnt-supernet's training, both branches in each update, on alternate
  rnnt-alternate     an RNN-T on alternate that goes on taking turns, for twice the updates: as the recipe trains

It goes on where it was stopped; everything runs at the lowest priority.  One row alone, with its pre-training:
  studies/twins.sh --rows sparse-alone --seeds 1 --rates 8.0e-4
On a GPU: studies/twins.sh --ngpu 1 --jobs 12

Leaves WORK_DIR/twins.md, .json and .png, written anew as runs finish: each row at its best rate, 95 % intervals over
speakers and seeds, and the verdicts on planned.yaml; and the same of the remedies, remedies.md, .json and .png.
TEXT
  print_options
}

# settings_of ROW: sets $branches ("both", "dense" or "sparse"), $training (options of stage 4), $decoders, and $cost
# (passes of a branch in fine-tuning).  Uses $rate and $conf.
settings_of() {
  local dense=$conf/decode_dense.yaml sparse=$conf/decode_sparse.yaml batches=$updates
  local turns=both weight=0.1 taught_after masks pruning
  case $1 in
    alternate-double) batches=$((4 * updates)) ;;
    *-double | alternate* | *half-batches) batches=$((2 * updates)) ;;
    rnnt-alternate) batches=$updates ;;
    rnnt-* | dense-pruned | dense-first) batches=$((updates / 2)) ;;
  esac
  masks=$((batches * 3 / 5)) # the update by which they stay
  case $1 in
    dense-alone | dense-double | dense-half-batches | rnnt-dense-alone | espnet | espnet-double) branches=dense decoders=$dense ;;
    sparse-alone | sparse-double | sparse-half-batches | rnnt-sparse-alone | dense-pruned) branches=sparse decoders=$sparse ;;
    supernet | scratch | undistilled | rnnt-supernet | rnnt-after-alternate | rnnt-alternate | dense-first | alternate* | \
      half-batches | more-distillation | fixed-masks)
      branches=both decoders="$dense $sparse"
      ;;
    *) die "--rows has $1: it must be one of ${first[*]} ${later[*]} ${remedies[*]}" ;;
  esac
  taught_after=$masks pruning="end=$masks" cost=$batches
  [[ $1 != *-half-batches ]] || cost=$((batches / 2))
  case $1 in
    espnet* | dense-pruned) pruning=interval=0 cost=$updates ;;
    undistilled) weight=0 ;;
    dense-first) taught_after=0 ;;
    alternate | alternate-double) turns=alternate weight=0 ;;
    alternate-taught | rnnt-alternate) turns=alternate ;;
    more-distillation) weight=0.5 ;;
    fixed-masks) pruning=interval=0 ;;
  esac
  case $1 in
    alternate* | rnnt-alternate | half-batches) ;; # a pass of one branch an update, or of both with half a batch
    *) [[ $branches != both ]] || cost=$((2 * cost)) ;;
  esac
  training="--max_epoch 10 --num_iters_per_epoch $((batches / 10)) --optim_conf lr=$rate --scheduler_conf max_lr=$rate\
 --branch_conf schedule=$turns$(only "$branches")"
  # The RNN-T goes on with the masks as they are, and does not distil.
  [[ $1 == rnnt-* ]] || training+=" --pruning_conf $pruning --model_conf distill_weight=$weight\
 --model_conf distill_after=$taught_after"
  [[ $1 != *half-batches ]] || training+=" --batch_bins $(half_of_batch)"
  [[ $1 == dense-pruned ]] || training+=$(random_start "$1")
}

# half_of_batch: prints half of the batch size of $asr_config, which is in feature frames of 10 ms.
half_of_batch() {
  local whole
  whole=$(sed -nE 's/^batch_bins: *([0-9]+).*/\1/p' "$asr_config")
  [[ -n $whole ]] || die "$asr_config has no batch_bins, which half-batches halves: leave that row out of --rows"
  echo $((whole / 2))
}

# random_start ROW: prints the option of a row whose CTC training starts from random weights.
random_start() {
  case $1 in
    espnet* | scratch) ;;
    rnnt-*) return 0 ;;
    *) ((pretrain_updates == 0)) || return 0 ;;
  esac
  ((flat_start == 0)) || echo " --model_conf flat_start=$flat_start"
}

# only BRANCHES: prints the option that trains these alone.
only() {
  case $1 in
    dense) echo " --branch_conf sparse=0" ;;
    sparse) echo " --branch_conf dense=0" ;;
  esac
}

# recipe WORD...: the recipe for one experiment of this study.
recipe() {
  ./run.sh --work-dir "$work" --seed "$seed" --ngpu "$ngpu" --jobs 1 --pretrain-config "$pretrain_config" "$@"
}

# once TAG COMMAND...: runs it unless another job is at it, for which it waits.
once() {
  local tag=$1
  shift
  (
    flock 5
    "$@" 5>&- # what it starts must not hold the lock
  ) 5>>"$work/log/.wait_$tag"
}

# pretraining BRANCHES: stages 2 and 3 for the rows that train these.
pretraining() {
  local temperature
  # From 1 to 0.5 in two thirds of the batches, as the YAML has it for its own number.
  temperature=$(awk -v n="$pretrain_updates" 'BEGIN {printf "%.6f", exp(1.5 * log(0.5) / n)}')
  recipe --stage 2 --stop-stage 3 --tag "pre-$1_$seed" --pretrain-args "--max_epoch 8 --num_iters_per_epoch $((pretrain_updates / 8)) \
--pruning_conf begin=$((pretrain_updates / 12)) --pruning_conf end=$((pretrain_updates / 2)) \
--model_conf temperature=[1.0,0.5,$temperature]$(only "$1")"
}

# job_of ROW RATE SEED: run_of, unless it is done; where another job is at it, waits for that.
job_of() { once "$1_$2_$3" unless_done "$@"; }

unless_done() {
  if ! done_already "$1_$2_$3"; then run_of "$@"; fi
}

# run_of ROW RATE SEED: one training with its decodings and results, and before it what it starts from.
run_of() {
  local row=$1 rate=$2 seed=$3 branches training decoders cost config=$asr_config before half on
  settings_of "$row"
  local start=(--stage 4 --from-scratch)
  case $row in
    espnet*)
      reference "${row}_${rate}_$seed"
      return
      ;;
    scratch) ;;
    rnnt-*)
      on=${row#rnnt-} config=$rnnt_config
      on=${on#after-}
      before=${on}_${rate}_$seed
      job_of "$on" "$rate" "$seed"
      start=(--stage 3 --prune-asr "$before")
      ;;
    dense-first)
      before=dense-alone_${rate}_$seed
      job_of dense-alone "$rate" "$seed"
      start=(--stage 3 --prune-asr "$before")
      ;;
    dense-pruned)
      before=half_${rate}_$seed half=${training/"$(only sparse)"/"$(only dense)"}$(random_start "$row")
      begin_with dense
      once "$before" recipe "${start[@]}" --stop-stage 4 --tag "$before" --asr-config "$config" --asr-args "$half"
      start=(--stage 3 --prune-asr "$before")
      ;;
    *) begin_with "$branches" ;;
  esac
  recipe "${start[@]}" --tag "${row}_${rate}_$seed" --asr-config "$config" --asr-args "$training" --decode-configs "$decoders"
}

# begin_with BRANCHES: sets $start to the pre-training of these, made if need be.
begin_with() {
  ((pretrain_updates)) || return 0
  once "pre-$1_$seed" pretraining "$1"
  start=(--stage 4 --prune-tag "pre-$1_$seed")
}

# reference TAG: the same for ESPnet's Conformer, which goes on where it was stopped, too.
reference() {
  local out=$work/exp/asr_$1 words
  split_words words "$training"
  python studies/reference.py train --config "$asr_config" --encoder-from "$pretrain_config" --train "$work/dump/train" \
    --valid "$work/dump/valid" --tokens "$work/data/token_list" --cmvn "$work/data/cmvn.json" --out "$out" --seed "$seed" \
    --ngpu "$ngpu" "${words[@]}"
  python studies/reference.py decode --model "$out" --data "$work/dump/test" --out "$out/decode_dense_test"
  python -m dualmode.bin.report --exp "$out" --data-dir "$work/dump" --subsets-dir "$work/data" --title "ESPnet's Conformer"
}

# done_already TAG: whether its results are there, and newer than the configurations.
done_already() {
  local results=$work/exp/asr_$1/results.json file
  local files=("$asr_config" "$pretrain_config" ../../conf/tuning/prune.yaml ../../conf/decode_{dense,sparse}.yaml)
  [[ $1 != rnnt-* ]] || files+=("$rnnt_config")
  [[ -f $results ]] || return 1
  for file in "${files[@]}"; do [[ $results -nt $file ]] || return 1; done
}

# leave_out_scratch ARRAY: takes that row out, which is supernet itself where nothing is pre-trained.
leave_out_scratch() {
  local -n from=$1
  split_words "$1" "${from[*]/#scratch/}"
}

# keep_settings: stops if the work folder holds another study.
keep_settings() {
  local now kept=$work/twins.settings
  now="updates $updates, pretrain-updates $pretrain_updates, asr-config $asr_config, pretrain-config $pretrain_config, \
rnnt-config $rnnt_config, small ${small:-no}"
  ((flat_start == 0)) || now+=", flat-start $flat_start"
  if [[ -f $kept && $(<"$kept") != "$now" ]]; then
    die "$work has a study with $(<"$kept"); now it is $now: use another --work-dir"
  fi
  printf '%s\n' "$now" >"$kept"
}

# tables: twins.md and remedies.md with their figures, of all runs that are done.
tables() {
  local all=("${first[@]}" "${later[@]}") row
  ((pretrain_updates)) || leave_out_scratch all
  tables_of twins planned.yaml "${all[@]}" || return
  for row in "${remedies[@]}"; do
    if compgen -G "$work/exp/asr_${row}_*/results.json" >/dev/null; then
      tables_of remedies remedies.yaml supernet dense-double sparse-double rnnt-supernet "${remedies[@]}"
      return
    fi
  done
}

# show_tables: prints those that there are; of some rows alone it is one of the two.
show_tables() {
  local name found=''
  for name in twins remedies; do
    [[ ! -f $work/$name.md ]] || { cat "$work/$name.md" && found=true; }
  done
  [[ -n $found ]] || die "no training is done yet in $work"
}

# tables_of NAME PLAN ROW...: NAME.md with its figures in $work.
tables_of() {
  local name=$1 plan=$2 words
  shift 2
  python studies/choose.py --exp "$work/exp" --rows "$@" --settings "$(<"$work/twins.settings")" \
    --out "$work/$name" >"$work/$name.rows" || return
  mapfile -t words <"$work/$name.rows"
  ((${#words[@]})) || return 0
  python -m dualmode.bin.compare "${words[@]}" --bootstrap "$resamples" --data-dir "$work/dump" --subsets-dir "$work/data" \
    --planned "studies/$plan" --out "$work/${name}_intervals.md" --json "$work/$name.json" --plot "$work/$name.png" \
    >/dev/null || return
  cat "$work/${name}_rates.md" <(echo) "$work/${name}_intervals.md" >"$work/$name.md.tmp"
  mv "$work/$name.md.tmp" "$work/$name.md"
}

main() {
  local row rate seed group of branches training decoders cost
  parse_options "$@"
  for row in jobs updates; do whole_number "$row" 1; done
  whole_number resamples 2000 # below that, no line of remedies.yaml, which has 28, could stand after Holm's correction
  for row in ngpu pretrain-updates flat-start; do whole_number "$row" 0; done
  ((updates % 20 == 0)) || die "--updates is $updates: it must be a multiple of 20"
  ((pretrain_updates % 24 == 0)) || die "--pretrain-updates is $pretrain_updates: it must be a multiple of 24"
  split_words rows "$rows"
  split_words seeds "$seeds"
  split_words rates "$rates"
  [[ -z $work_dir || $work_dir == /* ]] || work_dir=$caller_dir/$work_dir
  [[ -z $speechocean_dir || $speechocean_dir == /* ]] || speechocean_dir=$caller_dir/$speechocean_dir
  work=$(realpath -m "${work_dir:-.}")
  [[ $work != *[[:space:]]* ]] || die "there is a blank in $work, at which lists of configurations are cut: name another --work-dir"
  conf=$work/exp/study_conf # not $work/conf: that of the corpus's folder goes before the repository's, in every run
  for row in asr_config pretrain_config rnnt_config; do
    [[ -f ${!row} || ! -f $caller_dir/${!row} ]] || printf -v "$row" %s "$caller_dir/${!row}"
    [[ -f ${!row} ]] || die "there is no file ${!row} (looked in $PWD and $caller_dir)"
  done
  for row in "${rows[@]}"; do rate=${rates[0]} settings_of "$row"; done
  ((pretrain_updates)) || leave_out_scratch rows

  [[ -n ${DUALMODE_VENV:-} ]] || bash ../../tools/setup.sh
  export DUALMODE_VENV=${DUALMODE_VENV:-$(realpath ../../tools/venv)}
  export PATH=$DUALMODE_VENV/bin:$PATH OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
  PYTHONPATH=$(realpath ../..):$(realpath ../../runtime)
  export PYTHONPATH
  mkdir -p "$work/log" "$conf"
  lock "$work/.twins.lock"
  keep_settings
  for row in dense sparse; do
    sed "s/^batch_size:.*/batch_size: 16/" "../../conf/decode_$row.yaml" >"$conf/decode_$row.yaml"
  done
  if [[ $tables == true ]]; then
    tables
    show_tables
    return
  fi

  renice -n 19 $$ >/dev/null
  ./run.sh --work-dir "$work" --stop-stage 1 --jobs "$jobs" ${speechocean_dir:+--speechocean-dir "$speechocean_dir"} \
    ${small:+--small "$small" --max-rejected 50}
  # What is compared first comes first: all rows at one rate and seed.
  for group in first later; do
    for rate in "${rates[@]}"; do
      for seed in "${seeds[@]}"; do
        for row in "${rows[@]}"; do
          [[ " ${first[*]} " == *" $row "* ]] && of=first || of=later
          [[ $of == "$group" ]] || continue
          settings_of "$row"
          if done_already "${row}_${rate}_$seed"; then skip_job; else add_job "$cost" job_of "$row" "$rate" "$seed"; fi
        done
      done
    done
  done
  run_queue "$jobs" "$work/log" tables
  show_tables
}

main "$@"
