"""Model folders: what a training, a pruning or a packing leaves, opened as one object."""
