"""A YAML text as plain values that remember their lines, so that every complaint can say where.

Read as YAML 1.2: `1e-4` is a number, `no` is a word. Refused: duplicate keys, tags, and texts that
nest or expand without bounds.
"""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

Keys = tuple[str | int, ...]

MAX_BYTES = 2_000_000
MAX_VALUES = 200_000  # after aliases are written out: what stops an alias bomb
MAX_DEPTH = 24
_TAG = "tag:yaml.org,2002:"
_WORDS = ("str", "timestamp", "merge")  # the last two are words too: no field holds a date


class SweepError(ValueError):
    """A sweep file or option that cannot be used; the text is the whole message, with its place."""


class Source:
    """A text, its plain `data`, and the line of every key and list entry.

    Args:
        text: the YAML.
        name: what stands before the line in messages: the file as the user named it, or an option.
        numbered: whether lines mean anything (they do not in `--set key=value`).

    Raises:
        SweepError: the text is no YAML that is allowed here.
    """

    def __init__(self, text: str, name: str, *, numbered: bool = True) -> None:
        self.text, self.name, self.numbered = text, name, numbered
        self.lines: dict[Keys, int] = {}
        self._values = 0
        node = self._compose()
        self.data = None if node is None else self._plain(node, ())

    def place(self, keys: Keys = ()) -> str:
        """`file:line` of the deepest of `keys` that stands in the text."""
        line = self.line(keys)
        return self.name if line is None else f"{self.name}:{line}"

    def line(self, keys: Keys) -> int | None:
        """The line of the deepest of `keys` that stands in the text."""
        if not self.numbered:
            return None
        for length in range(len(keys), 0, -1):
            if keys[:length] in self.lines:
                return self.lines[keys[:length]]
        return None

    def error(self, keys: Keys, sentence: str) -> SweepError:
        """An error that says where `keys` stand."""
        return SweepError(f"{self.place(keys)}: {sentence}")

    def _compose(self) -> Node | None:
        directive = re.search(r"^%YAML\s+(?!1\.2\s*$).*$", self.text, re.MULTILINE)
        if directive:
            line = self.text.count("\n", 0, directive.start()) + 1
            raise self._refusal(line, f"{directive[0]!r} is not allowed: must be YAML 1.2")
        try:
            node: Node | None = YAML(typ="safe", pure=True).compose(self.text)
        except RecursionError:
            raise SweepError(f"{self.name}: nested deeper than {MAX_DEPTH} levels") from None
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 1
            raise self._refusal(line, _syntax(error)) from None
        except ReaderError as error:
            line = self.text.count("\n", 0, error.position) + 1
            sentence = f"the character {chr(ord(self.text[error.position]))!r} is not allowed"
            raise self._refusal(line, sentence) from None
        except (YAMLError, ValueError) as error:
            raise SweepError(f"{self.name}: not valid YAML: {error}") from None
        return node

    def _plain(self, node: Node, keys: Keys) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise self._at(node, f"more than {MAX_VALUES:,} values, aliases written out")
        if len(keys) > MAX_DEPTH:
            raise self._at(node, f"nested deeper than {MAX_DEPTH} levels")
        kind = str(node.tag).removeprefix(_TAG)
        if isinstance(node, MappingNode) and kind == "map":
            return self._mapping(node, keys)
        if isinstance(node, SequenceNode) and kind == "seq":
            for index, entry in enumerate(node.value):
                self.lines[(*keys, index)] = entry.start_mark.line + 1
            return [self._plain(entry, (*keys, index)) for index, entry in enumerate(node.value)]
        if isinstance(node, ScalarNode):
            return self._scalar(node, kind)
        raise self._at(node, f"the tag {_tag_text(node)} is not allowed: plain YAML only")

    def _mapping(self, node: MappingNode, keys: Keys) -> dict[str, Any]:
        plain: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, ScalarNode):
                raise self._at(key_node, "a list or mapping cannot be a key: must be a word")
            key = str(key_node.value)
            if key in plain:
                first = self.lines[(*keys, key)]
                where = f" (first on line {first})" if self.numbered else ""
                raise self._at(key_node, f"duplicate key {key!r}{where}")
            self.lines[(*keys, key)] = key_node.start_mark.line + 1
            plain[key] = self._plain(value_node, (*keys, key))
        return plain

    def _scalar(self, node: ScalarNode, kind: str) -> Any:
        text = str(node.value)
        if kind in _WORDS:
            return text
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() == "true"
        try:
            if kind == "int":
                return _integer(text)
            if kind == "float":
                return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
        except ValueError:
            shown = text if len(text) <= 40 else f"{text[:37]}..."
            raise self._at(node, f"{shown!r} is not allowed: no such number fits here") from None
        raise self._at(node, f"the tag {_tag_text(node)} is not allowed: plain YAML only")

    def _at(self, node: Node, sentence: str) -> SweepError:
        return self._refusal(node.start_mark.line + 1, sentence)

    def _refusal(self, line: int, sentence: str) -> SweepError:
        return SweepError(f"{self.name}:{line}: {sentence}" if self.numbered else sentence)


def read(path: Path, kind: str = "sweep file") -> Source:
    """The YAML file at `path`.

    Args:
        kind: what it should be, for messages.

    Raises:
        SweepError: it is missing, unreadable, too large, not UTF-8, or no YAML allowed here.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise SweepError(f"{path}: no such file{_near(path)}") from None
    except IsADirectoryError:
        raise SweepError(f"{path}: is a folder, not a {kind}{_inside(path)}") from None
    except OSError as error:
        raise SweepError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_BYTES:
        raise SweepError(f"{path}: {len(content):,} bytes: a {kind} may have {MAX_BYTES:,} at most")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise SweepError(
            f"{path}:{line}: not a text in UTF-8 (byte 0x{byte:02x}); is this a {kind}?"
        ) from None
    return Source(text, str(path))


def _integer(text: str) -> int:
    digits = text.replace("_", "")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits.lstrip("+-")[:2].lower(), 10)
    value = int(digits, base)
    if abs(value) >= 2**63:
        raise ValueError(text)
    return value


def _syntax(error: MarkedYAMLError) -> str:
    problem = error.problem or "cannot be read"
    if r"'\t'" in problem:
        return "a tab cannot indent YAML: use spaces"
    if "another document" in problem:
        return "a second document begins here ('---'): a sweep file holds one"
    context = f" {error.context}" if error.context and "scanning for" not in error.context else ""
    return f"not valid YAML: {problem}{context}"


def _tag_text(node: Node) -> str:
    tag = str(node.tag)
    return repr(tag.replace(_TAG, "!!"))


def _sweep_files(folder: Path) -> list[str]:
    try:
        return sorted(file.name for file in folder.iterdir() if file.suffix in (".yaml", ".yml"))
    except OSError:
        return []


def _near(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f", and no folder {folder}"
    names = _sweep_files(folder)
    stems = {Path(name).stem: name for name in names}
    close = difflib.get_close_matches(path.stem, stems, n=2, cutoff=0.5)
    if close:
        return "; did you mean " + " or ".join(str(folder / stems[stem]) for stem in close) + "?"
    return f" ({folder} has {', '.join(names[:12])})" if names else ""


def _inside(folder: Path) -> str:
    names = _sweep_files(folder)
    return f" (it has {', '.join(names[:12])})" if names else ""
