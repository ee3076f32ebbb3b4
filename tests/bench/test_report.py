import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from fake_records import PROTOCOL, fake_records

from bench.report import pictures, render
from bench.report.content import page
from bench.stats import summarise, track
from bench.tables import correlation, number

HOSTILE = "<script>alert('x')</script> $\\frac{ `b` |"


@pytest.fixture(scope="module")
def records():
    return fake_records(["gan", "wgan_gp"], range(2))


@pytest.fixture(scope="module")
def rendered(records):
    return render(records)


@pytest.fixture
def plain_pictures(monkeypatch):
    """Reports of which only the words matter need not draw."""
    monkeypatch.setattr(pictures, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))


class Page(HTMLParser):
    """What a browser would make of it: tags in order, text, and what would be fetched."""

    void = ("meta", "img", "source", "br", "hr", "link", "input")

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.loads, self.ids, self.texts = [], [], [], [], []
        self.alts, self.links = [], []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        values = dict(attrs)
        self.loads += [values[name] for name in ("src", "srcset") if name in values]
        self.links += [values["href"]] if "href" in values else []
        self.ids += [values["id"]] if "id" in values else []
        if tag == "img":
            self.alts.append(values.get("alt", ""))
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style", "script"):
            self.texts.append(data)

    @property
    def beside(self):
        """Links to files of the report."""
        return [link for link in self.links if re.match(r"(tables|figures)/[A-Za-z0-9.-]+$", link)]

    @property
    def text(self):
        return re.sub(r"[ \n]+", " ", "".join(self.texts))


def words(records):
    """The text of both twins."""
    rendered = render(records)
    return Page(rendered.html).text, rendered.markdown


def test_a_report_is_the_same_bytes_every_time(records, rendered):
    assert render(records) == rendered


def test_the_page_is_whole_and_loads_nothing(rendered):
    html = Page(rendered.html)
    assert html.open == []
    assert len(html.loads) >= 8
    assert all(load.startswith("data:image/") for load in html.loads)
    inside = [link[1:] for link in html.links if link.startswith("#")]
    assert set(inside) <= set(html.ids)
    assert len(inside) + len(html.beside) == len(html.links)
    assert set(html.beside) <= set(rendered.files)
    assert len(set(html.ids)) == len(html.ids)
    assert all(html.alts)
    assert not {"link", "iframe"} & set(html.tags)
    assert html.tags.count("script") == 1
    assert "default-src 'none'" in rendered.html
    assert "url(" not in rendered.html
    assert "@import" not in rendered.html


def test_the_answer_comes_first_and_says_what_is_missing(rendered):
    for text in (Page(rendered.html).text, rendered.markdown):
        order = ["The answer", "The recipes", "During training", "Samples", "Provenance"]
        places = [text.rindex(heading) for heading in order]
        assert places == sorted(places)
        assert "undecided" in text
        assert "at least 3 more live seeds (5 in all, there are 2)" in text
        assert "For the standard GAN (gan) the critic is its discriminator." in text


def test_every_number_of_the_answer_is_the_statistics_own(records, rendered):
    text = re.sub("\N{NO-BREAK SPACE}", " ", Page(rendered.html).text)
    for tracking in track(records.runs, records.curves, "fid", floor=7.0):
        for interval in (tracking.raw, tracking.adjusted):
            low, high = correlation(interval.low), correlation(interval.high)
            assert f"{correlation(interval.center)}, 95 % interval {low} to {high}" in text
    for summary in summarise(records.runs, records.curves, "fid"):
        assert f"{number(summary.final.low)} to {number(summary.final.high)}" in text
        assert number(summary.best.center) in text


def test_the_twins_show_the_same_tables(rendered):
    html = Page(rendered.html)
    rows = [line for line in rendered.markdown.splitlines() if line.startswith("| gan |")]
    assert rows
    for row in rows:
        if "![" in row:
            continue
        for cell in row.strip("| ").split(" | "):
            value = cell.partition(" (")[0]
            assert value in html.text


