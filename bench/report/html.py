"""The report as one HTML file that needs no other: style, script and pictures are inside.

The script is our own and only adds to a page that is whole without it; the page's policy lets that
very script run, by its hash, and nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

import jinja2
from markupsafe import Markup

from bench.report.content import Page
from bench.report.exhibits import Exhibits
from bench.report.pictures import Picture, data_uri
from bench.tables import Table, fold_html, to_html

HERE = Path(__file__).parent
_TABLE_END = "</table></div>"
_CAPTION = re.compile(
    rf'{_TABLE_END}\n(<p class="files">[^\n]*</p>\n)\s*<p class="caption">(.*?)</p>', re.DOTALL
)
_TABLE = re.compile(r'<div class="table" id="table-([a-z0-9A-Z-]+)"')


def to_page(page: Page) -> tuple[str, Exhibits]:
    """The HTML, in which everything from records is escaped, and what it shows."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["lower_headings"] = _lower_headings
    shown = Exhibits()
    style, script = (
        Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - our own files
        for name in ("style.css", "page.js")
    )

    def table(content: Table, name: str, stem: str = "") -> Markup:
        chosen = shown.add_table(content, name, stem)
        text = to_html(content, name, page.colours, f"table-{chosen}")
        return Markup(f"{text}\n{_files('tables', chosen, csv='CSV', tex='LaTeX')}\n")  # noqa: S704 - escaped

    def files(picture: Picture) -> Markup:
        stem = shown.add_picture(picture)
        kinds = {"svg": "SVG", "pdf": "PDF"} if picture.pdf else {"svg": "SVG"}
        return Markup(_files("figures", stem, **kinds))  # noqa: S704 - stems are plain

    def fold(title: str, *lines: str) -> Markup:
        return Markup(fold_html(title, *lines))  # noqa: S704 - escaped in fold_html

    text = environment.get_template("page.html").render(
        page=page,
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        table=table,
        files=files,
        fold=fold,
        data_uri=data_uri,
        enter=shown.enter,
    )
    return _bind_captions(text, shown), shown


def _files(folder: str, stem: str, **kinds: str) -> str:
    """Links to the files beside the page that hold an exhibit."""
    links = ", ".join(
        f'<a href="{folder}/{stem}.{ending}">{name}</a>' for ending, name in kinds.items()
    )
    return f'<p class="files">{links}</p>'


def _bind_captions(text: str, shown: Exhibits) -> str:
    """The page with every table that a caption follows made a figure with that caption."""
    parts, done = [], 0
    for match in _CAPTION.finditer(text):
        start = text.rindex('<div class="table"', done, match.start())
        named = _TABLE.match(text, start)
        if named is None:
            continue
        files, caption = match.groups()
        shown.tables[named[1]].caption = _words(caption)
        parts += [
            text[done:start],
            '<figure class="exhibit">\n',
            text[start : match.start()],
            f'{_TABLE_END}\n<figcaption class="caption">{caption}</figcaption>\n{files}</figure>',
        ]
        done = match.end()
    return "".join((*parts, text[done:]))


def _words(markup: str) -> str:
    """The text of a caption."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", markup)).split())


def _lower_headings(markup: str) -> Markup:
    """A part of the page whose headings stand one level lower than they say."""
    lowered = re.sub(r"(</?h)([1-5])\b", lambda found: f"{found[1]}{int(found[2]) + 1}", markup)
    return Markup(lowered)  # noqa: S704 - the filter's block is escaped already
