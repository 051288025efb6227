"""From a Kaldi folder of audio to features and tokens.  Nothing in here needs torch or ESPnet."""