def test_the_markdown_finds_its_pictures(rendered):
    shown = re.findall(r"!\[[^\n]*?\]\(([^)]+)\)", rendered.markdown)
    assert {f"figures/{name}.svg" for name in ("curves", "scatter", "seeds")} <= set(shown)
    pictures = {name for name in rendered.files if name.endswith(("svg", "png"))}
    assert set(shown) == pictures
    for name in pictures:
        assert re.fullmatch(r"figures/[A-Za-z0-9.-]+", name)
        start = b"<svg" if name.endswith("svg") else b"\x89PNG"
        assert rendered.files[name].startswith(start)


def test_captions_say_the_statistic_the_interval_and_n(rendered):
    text = Page(rendered.html).text
    for said in ("n = 4 runs", "95 %", "Student's t", "Spearman", "2 seeds each", "optimistic"):
        assert said in text


def test_the_protocol_the_floor_and_the_baseline_stand_in_it(rendered):
    for text in (Page(rendered.html).text, rendered.markdown):
        for said in (
            "abcd1234",
            "digits_cnn",
            "real data (360 samples)",
            "Gaussian",
            "80.0",
            "7.00",
        ):
            assert said in text


def test_provenance_names_commands_versions_hosts_and_runs(records, rendered):
    for text in (Page(rendered.html).text, rendered.markdown):
        for said in ("wgan-bench run sweeps/quickstart.yaml", "2.13.0", "box", "0123456789abcdef"):
            assert said in text
        for run_id in records.runs["run_id"]:
            assert f"quickstart/run--{run_id}" in text


def test_labels_that_are_code_are_only_shown(plain_pictures):
    hostile = fake_records(["gan"], range(2), names={"gan": HOSTILE})
    hostile = replace(
        hostile,
        sweep="<img src=x onerror=alert(1)>\n```\n",
        question=f"{HOSTILE}?",
        notes=[HOSTILE],
        runs=hostile.runs.assign(reason=HOSTILE, state=["done", "failed"]),
        protocols=[PROTOCOL | {"extractor": HOSTILE}],
        environments={key: {"host": HOSTILE} for key in hostile.environments},
        folders=dict.fromkeys(hostile.folders, HOSTILE),
    )
    rendered = render(hostile)
    html = Page(rendered.html)
    assert html.tags.count("script") == 1
    assert html.tags.count("img") == len(html.loads) - html.tags.count("source")
    assert HOSTILE in html.text
    before, commands, after = rendered.markdown.split("```")
    assert "<script" not in before + commands + after
    assert "<img" not in before + after
    for name, content in rendered.files.items():
        assert name.endswith(".csv") or b"<script" not in content


def test_nothing_finished_is_said_in_words(plain_pictures):
    records = fake_records(["gan"], range(2), pictures=False)
    runs = records.runs.assign(state="pending", steps=0, protocol_id=None)
    nothing = replace(
        records,
        runs=runs,
        curves=records.curves.iloc[:0],
        protocols=[],
        environments={},
        folders={},
    )
    for text in words(nothing):
        assert "No run has finished yet" in text
        assert "Nothing has been recorded yet" in text
        assert "No evaluation has been recorded" in text
        assert "No sample grid has been kept" in text
        assert "No score protocol is recorded" in text
        assert "2 pending" in text


def test_a_sweep_without_runs_is_said_in_words(plain_pictures):
    records = fake_records(["gan"], [0], pictures=False)
    empty = replace(
        records,
        runs=records.runs.iloc[:0],
        curves=records.curves.iloc[:0],
        protocols=[],
        folders={},
    )
    for text in words(empty):
        assert "The sweep has no runs" in text


def test_one_seed_is_given_no_interval(plain_pictures):
    for text in words(fake_records(["wgan_gp"], [0], pictures=False)):
        flat = text.replace("\N{NO-BREAK SPACE}", " ")
        assert "no interval, n = 1 seed)" in flat
        assert "at least 4 more live seeds" in flat


def test_all_diverged_is_said_in_words(plain_pictures):
    records = fake_records(["wgan"], range(3), pictures=False)
    runs = records.runs.assign(state="diverged", reason="the critic's loss was not finite")
    for text in words(replace(records, runs=runs)):
        assert "All 3 runs diverged" in text
        assert "No live seed gives a correlation" in text
        assert "3 seeds diverged" in text
        assert "diverged, the critic's loss was not finite." in text


