import pytest

from dualmode.cluster.command import parse
from dualmode.cluster.slurm import job_number
from dualmode.cluster.slurm_conf import SlurmConf
from dualmode.errors import UserError


def test_options_and_the_range_come_in_any_order():
    words = "--mem 4G JOB=2:3 --num-threads=2 log/x.JOB.log run --mem JOB a.JOB".split()
    request = parse(words)
    assert request.options == {"mem": "4G", "num_threads": "2"}
    assert (request.tasks, request.log_of(3)) == ((2, 3), "log/x.3.log")
    assert request.words_of(2) == ["run", "--mem", "2", "a.2"]  # what follows the log is the command's
    alone = parse(["log", "run", "JOB"])
    assert (alone.tasks, alone.words_of(1)) == ((1,), ["run", "JOB"])


def test_the_larger_number_of_cores_counts():
    """ESPnet's launcher puts a core a GPU behind what the user says."""
    assert parse("--num-threads 32 --mem 1G --num_threads 4 log run".split()).options["num_threads"] == "32"
    assert parse("--mem 1G --num_threads 4 --mem 2G log run".split()).options == {"mem": "2G", "num_threads": "4"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["log"], "LOG COMMAND"),
        (["--mem"], "--mem needs a value"),
        (["JOB=3:2", "x.JOB.log", "true"], "JOB=3:2: expected a range"),
        (["JOB=0:2", "x.JOB.log", "true"], "JOB=0:2: expected a range"),
        (["JOB=1:2", "x.log", "true"], "x.log must have JOB in its name"),
    ],
)
def test_mistakes(words, message):
    with pytest.raises(UserError, match=message):
        parse(words)


def test_the_first_line_that_fits_counts(tmp_path):
    file = tmp_path / "slurm.conf"
    file.write_text(
        "# comment\nflags --export=ALL\ndefault gpu=0\noption gpu=0\n"
        "option gpu=* --gres=gpu:$0 -p g$0\noption mem=* --mem=$0\n"
    )
    conf = SlurmConf.read(file)
    assert conf.flags({}) == ["--export=ALL"]
    assert conf.flags({"gpu": "2", "mem": "4G"}) == ["--export=ALL", "--gres=gpu:2", "-p", "g2", "--mem=4G"]
    with pytest.raises(UserError, match="slurm.conf has no line for the option time=1"):
        conf.flags({"time": "1"})
    file.write_text("option gpu\n")
    with pytest.raises(UserError, match="slurm.conf:1: expected"):
        SlurmConf.read(file)
    file.write_text('flags --export=ALL\nflags --comment="Dana\n')
    with pytest.raises(UserError, match='slurm.conf:2: no closing quotation: flags --comment="Dana'):
        SlurmConf.read(file)
    with pytest.raises(UserError, match="cannot read"):
        SlurmConf.read(tmp_path / "other")


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("4711\n", "4711"),
        ("4711;big\n", "4711"),
        ("Your project has 1200 hours left.\n4711\n", "4711"),
        ("4711\nsbatch: 12 jobs before yours\n", "4711"),
    ],
)
def test_the_number_is_found_among_what_a_site_says(said, number):
    assert job_number(said) == number


@pytest.mark.parametrize("said", ["", "queued\n", "12\n4711\n", "job 4711\n"])
def test_what_holds_no_one_number_is_said_as_it_is(said):
    with pytest.raises(UserError, match="did not say the number of the job"):
        job_number(said)
