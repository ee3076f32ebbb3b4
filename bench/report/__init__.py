"""The report on a sweep: records in, one HTML page and its Markdown twin out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.records import Records

if TYPE_CHECKING:
    from bench.report.content import Page

__all__ = ["Rendered", "render", "render_claims"]


@dataclass(frozen=True)
class Rendered:
    """A finished report.

    Attributes:
        html: one self-contained file; nothing is loaded from elsewhere.
        markdown: its twin, which shows the pictures in `files`.
        files: what is to be written beside them, by path: figures/ (SVG, PDF; samples as PNG) and
            tables/ (LaTeX, CSV).
    """

    html: str
    markdown: str
    files: dict[str, bytes]


def render(records: Records) -> Rendered:
    """The report on these records, the same bytes every time; reads no file but its templates."""
    from bench.report.content import page

    return _written(page(records))


def render_claims(sweeps: Mapping[str, Records]) -> Rendered:
    """The report on all declared claims, from the records of those sweeps that have been run."""
    from bench.report.content import claims_page

    return _written(claims_page(sweeps))


def _written(content: Page) -> Rendered:
    from bench.report.files import files
    from bench.report.html import to_page
    from bench.report.markdown import to_text

    html, shown = to_page(content)
    return Rendered(html, to_text(content), files(content, shown))
