import math
import re
import xml.etree.ElementTree as ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from fake_records import fake_records
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from bench.figures import (
    NARROW,
    WIDE,
    curves_figure,
    palette,
    scatter_figure,
    seeds_figure,
    settle,
    to_svg,
)
from bench.figures.style import PALETTE, STYLE, legend_above, scale_axis, short
from bench.report.sweep_tables import interval_frame, seed_frame
from bench.stats import track


@pytest.fixture(scope="module")
def records():
    return fake_records(["gan", "wgan_gp"], range(2), evaluations=21, pictures=False)


@pytest.fixture(scope="module")
def frame(records):
    described = records.runs[["run_id", "label", "seed", "state"]]
    return records.curves.merge(described, on="run_id").assign(dead=False)


@pytest.fixture(scope="module")
def colours():
    return palette(["gan", "wgan_gp"])


def draw(kind, records, frame, colours, width):
    if kind == "curves":
        return curves_figure(frame, "fid", "FID", colours, {"floor": 7.0, "baseline": 80.0}, width)
    if kind == "scatter":
        points = frame[frame["step"] > 0]
        return scatter_figure(points, "fid", "FID", colours, {"gan": "raw +0.80"}, width)
    trackings = track(records.runs, records.curves, "fid", floor=7.0)
    return seeds_figure(seed_frame(trackings), interval_frame(trackings), colours, width)


@pytest.mark.parametrize(
    ("kind", "width"),
    [("curves", WIDE), ("curves", NARROW), ("scatter", NARROW), ("seeds", WIDE), ("seeds", NARROW)],
)
def test_a_figure_is_the_same_bytes_every_time_with_nothing_cut_off(
    kind, width, records, frame, colours
):
    figure = draw(kind, records, frame, colours, width)
    svg = to_svg(figure, colours)
    again = to_svg(draw(kind, records, frame, colours, width), colours)
    assert svg == again
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg")
    assert b"<text" not in svg
    assert not re.search(rb'(href|src)="http', svg)
    # With the layout that the drawing settled on, every text lies on the paper.
    tight = figure.get_tightbbox()
    across, high = figure.get_size_inches()
    assert tight.x0 >= -0.01
    assert tight.y0 >= -0.01
    assert tight.x1 <= across + 0.01
    assert tight.y1 <= high + 0.01


def test_every_run_is_a_line_of_its_own(records, frame, colours):
    figure = draw("curves", records, frame, colours, WIDE)
    above = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in above] == ["gan", "wgan_gp"]
    for axes, label in zip(above, ("gan", "wgan_gp"), strict=True):
        drawn = [line for line in axes.lines if line.get_color() == colours[label][0]]
        assert len(drawn) == 2
        expected = frame[(frame["label"] == label) & (frame["seed"] == 0)]["fid"]
        np.testing.assert_array_equal(drawn[0].get_ydata(), expected)
        assert axes.get_yscale() == "log"


def test_the_floor_and_the_baseline_are_drawn_and_named(records, frame, colours):
    figure = draw("curves", records, frame, colours, WIDE)
    levels = {
        float(line.get_ydata()[0]) for line in figure.axes[0].lines if len(line.get_ydata()) == 2
    }
    assert levels == {7.0, 80.0}
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"floor", "baseline"} <= set(names)


def test_divergence_and_death_are_marked(records, frame, colours):
    cut = frame.assign(
        state=np.where(frame["seed"] == 0, "diverged", "done"), dead=frame["step"] > 900
    )
    names = [
        text.get_text()
        for text in draw("curves", records, cut, colours, WIDE).legends[0].get_texts()
    ]
    assert {"dead critic", "diverged here"} <= set(names)


def test_a_diverged_estimate_does_not_flatten_the_others(records, frame, colours):
    wild = frame.copy()
    wild.loc[wild.index[20], "estimate_held_out"] = 1e7
    wild.loc[wild.index[19], "estimate_held_out"] = math.inf
    figure = draw("curves", records, wild, colours, WIDE)
    scales = [axes.get_yscale() for axes in figure.axes]
    assert scales.count("symlog") == 1
    to_svg(figure, colours)


