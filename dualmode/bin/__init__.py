"""One command a file: ``python -m dualmode.bin.NAME --help``."""
