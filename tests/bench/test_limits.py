"""Cores and memory: what the control groups and the affinity leave to this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from test_lease import left_behind
from tiny_runs import frozen, tiny

from bench import limits
from bench.lease import take_lease
from bench.limits import cpu_quota, crowded, oom_kills, usable_cores
from bench.store import Store
from bench.verbs.training import _taken_by_others


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """The mount of the control groups."""
    root = tmp_path / "cgroup"
    root.mkdir()
    return root


def own(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "own"
    path.write_text(text)
    return path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_without_control_groups_nothing_limits(tmp_path: Path, groups: Path) -> None:
    assert cpu_quota(groups, tmp_path / "none") is None
    assert cpu_quota(tmp_path / "none", tmp_path / "none") is None


def test_a_containers_quota_is_read_at_its_root(tmp_path: Path, groups: Path) -> None:
    limit = written(groups / "cpu.max", "150000 100000\n")
    assert cpu_quota(groups, own(tmp_path, "0::/\n")) == 1.5
    assert cpu_quota(groups, tmp_path / "none") == 1.5
    limit.write_text("max 100000\n")
    assert cpu_quota(groups, own(tmp_path, "0::/\n")) is None


def test_the_least_quota_on_the_way_up_counts(tmp_path: Path, groups: Path) -> None:
    written(groups / "user" / "job" / "cpu.max", "800000 100000\n")
    written(groups / "user" / "cpu.max", "400000 100000\n")
    written(groups / "other" / "cpu.max", "100000 100000\n")
    assert cpu_quota(groups, own(tmp_path, "0::/user/job\n")) == 4.0


def test_version_1_of_the_control_groups_is_read_too(tmp_path: Path, groups: Path) -> None:
    text = "9:memory:/box\n2:cpu,cpuacct:/box\n1:name=systemd:/box\n0::/\n"
    quota = written(groups / "cpu,cpuacct" / "box" / "cpu.cfs_quota_us", "250000\n")
    written(groups / "cpu,cpuacct" / "box" / "cpu.cfs_period_us", "100000\n")
    assert cpu_quota(groups, own(tmp_path, text)) == 2.5
    quota.write_text("-1\n")
    assert cpu_quota(groups, own(tmp_path, text)) is None


@pytest.mark.parametrize(
    ("quota", "cores", "usable"), [(None, 8, 8), (2.9, 8, 2), (0.5, 8, 1), (16.0, 8, 8)]
)
def test_usable_cores_keep_to_affinity_and_quota(
    quota: float | None, cores: int, usable: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert usable_cores() == usable


def test_crowded_slots_are_told_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "usable_cores", lambda: 4)
    assert crowded(4, 1) == crowded(2, 2) == ""
    assert crowded(5, 1).startswith("5 slots want 5 cores, and 4 may be used")
    assert crowded(3, 2).startswith("3 slots of 2 threads want 6 cores, and 4 may be used")
    assert crowded(1, 5).startswith("1 slot of 5 threads wants 5 cores, and 4 may be used")


def test_slots_are_crowded_by_the_runs_of_other_runners_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "usable_cores", lambda: 4)
    assert crowded(2, 1, others=2) == ""
    words = "2 slots want 2 cores, runs of other runners have 3, and 4 may be used"
    assert crowded(2, 1, others=3).startswith(words)


def test_the_threads_of_other_runners_are_counted_by_process_on_this_machine_alone(
    tmp_path: Path,
) -> None:
    specs = [tiny(seed=seed) for seed in range(4)]
    here, begun, elsewhere, _ = frozen(tmp_path, *specs)
    (here / "env.json").write_text('{"threads": 2}')
    with take_lease(here), take_lease(begun):
        left_behind(elsewhere, host="elsewhere")
        planned = Store(tmp_path, "s").plan(specs)
        assert [item.state for item in planned] == ["running"] * 3 + ["pending"]
        assert _taken_by_others(planned) == 2  # this process is at both, as at a pack


def test_kills_for_want_of_memory_are_counted_where_the_system_counts_them(
    tmp_path: Path, groups: Path
) -> None:
    vmstat = written(tmp_path / "vmstat", "nr_free_pages 7\noom_kill 3\n")
    assert oom_kills(groups, tmp_path / "none", tmp_path / "none") is None
    assert oom_kills(groups, own(tmp_path, "0::/job\n"), vmstat) == 3
    written(groups / "job" / "memory.events", "low 0\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert oom_kills(groups, own(tmp_path, "0::/job\n"), vmstat) == 1
    text = "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"
    written(groups / "memory" / "box" / "memory.oom_control", text)
    assert oom_kills(groups, own(tmp_path, "9:memory:/box\n"), vmstat) == 5