def test_curves_without_a_finite_value_can_be_drawn(records, frame, colours):
    blank = frame.assign(fid=np.nan, estimate_held_out=np.nan)
    to_svg(curves_figure(blank, "fid", "FID", colours, {}, NARROW), colours)


def test_any_label_can_be_drawn(frame):
    hostile = ["<script>", "$\\frac{$", "_hidden", "a" * 200, "数字", "a\nb", ""]
    points = frame[(frame["step"] > 0) & (frame["step"] < 500) & (frame["label"] == "gan")]
    named = pd.concat([points.assign(label=label) for label in hostile])
    svg = to_svg(scatter_figure(named, "fid", "FID", palette(hostile), {}, WIDE), {})
    ElementTree.fromstring(svg)


def test_dark_paper_gets_colours_of_its_own(records, frame, colours):
    svg = to_svg(draw("curves", records, frame, colours, WIDE), colours).decode()
    dark = svg[svg.index("prefers-color-scheme: dark") :]
    for light, shade in colours.values():
        assert f'stroke: {light}"]{{stroke:{shade}!important}}' in dark
        assert svg.count(light) > 2


def contrast(first, second):
    def luminance(colour):
        parts = [
            value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
            for value in to_rgb(colour)
        ]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_palette_stands_out_on_either_paper():
    for light, dark in (*PALETTE, *palette(map(str, range(40))).values()):
        assert contrast(light, "#ffffff") >= 4.5
        assert contrast(dark, "#15181b") >= 4.5


def test_a_label_has_its_colour_by_its_place_alone():
    many = palette(["a", "b", "a", "c"])
    assert list(many) == ["a", "b", "c"]
    assert many["a"] == PALETTE[0]
    assert len(set(palette(map(str, range(30))).values())) == 30


def test_nothing_global_is_left_changed(records, frame, colours):
    before = dict(mpl.rcParams)
    draw("seeds", records, frame, colours, WIDE)
    assert dict(mpl.rcParams) == before


def test_labels_are_cut_to_two_lines():
    assert short("a b", 10) == "a b"
    assert (
        len(short("gradient_penalty weight 10 sides two, adam lr 1e-4 and more", 18).split("\n"))
        == 2
    )
    assert short("x" * 100, 10).count("\n") <= 1


def test_a_long_legend_wraps():
    from matplotlib.lines import Line2D

    figure = Figure(figsize=(4, 3), layout="constrained")
    legend_above(figure, [Line2D([], [], label="a rather long name") for _ in range(6)])
    figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.width <= figure.bbox.width


def test_many_points_become_a_bitmap(records, frame, colours):
    many = pd.concat([frame[(frame["step"] > 0) & (frame["label"] == "gan")]] * 120)
    svg = to_svg(scatter_figure(many, "fid", "FID", colours, {}, WIDE), colours)
    assert b"data:image/png" in svg
    assert len(svg) < 600_000


@pytest.mark.parametrize("span", [1.05, 1.5, 4, 12, 60, 300, 2000, 1e6])
def test_a_log_axis_has_a_few_ticks_whatever_its_range(span):
    axes = Figure(figsize=(2, 2)).subplots()
    axes.set_ylim(7, 7 * span)
    scale_axis(axes, "y", [7, 7 * span], log=True)
    axes.set_ylim(7 / span**0.06, 7 * span**1.06)
    low, high = axes.get_ylim()
    shown = [tick for tick in axes.yaxis.get_majorticklocs() if low <= tick <= high]
    assert 2 <= len(shown) <= 7


@mpl.rc_context(STYLE)
def test_a_legend_of_many_long_names_leaves_the_panels_their_room():
    from matplotlib.lines import Line2D

    heights = []
    for count in (2, 16):
        figure = Figure(figsize=(4.3, 2.6), layout="constrained")
        axes = figure.subplots()
        names = [
            short(f"setting {place} (optimizer.adam.lr 0.0001, x)", 34) for place in range(count)
        ]
        legend_above(figure, [Line2D([], [], label=name) for name in names])
        settle(figure)
        heights.append(axes.get_position().height * figure.get_figheight())
    few, many = heights
    assert many > 0.75 * few
