# shellcheck shell=bash disable=SC2034  # the studies use them
# What the studies train: options for ESPnet's trainer, in pre-training and in fine-tuning.

# Smaller than the recipe's model, 0.9 million parameters instead of 3.1: with little to spare, what a mask takes away is
# missed, so that methods differ by more than their seeds do; and it trains two and a half times as fast.
small="--encoder_conf output_size=96 --encoder_conf num_blocks=4 --encoder_conf linear_units=384
  --encoder_conf subsampling_channels=32"

# Both branches with all weights.  Studies start from a pre-training without pruning, which favours no granularity.
nothing=0.000001 # as a sparsity: its mask keeps every weight
unpruned="$small --encoder_conf sparsities=[$nothing] --pruning_conf interval=0"
