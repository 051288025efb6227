"""RNN-T (Graves 2012): predictor, joiner, the lattice of an utterance, and the loss over it."""
