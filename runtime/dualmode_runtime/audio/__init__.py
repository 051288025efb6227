"""Audio files: what is in them, whether they are whole, and their samples at 16 kHz."""
