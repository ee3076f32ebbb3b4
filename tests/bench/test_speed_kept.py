"""What was measured is kept for this kind of machine, and what is damaged is as if not there."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_speed_predict import FIGURES

from bench.speed import kept as module
from bench.speed.figures import CellFigures, SideBySide, Timing
from bench.speed.kept import Kept, keep, path_of, read_kept

FOUND = Kept("--backend local", 2, 1.5, SideBySide(2, 1.1, 1.2, 1.0, 1.3), {"aaa": FIGURES})


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    assert keep(FOUND, tmp_path)
    (back,) = read_kept(tmp_path)
    assert replace(back, measured=0.0) == FOUND
    assert back.measured > 1e9


def test_later_figures_go_beside_those_of_other_cells_and_over_their_own(tmp_path: Path) -> None:
    newer = replace(FIGURES, iteration=Timing.exactly(3.0))
    keep(replace(FOUND, cells={"aaa": FIGURES, "bbb": FIGURES}), tmp_path)
    keep(replace(FOUND, slots=3, cells={"bbb": newer}), tmp_path)
    (back,) = read_kept(tmp_path)
    assert back.cells == {"aaa": FIGURES, "bbb": newer}
    assert back.slots == 3


def test_other_options_stand_apart_the_last_measured_first(tmp_path: Path) -> None:
    keep(FOUND, tmp_path)
    keep(replace(FOUND, options="--gpus all"), tmp_path)
    assert [kept.options for kept in read_kept(tmp_path)] == ["--gpus all", "--backend local"]


def test_figures_of_another_machine_are_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(FOUND, tmp_path)
    ours = module.machine()
    for name in ours:
        monkeypatch.setattr(module, "machine", lambda name=name: {**ours, name: "another"})
        assert read_kept(tmp_path) == []
    # Not even where somebody has put their file in our place.
    monkeypatch.setattr(module, "path_of", lambda folder: tmp_path / "theirs.json")
    keep(FOUND, tmp_path)
    monkeypatch.setattr(module, "machine", lambda: ours)
    assert read_kept(tmp_path) == []


DAMAGES: dict[str, Any] = {
    "another format": lambda content: {**content, "format": 99},
    "no arrangements": lambda content: {**content, "arrangements": 3},
    "no cells": lambda content: at(content, "cells", None),
    "slots of another kind": lambda content: at(content, "slots", 2.5),
    "no slots": lambda content: at(content, "slots", 0),
    "time of another kind": lambda content: at(content, "server", "long"),
    "a figure missing": lambda content: at(content, "cells", {"aaa": {"flops": 1.0}}),
    "a figure too many": lambda content: at(
        content, "cells", {"aaa": {**FIGURES.to_plain(), "more": 1}}
    ),
    "a negative time": lambda content: at(
        content, "cells", {"aaa": {**FIGURES.to_plain(), "around": -1.0}}
    ),
    "a timing that is none": lambda content: at(
        content, "cells", {"aaa": {**FIGURES.to_plain(), "iteration": 0.1}}
    ),
}


def at(content: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    (options,) = content["arrangements"]
    return {
        **content,
        "arrangements": {options: {**content["arrangements"][options], name: value}},
    }


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_as_if_it_were_not_there(tmp_path: Path, damage: str) -> None:
    keep(FOUND, tmp_path)
    path = path_of(tmp_path)
    path.write_text(json.dumps(DAMAGES[damage](json.loads(path.read_text()))))
    assert read_kept(tmp_path) == []
    assert keep(FOUND, tmp_path)
    assert len(read_kept(tmp_path)) == 1


@pytest.mark.parametrize("length", [0, 1, 100])
def test_a_torn_file_is_as_if_it_were_not_there(tmp_path: Path, length: int) -> None:
    keep(FOUND, tmp_path)
    path = path_of(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    assert read_kept(tmp_path) == []


def test_where_nothing_can_be_written_that_is_said_and_nothing_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not keep(FOUND, tmp_path / "file")


def test_no_number_is_kept_that_is_none() -> None:
    for value in (math.nan, math.inf, -1.0, True, None, "1"):
        with pytest.raises(ValueError, match="must be a number"):
            CellFigures.from_plain({**FIGURES.to_plain(), "around": value})
