"""The report sets published figures beside ours, says where protocols differ, and ranks nothing."""

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jinja2
import numpy as np
import pytest
from fake_records import PROTOCOL, fake_records
from markupsafe import Markup
from published_runs import published_records

from bench.published import Point, load
from bench.report import pictures, render
from bench.report.published import ALIKE, REFUSAL, published_section
from bench.stats import summarise
from bench.tables import NONE, number, to_html, to_markdown

SECTIONS = Path(__file__).resolve().parents[2] / "bench" / "report" / "sections"
RANKING = ("better than", "worse than", "beats", "outperform", "rank ", "difference of")


def section(records):
    return published_section(records.runs, records.curves, records.protocols[0])


def part(records, title):
    (found,) = [part for part in section(records).parts if part.title == title]
    return found


def words(records):
    """The part in both twins, rendered without the rest of the report."""
    texts = []
    for kind, table in (("html", to_html), ("md", lambda content: to_markdown(content))):
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(SECTIONS),
            autoescape=kind == "html",
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        shown = environment.get_template(f"published.{kind}").render(
            section=SimpleNamespace(published=section(records)),
            suffix="",
            count=jinja2.utils.Namespace(tables=0),
            table=lambda *given, write=table: Markup(write(*given)),
        )
        texts.append(shown)
    return texts


