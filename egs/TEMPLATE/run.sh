#!/usr/bin/env bash
# The whole recipe on a corpus that dualmode import-data can read; see --help.  dualmode new-recipe NAME copies this folder.
# shellcheck disable=SC2154  # options set variables
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this

# shellcheck source=egs/common/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

about="The whole recipe on ${corpus_dir##*/}. Stage 0 imports the corpus: a manifest of JSON lines, CSV or TSV, Common Voice, an \
audiofolder, a Kaldi folder or lhotse's cuts (dualmode import-data --help)."
title=${corpus_dir##*/}
notes=()
test_sets=(test)
token_type=char vocab_size='' speeds=0.9,1.0,1.1
needed_gb=2
places=(source)

own_options() {
  option source SOURCES "" "what to import, relative to your folder, separated by spaces: PATH, or SET=PATH for a set of its own"
  option import-args WORDS "" "more options of dualmode import-data, such as \"--text-rule plain --columns audio=wav\"; \
paths in them are absolute, or as seen from this script's folder"
  option decode-sets SETS test "sets to decode, separated by spaces, if the corpus has others"
}

own_checks() {
  local i path set hint='' words model models=()
  split_words test_sets "$decode_sets"
  split_words sources "$source"
  ((${#test_sets[@]})) || die "--decode-sets names no set: what is to be decoded?"
  ((stage > 0 || ${#sources[@]})) || [[ $clean_old == true ]] || die "--source names no corpus: what is to be imported? (see dualmode import-data --help)"
  prepare_inputs=()
  for i in "${!sources[@]}"; do
    set='' # SET= in front, but where a path has the sign
    [[ ${sources[i]} != *=* ]] || (cd "$caller_dir" && [[ -e ${sources[i]} ]]) || set=${sources[i]%%=*}=
    path=$(one_spelling "${sources[i]#"$set"}")
    sources[i]=$set$path
    ((${#sources[@]} == 1)) || hint="; spaces part sources: a path with a space in it needs a link without"
    [[ -e $path ]] || die "there is no $path (--source$hint)"
    # What is imported anew when it changes: the lists, not the audio.
    if [[ -f $path ]]; then prepare_inputs+=("$path"); else
      for path in "$path"/{wav.scp,segments,text,utt2spk,{train,dev,test}.tsv,metadata.{csv,jsonl}} "$path"/*/metadata.{csv,jsonl}; do
        [[ ! -f $path ]] || prepare_inputs+=("$path")
      done
    fi
  done
  # What a model cannot spell is left out, so its tokens decide over the lists, too.
  [[ -z $init_asr || $new_tokens == true ]] || models+=("$init_asr")
  split_words words "$import_args"
  for i in "${!words[@]}"; do
    case ${words[i]} in
      --tokens) models+=("${words[i + 1]:-}") ;;
      --tokens=*) models+=("${words[i]#*=}") ;;
    esac
  done
  for model in "${models[@]}"; do
    for path in "$model"{,/tokens}/{tokens.txt,tokens.json,bpe.model}; do
      [[ ! -f $path ]] || prepare_inputs+=("$path")
    done
  done
}

prepare_data() {
  local words
  split_words words "$import_args"
  prepare_command=(python -m dualmode.bin.import_data "${sources[@]}" --out "${work_dir:-.}" --max-rejected "$max_rejected")
  # What the model cannot spell is said before any audio is read.
  [[ -z $init_asr || $new_tokens == true ]] || prepare_command+=(--tokens "$init_asr/tokens")
  prepare_command+=("${words[@]}")
}

own_config_checks() {
  prepare_data
  run_logged check_import "${prepare_command[@]}" --check-options
}

recipe "$@"
