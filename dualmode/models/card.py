"""The README of a model that is given away: what it is, how it is run, what was measured."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dualmode.asr.model import AsrModel
from dualmode.encoder.slicing import without_pruned_units
from dualmode.supernet.storage import kept_parameters
from dualmode.supernet.view import ALL

LICENCE = (
    "The licence of the software (`dualmode`) is Apache-2.0, the Apache License 2.0; that of these weights follows "
    "from the data that they were trained on, and is for whoever packed them to state."
)
HEARS = "It hears 16 kHz audio as 80 log-mel filter banks of 25 ms every 10 ms."
TOKENS = "| `tokens/` | the vocabulary |"
COPYING_S = 60.0  # a small folder that was copied without its times has files of one minute, in any order
NOT_RUN = "not run with these weights: stages 5 and 6 of the recipe measure error rates before a model is packed"


def front_matter(*tags: str) -> Iterator[str]:
    """Yield what the Hugging Face Hub reads; licence of the weights and language are for whoever packs them to add."""
    yield from ("---", "library_name: dualmode", "pipeline_tag: automatic-speech-recognition", "tags:")
    yield from (f"- {tag}" for tag in tags)
    yield "---"


def model_card(name: str, model: AsrModel, seed: object, checkpoint: str, results: str | None) -> Iterator[str]:
    """Yield the lines of the README of a whole supernet.

    Args:
        name: of the model.
        model: the supernet.
        seed: of its training.
        checkpoint: file name of the weights in the training's folder.
        results: the RESULTS.md of the same weights; None if there is none.
    """
    encoder = model.encoder.config
    kind = kind_of(model)
    yield from front_matter("streaming", "pruning", "conformer", kind.lower())
    yield from ("", f"# {name}", "")
    yield (
        f"A supernet for speech recognition ({kind}): one set of weights, trained once, run as any of these "
        f"sub-networks. {HEARS}"
    )
    yield from ("", "| weights | context | parameters |", "| :-- | :-- | --: |")
    beside = kept_parameters(model, ALL) - kept_parameters(model.encoder, ALL)
    for subnet in encoder.trained_subnets():
        weights, _, context = str(subnet).partition(", ")
        alone = without_pruned_units(model.encoder, encoder.view(subnet.sparsity))
        yield f"| {weights} | {context} | {(beside + kept_parameters(*alone)) / 1e6:.2f} M |"
    streaming = 'subnet="sparse"' if encoder.masked else f'subnet="dense", chunk_ms={encoder.contexts[0].chunk_ms:g}'
    yield from use(f'"{name}", {streaming}')
    yield "| `model.safetensors` | weights, masks, mean and standard deviation of the features |"
    yield "| `config.yaml` | sizes, sub-networks, settings of the losses |"
    yield TOKENS
    yield "| `cmvn.json` | mean and standard deviation of each filter bank, for other runtimes |"
    yield from ("", "## Results", "")
    yield from results_head(results) if results is not None else [NOT_RUN + "."]
    yield from ("", "## Training", "", f"Seed {seed}; weights of `{checkpoint}`; settings in `config.yaml`.")
    yield from ("", "## Licence", "", LICENCE)


def subnet_card(
    name: str, model: AsrModel, about: Mapping[str, Any], seed: object, checkpoint: str, results: str | None
) -> Iterator[str]:
    """Yield the lines of the README of one sub-network alone.

    Args:
        name, seed, checkpoint, results: as of :func:`model_card`.
        model: the sub-network.
        about: what its subnet.json says.
    """
    sparsity, kind, config = about["sparsity"], kind_of(model), model.encoder.config
    weights = f"{100 * sparsity:g} % pruned, in {about['granularity']}" if sparsity else "all weights"
    yield from front_matter("streaming", "pruning", "conformer", kind.lower())
    yield from ("", f"# {name}", "")
    yield f"One sub-network of a supernet for speech recognition ({kind}): {weights}. {HEARS}"
    kept, total = (about[f"parameters_{which}"] / 1e6 for which in ("kept", "total"))
    yield from ("", f"{kept:.2f} M of the supernet's {total:.2f} M parameters are here. It was trained to run in:")
    contexts = [subnet.context for subnet in config.trained_subnets() if bool(subnet.sparsity) == bool(sparsity)]
    yield from ("", *(f"- {context}" for context in dict.fromkeys(contexts)))
    yield from use(f'"{name}"')
    yield "| `subnet.safetensors` | the values that are kept, mean and standard deviation of the features |"
    yield "| `subnet.json` | sizes, sparsity, settings |"
    yield TOKENS
    yield from ("", "## Results of the whole supernet", "")
    yield from results_head(results) if results is not None else [NOT_RUN + "."]
    yield from ("", "## Training", "", f"Seed {seed}; weights of `{checkpoint}`.", "", "## Licence", "", LICENCE)


def kind_of(model: AsrModel) -> str:
    return "RNN-T" if model.kind == "rnnt" else "CTC"


def use(arguments: str) -> Iterator[str]:
    """Yield how a folder is opened, and the head of the table of its files."""
    yield from ("", "## Use", "")
    yield (
        "Nothing in this folder runs code when it is opened. With the Python package `dualmode` (of a checkout of its "
        "sources: `pip install ./runtime .`), where this folder is:"
    )
    yield from ("", "```python", "from dualmode import Recognizer", "")
    yield f"recognizer = Recognizer.from_pretrained({arguments})"
    yield from ('print(recognizer.transcribe("speech.wav").text)', "```", "")
    yield from ("or `dualmode transcribe FOLDER speech.wav`, with the name of this folder.", "")
    yield from ("| file | what |", "| :-- | :-- |")


def results_of(folder: Path, checkpoint: str) -> str | None:
    """Return the RESULTS.md of a model folder, or None where it is of other weights, or there is none.

    Of a page that is older than the weights, as where a training went on, or is not UTF-8, that is said.
    """
    page = folder / "RESULTS.md"
    try:
        results = page.read_text(encoding="utf-8") if page.is_file() else ""
    except UnicodeDecodeError:
        print(
            f"warning: {page} is not UTF-8, so that its error rates are not given away: score again (stage 6), or "
            "convert it, such as with iconv -f LATIN1 -t UTF-8",
            file=sys.stderr,
        )
        return None
    if f"/{checkpoint}`" not in results:
        return None
    if page.stat().st_mtime + COPYING_S < (folder / checkpoint).stat().st_mtime:
        print(
            f"warning: {page} is older than {checkpoint}, so that its error rates may be of other weights: they are "
            "not given away; decode and score again (stages 5 and 6), or if the folder was copied without its times, "
            f"touch {page}",
            file=sys.stderr,
        )
        return None
    return results


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
