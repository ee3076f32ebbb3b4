"""What lies beside a report: its figures as SVG and PDF, its tables as LaTeX and CSV."""

from __future__ import annotations

import re

from bench.latex import document, to_latex
from bench.report.content import Page
from bench.report.exhibits import Exhibit, Exhibits
from bench.tables import to_csv

FIGURES, TABLES = "figures", "tables"
ALL_TABLES = "all-tables"


def files(page: Page, shown: Exhibits) -> dict[str, bytes]:
    """Every file beside report.html and report.md, by its path in the report's folder."""
    return _figures(page, shown) | _tables(page, shown)


def _figures(page: Page, shown: Exhibits) -> dict[str, bytes]:
    found = {}
    for stem, picture in shown.pictures.items():
        found[f"{FIGURES}/{stem}.svg"] = bytes(picture.wide)
        if picture.pdf:
            found[f"{FIGURES}/{stem}.pdf"] = picture.pdf
    for section in page.sections:
        for sample in section.samples:
            found[f"{FIGURES}/{sample.name}"] = sample.png
    return found


def _tables(page: Page, shown: Exhibits) -> dict[str, bytes]:
    texts = {
        stem: to_latex(exhibit.table, _caption(exhibit), f"tab:{stem}")
        for stem, exhibit in shown.tables.items()
    }
    found = {f"{TABLES}/{stem}.tex": text.encode() for stem, text in texts.items()}
    for stem, exhibit in shown.tables.items():
        found[f"{TABLES}/{stem}.csv"] = to_csv(exhibit.table).encode()
    whole = document(texts, texts.values())
    return found | {f"{TABLES}/{ALL_TABLES}.tex": whole.encode()}


def _caption(exhibit: Exhibit) -> str:
    """The caption on the page without its number, which LaTeX counts by itself."""
    words = re.sub(r"^Table \d+\. ", "", exhibit.caption)
    # On the page an interval stands beneath its mean.
    return words.replace("beneath", "in brackets") or f"{exhibit.name}."
