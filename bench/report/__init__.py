"""The report on a sweep: records in, one HTML page and its Markdown twin out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.records import Records

__all__ = ["Rendered", "render", "render_claims"]


@dataclass(frozen=True)
class Rendered:
    """A finished report.

    Attributes:
        html: one self-contained file; nothing is loaded from elsewhere.
        markdown: its twin, which shows the pictures in `files`.
        files: what is to be written beside the Markdown, by file name (no folders).
    """

    html: str
    markdown: str
    files: dict[str, bytes]


def render(records: Records) -> Rendered:
    """The report on these records, the same bytes every time; reads no file but its templates."""
    from bench.report.content import page
    from bench.report.html import to_page
    from bench.report.markdown import files, to_text

    content = page(records)
    return Rendered(to_page(content), to_text(content), files(content))


def render_claims(sweeps: Mapping[str, Records]) -> Rendered:
    """The report on all declared claims, from the records of those sweeps that have been run."""
    from bench.report.content import claims_page
    from bench.report.html import to_page
    from bench.report.markdown import files, to_text

    content = claims_page(sweeps)
    return Rendered(to_page(content), to_text(content), files(content))
