"""The recogniser: both branches learn the same transcripts, and the dense one teaches the sparse one."""
