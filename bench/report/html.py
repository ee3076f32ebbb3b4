"""The report as one HTML file that needs no other: style and pictures inside, no script."""

from __future__ import annotations

from pathlib import Path

import jinja2
from markupsafe import Markup

from bench.report.content import Page
from bench.report.pictures import data_uri
from bench.tables import Table, to_html

HERE = Path(__file__).parent


def to_page(page: Page) -> str:
    """The HTML; everything that comes from records is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )

    def table(content: Table, name: str) -> Markup:
        return Markup(to_html(content, name, page.colours))  # noqa: S704 - escaped in to_html

    style = Markup((HERE / "style.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    return environment.get_template("page.html").render(
        page=page, style=style, table=table, data_uri=data_uri
    )
