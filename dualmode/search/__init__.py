"""From the encoder's output to tokens and words: greedy and beam searches, language models, hotwords."""
