"""Thin glue to ESPnet: its trainer, YAML, checkpoints and launcher run our models."""

import sys
import types

# ESPnet imports these for text-to-speech, and g2p_en downloads language data while it is imported.  Nothing here uses
# them, so an empty module takes the place of each that is not loaded already.
for _name in ("g2p_en", "tacotron_cleaner", "tacotron_cleaner.cleaners"):
    sys.modules.setdefault(_name, types.ModuleType(_name))
