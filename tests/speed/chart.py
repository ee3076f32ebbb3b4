"""The figure of reports/speed: each median with its spread, as a multiple of what is required."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from tests.speed.figure import Figure
from tests.speed.kept import Kept
from tests.speed.required import REQUIRED, Row

REACHED, MISSED, INK = "#0072B2", "#D55E00", "#333333"
_LABELS = {
    "conv_step": "conv step against clean loop",
    "conv_step_bf16": "conv step bf16 against clean float32",
    "conv_step_bf16_ours": "conv step bf16 against ours float32",
    "conv_peak_share": "share of the convolution peak",
    "mlp_step_tutorial": "MLP step against tutorial loop",
    "penalty_flops": "FLOPs of the penalty step",
    "digits_sweep": "12 runs of digits to the report",
    "frechet_5000": "Fréchet distance, n = 5000",
    "frechet_1000": "Fréchet distance, n = 1000",
    "harness_conv": "harness over bare loop, conv",
    "harness_toy": "harness over bare loop, toy",
    "gpu_graph_tf32": "GPU: graph, tf32, over eager",
    "gpu_graph_bf16": "GPU: graph, bf16, over eager",
    "gpu_pack": "GPU: 16 packed seeds",
    **{f"pack_{width}": f"pack of 16, width {width}" for width in (64, 128, 512)},
    **{f"pack_workers_{width}": f"2 packs of 8, width {width}" for width in (64, 128, 512)},
}


def against_required(row: Row, value: float) -> float:
    """`value` as a multiple of the bound: 1 is just reached, more is better."""
    assert row.bound is not None
    return row.bound / value if row.at_most else value / row.bound


def draw(kept: Kept) -> Canvas:
    """A line a row from the top: the median, the range of the rounds, the numbers in words."""
    rows = [row for row in REQUIRED if row.name in kept.figures]
    canvas = Canvas(figsize=(8.6, 0.9 + 0.33 * max(1, len(rows))), layout="constrained")
    axes = canvas.subplots()
    axes.axvline(1.0, color=INK, linewidth=1)
    for place, row in enumerate(rows):
        _mark(axes, place, row, kept.figures[row.name])
    axes.set_yticks(range(len(rows)), [_LABELS[row.name] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low, 0.7), max(high, 1.5) * 1.6)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("measured as a multiple of what is required (right of 1: reached)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return canvas


def _mark(axes, place: int, row: Row, figure: Figure) -> None:
    spread = figure.spread
    reached = row.reached(spread, figure.sound)
    colour = REACHED if reached else MISSED
    ends = [against_required(row, value) for value in (spread.low, spread.high)]
    middle = against_required(row, spread.median)
    axes.plot(ends, [place, place], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot([middle], [place], marker="o" if reached else "X", markersize=7, color=colour)
    sign = "≤" if row.at_most else "≥"
    assert row.bound is not None
    text = f"{row.shown(spread.median)} ({sign} {row.shown(row.bound)})"
    axes.annotate(
        text if reached else f"{text} missed",
        (max(*ends, middle), place),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=INK,
    )


def write(kept: Kept, folder: Path) -> None:
    """ratios.svg and ratios.png; equal figures give equal bytes."""
    settings = {"svg.hashsalt": "speed", "svg.fonttype": "path", "font.family": "DejaVu Sans"}
    with rc_context(settings):
        for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
            content = BytesIO()
            draw(kept).savefig(content, format=kind, dpi=150, metadata=metadata)
            (folder / f"ratios.{kind}").write_bytes(content.getvalue())
