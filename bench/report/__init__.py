"""The report on a sweep: records in, one HTML page and its Markdown twin out."""

from __future__ import annotations

from dataclasses import dataclass

from bench.records import Records

__all__ = ["Rendered", "render"]


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
    from bench.report.files import files
    from bench.report.html import to_page
    from bench.report.markdown import to_text

    content = page(records)
    html, shown = to_page(content)
    return Rendered(html, to_text(content), files(content, shown))
