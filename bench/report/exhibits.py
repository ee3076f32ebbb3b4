"""What a page shows, in its order: each table and picture with the stem of its files' names.

The page's templates call `table` and `drawing`, which note here what they show. So a part of the
report that shows a table on the page has it in the folder of tables too, without another word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bench.report.pictures import Picture
from bench.tables import Table


@dataclass
class Exhibit:
    """A table as shown: what screen readers call it, and the text of its caption."""

    table: Table
    name: str
    caption: str = ""


@dataclass
class Exhibits:
    """Tables and pictures by the stem of their files' names; `key` tells the sections apart."""

    key: str = ""
    tables: dict[str, Exhibit] = field(default_factory=dict)
    pictures: dict[str, Picture] = field(default_factory=dict)

    def enter(self, key: str) -> str:
        """From here on, what is shown belongs to the section of this key; returns nothing."""
        self.key = key
        return ""

    def add_table(self, table: Table, name: str, stem: str = "") -> str:
        """Note a table; returns its stem, made from `name` where none is given."""
        chosen = _unused(_keyed(self.key, _slug(stem or name)), self.tables)
        self.tables[chosen] = Exhibit(table, name)
        return chosen

    def add_picture(self, picture: Picture) -> str:
        """Note a picture; returns its stem."""
        chosen = picture_stem(self.key, picture.name)
        self.pictures[chosen] = picture
        return chosen


def picture_stem(key: str, name: str) -> str:
    """Of a section's picture: `curves`, or `abcd1234-curves` where sections are told apart."""
    return _keyed(key, name.removesuffix(".svg"))


def _keyed(key: str, stem: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]", "", key)
    return f"{plain}-{stem}" if plain else stem


def _slug(name: str) -> str:
    """A name in small letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower().replace("'", "")).strip("-") or "table"


def _unused(stem: str, taken: dict[str, Exhibit]) -> str:
    place, chosen = 1, stem
    while chosen in taken:
        place += 1
        chosen = f"{stem}-{place}"
    return chosen
