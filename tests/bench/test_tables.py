import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.tables import (
    MINUS,
    NONE,
    Cell,
    Column,
    Table,
    correlation,
    escape_markdown,
    interval_column,
    number,
    number_column,
    percent,
    probability,
    span,
    text_column,
    to_csv,
    to_html,
    to_markdown,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2102.4, "2,102"),
        (24.06, "24.1"),
        (7.0, "7.00"),
        (0.06531, "0.0653"),
        (0, "0.00"),
        (-3.456, f"{MINUS}3.46"),
        (3.2e-7, f"3.20e{MINUS}07"),
        (math.nan, NONE),
        (math.inf, NONE),
    ],
)
def test_numbers_have_three_significant_digits(value, text):
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.934, "+0.93"),
        (-0.05, f"{MINUS}0.05"),
        (0.0, "0.00"),
        (-0.0026, f"{MINUS}0.003"),
        (math.nan, NONE),
    ],
)
def test_correlations_keep_their_sign(value, text):
    assert correlation(value) == text


@given(st.floats(-1, 1))
def test_on_which_side_of_zero_a_correlation_lies_is_never_rounded_away(value):
    if abs(value) > 1e-6:
        assert correlation(value).startswith("+" if value > 0 else MINUS)


def test_probabilities_and_shares():
    assert [probability(p) for p in (0.00004, 0.0083, 0.1667, math.nan)] == [
        "< 0.001",
        "0.008",
        "0.17",
        NONE,
    ]
    assert percent(0.914) == "91\N{NO-BREAK SPACE}%"
    assert span(1.0, 2.0) == "1.00 to 2.00"
    assert span(math.nan, 2.0) == ""


@pytest.fixture
def table():
    frame = pd.DataFrame(
        {
            "label": ["<b>a</b>|b", "wgan_gp"],
            "fid": [24.06, math.nan],
            "fid_low": [21.0, math.nan],
            "fid_high": [27.2, math.nan],
            "seeds": [3, 1],
        }
    )
    columns = (
        text_column("recipe", "label"),
        interval_column("FID", "fid"),
        number_column("seeds", "seeds", lambda value: f"{value:.0f}"),
    )
    return Table(frame, columns, labelled=True)


def test_a_table_in_html_is_escaped_and_aligned(table):
    html = to_html(table, "a <name>", {"wgan_gp": ("#111111", "#eeeeee")})
    assert "<b>" not in html
    assert "&lt;b&gt;a&lt;/b&gt;|b" in html
    assert 'aria-label="a &lt;name&gt;"' in html
    assert '<th scope="col" class="right">FID</th>' in html
    assert '24.1<span class="detail">21.0 to 27.2</span>' in html
    assert html.count('scope="row"') == 2
    assert html.count("--light:#111111;--dark:#eeeeee") == 1


def test_cells_carry_the_numbers_that_they_are_sorted_by(table):
    html = to_html(table, "numbers")
    values = re.findall(r'data-value="([^"]*)"', html)
    assert values == ["24.06", "3.0", "", "1.0"]
    assert "data-value" not in html[: html.index("<tbody>")]
    endless = Table(
        pd.DataFrame({"a": ["x"], "b": [-math.inf]}),
        (text_column("a", "a"), number_column("b", "b")),
    )
    assert 'data-value="-Infinity"' in to_html(endless, "endless")


def test_a_cell_s_fold_out_is_escaped_and_only_on_the_page():
    lines = ("commands", "run <b>", "a & b")
    columns = (Column("run", lambda row: Cell(row["run"], "", lines)), text_column("x", "run"))
    folded = Table(pd.DataFrame({"run": ["r1"]}), columns)
    html = to_html(folded, "runs", identity="table-runs")
    assert "<summary>commands</summary><code>run &lt;b&gt;</code><code>a &amp; b</code>" in html
    assert 'id="table-runs"' in html
    assert "commands" not in to_markdown(folded)


def test_csv_has_every_number_in_full(table):
    assert to_csv(table).splitlines() == [
        "label,fid,fid_low,fid_high,seeds",
        "<b>a</b>|b,24.06,21.0,27.2,3",
        "wgan_gp,,,,1",
    ]


def test_a_table_in_markdown_is_escaped_and_aligned(table):
    assert to_markdown(table).splitlines() == [
        "| recipe | FID | seeds |",
        "| --- | ---: | ---: |",
        "| &lt;b&gt;a&lt;/b&gt;\\|b | 24.1 (21.0 to 27.2) | 3 |",
        f"| wgan_gp | {NONE} | 1 |",
    ]


def test_the_numbers_of_a_table_stay_numbers(table):
    assert table.frame["fid"].iloc[0] == 24.06
    assert [cell.text for cell in table.cells[0]] == ["<b>a</b>|b", "24.1", "3"]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("wgan_gp", "wgan_gp"),
        ("_a_", "\\_a\\_"),
        ("a\nb  c", "a b c"),
        ("[x](y) *z* `q` #1 ~s~ \\", "\\[x\\](y) \\*z\\* \\`q\\` \\#1 \\~s\\~ \\\\"),
        ("<script>&amp;", "&lt;script&gt;&amp;amp;"),
    ],
)
def test_markdown_shows_text_as_it_stands(text, escaped):
    assert escape_markdown(text) == escaped