def test_columns_of_nan_are_said_in_words(plain_pictures):
    records = fake_records(["gan"], range(2), pictures=False)
    for text in words(replace(records, curves=records.curves.assign(fid=np.nan))):
        assert "No run has a finite FID or exact W1" in text
    blind = replace(records, curves=records.curves.assign(estimate_held_out=np.nan))
    for text in words(blind):
        assert "No live seed gives a correlation of its held-out JS estimate with FID" in text
        assert "no evaluation has both a finite estimate and a finite fid" in text


def test_a_constant_column_is_said_in_words(plain_pictures):
    records = fake_records(["gan"], range(2), pictures=False)
    for text in words(replace(records, curves=records.curves.assign(estimate_held_out=0.25))):
        assert "the estimate is constant (0.25 at all 25 evaluations)" in text


def test_unequal_steps_are_said_in_words(plain_pictures):
    records = fake_records(["wgan"], range(5), pictures=False)
    curves = records.curves.copy()
    curves["step"] += curves["run_id"].map(
        {run: place for place, run in enumerate(records.folders)}
    )
    for text in words(replace(records, curves=curves)):
        assert "The seed swap could not be made: the live seeds share 0 evaluation steps." in text


def test_few_evaluations_are_said_in_words(plain_pictures):
    for text in words(fake_records(["wgan"], range(5), evaluations=12, pictures=False)):
        assert "cannot be adjusted for time" in text
        assert (
            "at least 9 more usable evaluations per run (20 in all, the shortest run has 11)"
            in text
        )


def test_what_is_not_simply_done_is_named(plain_pictures):
    records = fake_records(["wgan", "sngan"], range(3), pictures=False)
    ids = list(records.runs["run_id"])
    runs = records.runs.copy()
    runs.loc[1, ["state", "reason"]] = ["failed", "killed by signal 9"]
    runs.loc[2, "dead_critic"] = True
    environments = dict(records.environments)
    numerics = environments[ids[0]]["numerics"] | {"threads": 2}
    environments[ids[0]] = environments[ids[0]] | {"numerics": numerics, "earlier": [{}]}
    broken = replace(
        records, runs=runs, environments=environments, notes=["torn last line in train.jsonl"]
    )
    for text in words(broken):
        flat = re.sub(r"\s+", " ", text)
        assert f"wgan, seed 1 ({ids[1]}): failed, killed by signal 9." in flat
        assert f"wgan, seed 2 ({ids[2]}): its critic died." in flat
        assert f"wgan, seed 0 ({ids[0]}): trained in more than one session." in flat
        assert "The critic died in seed 2, not counted. Not finished: seed 1." in flat
        assert "Numerics are mixed" in flat
        assert "threads: 2 (1 run) and 1 (5 runs)" in flat
        assert "torn last line in train.jsonl" in flat


