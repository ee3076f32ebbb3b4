import hashlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_records import fake_records
from test_latex import check_syntax

from bench.report import Rendered, pictures, render
from bench.report.content import page
from bench.report.files import files
from bench.report.html import to_page
from bench.report.markdown import to_text
from bench.report.writing import write_files

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def records():
    return fake_records(["gan", "wgan_gp"], range(2))


@pytest.fixture(scope="module")
def content(records):
    return page(records)


@pytest.fixture(scope="module")
def shown(content):
    return to_page(content)[1]


@pytest.fixture(scope="module")
def rendered(content):
    html, shown = to_page(content)
    return Rendered(html, to_text(content), files(content, shown))


@pytest.fixture
def plain_pictures(monkeypatch):
    """Where only the tables matter nothing need be drawn."""
    monkeypatch.setattr(pictures, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))


def named(rendered, folder, ending):
    found = [name for name in rendered.files if re.fullmatch(rf"{folder}/[\w.-]+\.{ending}", name)]
    return {Path(name).stem: rendered.files[name] for name in found}


def test_every_table_of_the_page_is_there_as_latex_and_as_csv(rendered):
    shown = re.findall(r'<div class="table" id="table-([\w-]+)"', rendered.html)
    assert len(shown) == len(set(shown)) >= 7
    assert set(named(rendered, "tables", "csv")) == set(shown)
    assert set(named(rendered, "tables", "tex")) == {*shown, "all-tables"}


def test_every_figure_of_the_page_is_there_as_svg_and_as_pdf(rendered):
    svg, pdf = named(rendered, "figures", "svg"), named(rendered, "figures", "pdf")
    shown = {Path(name).stem for name in rendered.files if name.startswith("figures/")}
    assert set(svg) == set(pdf) == shown - {name for name in shown if name.startswith("samples-")}
    assert {"curves", "scatter", "seeds", "lags"} <= set(svg)
    assert len(svg) == rendered.html.count('<figure class="drawing">')
    assert all(content.startswith(b"%PDF-1.4") for content in pdf.values())
    assert all(content.startswith(b"<svg") for content in svg.values())


def test_a_pdf_has_its_fonts_inside_and_no_date(rendered):
    for content in named(rendered, "figures", "pdf").values():
        assert b"/FontFile2" in content
        assert b"/Type3" not in content
        for dated in (b"CreationDate", b"ModDate", b"Producer"):
            assert dated not in content


def test_csv_holds_the_numbers_of_the_frame_in_full(content, rendered):
    section = content.sections[0]
    for stem, table in (("recipes", section.recipes), ("correlations", section.correlations)):
        text = named(rendered, "tables", "csv")[stem].decode()
        read = pd.read_csv(io.StringIO(text))
        assert list(read.columns) == list(table.frame.columns)
        for column in table.frame.select_dtypes("number"):
            np.testing.assert_array_equal(read[column], table.frame[column])


def test_latex_tables_are_whole_and_named_once_in_one_document(shown, rendered):
    texts = named(rendered, "tables", "tex")
    for stem, exhibit in shown.tables.items():
        check_syntax(texts[stem].decode(), len(exhibit.table.columns))
        assert f"\\label{{tab:{stem}}}".encode() in texts[stem]
    inputs = re.findall(r"\\input\{([\w-]+)\.tex\}", texts["all-tables"].decode())
    assert inputs == list(shown.tables)


def test_a_caption_goes_with_its_own_table(shown, rendered):
    starts = {
        "recipes": r"Table \d+\. FID and cost of each recipe\. Means over finished seeds",
        "correlations": r"Table \d+\. Rank correlation of the held-out estimate with FID",
        "seeds": "",
        "floor-and-baselines": r"Table \d+\. What the scores are to be held against\.",
        "protocol": r"The protocol of every score above\.",
        "runs": "",
    }
    for stem, start in starts.items():
        caption = shown.tables[stem].caption
        assert re.match(start, caption)
        assert bool(caption) == bool(start)
    assert rendered.html.count("</figcaption>") == rendered.html.count("<figcaption")
    latex = rendered.files["tables/recipes.tex"].decode()
    assert r"\caption{FID and cost of each recipe. Means over" in latex
    assert "in brackets; n as in" in latex


DIGESTS = """
import hashlib, sys
sys.path[:0] = sys.argv[1:]
from fake_records import fake_records
from bench.report import render
rendered = render(fake_records(["gan", "wgan_gp"], range(2)))
files = rendered.files | {"html": rendered.html.encode(), "md": rendered.markdown.encode()}
for name, content in files.items():
    print(name, hashlib.sha256(content).hexdigest())
"""


