"""One set of weights, many sub-networks: which weights run (masks) and what they see (context)."""
