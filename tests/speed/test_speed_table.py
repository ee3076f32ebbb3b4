"""The page, its table and its chart: nothing missed is hidden; equal figures give equal bytes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.speed import __main__ as command
from tests.speed import chart, table
from tests.speed.figure import Figure, Unavailable
from tests.speed.groups import GROUPS, measure, threads_of
from tests.speed.kept import Kept
from tests.speed.machine import ROOT
from tests.speed.ratios import Spread
from tests.speed.required import BESIDE, REQUIRED, ROWS

MACHINE = {
    "cpu": "a processor",
    "cores": 2,
    "memory_gib": 8,
    "system": "Linux 6",
    "python": "3.12.1",
    "versions": {"torch": "2.13", "numpy": "2.3", "torch-fidelity": "0.4.0"},
}
QUIET = {"others": 0.01, "steal": 0.0, "load": 0.2, "quiet": True}
STAMP = {"commit": "abc", "date": "2026-11-25", "company": QUIET}


def enough(row, factor: float = 1.05) -> list[float]:
    """Values on the right side of a row's bound, by `factor`; below 1 on the wrong one."""
    bound = 1.5 if row.bound is None else row.bound
    middle = bound / factor if row.at_most else bound * factor
    return [middle * scale for scale in (0.999, 1.0, 1.001)]


def kept_of(**changed: Figure | None) -> Kept:
    """All rows reached, but for those that are given; None: not measured."""
    kept = Kept(machine=MACHINE)
    for row in ROWS:
        figure = Figure(enough(row), {"theirs": [2.0, 2.1, 2.2], "ours": [1.0, 1.0, 1.0]})
        figure = changed.get(row.name, figure)
        if figure is not None:
            kept.figures[row.name], kept.stamps[row.name] = figure, dict(STAMP)
    return kept


def line_of(kept: Kept, name: str) -> str:
    row = next(row for row in ROWS if row.name == name)
    lines = [line for line in table.readme(kept).splitlines() if line.startswith(f"| {row.work} |")]
    (line,) = [line for line in lines if row.against in line]
    return line


def test_where_all_is_reached_the_page_says_so():
    page = table.readme(kept_of())
    assert "All of it is reached." in page
    assert "missed" not in page
    assert page.count("| reached |") == len(REQUIRED)
    assert "Python 3.12.1, torch 2.13, numpy 2.3, torch-fidelity 0.4.0" in page
    assert "2 cores, 8 GiB of memory" in page


@pytest.mark.parametrize("row", REQUIRED, ids=lambda row: row.name)
def test_a_row_on_the_wrong_side_of_its_bound_is_missed_and_said(row, monkeypatch):
    missed = Figure(enough(row, 0.95))
    kept = kept_of(**{row.name: missed})
    assert table.unreached(kept) == [row]
    assert "**missed**" in line_of(kept, row.name)
    monkeypatch.delitem(table.REASONS, row.name, raising=False)
    assert "No reason is known yet." in table.readme(kept)
    monkeypatch.setitem(table.REASONS, row.name, "Because of the weather.")
    assert table.readme(kept).count("Because of the weather.") == 1
    assert "weather" not in table.readme(kept_of())


@pytest.mark.parametrize("row", REQUIRED, ids=lambda row: row.name)
def test_a_row_exactly_at_its_bound_is_reached(row):
    assert row.reached(Spread.of([row.bound]), sound=True)


def test_the_median_is_judged_and_not_the_best_round():
    assert table.unreached(kept_of(conv_step=Figure([1.0, 1.1, 9.0])))
    assert not table.unreached(kept_of(conv_step=Figure([1.0, 1.2, 1.3])))


def test_a_figure_that_is_not_sound_is_missed_whatever_its_value():
    unsound = Figure([0.5], remark="the gradients are apart by 1e-3", sound=False)
    kept = kept_of(penalty_flops=unsound)
    assert [row.name for row in table.unreached(kept)] == ["penalty_flops"]
    assert "What must hold beside it does not: the gradients are apart by 1e-3." in table.readme(
        kept
    )


def test_what_was_not_measured_is_a_line_of_the_table_all_the_same():
    kept = kept_of(frechet_1000=None)
    kept.unavailable["frechet"] = "not built in this tree"
    assert "**not measured**" in line_of(kept, "frechet_1000")
    assert "not measured (not built in this tree)" in table.readme(kept)


def test_units_are_shown_as_they_are_read():
    values = {row.name: row for row in ROWS}
    assert values["conv_peak_share"].shown(0.654) == "65 %"
    assert values["harness_toy"].shown(1.0316) == "3.2 %"
    assert values["harness_toy"].required == "at most 5.0 %"
    assert values["penalty_flops"].required == "at most 0.860"
    assert values["pack_64"].required == "at least 3.00"


def test_a_busy_machine_is_named_with_the_figures_it_may_have_spoilt():
    kept = kept_of()
    assert "the machine was quiet" in table.readme(kept)
    kept.stamps["conv_step"] = {**STAMP, "company": {**QUIET, "others": 0.4, "quiet": False}}
    assert "at most 40 % of the cores' time: **the machine was busy** during `conv_step`." in (
        table.readme(kept)
    )


