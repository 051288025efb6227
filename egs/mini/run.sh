#!/usr/bin/env bash
# The whole recipe on a synthetic corpus that is made on the spot; see --help.
# shellcheck disable=SC2154  # options set variables
[ -n "${BASH_VERSION:-}" ] || exec bash "$0" "$@" # sh cannot read this

# shellcheck source=egs/common/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../common/recipe.sh"

about="The whole recipe on about 1.2 h of SYNTHETIC speech: home-control sentences spoken by espeak-ng, in minutes on 2 \
cores and without a GPU. It shows that everything works; its error rates say nothing about accuracy on people."
title="mini: synthetic home-control sentences"
notes=("The speech is synthetic (espeak-ng). These figures say nothing about accuracy on people.")
test_sets=(test test_unseen_voices)
token_type=char vocab_size='' speeds=0.9,1.0,1.1
needed_gb=2
places=()

own_options() {
  option train-hours H 1.2 "size of the training set before speed perturbation, hours, about"
  option small N "" "only N utterances in every set: to see whether everything runs, not to recognise anything"
}

prepare_data() {
  prepare_command=(python local/prepare.py --out "${work_dir:-.}" --train-hours "$train_hours" ${small:+--small "$small"})
}

recipe "$@"
