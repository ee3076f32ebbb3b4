"""Tables of thousands of rows are printed in no time, on a terminal too."""

from __future__ import annotations

import sys

import pytest

from bench.verbs.show import show_table

COLUMNS = ("id", "state")


def printed(rows: int, capsys: pytest.CaptureFixture[str], *, plain: bool) -> str:
    show_table(COLUMNS, [(f"run{number}", "done") for number in range(rows)], plain=plain)
    return capsys.readouterr().out


def test_a_long_table_is_not_drawn_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert printed(10_000, capsys, plain=False) == printed(10_000, capsys, plain=True)
    assert printed(100, capsys, plain=False) != printed(100, capsys, plain=True)
