#!/usr/bin/env bash
# What do a granularity and a schedule of the masks cost where transcripts are few?  The study of
# egs/fsdd/studies/granularity.sh on mini, with a tenth of the transcripts, drawn by the seed.
#   SEEDS="0 1 2" ROWS="..." WORK_DIR=DIR egs/mini/studies/granularity.sh [OPTIONS OF run.sh]
# Leaves what that one leaves.
set -euo pipefail
export CORPUS=mini UNPRUNED="--max_epoch 5"
# shellcheck source=egs/fsdd/studies/granularity.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../fsdd/studies/granularity.sh" --label-share 10 "$@" # --help tells of both
