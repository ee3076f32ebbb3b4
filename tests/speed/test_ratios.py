"""Interleaving, medians and spread, and who else was on the machine."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.speed.ratios import Company, Spread, interleaved, parse_ticks, ratios

ROOT = Path(__file__).parents[2]

STAT = "cpu  1000 100 500 9000 300 7 20 60 40 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"


def clocked(costs: dict[str, list[float]], rounds: int) -> tuple[list[str], dict[str, list[float]]]:
    """The order in which sides of known costs run, and the seconds that are found."""
    order: list[str] = []
    now = [0.0]

    def side(name: str):
        def work() -> None:
            now[0] += costs[name][order.count(name)]
            order.append(name)

        return work

    found = interleaved({name: side(name) for name in costs}, rounds, now=lambda: now[0])
    return order, found


def test_sides_run_in_turn_and_every_other_round_backwards():
    order, found = clocked({"a": [1, 2, 4], "b": [3, 5, 7]}, 3)
    assert "".join(order) == "abbaab"
    assert found == {"a": [1, 2, 4], "b": [3, 5, 7]}


def test_a_ratio_pairs_what_ran_in_one_round():
    """A machine that halves its speed in mid-run changes no ratio."""
    _, found = clocked({"slow": [2, 2, 4, 4], "fast": [1, 1, 2, 2]}, 4)
    assert ratios(found, "slow", "fast") == [2.0] * 4
    assert ratios(found, "fast", "slow") == [0.5] * 4


def test_what_comes_before_a_round_counts_for_no_side():
    now, calls = [0.0], []

    def prepare() -> None:
        now[0] += 100
        calls.append(now[0])

    def work() -> None:
        now[0] += 1

    found = interleaved({"a": work}, 3, before=prepare, now=lambda: now[0])
    assert found == {"a": [1.0, 1.0, 1.0]}
    assert len(calls) == 3


def test_a_round_that_one_side_lacks_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        ratios({"a": [1.0, 2.0], "b": [1.0]}, "a", "b")


def test_the_spread_of_known_values():
    assert Spread.of([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 1.0, 5.0, 2.0, 4.0, 5)
    assert Spread.of([1.0, 2.0]) == Spread(1.5, 1.0, 2.0, 1.25, 1.75, 2)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0, 7.0, 7.0, 1)


@pytest.mark.parametrize("values", [[], [1.0, 0.0], [1.0, float("nan")], [float("inf")], [-1.0]])
def test_no_spread_of_what_is_no_ratio(values):
    with pytest.raises(ValueError, match="no spread"):
        Spread.of(values)


def test_ticks_leave_out_idling_and_what_was_stolen():
    used, stolen = parse_ticks(STAT, 100)
    assert used == pytest.approx((1000 + 100 + 500 + 7 + 20) / 100)
    assert stolen == pytest.approx(0.6)


def test_own_work_is_no_company(monkeypatch):
    """One core of two works for this process for a second, half a core for somebody else."""
    from tests.speed import ratios as module

    ticks, own, clock = iter([(10.0, 1.0), (11.5, 1.0)]), iter([3.0, 4.0]), iter([0.0, 1.0])
    monkeypatch.setattr(module, "_ticks", lambda: next(ticks))
    monkeypatch.setattr(module, "_own_seconds", lambda: next(own))
    monkeypatch.setattr(module.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    with Company() as company:
        pass
    assert company.others == pytest.approx(0.25)
    assert company.steal == 0
    assert not company.quiet


def test_company_is_measured_on_this_machine():
    with Company() as company:
        until = time.process_time() + 0.05
        while time.process_time() < until:
            pass
    plain = company.to_plain()
    assert 0 <= plain["others"] <= 1.2
    assert 0 <= plain["steal"] <= 1
    assert plain["quiet"] == (company.others + company.steal <= 0.05)


# Leaves a process behind that works for half a second and tells nobody when it ends.
LEFT_BEHIND = """
import os, subprocess, sys, time
from tests.speed.ratios import Company, _own_seconds
work = "import os, time\\nif os.fork(): os._exit(0)\\nwhile time.process_time() < 0.5: pass"
with Company(adopts=sys.argv[1] == "yes"):
    done = subprocess.run([sys.executable, "-c", work], stdout=subprocess.PIPE)
    time.sleep(2)
print(_own_seconds() > 0.5 + time.process_time())
"""


@pytest.mark.slow
@pytest.mark.parametrize(("adopts", "counted"), [("yes", "True"), ("no", "False")])
def test_what_a_child_leaves_behind_is_no_company(adopts, counted):
    words = [sys.executable, "-c", LEFT_BEHIND, adopts]
    assert subprocess.check_output(words, cwd=ROOT, text=True).strip() == counted
