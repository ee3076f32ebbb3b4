import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from comparison_frames import DIVERGED, outcome_frame
from matplotlib.colors import same_color, to_rgba
from matplotlib.patches import Rectangle

from bench.figures import NARROW, WIDE, palette, to_svg
from bench.figures.comparison import forest_figure, pairs_figure
from bench.figures.performance import performance_figure
from bench.stats.performance import performance_profiles

LABELS = [
    "gan",
    "gradient_penalty(weight=10, sides=one, target=1), wasserstein, adam(lr=0.0001)",
    *(f"setting {place}" for place in range(2, 24)),
]
COLOURS = palette(LABELS)


def ratios(count, *, all_pairs=False):
    """Comparisons of so many labels; the second of each three is shown, the third has no bounds."""
    draw = np.random.default_rng(0)
    pairs = [
        (LABELS[later], LABELS[earlier])
        for later in range(count)
        for earlier in range(later if all_pairs else min(later, 1))
    ]
    center = np.exp(draw.normal(0, 0.6, len(pairs)))
    frame = pd.DataFrame(pairs, columns=["first", "second"])
    frame = frame.assign(ratio=center, ratio_low=center * 0.8, ratio_high=center * 1.25)
    frame.loc[2::3, ["ratio_low", "ratio_high"]] = math.nan
    return frame.assign(shown=np.arange(len(frame)) % 3 == 1)


def profiles(count):
    draw = np.random.default_rng(1)
    finals = {label: [*draw.lognormal(3, 0.3, 9), DIVERGED] for label in LABELS[:count]}
    return performance_profiles(outcome_frame(finals), "label")


def draw_forest(width, count=24):
    return forest_figure(ratios(count), "FID", COLOURS, width)


def draw_pairs(width, count=12):
    return pairs_figure(ratios(count, all_pairs=True), LABELS[:count], "FID", COLOURS, width)


def draw_profiles(width, count=24):
    references = {"floor": 1.0, "a Gaussian for each class": 25.0, "twice the floor": 18.0}
    return performance_figure(
        profiles(count), "label", LABELS[: min(8, count)], "FID", COLOURS, references, width
    )


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("draw", [draw_forest, draw_pairs, draw_profiles])
@pytest.mark.parametrize("count", [3, 12])
def test_a_figure_is_the_same_bytes_every_time_with_nothing_cut_off(draw, width, count):
    figure = draw(width, count)
    svg = to_svg(figure, COLOURS)
    assert svg == to_svg(draw(width, count), COLOURS)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    # With the layout that the drawing settled on, every text lies on the paper.
    tight = figure.get_tightbbox()
    across, high = figure.get_size_inches()
    assert tight.x0 >= -0.01
    assert tight.y0 >= -0.01
    assert tight.x1 <= across + 0.01
    assert tight.y1 <= high + 0.01


def test_a_row_is_filled_where_a_difference_is_shown_and_hollow_where_not():
    frame = ratios(7)
    panel = draw_forest(WIDE, 7).axes[0]
    points = [line for line in panel.lines if line.get_marker() == "o"]
    assert len(points) == len(frame)
    for point, row in zip(points, frame.to_dict("records"), strict=True):
        assert point.get_xdata()[0] == row["ratio"]
        assert (point.get_markerfacecolor() != "none") == row["shown"]
        assert same_color(point.get_markeredgecolor(), COLOURS[row["first"]][0])


def test_a_row_without_bounds_is_a_point_alone():
    frame = ratios(7)
    panel = draw_forest(WIDE, 7).axes[0]
    bars = [line for line in panel.lines if line.get_marker() != "o" and len(line.get_xdata()) == 2]
    ends = [tuple(bar.get_xdata()) for bar in bars if bar.get_ydata()[0] == bar.get_ydata()[1]]
    known = frame[np.isfinite(frame["ratio_low"])]
    assert ends == list(zip(known["ratio_low"], known["ratio_high"], strict=True))


@pytest.mark.parametrize("spread", [1.005, 1.05, 1.3, 3.0, 30.0, 1e6])
def test_the_axis_of_ratios_names_1_and_two_more(spread):
    frame = pd.DataFrame(
        {"first": ["gan"], "second": ["x"], "ratio": [spread**0.5], "shown": [False]}
    ).assign(ratio_low=1 / spread, ratio_high=spread)
    panel = forest_figure(frame, "FID", COLOURS).axes[0]
    low, high = panel.get_xlim()
    ticks = [tick for tick in panel.get_xticks() if low <= tick <= high]
    assert 1 in ticks
    assert 3 <= len(ticks) <= 12


def test_a_wild_interval_does_not_flatten_the_others():
    frame = ratios(7)
    frame.loc[0, ["ratio_low", "ratio_high"]] = [1e-12, 1e12]
    low, high = forest_figure(frame, "FID", COLOURS).axes[0].get_xlim()
    assert low > frame["ratio"].min() / 10
    assert high < frame["ratio"].max() * 10


def test_a_square_shows_every_pair_both_ways_and_tints_the_better_ones_colour():
    frame = ratios(4, all_pairs=True)
    panel = draw_pairs(WIDE, 4).axes[0]
    places = {label: place for place, label in enumerate(LABELS[:4])}
    texts = {text.get_position(): text.get_text().split("\n")[0] for text in panel.texts}
    tints = {
        (patch.get_x() + 0.5, patch.get_y() + 0.5): patch.get_facecolor()
        for patch in panel.patches
        if isinstance(patch, Rectangle) and patch.get_alpha()
    }
    assert len(texts) == 12
    for row in frame.to_dict("records"):
        first, second = places[row["first"]], places[row["second"]]
        assert texts[(second, first)] == f"{row['ratio']:.2f}"
        assert texts[(first, second)] == f"{1 / row['ratio']:.2f}"
        assert ((second, first) in tints) == ((first, second) in tints) == row["shown"]
        if row["shown"]:
            better = row["first"] if row["ratio"] < 1 else row["second"]
            assert tints[(second, first)] == to_rgba(COLOURS[better][0], 0.3)


def test_an_unknown_ratio_is_a_dash_in_the_square():
    frame = ratios(3, all_pairs=True)
    frame.loc[0, ["ratio", "ratio_low", "ratio_high"]] = math.nan
    texts = [
        text.get_text() for text in pairs_figure(frame, LABELS[:3], "FID", COLOURS).axes[0].texts
    ]
    assert texts.count("\N{EN DASH}") == 2


def test_profiles_end_at_the_share_that_did_not_diverge():
    panel = draw_profiles(WIDE, 4).axes[0]
    rising = [line for line in panel.lines if len(line.get_xdata()) > 2]
    assert len(rising) == 4
    assert all(line.get_ydata()[-1] == 0.9 for line in rising)


def test_of_many_profiles_eight_are_in_colour_and_the_others_counted():
    figure = draw_profiles(WIDE, 24)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "16 others" in legend
    assert len({line.get_color() for line in figure.axes[0].lines[:16]}) == 1
