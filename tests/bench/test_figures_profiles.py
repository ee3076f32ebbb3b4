"""The inside of the critic: figures of profiles, and the report's section on them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from fake_records import fake_records
from test_report import HOSTILE, Page
from tiny_runs import frozen, tiny

from bench import worker
from bench.figures import (
    NARROW,
    WIDE,
    layer_gradients_figure,
    palette,
    to_svg,
    value_surfaces_figure,
    weight_histograms_figure,
)
from bench.figures.surfaces import LEVELS
from bench.grid import load
from bench.report import pictures, profiles, render
from bench.report.content import page
from bench.report.profile_frames import profile_frames
from bench.report.profiles import layers_picture, profile_section
from bench.spec import EvaluateSpec
from bench.store import Store
from bench.tables import MINUS

LABELS = ("wgan", "wgan_gp")
LIMITS = {"wgan": 0.01, "wgan_gp": None}


def layer_norms(label, seed):
    return [(10.0 if label == "wgan" else 1.0) ** layer * (1 + seed / 10) for layer in (-2, -1, 0)]


def made_up(label, seed):
    """The three profiles of a run as profiles.jsonl would hold them."""
    reach = LIMITS[label] or 0.5
    x, y = np.linspace(-2, 2, 9), np.linspace(-1, 1, 7)
    return {
        "layer_gradients": {
            "step": 60,
            "profile": "layer_gradients",
            "layers": ["1", "3", "5"],
            "gradient_norms": layer_norms(label, seed),
        },
        "weight_histogram": {
            "step": 60,
            "profile": "weight_histogram",
            "edges": np.linspace(-reach, reach, 5).tolist(),
            "counts": [40, 5, 5, 50 + seed],
            "limit": LIMITS[label],
        },
        "value_surface": {
            "step": 60,
            "profile": "value_surface",
            "x": x.tolist(),
            "y": y.tolist(),
            "scores": (10 * x[None, :] + y[:, None]).tolist(),
            "real": [[0.0, 0.5], [1.0, -0.5]],
            "fake": [[-1.0, 0.0]],
        },
    }


def with_profiles(records):
    runs = records.runs
    made = {run["run_id"]: made_up(run["recipe"], run["seed"]) for run in runs.to_dict("records")}
    return replace(records, profiles=made)


@pytest.fixture(scope="module")
def records():
    return with_profiles(fake_records(LABELS, range(2), pictures=False))


@pytest.fixture(scope="module")
def frames(records):
    return profile_frames(records)


@pytest.fixture(scope="module")
def colours():
    return palette(LABELS)


@pytest.fixture
def plain_pictures(monkeypatch):
    """Reports of which only the words matter need not draw."""
    for module in (pictures, profiles):
        monkeypatch.setattr(module, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))


def titles(figure):
    return [panel.get_title(loc="left") for panel in figure.axes]


def drawn(kind, frames, colours, width=WIDE):
    if kind == "layers":
        return layer_gradients_figure(frames.layers, colours, width)
    if kind == "weights":
        return weight_histograms_figure(frames.weights, colours, {"wgan": "90 % there"}, width)
    return value_surfaces_figure(frames.surfaces, colours, width)


@pytest.mark.parametrize(
    ("kind", "width"), [("layers", NARROW), ("weights", WIDE), ("surfaces", NARROW)]
)
def test_a_figure_is_the_same_bytes_every_time_with_nothing_cut_off(kind, width, frames, colours):
    figure = drawn(kind, frames, colours, width)
    svg = to_svg(figure, colours)
    assert svg == to_svg(drawn(kind, frames, colours, width), colours)
    ElementTree.fromstring(svg)
    tight = figure.get_tightbbox()
    across, high = figure.get_size_inches()
    assert tight.x0 >= -0.01
    assert tight.y0 >= -0.01
    assert tight.x1 <= across + 0.01
    assert tight.y1 <= high + 0.01


def test_every_seed_s_gradients_are_drawn_and_their_geometric_mean(frames, colours):
    (panel,) = drawn("layers", frames, colours).axes
    assert panel.get_yscale() == "log"
    assert panel.get_xlabel() == "layer, from input to score"
    for label in LABELS:
        lines = [line for line in panel.lines if line.get_color() == colours[label][0]]
        thin = [line for line in lines if line.get_linewidth() < 1]
        (thick,) = [line for line in lines if line.get_linewidth() > 1]
        norms = np.array([layer_norms(label, seed) for seed in range(2)])
        np.testing.assert_allclose([line.get_ydata() for line in thin], norms)
        np.testing.assert_allclose(thick.get_ydata(), np.sqrt(norms[0] * norms[1]))
        np.testing.assert_array_equal(thick.get_xdata(), [1, 2, 3])


def test_the_legend_of_the_gradients_names_every_label(frames, colours):
    legend = drawn("layers", frames, colours).legends[0]
    assert [text.get_text() for text in legend.get_texts()] == [*LABELS, "one seed"]


def test_a_zero_gradient_is_a_gap_and_is_told(frames, colours):
    layers = frames.layers.copy()
    layers.loc[0, "gradient_norm"] = 0.0
    (panel,) = layer_gradients_figure(layers, colours).axes
    first, *_ = panel.lines
    assert np.isnan(first.get_ydata()[0])
    thick = [line for line in panel.lines if line.get_linewidth() > 1]
    assert np.isnan(thick[0].get_ydata()[0])
    assert np.isfinite(thick[0].get_ydata()[1:]).all()
    assert "1 run with a norm of exactly zero" in layers_picture(layers, colours).caption


def test_wide_ranges_are_read_in_powers_of_ten(frames, colours):
    wide = frames.layers.assign(gradient_norm=frames.layers["gradient_norm"] ** 6)
    (panel,) = layer_gradients_figure(wide, colours).axes
    assert panel.yaxis.get_major_formatter()(1e-12, 0) == "10⁻¹²"


def test_every_run_s_weights_are_outlined_and_the_limit_is_marked(frames, colours):
    clipped, free = drawn("weights", frames, colours).axes
    assert titles(clipped.figure) == list(LABELS)
    assert [len(panel.patches) for panel in (clipped, free)] == [2, 2]
    shares = clipped.patches[1].get_data().values
    np.testing.assert_allclose(shares, np.array([40, 5, 5, 51]) / 101)
    assert sorted(line.get_xdata()[0] for line in clipped.lines) == [-0.01, 0.01]
    assert list(free.lines) == []
    assert [text.get_text() for text in clipped.texts] == ["90 % there"]


def test_surfaces_stand_in_rows_of_methods_and_columns_of_data_sets(colours):
    labels = ["ring8, wgan", "ring8, wgan_gp", "grid25(std=1, spacing=2), wgan_gp"]
    runs = pd.DataFrame(
        {
            "label": labels,
            "dataset": ["ring8", "ring8", "grid25"],
            "lipschitz": ["weight_clipping", "gradient_penalty", "gradient_penalty"],
            "seed": 0,
            "run_id": ["a", "b", "c"],
        }
    )
    made = {run_id: made_up("wgan", 0) for run_id in runs["run_id"]}
    records = replace(fake_records(["gan"], [0], pictures=False), runs=runs, profiles=made)
    frames = profile_frames(records)
    figure = value_surfaces_figure(frames.surfaces, palette(labels))
    figure.draw_without_rendering()
    assert titles(figure) == ["wgan", "wgan_gp", "wgan_gp"]
    assert [panel.texts[0].get_text() for panel in figure.axes] == [
        f"ring8: {MINUS}21 to 21",
        f"ring8: {MINUS}21 to 21",
        f"grid25(std=1, spacing=2): {MINUS}21 to 21",
    ]
    first, below, right = (panel.get_position() for panel in figure.axes)
    assert (below.x0, below.y1 < first.y0) == (pytest.approx(first.x0), True)
    assert (right.y0, right.x0 > below.x1) == (pytest.approx(below.y0), True)
    (panel,) = layer_gradients_figure(
        frames.layers[frames.layers["dataset"] == "ring8"], palette(labels)
    ).axes
    assert {line.get_color() for line in panel.lines} == {
        palette(labels)[label][0] for label in labels[:2]
    }


def test_level_lines_lie_where_the_scores_are(frames, colours):
    """Of f = 10 x + y every level line is 10 x + y = level."""
    panel = drawn("surfaces", frames, colours).axes[0]
    (contours,) = [item for item in panel.collections if hasattr(item, "levels")]
    assert len(contours.levels) == LEVELS
    for level, path in zip(contours.levels, contours.get_paths(), strict=True):
        np.testing.assert_allclose(10 * path.vertices[:, 0] + path.vertices[:, 1], level)
    low, high = panel.get_xlim()
    assert (low, high) == panel.get_ylim() == (-2, 2)
    points = {len(line.get_xdata()) for line in panel.lines}
    assert points == {2, 1}


@pytest.mark.parametrize(
    ("scores", "note"),
    [(np.nan, "no finite score"), (0.25, "all scores 0.25")],
)
def test_a_surface_without_levels_says_so(scores, note, frames, colours):
    flat = frames.surfaces.assign(
        scores=[np.full_like(each, scores) for each in frames.surfaces["scores"]]
    )
    figure = value_surfaces_figure(flat, colours)
    to_svg(figure, colours)
    assert figure.axes[0].texts[0].get_text() == f"digits: {note}"


def test_nulls_and_missing_values_are_drawn_around(records, colours, plain_pictures):
    made = json.loads(json.dumps(records.profiles))
    first, second, third, fourth = made
    made[first]["value_surface"]["scores"][2] = [None] * 9
    made[first]["layer_gradients"]["gradient_norms"] = [None, None, None]
    made[first]["weight_histogram"]["counts"] = [0, 0, 0, 0]
    made[second]["value_surface"]["real"] = [[None, None]]
    del made[second]["weight_histogram"]["edges"]
    made[third]["layer_gradients"]["gradient_norms"] = "none"
    made[third]["value_surface"]["scores"] = [[1.0], [2.0, 3.0]]
    made[fourth] = {"of another time": {"step": 1}}
    broken = replace(records, profiles=made)
    frames = profile_frames(broken)
    assert frames.unreadable == (second, third)
    assert len(frames.surfaces) == 2
    for kind in ("layers", "weights", "surfaces"):
        to_svg(drawn(kind, frames, colours), colours)
    said = page(broken).profiles.trouble
    assert said == (f"A profile of {second} and {third} is damaged and not shown; the others are.",)


def test_the_table_gives_the_ratio_of_the_first_to_the_last_layer(records, colours, plain_pictures):
    curves = records.curves.assign(
        weights_at_limit=np.where(records.curves["step"] == 0, 0.2, 0.9), weight_bimodality=np.nan
    )
    table = profile_section(replace(records, curves=curves), colours).table
    cells = {row[0].text: [cell.text for cell in row[1:4]] for row in table.cells}
    ratios = "gradient, first layer over last"
    titles = [column.title for column in table.columns]
    assert titles[:4] == ["recipe", "seeds", ratios, "weights at the limit"]
    assert "Sarle's bimodality" not in titles
    assert cells["wgan"] == ["2", "0.0100", "90\N{NO-BREAK SPACE}%"]
    assert cells["wgan_gp"] == ["2", "1.00", "90\N{NO-BREAK SPACE}%"]


def test_the_section_stands_in_both_twins_with_its_pictures(records, plain_pictures):
    rendered = render(records)
    html = Page(rendered.html)
    assert html.open == []
    assert "#profiles" in html.links
    names = {"value-surfaces.svg", "layer-gradients.svg", "weight-histograms.svg"}
    assert {f"figures/{name}" for name in names} <= set(rendered.files)
    shown = re.findall(r"!\[[^\n]*?\]\(([^)]+)\)", rendered.markdown)
    assert set(shown) == {name for name in rendered.files if name.endswith(("svg", "png"))}
    for text in (html.text, rendered.markdown):
        assert "Inside the critic" in text
        for figure in ("1(a)", "1(b, left)", "1(b, right)"):
            assert f"figure {figure} of Gulrajani et al. 2017, arXiv:1704.00028" in text
        assert "2 seeds of each of 2 recipes" in text
        assert "one seed of each recipe (seed 0)" in text
        numbers = [int(number) for number in re.findall(r"Figure (\d+)\.", text)]
        assert numbers == list(range(1, len(numbers) + 1))


def test_without_profiles_there_is_no_section(plain_pictures):
    rendered = render(fake_records(["gan"], range(2), pictures=False))
    assert "Inside the critic" not in rendered.html + rendered.markdown
    assert 'id="profiles"' not in rendered.html
    assert 'href="#profiles"' not in rendered.html


def test_labels_that_are_code_are_only_shown(plain_pictures):
    records = fake_records(["wgan"], range(2), names={"wgan": HOSTILE}, pictures=False)
    rendered = render(with_profiles(records))
    assert "Inside the critic" in rendered.markdown
    html = Page(rendered.html)
    assert html.tags.count("script") == 1
    assert HOSTILE in html.text
    assert "<script" not in rendered.markdown


def test_a_tiny_run_s_profiles_reach_the_report_and_the_results_folder(tmp_path, plain_pictures):
    asked = EvaluateSpec(
        every=10,
        samples=50,
        metrics=("exact_w1",),
        profiles=("value_surface", "layer_gradients", "weight_histogram"),
    )
    spec = tiny("wgan", steps=10, evaluate=asked, generator="frozen", critic_norm="none")
    worker.run(frozen(tmp_path, spec))
    store = Store(tmp_path, "s")
    records = store.collect([spec])
    text = render(records).markdown
    assert "## Inside the critic" in text
    assert "weights at the limit" in text
    path = store.write_profiles(records)
    assert path == tmp_path / "s" / "profiles.json"
    assert json.loads(path.read_text()) == records.profiles
    assert store.write_profiles(replace(records, profiles={})) is None
    assert not path.exists()


@pytest.mark.parametrize(("name", "runs"), [("surfaces", 6), ("layers", 15)])
def test_the_sweeps_of_figure_1_ask_for_its_profiles(name, runs):
    sweep = load(Path(__file__).parents[2] / "sweeps" / f"wgan_gp_figure1_{name}.yaml")
    assert len(sweep.runs) == runs
    assert sweep.notes == []
    asked = {"surfaces": "value_surface", "layers": "layer_gradients"}[name]
    for run in sweep.runs:
        assert run.evaluate.profiles == (asked, "weight_histogram")
        assert run.config.critic_norm == "none"
        assert run.config.generator.trains == (name == "layers")
        clipped = run.config.method == "weight_clipping"
        assert run.config.optimizer.name == ("rmsprop" if clipped else "adam")
