#!/usr/bin/env bash
# The whole recipe on sentences by many people; see --help.
# shellcheck disable=SC2154  # options set variables
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this

# shellcheck source=egs/common/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

about="The whole recipe on speechocean762: English sentences read by 250 speakers of Mandarin, half of them children, with the \
corpus's own split: nobody in the test set is heard in training. Less than 3 h to train on, so error rates are high; what can \
be compared are sub-networks and settings. Results are also broken down by age, and by whether the sentence occurs in training."
title="speechocean762: sentences by unseen speakers"
notes=("Trained on less than 3 h of non-native speech unless more was given: figures to compare settings by, not what the method can do.")
test_sets=(test)
token_type=char vocab_size='' speeds=0.9,1.0,1.1
needed_gb=4
places=(speechocean-dir)

own_options() {
  option speechocean-dir DIR "" "the corpus's folder, relative to yours (default: cloned from its home on GitHub, about 700 MB; \
OpenSLR 101 has the same)"
  option more-speech DIRS "" "more speech for training, separated by spaces: Kaldi folders, or parts of LibriSpeech; what has no \
transcripts is for pre-training only"
  option split-seed N 1 "which 10 speakers are held from training to choose the best epoch by"
  option small N "" "only N utterances in every set: to see whether everything runs, not to recognise anything"
}

own_checks() {
  local i name
  speechocean_dir=$(one_spelling "$speechocean_dir")
  split_words more "$more_speech"
  for i in "${!more[@]}"; do
    more[i]=$(one_spelling "${more[i]}")
    [[ -d ${more[i]} ]] || die "there is no folder ${more[i]} (--more-speech)"
    # As local/prepare.py names it, should it have utterances without transcripts.
    name=$(basename "$(cd "${more[i]}" && pwd -P)")
    name=more_${name//[^A-Za-z0-9_]/_}
    [[ " ${pool_sets[*]} " != *" $name "* ]] ||
      die "two folders of --more-speech end alike, and one set, $name, would be the other: rename one, or name it by a link"
    pool_sets+=("$name")
  done
}

prepare_data() {
  [[ -z $speechocean_dir || -d $speechocean_dir ]] || die "there is no folder $speechocean_dir (--speechocean-dir)"
  prepare_command=(python local/prepare.py --out "${work_dir:-.}" ${speechocean_dir:+--speechocean-dir "$speechocean_dir"}
    --seed "$split_seed" ${small:+--small "$small"})
  ((${#more[@]} == 0)) || prepare_command+=(--more-speech "${more[@]}")
}

own_notes() {
  note_commit "${speechocean_dir:-${work}downloads/speechocean762}"
}

recipe "$@"
