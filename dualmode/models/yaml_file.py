"""The one door to YAML: what it may ask for is bounded before it is built.

A configuration is a small mapping of text to numbers, text, lists and mappings.  Everything else that YAML can say is
refused in one sentence: tags, dates, merge keys (which grow exponentially), keys that come twice or are no text, deep
nesting, and aliases that expand to more than a configuration has.
"""

import stat
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from dualmode.errors import UserError

MOST_BYTES = 512 << 10
MOST_NODES = 100_000
DEEPEST = 40
_LARGEST = 1 << 63


class _Loader(yaml.SafeLoader):
    """Builds lists, mappings, text, numbers, true, false and null, and refuses the rest by its line."""

    def flatten_mapping(self, node):
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem="merge keys (<<) are not read", problem_mark=key.start_mark)

    def construct_mapping(self, node, deep=False):
        mapping = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            [(twice, _)] = Counter(str(key.value) for key, _ in node.value).most_common(1)
            raise yaml.MarkedYAMLError(problem=f"the key {twice} comes twice", problem_mark=node.start_mark)
        for key in mapping:
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(problem=f"the key {key!r} is no text", problem_mark=node.start_mark)
        return mapping


def _check_size(root: yaml.Node) -> None:
    """Raise YAMLError for nodes that nest too deeply, contain themselves, or are too many once aliases are expanded."""
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if depth > DEEPEST or id(node) in above:
            raise yaml.MarkedYAMLError(problem="it nests too deeply", problem_mark=node.start_mark)
        if id(node) not in sizes:
            above.add(id(node))
            parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
            total = 1 if isinstance(node, yaml.ScalarNode) else 1 + sum(size(part, depth + 1) for part in parts)
            above.discard(id(node))
            if total > MOST_NODES:
                raise yaml.MarkedYAMLError(problem="it holds too many values", problem_mark=node.start_mark)
            sizes[id(node)] = total
        return sizes[id(node)]

    size(root, 0)


def _plain(value: Any, key: str) -> None:
    """Raise ValueError for a value that is no text, number, true, false, null, nor a list or mapping of these."""
    if isinstance(value, dict):
        for name, item in value.items():
            _plain(item, name)
    elif isinstance(value, list):
        for item in value:
            _plain(item, key)
    elif isinstance(value, int) and abs(value) >= _LARGEST:
        raise ValueError(f"{key} is a number that is too large")
    elif not isinstance(value, (str, int, float, bool, type(None))):
        raise ValueError(f"{key} is read as a {type(value).__name__}: put it into quotes if it is text")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: the file is missing, no file or too large; it is no YAML, or not a mapping of plain values.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{path} is no file: expected YAML")
        if found.st_size > MOST_BYTES:
            raise UserError(f"{path} has {found.st_size} bytes: no configuration is that large")
        value = _load(path.read_text(encoding="utf-8"))
        if isinstance(value, dict):
            _plain(value, "")
    except FileNotFoundError:
        raise UserError(f"there is no file {path}") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{path} is not valid YAML: it nests too deeply") from None
    # PyYAML itself raises all of these for numbers, dates and tags that are none.
    except (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, IndexError, OverflowError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(value, dict):
        held = "nothing" if value is None else f"a {type(value).__name__}"
        raise UserError(f"{path} must hold keys and values, and holds {held}")
    return value


def _load(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()
