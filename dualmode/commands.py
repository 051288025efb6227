"""The sub-commands of ``dualmode``: a new one needs a line here and a module in dualmode/bin, and nothing else."""

import shlex
from collections.abc import Iterable
from dataclasses import dataclass

from dualmode_runtime.cli import nearest


@dataclass(frozen=True)
class Command:
    """What ``dualmode NAME`` is.

    Attributes:
        name: as typed.
        module: file of dualmode/bin, with ``get_parser`` and ``main``; ``python -m dualmode.bin.MODULE`` is the same.
        about: one line of help.
    """

    name: str
    module: str
    about: str


# By what one wants to do, in the order of ``dualmode --help``.
GROUPS: dict[str, tuple[Command, ...]] = {
    "recognise speech": (
        Command("transcribe", "transcribe", "write the text of audio files: plain, JSON lines, subtitles"),
        Command("stream", "asr_stream", "print the growing transcript of a file, pipe or microphone"),
        Command("serve", "serve", "serve a model: streams, OpenAI's transcriptions, a page"),
    ),
    "prepare data": (
        Command("import-data", "import_data", "import a corpus as it is into the Kaldi folders that recipes read"),
        Command("new-recipe", "new_recipe", "make egs/NAME for a corpus of one's own, in a checkout of the repository"),
        Command("validate-data", "validate_data", "check a Kaldi data folder, and list what is rejected"),
        Command("make-tokens", "make_tokens", "make the token list from the training transcripts"),
        Command("make-fbank", "make_fbank", "compute the features of a data set"),
        Command("compute-cmvn", "compute_cmvn", "compute the mean and standard deviation of features"),
    ),
    "train": (
        Command("check-config", "check_config", "check the YAML files of a recipe, each for itself and together"),
        Command("pretrain", "pretrain", "pre-train the supernet on speech without text"),
        Command("prune", "prune", "find the sparse sub-networks of a trained supernet"),
        Command("train", "asr_train", "train (fine-tune) the supernet with transcripts"),
    ),
    "measure": (
        Command("decode", "asr_inference", "decode a data set with one sub-network, as recipes do"),
        Command("score", "score", "count the errors of transcripts against their reference"),
        Command("report", "report", "score all that a model has decoded, and write the table of results"),
        Command("compare", "compare", "put the error rates of several experiments side by side"),
        Command("align", "align", "find the times of known words"),
        Command("emission-delay", "emission_delay", "measure how long after they were said words come out"),
        Command(
            "check-streaming", "check_streaming", "check that a model's streaming is what was trained, layer by layer"
        ),
        Command("bench", "bench", "measure speed and memory"),
    ),
    "give a model away": (
        Command("pack", "pack", "put a trained model, with all its sub-networks, into one folder"),
        Command("subnet", "subnet", "take one sub-network out of a supernet"),
        Command("export", "export", "write one sub-network for sherpa-onnx"),
        Command("pack-device", "pack_device", "write one sub-network for the device engine"),
        Command("push", "push", "send a packed model or sub-network to the Hugging Face Hub"),
        Command("decode-device", "device_inference", "decode a data set in a device runtime, as recipes do"),
    ),
}
COMMANDS = {command.name: command for group in GROUPS.values() for command in group}
BY_MODULE = {command.module: command for command in COMMANDS.values()}


def command_line(module: str, arguments: Iterable[str]) -> str:
    """Return how the command of a module is typed.

    >>> command_line("asr_inference", ["exp/asr_base", "--out", "a b"])
    "dualmode decode exp/asr_base --out 'a b'"
    """
    return shlex.join(["dualmode", BY_MODULE[module].name, *arguments])


def nearest_command(word: str) -> str:
    """Return what :func:`nearest` does for a command; the name of its module stands for it, too.

    >>> nearest_command("asr-inference"), nearest_command("trian"), nearest_command("xyz")
    ("; did you mean 'decode'?", "; did you mean 'train'?", '')
    """
    module = word.replace("-", "_")
    return nearest(BY_MODULE[module].name if module in BY_MODULE else word, COMMANDS)
