"""The supernet encoder: a Conformer whose masked parallel pass and chunk-by-chunk pass are the same function."""
