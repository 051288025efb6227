#!/usr/bin/env bash
# The whole recipe on LibriSpeech; see --help.
# shellcheck disable=SC2154  # options set variables
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this

# shellcheck source=egs/common/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

about="The whole recipe on LibriSpeech, 960 h of read English, and on unlabelled speech as well if you have some (parts of \
Libri-light, or of LibriSpeech without their transcripts). Sizes are under conf/tuning: small, base and large; conf/tiny is \
there to see in minutes whether everything runs. Features take 115 MB an hour and speed: 331 GB for 960 h at three speeds."
title="librispeech"
notes=()
validation=() # headers only; making the features decodes everything, and lists what cannot be decoded
config_suffix=_base
token_type=bpe vocab_size=1000 speeds=0.9,1.0,1.1
needed_gb=2 # beside archives and features, whose commands look at the disk themselves
places=(librispeech-dir mirror)

# Utterances of each part that is decoded; fewer are no LibriSpeech.
declare -A part_utterances=([dev-clean]=2703 [dev-other]=2864 [test-clean]=2620 [test-other]=2939 [dev-clean-2]=1089)

own_options() {
  flag mini "Mini LibriSpeech of OpenSLR 31 instead (460 MB, 5 h to train on, 2 h to test on), at the size of two cores: a \
first training on real sentences; other options given win"
  option librispeech-dir DIR "" "folder that holds the parts, or its parent, relative to yours (default: the parts asked \
for are downloaded from OpenSLR)"
  option mirror URL https://www.openslr.org/resources/12 "where the parts are downloaded from"
  option train-parts PARTS "" "separated by spaces (default: train-clean-100, train-clean-360 and train-other-500, or those \
of them that --librispeech-dir holds); parts without transcripts are for pre-training only"
  option valid-parts PARTS "" "to choose the best epoch by (default: dev-clean and dev-other, or ...)"
  option test-parts PARTS "" "to decode (default: test-clean and test-other, or ...)"
  option unlabelled-parts PARTS "" "more speech for pre-training, without its transcripts if it has any; a part with a \
slash is a folder of its own, such as /data/librilight/small, cut to at most 40 s (Libri-light has cut_by_vad.py for that)"
}

# parts_there ROLE PART...: prints the parts that are there, or all of them if they are to be downloaded.
parts_there() {
  local role=$1 part there=()
  shift
  for part in "$@"; do [[ -n $librispeech_dir && ! -d $librispeech_dir/$part ]] || there+=("$part"); done
  ((${#there[@]})) || die "$librispeech_dir holds none of $*: name its parts with --$role-parts"
  echo "${there[*]}"
}

# check_parts ROLE PART...: stops if a part is not there.
check_parts() {
  local role=$1 part
  shift
  for part in "$@"; do
    [[ $part == /* ]] || part=${librispeech_dir:+$librispeech_dir/$part}
    [[ -z $part || -d $part ]] || die "there is no folder $part (--$role-parts)"
  done
}

# set_mini: what --mini sets where the user has not.
set_mini() {
  train_parts=${train_parts:-train-clean-5} valid_parts=${valid_parts:-dev-clean-2} test_parts=${test_parts:-dev-clean-2}
  [[ -n ${option_given[token-type]:-}${option_given[vocab-size]:-} ]] || token_type=char vocab_size=''
  [[ -n ${option_given[pretrain-config]:-} ]] || pretrain_config=conf/tuning/pretrain_mini.yaml
  [[ -n ${option_given[asr-config]:-} || -n $init_asr ]] || asr_config=conf/tuning/asr_mini.yaml
  ((${#sizes_from[@]} == 0)) || sizes_from=(--encoder-from "$pretrain_config")
}

own_checks() {
  local i train valid test
  [[ $mini != true ]] || set_mini
  if [[ -n $librispeech_dir ]]; then
    librispeech_dir=$(one_spelling "$librispeech_dir")
    [[ ! -d $librispeech_dir/LibriSpeech ]] || librispeech_dir+=/LibriSpeech
    [[ -d $librispeech_dir ]] || die "there is no folder $librispeech_dir (--librispeech-dir)"
  fi
  train_parts=${train_parts:-$(parts_there train train-clean-100 train-clean-360 train-other-500)}
  valid_parts=${valid_parts:-$(parts_there valid dev-clean dev-other)}
  test_parts=${test_parts:-$(parts_there test test-clean test-other)}
  split_words train "$train_parts"
  split_words valid "$valid_parts"
  split_words test "$test_parts"
  split_words unlabelled "$unlabelled_parts"
  for i in "${!unlabelled[@]}"; do
    [[ ${unlabelled[i]} != */* ]] || unlabelled[i]=$(one_spelling "${unlabelled[i]}")
  done
  check_parts train "${train[@]}"
  check_parts valid "${valid[@]}"
  check_parts test "${test[@]}"
  check_parts unlabelled "${unlabelled[@]}"
  test_sets=("${test[@]##*/}") # as local/prepare.py names them
  test_sets=("${test_sets[@]//-/_}")
  pool_sets=("${train[@]}" "${unlabelled[@]##*/}")
  pool_sets=("${pool_sets[@]//-/_}")
}

prepare_data() {
  local words
  split_words words "--train-parts $train_parts --valid-parts $valid_parts --test-parts $test_parts"
  ((${#unlabelled[@]} == 0)) || words+=(--unlabelled-parts "${unlabelled[@]}")
  prepare_command=(python local/prepare.py --out "${work_dir:-.}" "${words[@]}" --mirror "$mirror"
    ${librispeech_dir:+--librispeech-dir "$librispeech_dir"})
}

own_notes() {
  local part there train
  split_words train "$train_parts"
  for part in $test_parts; do
    [[ -f $data/${part//-/_}/utt2spk ]] || continue # a dry run, of which the data are not there
    there=$(wc -l <"$data/${part//-/_}/utt2spk")
    if [[ " $valid_parts " == *" $part "* ]]; then
      notes+=("$part also chose the epoch: its figures are a little better than those of speech that chose nothing.")
    fi
    if [[ " ${train[*]} " == *" $part "* ]]; then
      notes+=("PLUMBING CHECK: $part was trained on; its figures say nothing about accuracy.")
    elif ((there < ${part_utterances[$part]:-0})); then
      notes+=("PLUMBING CHECK: $part has $there of its ${part_utterances[$part]} utterances; this is no LibriSpeech result.")
    fi
  done
}

recipe "$@"
