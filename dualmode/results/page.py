"""RESULTS.md: the table, and everything needed to get it again."""

from collections.abc import Iterator, Sequence
from typing import Any

from dualmode.results import subsets
from dualmode.results.decodes import Decode, Row, searched
from dualmode.results.delay_table import markdown_section
from dualmode.results.device import device_section
from dualmode.results.table import LEGEND, escaped, markdown_table

MEASURES = """\
- WER and CER: edit distance over the reference's words and characters, summed over the set; a substitution (S), a
  deletion (D) and an insertion (I) cost 1 each. The space between two words counts as a character. Text is compared
  as it is. Alignments: `decode_*/score.txt`.
- The lines on the bars of wer.png: 95 % intervals over the speakers of a set that has several (whole speakers drawn
  again, `dualmode/results/bootstrap.py`). They say nothing about other seeds; how sure the difference of two bars is,
  `dualmode compare --bootstrap` says, since what is hard for both cancels.
- Bytes stored: the length of the sub-network as one safetensors file (`dualmode/supernet/storage.py`): all values in
  the training's precision; of whole units those that are kept, of another pruned layer the kept blocks and one bit a
  block. 1 MB is 10^6 bytes.
- RTF (real-time factor): seconds of decoding over seconds of audio, below 1 is faster than real time; from stored
  features, on the machine, with the threads and the batch size named here. Whole units that are pruned are left out;
  other pruned weights are multiplied as zeros, so that it shows no gain from their sparsity."""


def results_page(
    title: str,
    notes: Sequence[str],
    decodes: Sequence[Decode],
    origin: dict[str, Any],
    figures: Sequence[str],
    devices: Sequence[Row] = (),
    parts: Sequence[Row] = (),
) -> Iterator[str]:
    """Yield the lines of RESULTS.md.

    Args:
        title: of the page.
        notes: sentences that a reader of the numbers must know.
        decodes: what was decoded, in the table's order.
        origin: from :func:`dualmode.results.provenance.provenance`.
        figures: file names of figures beside the page.
        devices: rows of :func:`dualmode.results.device.read_devices`.
        parts: rows of :func:`dualmode.results.subsets.subset_rows`.
    """
    yield f"# {title}"
    for note in notes:
        yield from ("", f"> {note}")
    yield ""
    rows = [decode.row() for decode in decodes]
    yield from markdown_table(rows)
    yield from ("", LEGEND[0].upper() + LEGEND[1:] + ".")
    for figure in figures:
        yield from ("", f"![{figure}]({figure})")
    yield from subsets.markdown_section(parts)
    yield from markdown_section(rows)
    yield from ("", "## How it was measured", "", MEASURES, "")
    yield from _measurements(decodes)
    if devices:
        yield from ("", *device_section(devices))
    yield from ("", "## Where it comes from", "")
    yield from origin_lines(origin)


def _measurements(decodes: Sequence[Decode]) -> Iterator[str]:
    yield (
        "| set | sub-network | utterances | audio | decoding | on | threads | precision | batch size | seed "
        "| checkpoint |"
    )
    yield "| :-- | :-- | --: | --: | --: | :-- | --: | :-- | --: | --: | :-- |"
    for meta in (decode.meta for decode in decodes):
        seconds = f"{meta['audio_s']:.1f} s | {meta['decode_s']:.1f} s"
        where = f"{escaped(meta.get('device', '-'))} | {meta['threads']} | {meta.get('precision', '-')}"
        seed = "-" if meta["seed"] is None else meta["seed"]
        subnet = escaped(", ".join(filter(None, (meta["subnet"], searched(meta)))))
        yield (
            f"| {meta['set']} | {subnet} | {meta['utterances']} | {seconds} | {where} | {meta['batch_size']} "
            f"| {seed} | `{meta['checkpoint']}` |"
        )


def origin_lines(origin: dict[str, Any]) -> Iterator[str]:
    """Yield what :func:`dualmode.results.provenance.provenance` found, as Markdown."""
    machine = origin["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in origin["versions"].items())
    seed = "differs, or is unknown: see the table above" if origin["seed"] is None else origin["seed"]
    yield f"- Commit of this report: {origin['commit']}"
    yield f"- Seed: {seed}"
    yield f"- Versions: {versions}"
    yield (
        f"- Machine of this report: {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB of memory, "
        f"{machine['system']}"
    )
    yield f"- Date (UTC): {origin['date']}"
    for config in origin["configs"]:
        yield f"- Configuration: `{config['path']}` (sha256 `{config['sha256'][:16]}...`)"
    yield from ("- Commands:", "", "```sh", *origin["commands"], "```")
