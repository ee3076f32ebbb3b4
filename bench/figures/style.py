"""What all figures share: colours, type, axes for values of any range, and the writing of SVG."""

from __future__ import annotations

import colorsys
import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator, NullLocator

# The first of a pair is for light paper, the second for dark. Titles of panels are written in them,
# so each has a contrast of 4.5 to its paper.
PALETTE = (
    ("#0072b2", "#56aee6"),
    ("#c04e00", "#f58b42"),
    ("#007d5e", "#36c79c"),
    ("#b0508c", "#e194c2"),
    ("#8c6700", "#e3b93c"),
    ("#9c2f3f", "#f08a94"),
    ("#6b4fa0", "#ae97e0"),
    ("#6b7075", "#a3a9ae"),
)
INK, MUTED, RULE, BAND = "#22272b", "#656d74", "#d6dadd", "#eceef0"
_DARK = {INK: "#e2e4e6", MUTED: "#9ba3aa", RULE: "#3a4046", BAND: "#262b30"}
# viridis without its ends, which vanish on dark and on light paper.
RAMP = LinearSegmentedColormap.from_list(
    "ramp", ["#3f5fa8", "#2f7f8e", "#35a37a", "#8fc24a", "#d9b51f"]
)
MARKERS = "osD^vPX<>*"
WIDE, NARROW = 10.0, 4.3  # inches across
# A hundredth of a point is enough, and half the size of a figure with many lines.
_COORDINATES = re.compile(r' (?:d|x|y)="[^"]*"')
LINE, ROOMY = 0.17, 3  # inches of a legend's line, and lines for which figures have room
_DECIMALS = re.compile(r"(\.\d\d)\d+")

STYLE: Any = {  # a plain dict; matplotlib's stubs want its keys as literals
    "svg.hashsalt": "wgan-bench",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,  # TrueType, which journals take; not Type 3
    "text.parse_math": False,  # a label such as "$x" is a name and no formula
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 7,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": RULE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.solid_capstyle": "round",
}


