#!/usr/bin/env bash
# The whole recipe on connected digits by real people; see --help.
# shellcheck disable=SC2154  # options set variables
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this

# shellcheck source=egs/common/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

about="The whole recipe on the Free Spoken Digit Dataset: real recordings of six people, joined to strings of 3 to 7 digits. \
One speaker is left out of training altogether and is a test set of its own."
title="fsdd: connected digits by real speakers"
notes=("Strings of 3 to 7 recorded digits of one speaker, with pauses put in between; 10 words, five speakers in training.")
test_sets=(test test_unseen_speaker)
token_type=word vocab_size='' speeds=0.9,1.0,1.1
needed_gb=2
places=(fsdd-dir)

own_options() {
  option fsdd-dir DIR "" "the data set's folder, relative to yours (default: cloned from its home on GitHub, about 30 MB)"
  option held-out-speaker NAME theo "speaker who is left out of training, and is test_unseen_speaker"
  option small N "" "only N utterances in every set: to see whether everything runs, not to recognise anything"
}

own_checks() {
  fsdd_dir=$(one_spelling "$fsdd_dir")
}

prepare_data() {
  [[ -z $fsdd_dir || -d $fsdd_dir ]] || die "there is no folder $fsdd_dir (--fsdd-dir)"
  prepare_command=(python local/prepare.py --out "${work_dir:-.}" ${fsdd_dir:+--fsdd-dir "$fsdd_dir"}
    --held-out-speaker "$held_out_speaker" ${small:+--small "$small"})
}

own_notes() {
  note_commit "${fsdd_dir:-${work}downloads/free-spoken-digit-dataset}"
}

recipe "$@"
