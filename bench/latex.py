r"""Tables for papers: LaTeX of the package booktabs, everything from records escaped.

A table of more rows than a page holds is a longtable. What the common engines cannot set by
themselves (minus signs, curly quotes) is written as commands, so that pdflatex will do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bench.tables import Cell, Table

MOST_ROWS = 40  # in a floating table; beyond it the table may go over pages
FIXED = "\N{NO-BREAK SPACE}"

_COMMANDS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--",
    "\N{EM DASH}": "---",
    FIXED: "~",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``",
    "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{LEFT SINGLE QUOTATION MARK}": "`",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{HORIZONTAL ELLIPSIS}": r"\dots{}",
    "\N{MIDDLE DOT}": r"$\cdot$",
    "\N{PLUS-MINUS SIGN}": r"$\pm$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{LESS-THAN OR EQUAL TO}": r"$\leq$",
    "\N{GREATER-THAN OR EQUAL TO}": r"$\geq$",
    "\N{ALMOST EQUAL TO}": r"$\approx$",
    "\N{GREEK SMALL LETTER ALPHA}": r"$\alpha$",
    "\N{GREEK SMALL LETTER BETA}": r"$\beta$",
    "\N{GREEK SMALL LETTER THETA}": r"$\theta$",
    "\N{GREEK SMALL LETTER LAMDA}": r"$\lambda$",
    "\N{GREEK SMALL LETTER RHO}": r"$\rho$",
    "\N{GREEK SMALL LETTER TAU}": r"$\tau$",
    "\N{SUPERSCRIPT TWO}": r"$^2$",
    "\N{RIGHTWARDS ARROW}": r"$\to$",
}
_WRITTEN = str.maketrans(_COMMANDS)
PACKAGES = ("booktabs", "longtable", "textcomp")


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it stands; control characters and line ends become spaces."""
    # A no-break space counts as unprintable, yet it is meant.
    shown = (sign if sign.isprintable() or sign == FIXED else " " for sign in text)
    flat = re.sub(" +", " ", "".join(shown)).strip(" ")
    return flat.translate(_WRITTEN)


def to_latex(table: Table, caption: str, label: str) -> str:
    r"""The table with its caption, to be taken into a document by \input.

    Args:
        table: what to write; details stand in brackets.
        caption: plain text.
        label: for \ref, of letters, digits, colons and hyphens.
    """
    columns = "".join("r" if column.align == "right" else "l" for column in table.columns)
    head = _row(escape_latex(column.title) for column in table.columns)
    body = [_row(_cell(cell) for cell in row) for row in table.cells]
    title = rf"\caption{{{escape_latex(caption)}}}\label{{{label}}}"
    needs = "% Needs \\usepackage{booktabs}" + (
        " and \\usepackage{longtable}." if len(body) > MOST_ROWS else "."
    )
    write = _long if len(body) > MOST_ROWS else _floating
    return "\n".join([needs, *write(columns, title, head, body)]) + "\n"


def _floating(columns: str, title: str, head: str, body: list[str]) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering\footnotesize",
        title,
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        *(r"\toprule", head, r"\midrule", *body, r"\bottomrule"),
        r"\end{tabular}",
        r"\end{table}",
    ]


def _long(columns: str, title: str, head: str, body: list[str]) -> list[str]:
    return [
        r"\begingroup\footnotesize",
        rf"\begin{{longtable}}{{@{{}}{columns}@{{}}}}",
        title + r" \\",
        *(r"\toprule", head, r"\midrule", r"\endfirsthead"),
        *(r"\toprule", head, r"\midrule", r"\endhead"),
        *(r"\bottomrule", r"\endfoot"),
        *body,
        r"\end{longtable}",
        r"\endgroup",
    ]


def _cell(cell: Cell) -> str:
    detail = f" ({escape_latex(cell.detail)})" if cell.detail else ""
    return escape_latex(cell.text) + detail


def _row(cells: Iterable[str]) -> str:
    return " & ".join(cells) + r" \\"


def document(stems: Iterable[str], texts: Iterable[str]) -> str:
    """A whole document that sets the tables `<stem>.tex` beside it, one after another.

    Args:
        stems: of the tables' file names, in their order.
        texts: what those files hold; pdflatex is told of letters in them that it has no type for.
    """
    letters = sorted({sign for text in texts for sign in text if ord(sign) > 0x17F})
    unknown = [rf"\DeclareUnicodeCharacter{{{ord(sign):04X}}}{{?}}" for sign in letters]
    return (
        "\n".join(
            [
                r"\documentclass{article}",
                r"\usepackage[T1]{fontenc}",
                r"\usepackage[margin=15mm,landscape]{geometry}",
                *(rf"\usepackage{{{package}}}" for package in PACKAGES),
                *([r"\usepackage{iftex}", r"\ifPDFTeX", *unknown, r"\fi"] if unknown else []),
                r"\begin{document}",
                *(rf"\input{{{stem}.tex}}" for stem in stems),
                r"\end{document}",
            ]
        )
        + "\n"
    )
