"""Corpora as people have them, read into the Kaldi folders of a recipe; see :mod:`dualmode.data.corpus.importing`."""