@pytest.mark.slow
def test_another_process_with_another_hash_seed_writes_the_same_bytes():
    said = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS, str(HERE), str(HERE.parents[1])],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "4242")
    ]
    assert said[0] == said[1]
    assert len(said[0].splitlines()) > 20


def test_protocols_apart_have_files_apart(records, plain_pictures):
    from fake_records import PROTOCOL

    other = PROTOCOL | {"id": "ffff0000"}
    ids = set(records.runs.loc[records.runs["label"] == "gan", "run_id"])
    mixed = replace(
        records,
        protocols=[PROTOCOL, other],
        runs=records.runs.assign(
            protocol_id=np.where(records.runs["run_id"].isin(ids), "ffff0000", "abcd1234")
        ),
        curves=records.curves.assign(
            protocol_id=np.where(records.curves["run_id"].isin(ids), "ffff0000", "abcd1234")
        ),
    )
    rendered = render(mixed)
    tables = named(rendered, "tables", "csv")
    assert {"abcd1234-recipes", "ffff0000-recipes", "runs", "protocol-differences"} <= set(tables)
    assert b"gan" not in tables["abcd1234-recipes"].replace(b"wgan_gp", b"")
    assert {"abcd1234-curves", "ffff0000-curves"} <= set(named(rendered, "figures", "svg"))
    shown = re.findall(r"!\[[^\n]*?\]\(([^)]+)\)", rendered.markdown)
    assert set(shown) <= set(rendered.files)


# An earlier report of the same sweep.


def lying(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_only_an_earlier_report_had_goes(tmp_path):
    write_files(tmp_path, {"report.html": b"1", "tables/old.csv": b"old", "figures/a.svg": b"a"})
    assert write_files(tmp_path, {"report.html": b"2", "figures/a.svg": b"b"}) == []
    left = lying(tmp_path)
    digests = json.loads(left.pop("files.json"))
    assert left == {"report.html": b"2", "figures/a.svg": b"b"}
    assert digests == {name: hashlib.sha256(content).hexdigest() for name, content in left.items()}


def test_what_we_did_not_write_or_others_changed_stays(tmp_path):
    write_files(tmp_path, {"tables/old.csv": b"old", "tables/older.csv": b"older"})
    (tmp_path / "tables" / "old.csv").write_bytes(b"edited")
    (tmp_path / "tables" / "mine.csv").write_bytes(b"mine")
    (tmp_path / "notes.txt").write_bytes(b"notes")
    changed = write_files(tmp_path, {"report.html": b"2"})
    assert changed == [tmp_path / "tables" / "old.csv"]
    left = lying(tmp_path)
    assert left.pop("files.json")
    assert left == {
        "report.html": b"2",
        "tables/old.csv": b"edited",
        "tables/mine.csv": b"mine",
        "notes.txt": b"notes",
    }


@pytest.mark.parametrize(
    "listed",
    [
        "{",
        "[1]",
        '{"../outside.csv": "%s"}',
        '{"/etc/hostname": "%s"}',
        '{"tables/../../outside.csv": "%s"}',
    ],
)
def test_a_damaged_or_foreign_list_removes_nothing(tmp_path, listed):
    outside = tmp_path / "outside.csv"
    outside.write_bytes(b"keep")
    folder = tmp_path / "sweep"
    folder.mkdir()
    text = listed.replace("%s", hashlib.sha256(b"keep").hexdigest())
    (folder / "files.json").write_text(text)
    assert write_files(folder, {"report.html": b"1"}) == []
    assert outside.read_bytes() == b"keep"


def test_a_report_broken_off_is_cleared_by_the_next(tmp_path, monkeypatch):
    write_files(tmp_path, {"tables/old.csv": b"old"})
    from bench.report import writing

    whole, calls = writing.write_bytes, []

    def fails(path, content):
        calls.append(path)
        if path.name == "second.csv":
            raise OSError("disk full")
        whole(path, content)

    monkeypatch.setattr(writing, "write_bytes", fails)
    with pytest.raises(OSError, match="disk full"):
        write_files(tmp_path, {"tables/first.csv": b"1", "tables/second.csv": b"2"})
    monkeypatch.undo()
    write_files(tmp_path, {"report.html": b"3"})
    left = lying(tmp_path)
    assert left.pop("files.json")
    assert left == {"report.html": b"3"}
