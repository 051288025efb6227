"""Docstrings as Markdown, for the reference of tools/docs.py: an extension of griffe, with which mkdocstrings reads.

In the code they are plain text with some habits of Python's world: ``:func:`dualmode.x``` for a name, ``::`` before a
drawing, ``>>>`` before what a doctest runs. On a page each becomes what it looks like.
"""

import re
from collections.abc import Iterator

import griffe

ROLE = re.compile(r":(?:mod|class|func|meth|data|attr):`~?([^`]+)`")
LAID_OUT = re.compile(r"(?m)^  |[^\s.?!:]  ")  # two blanks end a sentence, too


def to_markdown(text: str) -> str:
    """Return a docstring with fences around its drawings and doctests, and plain code for names.

    >>> print(to_markdown("See :func:`dualmode.x`::\\n\\n    a -> b\\n\\nThen."))
    See `dualmode.x`:
    <BLANKLINE>
    ```text
    a -> b
    ```
    <BLANKLINE>
    Then.
    """
    lines = ROLE.sub(r"`\1`", text).split("\n")
    return "\n".join(_fenced(lines))


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _fenced(lines: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line, at = lines[at], at + 1
        if line.lstrip().startswith(">>>"):
            end = at
            while end < len(lines) and lines[end].strip():
                end += 1
            yield from _fence("pycon", [line, *lines[at:end]])
            at = end
        elif line.rstrip().endswith("::"):
            end = at
            while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > _indent(line)):
                end += 1
            block = lines[at:end]
            while block and not block[-1].strip():
                block.pop()
            if line.strip() != "::":
                yield line.rstrip()[:-1]
            yield ""
            yield from _fence("text", block[1:] if block and not block[0].strip() else block, _indent(line))
            yield ""
            at = end
        else:
            yield line


def _fence(language: str, block: list[str], indent: int | None = None) -> Iterator[str]:
    """Yield the block between fences, moved as a whole to where the text around it stands."""
    inner = min((_indent(line) for line in block if line.strip()), default=0)
    margin = " " * (inner if indent is None else indent)
    yield f"{margin}```{language}"
    yield from ((margin + line[inner:]).rstrip() for line in block)
    yield f"{margin}```"


def description(text: str) -> str:
    """Return the description of a command with fences around its lines that are laid out with spaces.

    >>> print(description("Counts words.  Fast.\\n\\n  dualmode score\\n\\nWrites  FILE"))
    Counts words.  Fast.
    <BLANKLINE>
    ```text
    dualmode score
    ```
    <BLANKLINE>
    ```text
    Writes  FILE
    ```
    """
    parts = text.split("\n\n")
    return "\n\n".join("\n".join(_fence("text", p.split("\n"), 0)) if LAID_OUT.search(p) else p for p in parts)


class Docstrings(griffe.Extension):
    """Turns the docstring of everything that griffe reads."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        if obj.docstring:
            of_command = obj.is_module and obj.path.startswith("dualmode.bin.")
            obj.docstring.value = (description if of_command else to_markdown)(obj.docstring.value)
