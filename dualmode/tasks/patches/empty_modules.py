"""Empty modules for text-to-speech.

What ESPnet does: its tasks for text import espnet2.text, which imports ``g2p_en`` and ``tacotron_cleaner``.
Why that is wrong for us: nothing here uses them, and g2p_en downloads language data while it is imported.
What ours does: an empty module takes the place of each that is not loaded already.
"""

import sys
import types
from importlib.machinery import ModuleSpec

NAMES = ("g2p_en", "tacotron_cleaner", "tacotron_cleaner.cleaners")


def stand_in() -> None:
    for name in NAMES:
        if name not in sys.modules:
            module = types.ModuleType(name)
            # Libraries that look for optional ones, such as transformers, ask for this.
            module.__spec__ = ModuleSpec(name, loader=None, origin="stand-in of dualmode")
            sys.modules[name] = module
