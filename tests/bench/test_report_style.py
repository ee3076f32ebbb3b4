import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fake_records import PROTOCOL, fake_records
from test_figures import contrast

import bench.report
from bench.report import pictures, render

CSS = (Path(bench.report.__file__).parent / "style.css").read_text()
LIGHT, DARK, PRINT = 0, 1, 2


def schemes():
    """The variables of the light scheme, the dark one and paper, as each takes effect."""
    blocks = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
    assert len(blocks) == 3
    found = [dict(re.findall(r"--(\w+): (#[0-9a-f]+)", block)) for block in blocks]
    return [found[LIGHT], found[LIGHT] | found[DARK], found[LIGHT] | found[PRINT]]


@pytest.mark.parametrize("scheme", [LIGHT, DARK, PRINT])
def test_every_text_stands_out_from_every_paper(scheme):
    colours = schemes()[scheme]
    for text in ("ink", "muted", "link"):
        for paper in ("paper", "soft"):
            assert contrast(colours[text], colours[paper]) >= 4.5, (text, paper)


def test_text_and_its_paper_are_coloured_by_those_variables_alone():
    texts = re.findall(r"(?<![-\w])color: ([^;}]+)", CSS)
    papers = re.findall(r"(?<![-\w])background(?:-color)?: ([^;}]+)", CSS)
    assert set(texts) <= {f"var(--{name})" for name in ("ink", "muted", "link")}
    allowed = {"var(--paper)", "var(--soft)", "none"}
    assert set(papers) - allowed <= {"var(--dot)", "rgb(0 0 0 / .6)"}  # no text stands on these


def test_what_is_focused_is_seen():
    assert re.search(r":focus-visible \{ outline: 2px solid var\(--link\)", CSS)
    for reset in re.findall(r"^(\.[\w-]+) \{ all: unset", CSS, re.MULTILINE):
        assert re.search(rf"^{re.escape(reset)}:focus-visible \{{ outline: 2px", CSS, re.MULTILINE)


@pytest.fixture
def plain_pictures(monkeypatch):
    monkeypatch.setattr(pictures, "both_widths", lambda draw, colours: (b"<svg/>", b"<svg/>"))


class Script(HTMLParser):
    """The page's scripts and its policy."""

    def __init__(self, html):
        super().__init__()
        self.scripts, self.policy, self.inside, self.handlers = [], "", False, []
        self.levels = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.inside = tag == "script"
        self.handlers += [name for name in values if name.startswith("on")]
        if values.get("http-equiv") == "Content-Security-Policy":
            self.policy = values["content"]
        if re.fullmatch(r"h[1-6]", tag):
            self.levels.append(int(tag[1]))

    def handle_data(self, data):
        if self.inside:
            self.scripts.append(data)
            self.inside = False


def test_the_policy_allows_the_page_s_own_script_by_its_hash_and_no_other(plain_pictures):
    page = Script(render(fake_records(["gan"], range(2))).html)
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert page.policy.split("; ") == [
        "default-src 'none'",
        "img-src data:",
        "style-src 'unsafe-inline'",
        f"script-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert page.handlers == []
    for word in ("fetch(", "XMLHttpRequest", "import(", "localStorage", "innerHTML", "eval("):
        assert word not in script


def two_protocols():
    records = fake_records(["gan", "wgan"], range(2), pictures=False)
    later = records.runs["label"] == "wgan"
    ids = set(records.runs.loc[later, "run_id"])
    return replace(
        records,
        protocols=[PROTOCOL, PROTOCOL | {"id": "ffff0000"}],
        runs=records.runs.assign(protocol_id=np.where(later, "ffff0000", "abcd1234")),
        curves=records.curves.assign(
            protocol_id=np.where(records.curves["run_id"].isin(ids), "ffff0000", "abcd1234")
        ),
    )


@pytest.mark.parametrize("several", [False, True])
def test_headings_are_in_order_under_one_title(several, plain_pictures):
    records = two_protocols() if several else fake_records(["gan"], range(2))
    levels = Script(render(records).html).levels
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert levels.count(2) >= (4 if several else 7)
    assert levels.count(3) >= (13 if several else 2)