@pytest.fixture(scope="module")
def whole():
    """A whole report in which the part stands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))
        return render(published_records(labels=("wgan_gp",)))


def test_the_part_stands_in_both_twins_of_the_report(whole):
    (html,) = re.findall(r'<section id="published.*?</section>', whole.html, re.DOTALL)
    for text in (html, whole.markdown):
        assert "Beside published figures" in text
        assert "SN-GAN, Table 2" in text
        assert REFUSAL in re.sub(r"\s+", " ", text)


def test_ours_stand_beside_theirs_in_the_published_order():
    records = published_records()
    table = part(records, "SN-GAN, Table 2").figures
    assert list(dict.fromkeys(table.frame["method"])) == [
        "Real data",
        "Weight clipping",
        "GAN-GP",
        "WGAN-GP",
        "Batch norm",
        "Layer norm",
        "Weight norm",
        "Orthonormal",
        "SN",
        "SN, hinge",
        NONE,
    ]
    beside = dict(zip(table.frame["method"], table.frame["label"], strict=True))
    assert beside["WGAN-GP"] == "wgan_gp"
    assert beside["SN"] == "sngan"
    assert beside["Weight clipping"] == NONE
    assert set(table.frame["label"][table.frame["method"] == NONE]) == {"gan", "wgan"}


def test_our_figures_are_the_last_generators_over_seeds():
    records = published_records()
    table = part(records, "SN-GAN, Table 2").figures
    summaries = {item.label: item for item in summarise(records.runs, records.curves, "fid")}
    scores = {
        item.label: item for item in summarise(records.runs, records.curves, "inception_score")
    }
    for _, row in table.frame.iterrows():
        if row["label"] in summaries:
            final = summaries[row["label"]].final
            assert row["ours_fid"] == final.center
            assert (row["ours_fid_low"], row["ours_fid_high"]) == (final.low, final.high)
            assert row["ours_inception_score"] == scores[row["label"]].final.center
    (cells,) = [cells for cells in table.cells if cells[0].text == "WGAN-GP"]
    assert cells[0].detail == "wasserstein, constraint gradient_penalty"
    assert [cells[1].text, cells[2].text] == ["6.68", "40.2"]
    assert (cells[3].text, cells[3].detail) == ("wgan_gp", "gradient_penalty (weight 10.0)")
    assert cells[5].text == number(summaries["wgan_gp"].final.center)
    assert cells[5].detail.endswith("; n = 3")


def test_real_data_stand_beside_our_floor():
    first = part(published_records(), "SN-GAN, Table 2").figures.frame.iloc[0]
    assert (first["theirs_fid"], first["label"]) == ("7.8", "floor: real held-out data")
    assert first["ours_fid"] == PROTOCOL["floor"]["fid"]
    assert first["settings"] == "10,000 samples"


def test_every_protocol_point_is_said_to_be_the_same_to_differ_or_to_be_unstated():
    found = part(published_records(), "SN-GAN, Table 2")
    frame = found.points.frame
    assert set(frame["verdict"]) == {"same", "differs", "not stated"}
    counts = frame["verdict"].value_counts()
    assert f"Of {len(frame)} points of the protocol {counts['same']} is the same" in found.agreement
    assert f"{counts['differs']} differ and" in found.agreement
    for point in frame["point"][frame["verdict"] == "differs"]:
        assert point in found.agreement
    assert found.agreement.endswith(REFUSAL)


def test_the_traps_of_names_are_told():
    text = " ".join(part(published_records(), "SN-GAN, Table 2").traps)
    assert "Weight clipping: a clipped standard GAN, not the WGAN of Arjovsky" in text
    assert "Every row but WGAN-GP and SN, hinge trains the standard GAN's loss" in text


def test_nothing_is_ranked_subtracted_or_set_bold_across_the_two():
    records = published_records()
    # Ours once better and once worse than everything published: nothing but our figures changes.
    better = replace(records, curves=records.curves.assign(fid=records.curves["fid"] / 100))
    worse = replace(records, curves=records.curves.assign(fid=records.curves["fid"] * 100))
    numbers = r"[\d,.]+"
    texts = []
    for kind in (better, worse):
        html, markdown = words(kind)
        for table in re.findall(r"<table.*?</table>", html, re.DOTALL):
            assert not re.search(r"<(b|strong|em|mark)\b", table)
            assert set(re.findall(r'class="([^"]*)"', table)) <= {
                "left", "right", "left short", "right short", "short", "detail", "fields"
            }  # fmt: skip
        assert "**" not in "".join(line for line in markdown.splitlines() if line[:1] == "|")
        texts.append(re.sub(numbers, "#", html))
        for said in (html, markdown):
            lowered = re.sub(r"\s+", " ", said).lower()
            for claim in RANKING:
                assert claim not in lowered, claim
    assert texts[0] == texts[1]
    for item in section(records).parts:
        columns = list(item.figures.frame.columns)
        allowed = r"method|states|label|settings|(theirs|ours)_[a-z_]+?(_low|_high|_n)?"
        assert all(re.fullmatch(allowed, name) for name in columns), columns
        # Theirs are words, so that no number of theirs can be computed with.
        theirs = item.figures.frame[[name for name in columns if name.startswith("theirs")]]
        assert all(isinstance(value, str) for value in theirs.to_numpy().ravel())


def test_tables_across_protocols_cannot_be_sorted(whole):
    (html,) = re.findall(r'<section id="published.*?</section>', whole.html, re.DOTALL)
    beginning = r'<div class="unranked">\s*(?:<figure class="exhibit">\s*)?<div class="table"'
    assert len(re.findall(beginning, html)) == html.count("<table") == 8
    assert '!table.closest(".unranked")) makeSortable(table)' in whole.html


def test_only_when_every_point_agrees_is_the_refusal_left_out():
    records = published_records()
    (table,) = [table for table in load() if table.name == "sngan"]
    ours = part(records, "SN-GAN, Table 2").points.frame
    values = {
        "resolution": "32 x 32", "network": "dcgan", "updates": 2000, "batch_size": 64,
        "critic_steps": 5, "optimizer": "adam (lr 0.0001)", "n_real": 50000, "n_fake": 2000,
        "split": "train", "extractor": "inception", "runs": 3,
        "inception_score": "1 set of 2000 samples in 10 splits",
        "selection": "the last generator of each run, not chosen",
        "spread": "seeds: 95 % interval of their mean",
    }  # fmt: skip
    alike = replace(table, protocol={key: Point("x", value) for key, value in values.items()})
    (found,) = published_section(records.runs, records.curves, records.protocols[0], [alike]).parts
    assert set(found.points.frame["verdict"]) == {"same"}
    assert len(found.points.frame) == len(ours) == len(values) + 1
    assert found.agreement.endswith(ALIKE)
    unstated = {key: point for key, point in alike.protocol.items() if key != "extractor"}
    less = replace(alike, protocol=unstated)
    (found,) = published_section(records.runs, records.curves, records.protocols[0], [less]).parts
    assert found.agreement.endswith(REFUSAL)
    for key in ("resolution", "runs", "inception_score"):
        one = replace(alike, protocol={**alike.protocol, key: Point("x", "another")})
        (found,) = published_section(
            records.runs, records.curves, records.protocols[0], [one]
        ).parts
        assert found.agreement.endswith(REFUSAL), key


def test_one_cell_of_many_numbers_is_said_and_is_no_table():
    html, markdown = words(published_records())
    for text in (html, markdown):
        assert "“WGAN-GP on cifar10” has been published with FID 16.95, 19.83, 22.29" in text
    titles = [item.title for item in section(published_records()).parts]
    assert "One cell, many numbers" not in titles


def test_modes_stand_beside_pacgan_s():
    records = published_records("ring8")
    assert [item.title for item in section(records).parts] == ["PacGAN, modes covered"]
    frame = section(records).parts[0].figures.frame
    assert frame["theirs_modes_covered"].tolist()[:2] == ["6.3", "7.8"]
    assert frame["label"].iloc[0] == "gan"
    assert frame["ours_modes_covered"].iloc[0] == pytest.approx(6.0)


@pytest.mark.parametrize("dataset", ["digits", "stacked_digits", "swiss_roll"])
def test_a_data_set_of_which_nothing_is_published_gets_no_such_part(dataset):
    records = published_records(dataset)
    assert section(records) is None
    assert [text.strip() for text in words(records)] == ["", ""]


def test_nothing_is_set_beside_what_was_not_measured():
    records = published_records()
    blind = records.curves.assign(fid=np.nan, inception_score=np.nan)
    assert section(replace(records, curves=blind)) is None
    only = replace(records, curves=records.curves.assign(inception_score=np.nan))
    for item in section(only).parts:
        assert "theirs_inception_score" not in item.figures.frame.columns


def test_runs_that_are_not_finished_have_no_figure():
    records = published_records(labels=("wgan_gp",))
    unfinished = replace(records, runs=records.runs.assign(state="running"))
    frame = part(unfinished, "SN-GAN, Table 2").figures.frame
    (ours,) = frame["ours_fid"][frame["label"] == "wgan_gp"]
    assert np.isnan(ours)
    html, markdown = words(unfinished)
    assert "nan" not in re.sub(r"[a-z]*nan[a-z]+|[a-z]+nan[a-z]*", "", (html + markdown).lower())


def test_without_a_protocol_our_points_are_not_stated():
    records = published_records()
    frame = published_section(records.runs, records.curves, {}).parts[0].points.frame
    (samples,) = frame["ours"][frame["point"] == "real samples"]
    assert samples == "not stated"


def test_optional_columns_may_be_absent():
    records = fake_records(["wgan_gp"], range(2), pictures=False)
    runs = records.runs.assign(dataset="cifar10").drop(columns=["reason"])
    found = published_section(runs, records.curves, PROTOCOL)
    assert set(found.parts[0].figures.frame["label"]) == {"wgan_gp", NONE}