def test_unlike_protocols_are_never_in_one_table(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    other = PROTOCOL | {"id": "ffff0000", "n_fake": 500}
    later = records.runs["label"] == "wgan"
    ids = set(records.runs.loc[later, "run_id"])
    mixed = replace(
        records,
        protocols=[PROTOCOL, other],
        runs=records.runs.assign(protocol_id=np.where(later, "ffff0000", "abcd1234")),
        curves=records.curves.assign(
            protocol_id=np.where(records.curves["run_id"].isin(ids), "ffff0000", "abcd1234")
        ),
    )
    content = page(mixed)
    assert [list(section.recipes.frame["label"]) for section in content.sections] == [
        ["gan"],
        ["wgan"],
    ]
    assert list(content.differences.frame["name"]) == ["n_fake"]
    rendered = render(mixed)
    assert {"figures/abcd1234-curves.svg", "figures/ffff0000-curves.svg"} <= set(rendered.files)
    html = Page(rendered.html)
    assert len(set(html.ids)) == len(html.ids)
    assert "2 protocols, which are not comparable" in html.text


def test_runs_without_a_score_go_with_their_data_sets_protocol(plain_pictures):
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    other = PROTOCOL | {"id": "ffff0000", "dataset": {"ring8": {}}}
    later = records.runs["label"] == "wgan"
    runs = records.runs.assign(
        dataset=np.where(later, "ring8", "digits"),
        protocol_id=np.where(later, "ffff0000", "abcd1234").astype(object),
        state=["done", "pending", "done", "pending"],
    )
    runs.loc[[1, 3], "protocol_id"] = None
    content = page(replace(records, protocols=[PROTOCOL, other], runs=runs))
    assert [list(section.recipes.frame["planned"]) for section in content.sections] == [[2], [2]]


def test_densities_are_reported_by_exact_w1(plain_pictures):
    records = fake_records(["wgan"], range(2), pictures=False)
    curves = records.curves.assign(exact_w1=records.curves["fid"] / 100, fid=np.nan, kid=np.nan)
    for text in words(replace(records, curves=curves)):
        assert "final exact W1" in text
        assert "W1 estimate falls together with exact W1" in text


def test_densities_above_the_plane_are_reported_by_the_sliced_distance(plain_pictures):
    records = fake_records(["wgan"], range(2), pictures=False)
    curves = records.curves.assign(
        sliced_wasserstein=records.curves["fid"] / 100, fid=np.nan, kid=np.nan
    )
    protocol = {**PROTOCOL, "quality": "sliced_wasserstein"}
    for text in words(replace(records, curves=curves, protocols=[protocol])):
        assert "final sliced W1" in text
        assert "W1 estimate falls together with sliced W1" in text


def test_many_sample_grids_are_cut_and_said_so(plain_pictures, monkeypatch):
    monkeypatch.setattr("bench.report.content.MOST_SAMPLES", 3)
    html = render(fake_records(["gan", "wgan"], range(2))).html
    assert "Every seed's samples (3 of 4)" in Page(html).text


def test_missing_recipes_keep_the_others_colours(plain_pictures):
    records = fake_records(["gan", "wgan", "wgan_gp"], range(2), pictures=False)
    gone = records.curves["run_id"].isin(
        records.runs.loc[records.runs["label"] == "wgan", "run_id"]
    )
    partial = replace(
        records,
        curves=records.curves[~gone],
        runs=records.runs.assign(
            state=np.where(records.runs["label"] == "wgan", "pending", "done")
        ),
    )
    assert page(partial).colours == page(records).colours
    for text in words(partial):
        assert "Not finished: seeds 0 and 1." in text


def test_optional_columns_may_be_absent(plain_pictures):
    records = fake_records(["wgan"], range(2), pictures=False)
    bare = replace(
        records,
        runs=records.runs.drop(columns=["reason", "protocol_id"]),
        curves=records.curves.drop(
            columns=["protocol_id", "estimate_held_out_error", "score_mean", "score_std"]
        ),
    )
    assert "W1 estimate" in render(bare).markdown


def test_parquet_types_are_taken_as_they_come(plain_pictures, tmp_path):
    records = fake_records(["wgan"], range(2), pictures=False)
    path = tmp_path / "runs.parquet"
    records.runs.assign(dead_critic=[True, False]).to_parquet(path)
    back = replace(records, runs=pd.read_parquet(path))
    assert f"{back.runs['run_id'][0]}): its critic died" in render(back).markdown


def test_seeds_share_a_reason_and_needs_share_a_sentence(plain_pictures):
    names = {"gan": "gan, digits", "sngan": "sngan, digits"}
    records = fake_records(["gan", "sngan"], range(2), evaluations=5, names=names, pictures=False)
    for text in words(records):
        assert "No correlation for seeds 0 and 1: only 4 of at least 5 usable evaluations." in text
        assert "at least 3 more live seeds (5 in all, there are 2) and at least 16 more" in text
        assert "“gan, digits” and “sngan, digits”" in text


def frozen_records():
    """Two runs against a frozen generator whose W1 is known, and nothing else."""
    records = fake_records(["wgan_gp"], range(2))
    curves = records.curves.assign(known_w1=2.0, estimate_per_lipschitz=1.0)
    return replace(records, runs=records.runs.assign(generator="frozen"), curves=curves)


def test_critics_against_a_frozen_generator_are_held_against_the_known_distance():
    for text in words(frozen_records()):
        assert "Estimates against the exact distance" in text
        assert "there is no quality to hold the loss against" in text
        assert "The answer" not in text
    html = Page(render(frozen_records()).html)
    assert html.open == []
    assert all(link[1:] in html.ids for link in html.links if link.startswith("#"))
    assert "#distances" in html.links


def test_without_a_known_distance_nothing_is_said_of_one(rendered):
    assert "exact distance" not in str(rendered)
