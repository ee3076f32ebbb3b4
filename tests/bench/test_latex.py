import math
import re
import shutil
import subprocess

import pandas as pd
import pytest

from bench.latex import MOST_ROWS, document, escape_latex, to_latex
from bench.tables import Cell, Column, Table, interval_column, number_column, text_column

SPECIALS = 'a_b & 50 % $x$ #1 {y} ~z ^w \\end{table} <p> |q| "r" `s` it\'s'


def table(rows=3, label="wgan_gp"):
    frame = pd.DataFrame(
        {
            "label": [label] * rows,
            "fid": [24.06, *[math.nan] * (rows - 1)],
            "fid_low": [-21.0, *[math.nan] * (rows - 1)],
            "fid_high": [27.2, *[math.nan] * (rows - 1)],
            "seeds": range(rows),
        }
    )
    columns = (
        text_column("recipe", "label"),
        interval_column("FID", "fid"),
        number_column("seeds", "seeds", lambda value: f"{value:.0f}"),
    )
    return Table(frame, columns)


def unescaped(text, sign):
    """How often a special character stands in LaTeX without a backslash before it."""
    return len(re.findall(rf"(?<!\\){re.escape(sign)}", text))


def check_syntax(text, columns):
    """Environments nest, braces balance, every row has all its columns."""
    open_now = []
    for verb, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if verb == "begin":
            open_now.append(name)
        else:
            assert open_now.pop() == name
    assert open_now == []
    bare = re.sub(r"\\[{}\\]", "", text)
    depth = 0
    for sign in bare:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0
    rows = [line for line in text.splitlines() if line.endswith(r" \\") and "caption" not in line]
    assert rows
    for row in rows:
        assert unescaped(row, "&") == columns - 1, row


def test_a_small_table_floats_and_uses_booktabs_alone():
    text = to_latex(table(), "FID of each recipe.", "tab:recipes")
    check_syntax(text, 3)
    assert r"\caption{FID of each recipe.}\label{tab:recipes}" in text
    assert r"\begin{tabular}{@{}lrr@{}}" in text
    assert [line for line in text.splitlines() if "rule" in line] == [
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
    ]
    assert r"wgan\_gp & 24.1 ($-$21.0 to 27.2) & 0 \\" in text
    assert r"wgan\_gp & -- & 1 \\" in text
    assert "|" not in text


def test_a_long_table_goes_over_pages_with_its_head_on_each():
    text = to_latex(table(MOST_ROWS + 1), "Long.", "tab:long")
    check_syntax(text, 3)
    assert r"\begin{longtable}{@{}lrr@{}}" in text
    assert text.count("recipe & FID & seeds") == 2
    assert r"\begin{table}" not in text
    assert "longtable" not in to_latex(table(MOST_ROWS), "Short.", "tab:short")


def test_every_special_character_is_escaped():
    text = escape_latex(SPECIALS)
    for sign in "_&%#$":
        assert unescaped(text, sign) == 0
    for sign in "~^<>|\"`'":
        assert sign not in text
    assert r"\textbackslash{}end\{table\}" in text
    check_syntax(to_latex(table(label=SPECIALS), SPECIALS, "tab:x"), 3)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\N{MINUS SIGN}0.3", "$-$0.3"),
        ("95\N{NO-BREAK SPACE}%", r"95~\%"),
        ("\N{LEFT DOUBLE QUOTATION MARK}a\N{RIGHT DOUBLE QUOTATION MARK}", "``a''"),
        ("a\nb\t\x00c", "a b c"),
        ("p \N{LESS-THAN OR EQUAL TO} .05", r"p $\leq$ .05"),
        ("", ""),
    ],
)
def test_what_engines_lack_is_written_as_commands(text, written):
    assert escape_latex(text) == written


def compiled(folder, files):
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
def test_latex_sets_hostile_tables(tmp_path):
    texts = {
        "plain": to_latex(table(), "FID of each recipe.", "tab:plain"),
        "long": to_latex(table(120), "Long.", "tab:long"),
        "hostile": to_latex(table(label=SPECIALS), SPECIALS, "tab:hostile"),
        "foreign": to_latex(table(label="数字 é ü Ω"), "数字", "tab:foreign"),
        "empty": to_latex(Table(pd.DataFrame(), (Column("a", lambda row: Cell("")),)), "", "tab:e"),
    }
    files = {f"{stem}.tex": text for stem, text in texts.items()}
    done = compiled(tmp_path, files | {"all.tex": document(texts, texts.values())})
    assert done.returncode == 0, done.stdout[-2000:]
    log = (tmp_path / "all.log").read_text(errors="replace")
    assert "Undefined control sequence" not in log
    broken = files | {"plain.tex": texts["plain"].replace(r"\_", "_")}
    assert compiled(tmp_path, broken).returncode != 0
