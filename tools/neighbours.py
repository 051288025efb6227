"""Use this package and other toolkits in one process: each must work as it does alone.

    python tools/neighbours.py WORK_DIR --first neighbours|dualmode

WORK_DIR is that of a finished run of egs/mini. The toolkits are given nothing but its recordings: their models have
random weights, so that nothing is fetched.
"""

import argparse
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

WIDTH = 32  # of the random models


def import_neighbours() -> None:
    import lhotse  # noqa: F401
    import speechbrain  # noqa: F401
    import transformers  # noqa: F401
    from speechbrain.lobes.features import Fbank  # noqa: F401
    from transformers import Wav2Vec2Model  # noqa: F401


def import_dualmode() -> None:
    """Import both trainings, and with them what is replaced in ESPnet."""
    import dualmode.tasks.asr  # noqa: F401
    import dualmode.tasks.pretrain  # noqa: F401
    from dualmode import Recognizer  # noqa: F401


def use_transformers(samples: np.ndarray) -> None:
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    sizes = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": WIDTH}
    model = Wav2Vec2Model(Wav2Vec2Config(hidden_size=WIDTH, **sizes)).eval()
    with torch.inference_mode():
        frames = model(torch.tensor(samples)[None]).last_hidden_state
    assert frames.shape[0] == 1 and frames.shape[2] == WIDTH and frames.isfinite().all(), frames.shape


def use_speechbrain(samples: np.ndarray) -> None:
    import torch
    from speechbrain.lobes.features import Fbank

    features = Fbank(n_mels=80)(torch.tensor(samples)[None])
    assert features.shape[2] == 80 and abs(features.shape[1] - len(samples) / 160) < 2, features.shape


def use_lhotse(wav: Path, text: str) -> None:
    """Have lhotse write a cut, and this package import it."""
    from lhotse import CutSet, MonoCut, Recording, SupervisionSegment

    from dualmode.bin.import_data import main

    recording = Recording.from_file(wav)
    said = SupervisionSegment("one", recording.id, 0.0, recording.duration, text=text, speaker="anna")
    cut = MonoCut("one", 0.0, recording.duration, 0, [said], recording=recording)
    with tempfile.TemporaryDirectory() as folder:
        cuts, out = Path(folder, "cuts.jsonl"), Path(folder, "corpus")
        CutSet.from_cuts([cut]).to_file(str(cuts))
        main(["--out", str(out), "--valid-share", "0", "--test-share", "0", f"train={cuts}"])
        assert (out / "data/train/text").read_text(encoding="utf-8").rstrip("\n").endswith(f" {text}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work_dir", type=Path)
    parser.add_argument("--first", choices=["neighbours", "dualmode"], required=True, help="who is imported first")
    args = parser.parse_args()
    imports = [import_neighbours, import_dualmode]
    for one in imports if args.first == "neighbours" else reversed(imports):
        one()
    import soundfile

    from dualmode import Recognizer

    data = args.work_dir / "data" / "test"
    wav = Path((data / "wav.scp").read_text(encoding="utf-8").splitlines()[0].split(" ", 1)[1])
    text = (data / "text").read_text(encoding="utf-8").splitlines()[0].split(" ", 1)[1]
    samples, rate = soundfile.read(wav, dtype="float32")
    use_transformers(samples)
    use_speechbrain(samples)
    use_lhotse(wav, text)
    for subnet in ("dense", "sparse"):
        Recognizer.from_pretrained(args.work_dir / "exp" / "asr_base", subnet=subnet).transcribe(samples, rate)
    use_transformers(samples)
    names = ", ".join(f"{name} {version(name)}" for name in ("transformers", "speechbrain", "lhotse"))
    print(f"neighbours: {args.first} first: works beside {names}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
