"""The table of results, for a Markdown page and for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dualmode.results.decodes import Row
from dualmode.results.details import display_width

HEADER = ("set", "weights", "context", "WER %", "S/D/I", "words", "CER %", "parameters kept", "bytes stored", "RTF")
LEFT_ALIGNED = 3  # the first columns are words, the others numbers
LEGEND = (
    "weights: the share of the prunable ones (the encoder's Linear layers) that pruning was to leave out; parameters "
    "kept: as counted, of all the model's"
)


def table_row(row: Row) -> tuple[str, ...]:
    """Return the cells of one row, as :data:`HEADER` names them."""
    return (
        row["set"],
        weights(row["sparsity"]),
        heard(row),
        f"{row['wer']:.2f}",
        f"{row['sub']}/{row['del']}/{row['ins']}",
        str(row["words"]),
        f"{row['cer']:.2f}",
        parameters(row["params_kept"], row["params_total"]),
        megabytes(row["bytes"]),
        f"{row['rtf']:.3f}",
    )


def weights(sparsity: float) -> str:
    """Say which weights run.

    >>> weights(0), weights(0.7)
    ('dense', 'sparse 70 % pruned')
    """
    return f"sparse {100 * sparsity:.1f}".removesuffix(".0") + " % pruned" if sparsity else "dense"


def context(chunk_ms: float | None, lookahead_ms: float | None, left_ms: float | None) -> str:
    """Say how much of the utterance a frame sees.

    >>> context(None, None, None), context(640, 0, 1280)
    ('full', 'chunk 640 ms, look-ahead 0 ms, left 1280 ms')
    """
    if chunk_ms is None:
        return "full"
    left = "left unlimited" if left_ms is None else f"left {left_ms:g} ms"
    return f"chunk {chunk_ms:g} ms, look-ahead {lookahead_ms or 0:g} ms, {left}"


def heard(row: Mapping[str, Any]) -> str:
    """Return the :func:`context` of a row, and its search where that is not the greedy one."""
    seen = context(row["chunk_ms"], row["lookahead_ms"], row["left_ms"])
    return f"{seen}, {row['search']}" if row.get("search") else seen


def parameters(kept: int, total: int) -> str:
    """
    >>> parameters(1_210_000, 2_512_345)
    '1.21 M of 2.51 M'
    """
    return f"{kept / 1e6:.2f} M of {total / 1e6:.2f} M"


def megabytes(size: int) -> str:
    """Return bytes in MB of 10^6 bytes.

    >>> megabytes(5_123_456)
    '5.1 MB'
    """
    return f"{size / 1e6:.1f} MB"


def escaped(cell: str) -> str:
    """Return the text of a cell as a Markdown table takes it."""
    return cell.replace("|", "\\|")


def markdown_table(rows: Iterable[Row]) -> list[str]:
    """Return the lines of the Markdown table."""
    marks = [":--" if column < LEFT_ALIGNED else "--:" for column in range(len(HEADER))]
    cells = [tuple(map(escaped, table_row(row))) for row in rows]
    return ["| " + " | ".join(line) + " |" for line in (HEADER, marks, *cells)]


def terminal_table(rows: Iterable[Row]) -> list[str]:
    """Return the same table in aligned columns, shortened where a cell would repeat its column's heading."""
    header = [*HEADER[:2], "context (ms)", *HEADER[3:7], "params kept", "stored", "RTF"]
    lines = [header]
    for row in rows:
        cells = list(table_row(row))
        cells[1] = cells[1].replace(" % pruned", " %")
        cells[2] = cells[2].replace(" ms", "").replace("look-ahead", "ahead").replace(",", "")
        lines.append(cells)
    widths = [max(display_width(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * width for width in widths]
    return [_aligned(line, widths) for line in (header, rule, *lines[1:])]


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = []
    for column, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        blank = " " * (width - display_width(cell))
        padded.append(cell + blank if column < LEFT_ALIGNED else blank + cell)
    return "  ".join(padded).rstrip()