def test_figures_survive_being_kept_and_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    command.write(kept_of(), first)
    command.write(Kept.load(first), second)
    names = sorted(path.name for path in first.iterdir())
    assert names == ["README.md", "figures.csv", "figures.json", "ratios.png", "ratios.svg"]
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_every_value_of_every_round_is_in_the_csv():
    kept = kept_of(conv_step=Figure([1.25, 1.5], {"clean": [5.0, 6.0], "ours": [4.0, 4.0]}))
    rows = list(csv.DictReader(table.values_csv(kept).splitlines()))
    found = [row for row in rows if row["row"] == "conv_step"]
    assert [row["value"] for row in found] == ["1.25", "1.5", "5", "6", "4", "4"]
    assert {row["row"] for row in rows} == {row.name for row in ROWS}


def gpu_file(path: Path, **figures: list[float]) -> Path:
    plain = {
        "machine": {"device": "NVIDIA H100", "torch": "2.11"},
        "figures": {name: {"values": values} for name, values in figures.items()},
    }
    path.write_text(json.dumps(plain))
    return path


def test_an_accelerator_s_figures_lie_in_their_own_file_and_join_the_table(tmp_path):
    made, out = gpu_file(tmp_path / "made.json", gpu_pack=[16.0, 17.0, 18.0]), tmp_path / "out"
    kept_of(gpu_pack=None).save(out)
    assert command.main(["--gpu", str(made), "--out", str(out)]) == 0
    assert (out / "gpu-nvidia-h100.json").is_file()
    assert "gpu_pack" not in (out / "figures.json").read_text()
    kept = Kept.load(out)
    assert "| 17.0 | 16.0 to 18.0 | 3 | NVIDIA H100 | reached |" in line_of(kept, "gpu_pack")
    assert "GPU rows: NVIDIA H100 (torch 2.11)" in table.readme(kept)
    # They stay where everything else is measured anew, and a second file joins the first.
    assert list(command.forget_figures(kept).figures) == ["gpu_pack"]
    other = gpu_file(tmp_path / "other.json", gpu_graph_tf32=[1.0])
    assert command.main(["--gpu", str(other), "--out", str(out)]) == 0
    assert {"gpu_pack", "gpu_graph_tf32"} <= set(Kept.load(out).figures)
    assert "gpu_graph_tf32" in [row.name for row in table.unreached(Kept.load(out))]


def test_gpu_figures_under_other_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no such GPU rows; there are gpu_graph_bf16"):
        Kept().take_device(json.loads(gpu_file(tmp_path / "a.json", conv_step=[9.0]).read_text()))
    with pytest.raises(ValueError, match="must name"):
        Kept().take_device({"machine": {}, "figures": {}})


def test_the_chart_measures_by_what_is_required():
    row = {row.name: row for row in REQUIRED}
    assert chart.against_required(row["conv_step"], 2.3) == pytest.approx(2.0)
    assert chart.against_required(row["penalty_flops"], 0.43) == pytest.approx(2.0)
    assert set(chart._LABELS) == {row.name for row in REQUIRED}


def test_rows_have_names_of_their_own_and_groups_that_are_measured():
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
    assert {row.group for row in ROWS} == {*GROUPS, "gpu"}
    assert [threads_of(group) for group in GROUPS] != []
    assert all(row.bound is not None for row in REQUIRED)
    assert all(row.bound is None for row in BESIDE)


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_what_measures_a_group_loads_in_a_process_of_its_own(group):
    code = f"from tests.speed.groups import function_of; function_of({group!r})"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_what_cannot_be_measured_says_why(monkeypatch):
    def none(threads: int, rounds: int = 1) -> dict[str, Figure]:
        raise Unavailable("there is no such thing")

    monkeypatch.setattr("tests.speed.groups.function_of", lambda group: none)
    assert measure("packs") == {"unavailable": "there is no such thing"}


def test_a_group_keeps_its_rows_alone_under_the_names_of_its_threads(monkeypatch):
    def made(threads: int, rounds: int = 1) -> dict[str, Figure]:
        return {name: Figure([1.0] * rounds, threads=threads) for name in ("conv_step", "other")}

    monkeypatch.setattr("tests.speed.groups.function_of", lambda group: made)
    found = measure("conv_step_1_thread", 4)["figures"]
    assert list(found) == ["conv_step_1_thread"]
    assert found["conv_step_1_thread"]["threads"] == 1
    assert found["conv_step_1_thread"]["values"] == [1.0] * 4


def test_the_command_tells_what_is_missed_and_fails_only_if_strict(tmp_path, monkeypatch, capsys):
    kept_of(conv_step=Figure([1.0])).save(tmp_path)
    assert command.main(["table", "--out", str(tmp_path)]) == 0
    assert "conv_step: missed" in capsys.readouterr().out
    assert command.main(["table", "--strict", "--out", str(tmp_path)]) == 1
    kept_of().save(tmp_path)
    assert command.main(["table", "--strict", "--out", str(tmp_path)]) == 0


def test_a_measurement_that_fails_fails_the_command_after_all_others(tmp_path, monkeypatch, capsys):
    class Done:
        returncode = 3

    monkeypatch.setattr(command.subprocess, "run", lambda *_, **__: Done())
    assert command.main(["frechet", "packs", "--out", str(tmp_path)]) == 1
    assert "measuring failed: frechet, packs" in capsys.readouterr().out
    assert "its measuring ended with 3" in (tmp_path / "README.md").read_text()


def test_figures_of_two_machines_do_not_meet_in_one_table(tmp_path, capsys):
    kept_of().save(tmp_path)
    assert command.main(["frechet", "--out", str(tmp_path)]) == 2
    assert "figures of another machine" in capsys.readouterr().err


def test_an_unknown_group_is_refused_with_those_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        command.asked(["frechett"])
    assert ended.value.code == 2
    assert "frechet" in capsys.readouterr().err