def palette(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """For each label a light-paper and a dark-paper colour, by its place in the list."""
    return {label: _colour_pair(place) for place, label in enumerate(dict.fromkeys(labels))}


def _colour_pair(place: int) -> tuple[str, str]:
    if place < len(PALETTE):
        return PALETTE[place]
    hue = (place * 0.618034) % 1  # the golden angle keeps neighbours apart
    return (
        to_hex(colorsys.hls_to_rgb(hue, 0.28, 0.65)),
        to_hex(colorsys.hls_to_rgb(hue, 0.68, 0.65)),
    )


def seed_markers(seeds: Iterable[int]) -> dict[int, str]:
    """For each seed the marker that stands for it in every figure."""
    return {
        seed: MARKERS[place % len(MARKERS)]
        for place, seed in enumerate(sorted(set(map(int, seeds))))
    }


def settle(figure: Figure) -> None:
    """Lay the figure out now and for good: layout is the dearest part of writing it each time."""
    engine = figure.get_layout_engine()
    if engine is None:
        return
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        engine.execute(figure)
    figure.set_layout_engine("none")


def to_svg(figure: Figure, colours: Mapping[str, tuple[str, str]]) -> bytes:
    """The figure as SVG: the same bytes for the same figure, ink and colours following the scheme.

    Programs that know no colour schemes show it for light paper.
    """
    settle(figure)
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes; the page has it as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasSVG(figure).print_svg(buffer)  # type: ignore[no-untyped-call]
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    # The metadata hold the date and matplotlib's version.
    text = re.sub(r" <metadata>.*?</metadata>\n", "", text, flags=re.DOTALL)
    text = _COORDINATES.sub(lambda found: _DECIMALS.sub(r"\1", found[0]), text)
    dark = "".join(
        f'[style*="{role}: {light}"]{{{role}:{shade}!important}}'
        for light, shade in (*_DARK.items(), *colours.values())
        for role in ("fill", "stroke")
    )
    style = f"<style>@media (prefers-color-scheme: dark){{{dark}}}</style>"
    opening_end = text.index(">") + 1
    return (text[:opening_end] + style + text[opening_end:]).encode()


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF for light paper, its fonts inside: the same bytes for the same figure."""
    settle(figure)
    buffer = io.BytesIO()
    dateless = dict.fromkeys(("CreationDate", "ModDate", "Producer", "Creator"))
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasPdf(figure).print_pdf(buffer, metadata=dateless)  # type: ignore[no-untyped-call]
    return buffer.getvalue()


def legend_above(figure: Figure, handles: Sequence[Artist], **spacing: float) -> None:
    """A legend over the whole figure, in as many columns as fit its width."""
    # DejaVu Sans at 8.5 points takes about 0.073 inches a letter, the handle and its gaps 0.5.
    widths = [0.5 + 0.073 * len(str(handle.get_label())) for handle in handles]
    room = figure.get_figwidth() - 0.3
    columns = next(
        (
            count
            for count in range(len(widths), 1, -1)
            if sum(_column_widths(widths, count)) <= room
        ),
        1,
    )
    # A legend of many lines must not take its panels' room.
    lines = _lines([str(handle.get_label()) for handle in handles], columns)
    figure.set_figheight(figure.get_figheight() + LINE * max(0, lines - ROOMY))
    figure.legend(
        handles=list(handles),
        loc="outside upper left",
        ncols=columns,
        borderaxespad=0.2,
        columnspacing=1.6,
        **spacing,
    )


def _column_widths(widths: Sequence[float], count: int) -> list[float]:
    """The widest of each column."""
    return [max(column, default=0) for column in _columns(widths, count)]


def _lines(labels: Sequence[str], count: int) -> int:
    """The lines of the longest column."""
    columns = _columns(labels, count)
    return max((sum(1 + label.count("\n") for label in column) for column in columns), default=0)


def _columns(items: Sequence[Any], count: int) -> list[Sequence[Any]]:
    """A legend's columns, filled downwards as matplotlib does, the first ones longer."""
    rows, longer = divmod(len(items), count)
    sizes = [rows + 1] * longer + [rows] * (count - longer)
    ends = np.cumsum(sizes)
    return [items[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def short(label: str, width: int) -> str:
    """A label in at most two lines of `width` letters."""
    flat = " ".join(label.split())
    if len(flat) > width:  # break before the settings rather than inside a word
        flat = flat.replace("(", " (")
    lines = textwrap.wrap(flat, width, max_lines=2, placeholder=" …") or [flat[:width]]
    return "\n".join(lines)


def title_panel(panel: Axes, title: str, note: str, colour: str, inches: float) -> None:
    """A title in `colour` over a muted note, each in as many letters as fit a panel so wide."""
    letters = max(8, int(inches / 0.092))
    note = short(note, int(1.4 * letters)) if note else ""
    panel.set_title(short(title, letters), color=colour, pad=19 + 10 * note.count("\n"))
    panel.text(0, 1.035, note, transform=panel.transAxes, color=MUTED, size=7.5)


def signed(value: float, digits: int = 3) -> str:
    """A number in so many significant digits, with a true minus sign."""
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def _log_ticks(decades: float) -> Locator:
    """About four ticks on a logarithmic axis that spans so many powers of ten."""
    if decades < 0.8:
        return MaxNLocator(4)
    if decades < 1.3:
        return LogLocator(subs=(1.0, 2.0, 5.0))
    return LogLocator(subs=(1.0, 3.0) if decades < 2.4 else (1.0,))


def steps_axis(axis: Axis) -> None:
    """Ticks for training steps."""
    axis.set_major_locator(MaxNLocator(4, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def scale_axis(axes: Axes, which: str, values: npt.ArrayLike, *, log: bool) -> None:
    """Choose the scale of the x or y axis for these values, and plain tick texts.

    Logarithmic where asked for and all values are positive; else linear, or linear about zero and
    logarithmic beyond where a few values (of a run that diverged) would flatten all others.
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    axis, set_scale = (
        (axes.xaxis, axes.set_xscale) if which == "x" else (axes.yaxis, axes.set_yscale)
    )
    plain = FuncFormatter(lambda value, _: f"{value:,.6g}".replace("-", "\N{MINUS SIGN}"))
    if len(finite) == 0:
        return
    size = np.abs(finite)
    if log and finite.min() > 0:
        decades = math.log10(finite.max() / finite.min())
        set_scale("log")
        axis.set_major_locator(_log_ticks(decades))
        axis.set_minor_locator(NullLocator())
    elif size.max() > 1000 * max(float(np.median(size)), 1e-300):
        set_scale("symlog", linthresh=max(float(np.median(size)), 1e-12))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(4))
    axis.set_major_formatter(plain)
