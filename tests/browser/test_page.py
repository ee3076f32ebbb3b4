"""The report in a browser: whole, fetching nothing, fit for phones and paper, its script at work.

Pictures of the pages are left in BROWSER_SHOTS, where that is set, to be looked at.
"""

from __future__ import annotations

import os
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Chromium

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
NAMES = ("rich", "empty", "wide")
PHONE, DESK = 390, 1400
A4 = 688  # CSS pixels between the margins of 14 mm


@pytest.fixture
def page(browser: Chromium, reports: dict[str, Path]) -> Chromium:
    """The rich report, open on a desk."""
    browser.emulate()
    browser.open(reports["rich"] / "report.html", DESK)
    return browser


def keep_shot(browser: Chromium, name: str, *, whole: bool = True) -> None:
    folder = os.environ.get("BROWSER_SHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.screenshot(Path(folder) / f"{name}.png", whole=whole)


# How far each element that can be seen reaches over the page, but for what scrolls by itself.
OVERFLOWING = """[...document.querySelectorAll("body *")].filter((element) => {
    const box = element.getBoundingClientRect();
    const scrolls = element.parentElement.closest(".table, pre, .room");
    return !scrolls && box.width > 0 && box.right > document.documentElement.clientWidth + 1;
}).map((element) => element.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", NAMES)
def test_a_report_fetches_nothing_complains_of_nothing_and_fits(
    browser: Chromium, reports: dict[str, Path], name: str, width: int
) -> None:
    browser.emulate()
    file = reports[name] / "report.html"
    browser.open(file, width)
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    fetched = [url for url in browser.requests if not url.startswith("data:")]
    assert fetched == [file.as_uri()]
    assert browser.complaints == []
    reach, room = browser.run(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert room == width
    assert reach <= room
    assert browser.run(OVERFLOWING) == []
    browser.run("document.querySelectorAll('details').forEach((one) => { one.open = false; })")
    keep_shot(browser, f"{name}-{width}")


def test_a_page_that_would_fetch_is_found_out(browser: Chromium, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_text(
        '<!doctype html><meta name="viewport" content="width=device-width, initial-scale=1">'
        '<img src="beside.png"><p style="width: 900px">wide</p>'
        "<script>undefined.field</script>"
    )
    browser.emulate()
    browser.open(file, PHONE)
    assert any(url.endswith("beside.png") for url in browser.requests)
    assert any("undefined" in complaint for complaint in browser.complaints)
    assert browser.run(OVERFLOWING) != []


def test_the_policy_lets_no_other_script_run_and_nothing_load(page: Chromium) -> None:
    page.run(
        """(() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            const image = document.createElement("img");
            image.src = "figures/curves.svg";
            const sound = document.createElement("audio");
            sound.preload = "auto";
            sound.src = "sound.wav";
            document.body.append(script, image, sound);
        })()"""
    )
    assert page.run("window.ran === undefined")
    assert page.run("new Promise((done) => setTimeout(() => done(true), 200))")
    assert len([text for text in page.complaints if "Content Security Policy" in text]) >= 3


# Tables.


def column(browser: Chromium, table: str, place: int) -> list[str]:
    texts: list[str] = browser.run(
        f"[...document.querySelectorAll('#table-{table} tbody tr')].filter((row) => !row.hidden)"
        f".map((row) => row.cells[{place}].dataset.value ?? row.cells[{place}].innerText)"
    )
    return texts


def head(place: int, table: str = "seeds") -> str:
    return f"#table-{table} thead th:nth-child({place + 1})"


def order(browser: Chromium, place: int, table: str = "seeds") -> str | None:
    said: str | None = browser.run(
        f"document.querySelector('{head(place, table)}').getAttribute('aria-sort')"
    )
    return said


def floats(texts: list[str]) -> list[float]:
    return [float(text) for text in texts if text]


def test_a_click_sorts_by_the_numbers_themselves_unknown_ones_last(page: Chromium) -> None:
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    before = column(page, "seeds", 3)
    # The first known value becomes unknown, and minus signs and commas must not mislead.
    page.run("document.querySelector('#table-seeds tbody tr').cells[3].dataset.value = ''")
    page.click(head(3) + " button")
    up = column(page, "seeds", 3)
    assert order(page, 3) == "ascending"
    assert floats(up) == sorted(floats(before)[1:])
    assert up[-1] == ""
    page.click(head(3) + " button")
    down = column(page, "seeds", 3)
    assert order(page, 3) == "descending"
    assert floats(down) == sorted(floats(before)[1:], reverse=True)
    assert down[-1] == ""
    page.click(head(3) + " button")
    assert order(page, 3) is None
    assert column(page, "seeds", 3) == ["", *before[1:]]


def test_sorting_is_stable_and_one_column_at_a_time_leads(page: Chromium) -> None:
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    page.click(head(0) + " button")
    names = column(page, "seeds", 0)
    assert names == sorted(names)
    page.click(head(1) + " button")
    assert (order(page, 0), order(page, 1)) == (None, "ascending")
    pairs = list(zip(floats(column(page, "seeds", 1)), column(page, "seeds", 0), strict=True))
    assert pairs == sorted(pairs)


def test_the_keyboard_sorts_too(page: Chromium) -> None:
    page.run(f"document.querySelector('{head(1, 'recipes')} button').focus()")
    page.press("Enter")
    assert order(page, 1, "recipes") == "ascending"
    values = floats(column(page, "recipes", 1))
    assert values == sorted(values)
    page.press(" ")
    assert order(page, 1, "recipes") == "descending"
    assert page.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.press("Tab")
    assert page.run("document.activeElement.textContent").startswith("best FID")


def test_a_long_table_can_be_searched(page: Chromium) -> None:
    page.run("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    rows = column(page, "runs", 0)
    assert len(rows) == 24
    search = "document.querySelector('#table-runs').previousElementSibling"
    page.run(f"{search}.querySelector('input').focus()")
    for key in "wgan_gp":
        page.press(key)
    assert set(column(page, "runs", 1)) == {"wgan_gp"}
    assert page.run(f"{search}.querySelector('output').textContent") == "6 of 24 rows"
    page.run(f"{search}.querySelector('input').value = ''")
    page.run(f"{search}.querySelector('input').dispatchEvent(new Event('input'))")
    assert column(page, "runs", 0) == rows


def test_a_short_table_has_no_search(page: Chromium) -> None:
    rows = page.run(
        "[...document.querySelectorAll('.table > table:not(.fields)')]"
        ".map((table) => table.tBodies[0].rows.length)"
    )
    long = [count for count in rows if count >= 20]
    assert 2 <= len(long) < len(rows)
    assert page.run("document.querySelectorAll('.search').length") == len(long)
    first = page.run("document.querySelector('#table-recipes').parentElement.firstElementChild.id")
    assert first == "table-recipes"


# Pictures.


def test_a_figure_opens_large_and_escape_closes_it(page: Chromium) -> None:
    buttons = page.run("document.querySelectorAll('.drawing .enlarge').length")
    assert buttons == page.run("document.querySelectorAll('.drawing img').length") >= 3
    page.click(".drawing .enlarge")
    assert page.run("document.querySelector('dialog').open")
    across, words = page.run(
        "[document.querySelector('.room img').getBoundingClientRect().width,"
        " document.querySelector('dialog p').textContent]"
    )
    assert across > page.run("document.querySelector('.drawing img').clientWidth")
    assert words.startswith("Figure 1.")
    assert page.run("document.querySelector('.room img').alt.length") > 20
    keep_shot(page, "large", whole=False)
    page.press("Escape")
    assert not page.run("document.querySelector('dialog').open")
    assert page.run("document.activeElement.className") == "enlarge"


def test_the_keyboard_opens_a_figure_and_the_button_closes_it(page: Chromium) -> None:
    page.resize(PHONE)
    page.run("document.querySelectorAll('.drawing .enlarge')[1].focus()")
    page.press("Enter")
    assert page.run("document.querySelector('dialog').open")
    second = "document.querySelectorAll('.drawing img')[1]"
    shown = page.run(f"document.querySelector('.room img').src === {second}.src")
    assert shown
    room = "document.querySelector('.room')"
    across, room = page.run(f"[{room}.firstChild.clientWidth, {room}.clientWidth]")
    assert across > 2 * room
    page.click("dialog button")
    assert not page.run("document.querySelector('dialog').open")


def test_samples_open_large_without_smoothing(page: Chromium) -> None:
    page.click(".grids .enlarge")
    assert page.run("document.querySelector('.room img').clientHeight") > 400
    assert page.run("getComputedStyle(document.querySelector('.room img')).imageRendering") == (
        "pixelated"
    )
    page.press("Escape")


# A run's folder and commands.


def test_a_run_s_folder_and_commands_are_one_click_away_and_can_be_copied(page: Chromium) -> None:
    page.run("document.querySelector('details:has(#table-runs)').open = true")
    row = "#table-runs tbody tr:first-child"
    page.click(f"{row} summary")
    lines = page.run(
        f"[...document.querySelectorAll('{row} details code')].map((code) => code.textContent)"
    )
    run_id = "0000c0ffee00"
    assert lines == [
        f"quickstart/run--{run_id}",
        f"wgan-bench logs {run_id} --lines 100",
        f"wgan-bench run sweeps/quickstart.yaml --only id={run_id}",
    ]
    page.wait(f"document.querySelector('{row} code + .copy') !== null")
    page.click(f"{row} code + .copy")
    said = f"document.querySelector('{row} .copy').textContent"
    page.wait(f"{said} === 'Copied'")


def test_every_run_that_is_not_simply_done_leads_to_its_folder(page: Chromium) -> None:
    items: list[Any] = page.run(
        """[...document.querySelectorAll("#provenance li")].map((item) => [
            item.firstChild.data, [...item.querySelectorAll("code")].map((code) => code.textContent)
        ])"""
    )
    assert len(items) == 3
    for sentence, ways in items:
        found = re.search(r"\(([0-9a-f]{12})\)", sentence)
        assert found
        assert ways[0] == f"quickstart/run--{found[1]}"


# Without the script, on paper, in the dark, for ears.


def test_without_its_script_the_page_is_whole(browser: Chromium, reports: dict[str, Path]) -> None:
    file = reports["rich"] / "report.html"
    browser.emulate()
    browser.open(file, PHONE)
    whole = browser.run("document.querySelector('main').innerText.length")
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(file, PHONE)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)
    plain = browser.run("document.querySelector('main').innerText.length")
    assert browser.run("document.querySelectorAll('main button, dialog, input').length") == 0
    # What the script adds are words on buttons.
    assert 0.95 * whole < plain <= whole
    assert browser.run("document.querySelectorAll('.drawing a[href^=\"figures/\"]').length") >= 6


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_cut_on_paper(browser: Chromium, reports: dict[str, Path], name: str) -> None:
    browser.emulate(media="print", scheme="dark")
    browser.open(reports[name] / "report.html", A4)
    assert browser.run(
        "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    )
    cut = browser.run(
        """[...document.querySelectorAll("table, img, pre")].filter((element) => {
            const box = element.getBoundingClientRect();
            return box.width > 0 && box.right > document.documentElement.clientWidth + 1;
        }).map((element) => element.outerHTML.slice(0, 150))"""
    )
    assert cut == []
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.run("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert browser.run("getComputedStyle(document.documentElement).colorScheme") == "light"
    browser.emulate(scheme="dark")
    pdf = browser.print()
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 10_000
    folder = os.environ.get("BROWSER_SHOTS")
    if folder:
        (Path(folder) / f"{name}.pdf").write_bytes(pdf)


def test_what_is_folded_is_printed_too(page: Chromium) -> None:
    page.emulate(media="print")
    heights = page.run(
        "[...document.querySelectorAll('main details:not(.copied, .long)')]"
        ".map((one) => [one.open, one.clientHeight])"
    )
    assert len(heights) >= 3
    for is_open, height in heights:
        assert not is_open
        assert height > 60


def test_the_dark_scheme_is_dark_in_figures_too(page: Chromium) -> None:
    page.emulate(scheme="dark")
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(21, 24, 27)"
    keep_shot(page, "dark")
    dots = page.run(
        "[...document.querySelectorAll('.dot')].map((dot) => getComputedStyle(dot).backgroundColor)"
    )
    assert dots
    assert "rgb(0, 114, 178)" not in dots


ACCESSIBLE = """(() => {
    const all = (selector) => [...document.querySelectorAll(selector)];
    const named = (element) =>
        (element.getAttribute("aria-label") || element.textContent || "").trim() !== "";
    return {
        levels: all("h1, h2, h3, h4, h5, h6").map((heading) => Number(heading.tagName[1])),
        landmarks: ["body > header", "header > nav", "body > main"].map((one) => all(one).length),
        unnamed: all("button, a, summary, [role=region]").filter((one) => !named(one)).length,
        withoutAlt: all("img").filter((one) => !one.alt && !one.closest("dialog")).length,
        unlabelled: all("input").filter((one) => !one.closest("label")).length,
        headless: all("td").filter((one) => !one.parentElement.querySelector("[scope=row]")).length,
        scopeless: all("thead th:not([scope=col])").length,
        captions: all("figure").filter((one) => !one.querySelector(":scope > figcaption")).length,
        ids: all("[id]").length - new Set(all("[id]").map((one) => one.id)).size,
        language: document.documentElement.lang,
    };
})()"""


@pytest.mark.parametrize("name", NAMES)
def test_a_screen_reader_finds_its_way(
    browser: Chromium, reports: dict[str, Path], name: str
) -> None:
    browser.emulate()
    browser.open(reports[name] / "report.html", DESK)
    found = browser.run(ACCESSIBLE)
    levels = found.pop("levels")
    assert levels.count(1) == 1
    assert levels[0] == 1
    for above, below in pairwise(levels):
        assert below <= above + 1
    assert found.pop("landmarks") == [1, 1, 1]
    assert found.pop("language") == "en"
    assert found == dict.fromkeys(found, 0)


def test_the_skip_link_comes_first_and_leads_to_the_content(page: Chromium) -> None:
    page.press("Tab")
    assert page.run("document.activeElement.className") == "skip"
    assert page.run("document.activeElement.getBoundingClientRect().left") >= 0
    page.press("Enter")
    assert page.run("document.activeElement.id") == "content"


def test_one_page_alone_shows_all_it_has(
    browser: Chromium, reports: dict[str, Path], tmp_path: Path
) -> None:
    alone = tmp_path / "mailed.html"
    shutil.copy(reports["rich"] / "report.html", alone)
    browser.emulate()
    browser.open(alone, DESK)
    sizes = browser.run("[...document.querySelectorAll('main img')].map((one) => one.naturalWidth)")
    assert len(sizes) > 5
    assert all(sizes)
    assert browser.complaints == []
