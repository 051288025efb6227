# shellcheck shell=bash disable=SC2034,SC2154  # the studies use what is set here, and set the rest
# What the studies of pruning share: the model that they train, and where its runs are.

export LC_ALL=C.UTF-8 # numbers have points

# shellcheck source=egs/common/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

seeds=() rows=()
usual_seeds="0 1 2"

# begin_study ROWS WORD...: sets $seeds, $rows, $work, $exp and $conf, as the variables SEEDS, ROWS and WORK_DIR say; stops
# on a row that settings_of, of the study, does not know.  Where one of the words, the options for run.sh, asks for help, it
# is of the study.  Uses $caller_dir.
begin_study() {
  local word
  for word in "${@:2}"; do
    [[ $word != --help && $word != -h ]] || { about_study "$1"; exit 0; }
  done
  split_words seeds "${SEEDS:-$usual_seeds}"
  split_words rows "${ROWS:-$1}"
  work=${WORK_DIR:-.}
  [[ -z ${WORK_DIR:-} || $work == /* ]] || work=$caller_dir/$work
  work=$(realpath -m -- "$work")
  [[ $work != *[[:space:]]* ]] || die "there is a blank in $work, at which lists of configurations are cut: name another WORK_DIR"
  exp=$work/exp
  local row
  for row in "${rows[@]}"; do (settings_of "$row") || exit; done
  # Not in $work/conf: that of the corpus's folder goes before the repository's, in every run of the recipe.
  conf=$exp/study_conf
  local why
  why=$(mkdir -p -- "$conf" 2>&1) || die "cannot make the folder $conf (${why##*: }): name another WORK_DIR"
}

# about_study ROWS: prints what is said at the head of the scripts that led here, the outermost first, and the defaults.
about_study() {
  local i
  for ((i = ${#BASH_SOURCE[@]} - 1; i > 0; i--)); do
    [[ ${BASH_SOURCE[i]} != "${BASH_SOURCE[0]}" ]] || continue
    (cd "$caller_dir" && sed -n '2,/^[^#]/ s/^# \{0,1\}//p' "${BASH_SOURCE[i]}")
    echo
  done
  split_words rows "$1"
  printf '%s\n' "Defaults:" "  SEEDS=\"$usual_seeds\"" "  ROWS=\"${rows[*]}\"" "  WORK_DIR=$PWD"
}

# Options for ESPnet's trainer, in pre-training and in fine-tuning.  Smaller than the recipes' model, 0.9 million
# parameters instead of 3.1: with little to spare, what a mask takes away is missed, so that methods differ by more than
# their seeds do; and it trains two and a half times as fast.
small="--encoder_conf output_size=96 --encoder_conf num_blocks=4 --encoder_conf linear_units=384
  --encoder_conf subsampling_channels=32"

# Both branches with all weights.  Studies start from a pre-training without pruning, which favours no granularity.
nothing=0 # as a sparsity: the streaming branch has all weights too
unpruned="$small --encoder_conf sparsities=[$nothing] --pruning_conf interval=0"

# compare NAME [OPTION...]: WERs of the $rows, each over its $seeds: NAME.md, NAME.json and NAME.png in $exp.
compare() {
  local name=$1 row folders columns=()
  shift
  for row in "${rows[@]}"; do
    printf -v folders ",$exp/asr_${row}_%s" "${seeds[@]}"
    columns+=("$row=${folders#,}")
  done
  PYTHONPATH=../..:../../runtime "${DUALMODE_VENV:-../../tools/venv}/bin/python" -m dualmode.bin.compare "${columns[@]}" \
    --out "$exp/$name.md" --json "$exp/$name.json" --plot "$exp/$name.png" "$@"
}
