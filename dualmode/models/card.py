"""The README of a model that is given away: what it is, how it is run, what was measured."""

from collections.abc import Iterator

from dualmode.asr.model import AsrModel
from dualmode.supernet.storage import kept_parameters

LICENCE = (
    "The licence of the software (`dualmode`) is Apache-2.0, the Apache License 2.0; that of these weights follows "
    "from the data that they were trained on, and is for whoever packed them to state."
)
NOT_RUN = "not run with these weights: stages 5 and 6 of the recipe measure error rates before a model is packed"


def model_card(name: str, model: AsrModel, seed: object, checkpoint: str, results: str | None) -> Iterator[str]:
    """Yield the lines of the README.

    Args:
        name: of the model.
        model: the supernet.
        seed: of its training.
        checkpoint: file name of the weights in the training's folder.
        results: the RESULTS.md of the same weights; None if there is none.
    """
    encoder = model.encoder.config
    kind = "RNN-T" if model.kind == "rnnt" else "CTC"
    # What the Hugging Face Hub reads; the licence of the weights and the language are for whoever packed them to add.
    yield from ("---", "library_name: dualmode", "pipeline_tag: automatic-speech-recognition", "tags:")
    yield from (f"- {tag}" for tag in ("streaming", "pruning", "conformer", kind.lower()))
    yield from ("---", "", f"# {name}")
    yield ""
    yield (
        f"A supernet for speech recognition ({kind}): one set of weights, trained once, run as any of these "
        "sub-networks. It hears 16 kHz audio as 80 log-mel filter banks of 25 ms every 10 ms."
    )
    yield from ("", "| weights | context | parameters |", "| :-- | :-- | --: |")
    for subnet in encoder.trained_subnets():
        weights, _, context = str(subnet).partition(", ")
        yield f"| {weights} | {context} | {kept_parameters(model, encoder.view(subnet.sparsity)) / 1e6:.2f} M |"
    yield from ("", "## Use", "")
    yield "Nothing in this folder runs code when it is opened. With the package `dualmode`:"
    yield from ("", "```python", "from dualmode.recognizer import Recognizer", "")
    yield f'recognizer = Recognizer.from_pretrained("{name}", subnet="sparse")'
    yield from (
        "```",
        "",
        "or as the first word of a command: `dualmode stream MODEL audio.wav`. `pip install dualmode`",
        "",
    )
    yield from ("| file | what |", "| :-- | :-- |")
    yield "| `model.safetensors` | weights, masks, mean and standard deviation of the features |"
    yield "| `config.yaml` | sizes, sub-networks, settings of the losses |"
    yield "| `tokens/` | the vocabulary |"
    yield "| `cmvn.json` | mean and standard deviation of each filter bank, for other runtimes |"
    yield from ("", "## Results", "")
    yield from results_head(results) if results is not None else [NOT_RUN + "."]
    yield from ("", "## Training", "", f"Seed {seed}; weights of `{checkpoint}`; settings in `config.yaml`.")
    yield from ("", "## Licence", "", LICENCE)


def results_head(page: str) -> Iterator[str]:
    """Yield what a RESULTS.md says up to its figures and details: remarks, table, legend.

    >>> list(results_head("# mini\\n\\n> synthetic\\n\\n| set |\\n\\nLegend.\\n\\n![x](x)\\n"))
    ['> synthetic', '', '| set |', '', 'Legend.']
    """
    lines = []
    for line in page.splitlines()[1:]:
        if line.startswith(("## ", "![")):
            break
        lines.append(line)
    yield from "\n".join(lines).strip().split("\n")
