"""egs/librispeech's data preparation on a made-up corpus in the real layout."""

import shutil

import pytest

from dualmode.bin import validate_data

PARTS = ("--train-parts", "train-clean-100", "--valid-parts", "dev-clean", "--test-parts", "dev-clean")
TRAIN = [f"{speaker}-{number:04d}" for speaker in ("14-208", "14-21", "140-7") for number in range(2)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_folders_are_as_kaldis_recipe_makes_them(corpus, prepare, tmp_path, jobs, capsys):
    done = prepare("--librispeech-dir", corpus, *PARTS, "--unlabelled-parts", "train-other-500", "--jobs", jobs)
    assert done.returncode == 0, done.stderr
    assert "train_clean_100: 6 utterances, 0.00 h, 6 transcripts\n" in done.stdout
    assert "train_other_500: 2 utterances, 0.00 h, no transcripts: for pre-training only\n" in done.stdout
    data = tmp_path / "work" / "data"
    part = data / "train_clean_100"
    flac = f"{corpus}/train-clean-100/14/208/14-208-0000.flac"
    assert (part / "wav.scp").read_text().startswith(f"14-208-0000 {flac}\n14-208-0001 ")
    assert [line.split()[0] for line in (part / "wav.scp").open()] == TRAIN
    assert (part / "text").read_text().splitlines()[:2] == ["14-208-0000 HELLO WORLD", "14-208-0001 GOOD MORNING"]
    assert (part / "utt2spk").read_text().splitlines()[-1] == "140-7-0001 140-7"
    assert (part / "spk2utt").read_text().splitlines()[0] == "14-208 14-208-0000 14-208-0001"
    assert (part / "utt2dur").read_text().splitlines()[1] == "14-208-0001 1.100000"
    assert (part / "spk2gender").read_text() == "14-208 f\n14-21 f\n140-7 m\n"
    for name in ("train", "valid", "dev_clean"):
        validate_data.main([str(data / name), "--read-audio"])
    validate_data.main([str(data / "train_other_500"), "--no-text"])
    assert not (data / "train_other_500" / "text").exists()
    assert "2 utterances, 0.00 h, 1 speakers are good" in capsys.readouterr().out


def test_the_parent_folder_will_do(corpus, prepare, tmp_path):
    assert prepare("--librispeech-dir", corpus.parent, *PARTS).returncode == 0
    assert (tmp_path / "work" / "data" / "train" / "wav.scp").read_text().count(f"{corpus}/") == 6


def test_train_is_made_of_the_parts_that_have_transcripts(corpus, prepare, tmp_path, write_chapter):
    write_chapter(corpus / "train-clean-360", "139", "1", ["MORE", "WORDS"])
    parts = ("--train-parts", "train-clean-360", "train-other-500", "train-clean-100")
    done = prepare("--librispeech-dir", corpus, *parts, *PARTS[2:])
    assert "train: train_clean_360, train_clean_100; valid: dev_clean\n" in done.stdout
    train = tmp_path / "work" / "data" / "train"
    # In C order: 139-... comes between 14 ... and 140 ... as '3' < '4' and '-' < '0'.
    assert [line.split()[0] for line in (train / "utt2spk").open()] == ["139-1-0000", "139-1-0001", *TRAIN]
    # 139 is not in SPEAKERS.TXT, as Libri-light's readers are not.
    assert [line.split()[0] for line in (train / "spk2gender").open()] == ["14-208", "14-21", "140-7"]


def test_parts_that_lose_their_transcripts_lose_their_text(corpus, prepare, tmp_path, write_chapter):
    prepare("--librispeech-dir", corpus, *PARTS)
    write_chapter(corpus / "train-clean-360", "139", "1", ["MORE", "WORDS"])
    parts = ("--train-parts", "train-clean-360", *PARTS[2:], "--unlabelled-parts", "train-clean-100")
    assert prepare("--librispeech-dir", corpus, *parts).returncode == 0
    assert not (tmp_path / "work/data/train_clean_100/text").exists()
    assert (tmp_path / "work/data/train/text").read_text() == "139-1-0000 MORE\n139-1-0001 WORDS\n"


def test_libri_light_has_books_and_other_file_names(corpus, prepare, tmp_path, write_flac):
    light = tmp_path / "librilight" / "small"
    for name in ("100/sea_fairies/01_baum.flac", "100/sea-fairies x/01.flac", "20/a,b/2.flac"):
        write_flac(light / name)
    done = prepare("--librispeech-dir", corpus, *PARTS, "--unlabelled-parts", light)
    assert done.returncode == 0, done.stderr
    small = tmp_path / "work" / "data" / "small"
    assert (small / "utt2spk").read_text() == (
        "100-sea-fairies_x-01 100-sea-fairies_x\n"
        "100-sea_fairies-01_baum 100-sea_fairies\n"
        "20-a,b-2 20-a,b\n"
    )  # fmt: skip
    # A path with a blank is the value of its line, not two of them.
    validate_data.main([str(small), "--no-text", "--read-audio"])


def test_what_is_missing_on_either_side_is_found_by_validation(corpus, prepare, tmp_path, capsys, write_flac):
    chapter = corpus / "train-clean-100" / "14" / "208"
    (chapter / "14-208-0000.flac").unlink()
    write_flac(chapter / "14-208-0007.flac")
    (chapter.parents[1] / "140" / "7" / "140-7-0001.flac").write_bytes(b"no audio")
    assert prepare("--librispeech-dir", corpus, *PARTS).returncode == 0
    validate_data.main([str(tmp_path / "work/data/train"), "--max-rejected", "60"])
    assert "3 of 7 rejected (1 no-audio, 1 no-text, 1 undecodable-audio)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--test-parts", "test-clean"), "there is no folder "),
        (("--valid-parts", "train-other-500"), "has no transcripts: it cannot be one of --valid-parts"),
        (("--train-parts", "train-other-500"), "none of train-other-500 has transcripts: name another part"),
        (("--unlabelled-parts", "dev-clean"), "dev-clean is one of --unlabelled-parts and of --valid-parts"),
        (("--unlabelled-parts", "/x/dev-clean"), "would both be data/dev_clean: rename one of them"),
        (("--unlabelled-parts", "/x/train"), "would be data/train, which is put together from parts"),
    ],
)
def test_impossible_parts_are_one_sentence(corpus, prepare, options, sentence):
    done = prepare("--librispeech-dir", corpus, *PARTS, *options)
    assert done.returncode == 2
    assert sentence in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_other_layouts_are_one_sentence(corpus, prepare, write_flac):
    (corpus / "train-clean-100" / "anna").mkdir()
    done = prepare("--librispeech-dir", corpus, *PARTS)
    assert done.returncode == 2 and "expected folders of readers, named by numbers" in done.stderr
    shutil.rmtree(corpus / "train-clean-100" / "anna")
    write_flac(corpus / "train-clean-100" / "14" / "20" / "8-0001.flac")
    write_flac(corpus / "train-clean-100" / "14" / "20-8" / "0001.flac")
    done = prepare("--librispeech-dir", corpus, *PARTS)
    assert done.returncode == 2 and "are both the utterance 14-20-8-0001: rename one of them" in done.stderr
