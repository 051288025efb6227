"""The benchmark of confidence: areas by hand and by counting pairs, on a model that is there."""

import argparse

import numpy as np
import pytest
import soundfile

from dualmode.bench.confidence import MEASURES, auc, measure
from dualmode.data.kaldi_dir import write_kaldi_dir
from dualmode.recognizer import Recognizer


def test_the_area_is_the_share_of_pairs_in_order():
    random = np.random.default_rng(0)
    values, right = random.integers(0, 9, 60) / 9, random.random(60) < 0.7
    pairs = [(a > b) + 0.5 * (a == b) for a in values[right] for b in values[~right]]
    assert auc(values, right) == pytest.approx(np.mean(pairs))


def test_a_set_gives_a_row_for_each_sub_network(model_dir, noise, tmp_path):
    paths, texts, recognizer = {}, {}, Recognizer.from_pretrained(model_dir, "dense")
    for number in range(3):
        paths[f"u{number}"] = tmp_path / f"{number}.wav"
        soundfile.write(paths[f"u{number}"], noise(2, number), 16000, subtype="FLOAT")
        text = recognizer.transcribe(paths[f"u{number}"]).text
        texts[f"u{number}"] = "z" if number else text  # of the first one every word is right, of the others none
    write_kaldi_dir(tmp_path / "set", paths, dict.fromkeys(paths, "s"), texts)
    args = argparse.Namespace(model=model_dir, data=[tmp_path / "set"], subnet=["dense"], utterances=2)
    [row] = measure(args)
    assert row["subnet"] == "dense" and 0 < row["right_percent"] < 100
    assert all(0 <= row[f"auc_{name}"] <= 1 for name in MEASURES)
