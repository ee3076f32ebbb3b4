"""`correlate` from the command line: answers, exit codes, JSON, and the report it writes."""

import io
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from own_logs import own_log

from bench.cli import main
from bench.report import pictures
from bench.stats import track

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = ("--step", "step", "--loss", "d_loss", "--quality", "fid")


def call(*arguments, code=0):
    words = [str(word) for word in ("correlate", *arguments)]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_log().to_csv("log.csv", index=False)
    return "log.csv"


@pytest.fixture
def plain_pictures(monkeypatch):
    """Reports of which only the words matter need not draw."""
    monkeypatch.setattr("bench.ownlog.drawing.both_widths", lambda *_: (b"<svg/>", b"<svg/>"))
    monkeypatch.setattr(pictures, "both_widths", lambda *_: (b"<svg/>", b"<svg/>"))


class Page(HTMLParser):
    """Tags in order, what would be fetched, and the text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.loads, self.texts, self.links, self.ids = [], [], [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.tags.append(tag)
        self.loads += [values[name] for name in ("src", "srcset") if name in values]
        self.links += [values["href"]] if "href" in values else []
        self.ids += [values["id"]] if "id" in values else []
        assert tag != "img" or values.get("alt")
        if tag not in ("meta", "img", "source", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.texts))


def test_the_answer_is_printed_with_the_sign_and_every_run(log):
    result = call(log, *COLUMNS, "--group", "seed", "--plain")
    flat = re.sub(r"\s+", " ", result.stdout)
    assert flat.startswith("+1 means that d_loss falls whenever fid falls, as samples get better")
    assert "all runs: tracks d_loss and fid get better together (mean rank correlation +0." in flat
    assert "seed swap p = 0.008" in flat
    assert len(re.findall(r"^ *[0-4]  live +25  \+0\.", result.stdout, re.MULTILINE)) == 5
    assert "\x1b" not in result.stdout
    assert result.stderr == ""


def test_json_holds_the_same_figures_and_no_nan(log):
    said = json.loads(call(log, *COLUMNS, "--group", "seed", "--json").stdout)
    (setting,) = said["settings"]
    assert setting["verdict"] == "tracks"
    assert setting["raw"]["n"] == 5
    assert [run["run"] for run in setting["runs"]] == list("01234")
    assert said["loss"] == {"column": "d_loss", "good": "low"}
    few = own_log(seeds=1, evaluations=6)
    few.to_csv("few.csv", index=False)
    (setting,) = json.loads(call("few.csv", *COLUMNS, "--json").stdout)["settings"]
    assert setting["raw"]["low"] is None
    assert setting["seed_swap_p"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("missing.csv", *COLUMNS), "missing.csv: no such file"),
        (("log.csv", "--step", "step", "--loss", "los", "--quality", "fid"), "no column 'los'"),
        (("log.csv", *COLUMNS), "step 100 has 5 values of d_loss"),
        (("log.csv", "log.csv", *COLUMNS), "log.csv: is named twice"),
        (("log.csv", *COLUMNS, "--good-loss", "up"), "'up' is not one of 'low', 'high'"),
        (("log.csv", *COLUMNS, "--within", "-1"), "-1"),
        (("log.csv", *COLUMNS, "--within", "nan"), "nan is no finite number"),
        (("log.csv", "--step", "step", "--loss", "d_loss"), "Missing option '--quality'"),
        (COLUMNS, "Missing argument 'FILE...'"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_code_2(log, words, said):
    result = call(*words, code=2)
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.slow
def test_a_report_with_its_pictures_is_the_same_every_time(log):
    words = (log, *COLUMNS, "--group", "seed", "--out", "o")
    call(*words)
    before = {path.name: path.read_bytes() for path in Path("o").iterdir()}
    call(*words)
    assert {path.name: path.read_bytes() for path in Path("o").iterdir()} == before
    assert Page(before["report.html"].decode()).loads[0].startswith("data:image/svg+xml;base64,")


def test_out_writes_a_report_that_is_whole(log, plain_pictures):
    words = (log, *COLUMNS, "--group", "seed", "--out", "mine/report", "--plain")
    shown = call(*words).stdout
    folder = Path("mine/report")
    names = {path.name for path in folder.iterdir()}
    drawn = {"curves.svg", "scatter.svg", "seeds.svg"}
    assert names == {"report.html", "report.md", "correlations.csv", "runs.csv"} | drawn
    assert "mine/report/report.html" in shown
    html, markdown = ((folder / f"report.{kind}").read_text() for kind in ("html", "md"))
    page = Page(html)
    assert all(load.startswith("data:image/") for load in page.loads)
    assert len(page.loads) == 6
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert all(link[1:] in page.ids for link in page.links)
    assert set(re.findall(r"!\[[^\n]*?\]\(([^)]+)\)", markdown)) == drawn
    for text in (page.text, markdown):
        assert "Does d" in text
        assert "+1 means that d" in text
        assert "tracks" in text
        assert "wgan-bench correlate log.csv --step step --loss d_loss" in text


def test_the_command_in_a_report_makes_it_again(log, plain_pictures):
    own_log().assign(step=lambda t: t["step"] + 1).to_csv("odd name.csv", index=False)
    options = ("--within", "2.5", "--duplicates", "last", "--good-loss", "high")
    call("odd name.csv", *COLUMNS, "--group", "seed", *options, "--out", "a")
    text = Path("a/report.md").read_text()
    (command,) = re.findall(r"^wgan-bench correlate .*$", text, re.MULTILINE)
    call(*shlex.split(command)[2:])
    assert Path("a/report.md").read_text() == text


def test_the_tables_written_hold_the_statistics_own_numbers(log, plain_pictures):
    call(log, *COLUMNS, "--group", "seed", "--out", "o")
    frame = own_log()
    runs = pd.DataFrame(
        {"run_id": [str(s) for s in range(5)], "label": "x", "seed": range(5), "state": "done"}
    ).assign(dead_critic=False)
    curves = frame.assign(run_id=frame["seed"].astype(str))
    (expected,) = track(runs, curves, "fid", estimate="d_loss")
    table = pd.read_csv("o/correlations.csv")
    assert table["raw"].tolist() == [expected.raw.center]
    assert table["adjusted_low"].tolist() == [expected.adjusted.low]
    own = pd.read_csv("o/runs.csv")
    assert own["run"].tolist() == list(range(5))
    np.testing.assert_array_equal(own["raw"], [seed.raw for seed in expected.seeds])


def test_names_that_are_code_are_only_shown(tmp_path, monkeypatch, plain_pictures):
    monkeypatch.chdir(tmp_path)
    hostile = "<script>alert('x')</script> | `b`"
    names = {"d_loss": hostile, "fid": "fid\x1b[31m$\\frac{"}
    own_log().assign(lr="<img src=x>").rename(columns=names).to_csv("log.csv", index=False)
    words = ("--step", "step", "--loss", hostile, "--quality", names["fid"])
    call("log.csv", *words, "--group", "seed", "--setting", "lr", "--out", "o")
    page = Page(Path("o/report.html").read_text())
    assert "script" not in page.tags
    assert hostile in page.text
    markdown = Path("o/report.md").read_text()
    fenced = markdown.partition("To do it again:")[0]
    assert "<script" not in fenced
    assert "<img" not in fenced


def test_a_folder_that_cannot_be_written_is_answered(log, plain_pictures):
    Path("taken").write_text("")
    result = call(log, *COLUMNS, "--group", "seed", "--out", "taken/here", code=2)
    assert "folder 'taken/here' cannot be written" in result.stderr


@pytest.mark.slow
def test_quality_of_any_sign_is_drawn(log):
    frame = own_log(seeds=2)
    frame.assign(fid=frame["fid"] - 100).to_csv("signed.csv", index=False)
    call("signed.csv", *COLUMNS, "--group", "seed", "--out", "o", "--good-quality", "high")
    assert Path("o/curves.svg").read_bytes().startswith(b"<svg")


def test_the_example_log_is_the_quickstart_s_own_and_gives_its_figures():
    runs = pd.read_parquet(ROOT / "results/reference/quickstart-runs.parquet")
    curves = pd.read_parquet(ROOT / "results/reference/quickstart-curves.parquet")
    example = pd.read_csv(ROOT / "examples/quickstart.csv")
    told = curves.merge(runs[["run_id", "recipe", "seed"]], on="run_id")
    pd.testing.assert_frame_equal(example, told[list(example.columns)])
    words = ("--step", "step", "--loss", "estimate_held_out", "--quality", "fid", "--json")
    by_hand = ("--group", "seed", "--setting", "recipe")
    one = json.loads(call(ROOT / "examples/quickstart.csv", *words, *by_hand).stdout)
    other = json.loads(call(ROOT / "results/reference/quickstart-curves.parquet", *words).stdout)
    expected = track(runs, curves, "fid")
    for said in (one, other):
        assert [item["raw"]["mean"] for item in said["settings"]] == [
            tracking.raw.center for tracking in expected
        ]
        assert [item["seed_swap_p"] for item in said["settings"]] == [
            tracking.swap_p for tracking in expected
        ]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_million_rows_take_seconds(tmp_path):
    count = 1_000_000
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "seed": np.repeat(np.arange(10), count // 10),
            "step": np.tile(np.arange(1, count // 10 + 1), 10),
            "d_loss": draw.normal(size=count),
            "fid": np.abs(draw.normal(size=count)),
        }
    )
    path = tmp_path / "log.parquet"
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    path.write_bytes(buffer.getvalue())
    said = json.loads(call(path, *COLUMNS, "--group", "seed", "--json").stdout)
    (setting,) = said["settings"]
    assert setting["evaluations"] == count // 10
    assert abs(setting["raw"]["mean"]) < 0.02
