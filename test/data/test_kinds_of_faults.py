"""Inputs of the kinds that broke other toolkits, and what is right."""

import pytest

from dualmode.bin.make_fbank import main as make_fbank
from dualmode.data.kaldi_dir import read_table
from dualmode.data.rejection import Rejection, write_rejections
from dualmode.data.tokens import Tokenizer, copy_token_list
from dualmode.decoding.inputs import open_inputs
from dualmode.errors import UserError
from dualmode_runtime.audio.fault import AudioFault, Reason
from dualmode_runtime.audio.reading import read_header
from dualmode_runtime.files import check_writable


@pytest.mark.parametrize("sign", ["\r", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\0"], ids=repr)
@pytest.mark.parametrize("where", ["u1 turn{} on\n", "u{}1 turn\n", "u1 {}turn\n"])
def test_what_ends_a_line_for_some_programs_is_named(tmp_path, sign, where):
    (tmp_path / "text").write_text("u0 stop\n" + where.format(sign), encoding="utf-8", newline="")
    with pytest.raises(UserError, match=r"text:2: .* ends a line for some programs and not for others"):
        read_table(tmp_path / "text")


@pytest.mark.parametrize("name", ["text", "wav.scp", "utt2spk"])
def test_a_byte_order_mark_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"\xef\xbb\xbfu1 a\nu2 b\n")
    with pytest.raises(UserError, match=f"{name} starts with a byte-order mark"):
        read_table(tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 300, "turn on the light " * 30, "a/" * 3000])
def test_a_path_that_no_file_can_have_is_a_missing_file(name):
    with pytest.raises(AudioFault) as fault:
        read_header(name, 16000)
    assert fault.value.reason == Reason.MISSING_FILE


def test_an_id_that_speed_perturbation_would_make_is_refused(tmp_path):
    tables = {"wav.scp": "a.wav", "utt2spk": "s", "text": "on"}
    for name, value in tables.items():
        (tmp_path / name).write_text(f"a-1 {value}\nsp0.9-a-1 {value}\n")
    with pytest.raises(UserError, match="sp0.9-a-1 begins as copies at another speed do"):
        make_fbank(["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--speeds", "0.9,1.0"])


def test_decoding_leaves_out_what_validation_rejected(tmp_path, capsys):
    (tmp_path / "wav.scp").write_text("a a.wav\nb b.wav\n")
    write_rejections(tmp_path / "rejected.tsv", [Rejection("a", Reason.UNDECODABLE, "no audio")])
    assert list(open_inputs(tmp_path)) == ["b"]
    assert "1 utterances that validation rejected are left out" in capsys.readouterr().out


def test_a_token_list_is_copied_without_what_lies_beside_it(tmp_path):
    source, secret = tmp_path / "tokens", tmp_path / "secret"
    source.mkdir()
    secret.write_text("top secret")
    (source / "tokens.txt").write_text("<blank>\n<unk>\na\n")
    (source / "tokens.json").write_text('{"type": "char"}')
    (source / "notes.txt").symlink_to(secret)
    (source / "more").symlink_to(tmp_path)
    copy_token_list(source, tmp_path / "copy")
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == ["tokens.json", "tokens.txt"]
    assert Tokenizer.load(tmp_path / "copy").tokens == ["<blank>", "<unk>", "a"]
    (source / "bpe.model").symlink_to(secret)
    with pytest.raises(UserError, match="bpe.model is no file of its own"):
        copy_token_list(source, tmp_path / "copy")


def test_a_folder_that_cannot_be_written_is_found_before_the_work(tmp_path):
    check_writable(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        check_writable(tmp_path / "file" / "out")
