"""Audio files: what is in them, whether they are whole, and their samples at 16 kHz."""

# Decoders of lossy formats overshoot 1.0 by a little; samples that are still on the 16-bit integer scale overshoot it
# by four orders of magnitude.  Features depend on the scale, so only the first may pass.
MAX_PEAK = 4.0
