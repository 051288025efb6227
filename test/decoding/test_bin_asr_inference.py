"""asr_inference from features and from audio."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dualmode.bin.asr_inference import main
from dualmode.bin.device_inference import main as on_device
from dualmode.bin.make_fbank import main as make_fbank
from dualmode.data.kaldi_dir import read_table, write_kaldi_dir
from dualmode.data.tokens import Tokenizer
from dualmode.decoding.distinct import distinct
from dualmode.errors import UserError
from dualmode.results.decodes import searched
from dualmode.search.hypothesis import Hypothesis

STREAMING = "sparsity: 0.7\nchunk_ms: 160\nleft_ms: 320\n"


def write_wav(path: Path, samples: np.ndarray) -> Path:
    soundfile.write(path, samples, 16000, subtype="PCM_16")
    return path


@pytest.fixture(scope="session")
def data(tmp_path_factory) -> Path:
    """Four recordings: noise of two lengths, silence, and noise that is clipped."""
    folder = tmp_path_factory.mktemp("data")
    noise = np.random.default_rng(0).standard_normal(16000)
    signals = {"a": 0.1 * noise, "b": 0.1 * noise[:7000], "clipped": (9 * noise).clip(-1, 1), "silent": np.zeros(9000)}
    paths = {name: write_wav(folder / f"{name}.wav", samples) for name, samples in signals.items()}
    write_kaldi_dir(folder / "test", paths, dict.fromkeys(paths, "s"))
    return folder / "test"


def decode(model_dir, data, out, settings=STREAMING) -> Path:
    out.mkdir(exist_ok=True)
    (out / "decode_x.yaml").write_text(settings)
    options = ["--config", out / "decode_x.yaml", "--model", model_dir, "--data", data, "--out", out]
    main([*map(str, options)])
    return out


def test_features_and_audio_give_the_same(model_dir, data, tmp_path):
    make_fbank(["--data", str(data), "--out", str(tmp_path / "dump")])
    from_audio = decode(model_dir, data, tmp_path / "a")
    from_features = decode(model_dir, tmp_path / "dump", tmp_path / "b")
    for name in ("text", "1best_recog/score", "1best_recog/token_ms"):
        assert (from_audio / name).read_text() == (from_features / name).read_text()
    assert list(read_table(from_audio / "text")) == ["a", "b", "clipped", "silent"]
    meta = json.loads((from_audio / "decode.json").read_text())
    assert (meta["utterances"], meta["beam_size"], meta["audio_s"]) == (4, 1, pytest.approx(3.0, abs=0.05))


def test_transcripts_do_not_replace_references(model_dir, data, tmp_path):
    shutil.copytree(data, tmp_path / "test")
    (tmp_path / "test/text").write_text("a as it was said\n")
    with pytest.raises(UserError, match=r"test holds data \(wav.scp\), and its text would be replaced: name another"):
        main(["--model", str(model_dir), "--data", str(tmp_path / "test"), "--out", str(tmp_path / "test")])
    with pytest.raises(UserError, match=r"test holds data"):
        on_device([str(model_dir), "--wav-scp", str(data / "wav.scp"), "--out", str(tmp_path / "test")])
    assert (tmp_path / "test/text").read_text() == "a as it was said\n"


def test_two_decoders_do_not_share_a_folder(model_dir, data, tmp_path):
    for name in ("decode.json", "device.json"):
        (tmp_path / name[:6]).mkdir()
        (tmp_path / name[:6] / name).touch()
    with pytest.raises(UserError, match=r"holds a decoding of another kind \(device.json\)"):
        main(["--model", str(model_dir), "--data", str(data), "--out", str(tmp_path / "device")])
    with pytest.raises(UserError, match=r"holds a decoding of another kind \(decode.json\)"):
        on_device([str(model_dir), "--wav-scp", str(data / "wav.scp"), "--out", str(tmp_path / "decode")])


def test_a_device_replaces_no_reference(data, tmp_path):
    (tmp_path / "m.dmdl").touch()
    (tmp_path / "dev").mkdir()
    reference = tmp_path / "dev/text"
    reference.write_text("a as it was said\n")
    (tmp_path / "link").symlink_to(reference)
    options = [str(tmp_path / "m.dmdl"), "--wav-scp", str(data / "wav.scp"), "--out", str(tmp_path / "dev")]
    for given in (reference, tmp_path / "link"):
        with pytest.raises(UserError, match="dev/text is read here, and --out would replace it: name another"):
            on_device([*options, "--reference", str(given)])
    assert reference.read_text() == "a as it was said\n"


def test_an_empty_reference_is_refused_before_decoding(data, tmp_path):
    for name in ("m.dmdl", "reference"):
        (tmp_path / name).touch()
    options = ["--wav-scp", str(data / "wav.scp"), "--out", str(tmp_path / "out")]
    with pytest.raises(UserError, match="reference is empty: give the text of dualmode decode, or no --reference"):
        on_device([str(tmp_path / "m.dmdl"), *options, "--reference", str(tmp_path / "reference")])


def test_options_stand_for_a_yaml_and_the_model_says_the_rest(model_dir, data, tmp_path):
    yaml = decode(model_dir, data, tmp_path / "a", STREAMING + "beam_size: 8\nhotwords: [abc, d]\n")
    phrases = tmp_path / "phrases"
    phrases.write_text("abc\n\nd\n")
    options = ["--data", str(data), "--hotwords", str(phrases), "--out", str(tmp_path / "b")]
    main([str(model_dir), *options])
    assert (yaml / "1best_recog/score").read_text() == (tmp_path / "b/1best_recog/score").read_text()
    meta, other = (json.loads((tmp_path / name / "decode.json").read_text()) for name in "ab")
    assert (meta["beam_size"], meta["lm"], meta["hotwords"], meta["hotword_boost"]) == (8, None, ["abc", "d"], 1.5)
    same = ("sparsity", "chunk_ms", "left_ms", "lookahead_ms", "beam_size", "batch_size", "precision")
    assert {key: meta[key] for key in same} == {key: other[key] for key in same}
    assert other["subnet"] == "sparse_beam8"  # one more decoding by options has another name
    main([str(model_dir), "--data", str(data), "--out", str(tmp_path / "d"), "--chunk-ms", "320", "--left-ms", "320"])
    assert json.loads((tmp_path / "d/decode.json").read_text())["subnet"] == "sparse_320ms_left320ms"
    with pytest.raises(UserError, match="either in .*decode_x.yaml or by options, not by both"):
        main([str(model_dir), *options, "--config", str(yaml / "decode_x.yaml")])
    with pytest.raises(UserError, match="--precision bf16 is for the full context"):
        main([str(model_dir), "--data", str(data), "--out", str(tmp_path / "c"), "--precision", "bf16"])
    phrases.write_text("\n")
    with pytest.raises(UserError, match="has no phrase"):
        main([str(model_dir), *options])


@pytest.mark.parametrize("settings", [STREAMING, ""])
def test_nbest_lists_are_sorted_reproducible_and_the_same_in_batches(model_dir, data, tmp_path, settings):
    beam = settings + "beam_size: 4\nnbest: 3\n"
    alone, again = decode(model_dir, data, tmp_path / "a", beam), decode(model_dir, data, tmp_path / "b", beam)
    batch = decode(model_dir, data, tmp_path / "c", beam + "batch_size: 4\n")
    scores = []
    for rank in ("1best_recog", "2best_recog", "3best_recog"):
        for name in ("text", "token", "token_ms", "score"):
            assert (alone / rank / name).read_bytes() == (again / rank / name).read_bytes()
        assert (alone / rank / "token_ms").read_text() == (batch / rank / "token_ms").read_text()
        scores.append({key: float(score) for key, score in read_table(alone / rank / "score").items()})
        tokens, times = (read_table(alone / rank / name) for name in ("token", "token_ms"))
        assert all(len(tokens[key].split()) == len(times[key].split()) for key in tokens)
    for better, worse in pairwise(scores):  # a shorter list has fewer different texts
        assert worse and all(better[key] >= score for key, score in worse.items())
    assert (alone / "text").read_bytes() == (alone / "1best_recog/text").read_bytes()
    assert not (alone / "4best_recog").exists()
    fewer = decode(model_dir, data, tmp_path / "a", settings + "beam_size: 4\n")
    assert fewer == alone and [path.name for path in alone.glob("*best_recog")] == ["1best_recog"]


def test_bf16_is_close_to_fp32_and_not_the_same(model_dir, data, tmp_path):
    scores = []
    for precision in ("fp32", "bf16"):
        out = decode(model_dir, data, tmp_path / precision, f"precision: {precision}\nbatch_size: 2\n")
        assert json.loads((out / "decode.json").read_text())["precision"] == precision
        scores.append(np.array([float(score) for score in read_table(out / "1best_recog/score").values()]))
    assert (scores[0] != scores[1]).any()
    np.testing.assert_allclose(scores[0], scores[1], rtol=0.02, atol=0.3)


def test_what_is_refused_leaves_no_folder_that_looks_like_a_decoding(model_dir, data, tmp_path):
    words = ["--model", str(model_dir), "--data", str(data), "--out", str(tmp_path / "decode_x")]
    for options, says in (
        (["--chunk-ms", "5000"], "was not trained"),
        (["--checkpoint", "none.pth"], "there is no none.pth in .*, which has .*pth"),
        (["--hotword", "\u00e9\u00e9"], "hotword"),
        (["--lm-weight", "3"], "--lm-weight is of --lm, which is not given"),
        (["--hotword-boost", "3"], "--hotword-boost is of --hotwords, which is not given"),
        (["--nj", "4"], "--nj is of --cmd, which is not given"),
        (["--log", "x"], "--log is of --cmd, which is not given"),
    ):
        with pytest.raises(UserError, match=says):
            main([*words, *options])
        assert not (tmp_path / "decode_x").exists()


def test_models_of_one_name_and_lists_of_one_length_are_told_apart(model_dir, data, tmp_path):
    """In tables, and where the decodings of one experiment are read."""
    exp = tmp_path / "exp"
    exp.mkdir()
    for number, probability in enumerate((-0.5, -0.7)):
        lm = tmp_path / str(number) / "lm.arpa"
        lm.parent.mkdir()
        listed = "\n".join(f"{probability} {word}" for word in ("<s>", "</s>", "<unk>", "bad"))
        lm.write_text(f"\\data\\\nngram 1=4\n\n\\1-grams:\n{listed}\n\n\\end\\\n")
        decode(model_dir, data, exp / f"decode_lm{number}", STREAMING + f"beam_size: 2\nlm: {lm}\n")
    for word in ("bad", "cab"):
        decode(model_dir, data, exp / f"decode_{word}", STREAMING + f"beam_size: 2\nhotwords: [{word}]\n")
    metas = [json.loads(path.read_text()) for path in sorted(exp.glob("*/decode.json"))]
    found = {searched(meta) for meta in metas}
    assert len(found) == 4 and {"beam 2, hotwords (bad) * 1.5", "beam 2, hotwords (cab) * 1.5"} < found


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("batch_size: true", "batch_size is True"),
        ("chunk_ms: fast", "chunk_ms is 'fast': it must be a number or null"),
        ("lookahead_ms: null", "lookahead_ms is None: it must be a number"),
        ("nbest: 4", "must not exceed beam_size"),
        ("precision: fp8", "precision is 'fp8': it must be one of fp32, bf16"),
        ("precision: bf16\nchunk_ms: 160", "bf16 is for the full context"),
        ("method: beam", "has the key 'method'"),
    ],
)
def test_wrong_settings_are_one_sentence(model_dir, data, tmp_path, settings, words):
    with pytest.raises(UserError, match=words):
        decode(model_dir, data, tmp_path / "out", settings)


def test_faulty_audio_is_one_sentence_that_names_the_utterance(model_dir, data, tmp_path):
    empty = write_wav(tmp_path / "empty.wav", np.zeros(0))
    write_kaldi_dir(tmp_path / "data", {"utt-1": empty}, {"utt-1": "s"})
    with pytest.raises(UserError, match="utt-1 cannot be decoded: .*has no samples"):
        decode(model_dir, tmp_path / "data", tmp_path / "out")
    with pytest.raises(UserError, match="neither feats.scp .* nor wav.scp"):
        decode(model_dir, tmp_path, tmp_path / "out")


def test_a_decoding_killed_while_it_writes_does_not_look_finished(model_dir, data, tmp_path, monkeypatch):
    out = decode(model_dir, data, tmp_path / "a")

    def killed(path, table):
        raise KeyboardInterrupt

    monkeypatch.setattr("dualmode.decoding.output.write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        decode(model_dir, data, out, "sparsity: 0\n")
    assert not (out / "decode.json").exists()


def test_after_a_job_that_failed_the_parts_that_are_there_are_kept(model_dir, data, tmp_path):
    """A wrapper whose second task fails the first time; each part's decode.json is written when it is decoded."""
    (tmp_path / "run.sh").write_text(
        """#!/bin/bash
shift 2
for task in 1 2; do
  [[ $task == 1 || -e "${0%/*}/mended" ]] || exit 1
  "${@//DUALMODE_TASK/$task}" || exit 1
done
"""
    )
    out, jobs = tmp_path / "out", ["--cmd", f"bash {tmp_path / 'run.sh'}", "--nj", 2]
    command = [model_dir, "--data", data, "--out", out, "--subnet", "sparse"]

    def run(*options) -> None:
        main([*map(str, [*command, *options, *jobs])])

    first = out / "parts/1/decode.json"
    with pytest.raises(UserError, match="the same command redoes what is missing"):
        run()
    decoded = first.stat().st_mtime_ns
    with pytest.raises(UserError):
        run()
    assert first.stat().st_mtime_ns == decoded
    with pytest.raises(UserError):
        run("--beam-size", 2)
    assert first.stat().st_mtime_ns > decoded
    decoded = first.stat().st_mtime_ns
    with pytest.raises(UserError):
        run("--beam-size", 2)
    assert first.stat().st_mtime_ns == decoded
    for changed in (
        data / "../a.wav",
        model_dir / "tokens/tokens.json",
    ):  # of the first part; what is in it is the same
        changed.touch()
        with pytest.raises(UserError):
            run("--beam-size", 2)
        assert first.stat().st_mtime_ns > decoded, changed
        decoded = first.stat().st_mtime_ns
    (tmp_path / "mended").touch()
    for left in ("parts/1/.text.tmp1.0", "parts/2/.text.tmp1.0"):  # by parts that were killed
        (out / left).parent.mkdir(exist_ok=True)
        (out / left).write_text("a cut o")
    run()
    assert not list(out.glob(".*"))
    assert not (out / "parts").exists() and "asked" not in json.loads((out / "decode.json").read_text())
    alone = tmp_path / "alone"
    main([*map(str, [*command[:4], alone, *command[5:]])])
    for name in ("text", "1best_recog/score"):
        assert (out / name).read_text() == (alone / name).read_text()


def test_an_nbest_list_has_no_text_twice(model_dir):
    tokenizer = Tokenizer.load(model_dir / "tokens")
    letter, space = tokenizer.tokens.index("a"), tokenizer.tokens.index("<space>")
    one, same, other = ([letter], [letter, space], [letter, letter])
    hypotheses = [Hypothesis(tuple(tokens), tuple(range(len(tokens))), -1.0) for tokens in (one, same, other)]

    def text(hypothesis: Hypothesis) -> str:
        return tokenizer.decode(hypothesis.tokens)

    assert distinct(hypotheses, text, 2) == [hypotheses[0], hypotheses[2]]
    assert distinct(hypotheses, text, 1) == hypotheses[:1]
