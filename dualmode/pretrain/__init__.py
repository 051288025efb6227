"""wav2vec 2.0 pre-training of the supernet: masked frames are told from distractors, by both branches."""
