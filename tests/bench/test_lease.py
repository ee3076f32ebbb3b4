"""Leases: one holder at a time, whoever dies or stalls."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench import lease as leases
from bench.lease import (
    EXPIRES_SECONDS,
    LeaseHeld,
    LeaseLost,
    Observer,
    heartbeat_of,
    owner_of,
    put_aside,
    sweep_away,
    take_lease,
    this_process,
)


def left_behind(folder: Path, **changes: Any) -> str:
    """A lease whose process ended without releasing it, as its owner would have made it."""
    lease = take_lease(folder)
    owner = {"token": lease.token, **this_process(), **changes}
    (folder / "lease" / "owner.json").write_text(json.dumps(owner))
    return lease.token


def a_dead_pid() -> int:
    return max(psutil.pids()) + 100_000


def rush(count: int, act: Callable[[], Any]) -> list[Any]:
    """What `act` returns or raises in `count` threads that start together."""
    gate, results = threading.Barrier(count), []

    def one() -> None:
        gate.wait()
        try:
            results.append(act())
        except (LeaseHeld, OSError) as error:
            results.append(error)

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_a_held_lease_is_refused_and_names_its_holder(tmp_path: Path) -> None:
    with take_lease(tmp_path), pytest.raises(LeaseHeld, match=f"process {os.getpid()} on "):
        take_lease(tmp_path)
    assert owner_of(tmp_path) is None
    take_lease(tmp_path).release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("_attempt", range(5))
def test_of_many_takers_one_succeeds(tmp_path: Path, _attempt: int) -> None:
    results = rush(8, lambda: take_lease(tmp_path))
    assert sum(isinstance(result, leases.Lease) for result in results) == 1
    assert sum(isinstance(result, LeaseHeld) for result in results) == 7


@pytest.mark.parametrize("_attempt", range(5))
def test_of_many_who_find_it_expired_one_takes_it_over(tmp_path: Path, _attempt: int) -> None:
    left_behind(tmp_path, pid=a_dead_pid())
    results = rush(8, lambda: take_lease(tmp_path))
    assert sum(isinstance(result, leases.Lease) for result in results) == 1


def test_a_slow_taker_never_hits_the_lease_of_a_quick_one(tmp_path: Path) -> None:
    left_behind(tmp_path, pid=a_dead_pid())
    slow = Observer().look(tmp_path)
    quick = take_lease(tmp_path)
    put_aside(tmp_path, slow)
    quick.check()


def test_a_reused_process_number_is_not_its_former_owner(tmp_path: Path) -> None:
    left_behind(tmp_path, created=this_process()["created"] - 60)
    assert Observer().look(tmp_path).state == "expired"


def test_a_lease_from_elsewhere_expires_by_the_observers_clock_alone(tmp_path: Path) -> None:
    left_behind(tmp_path, host="elsewhere", taken=0.0)
    now = [1000.0]
    observer = Observer(clock=lambda: now[0])
    assert observer.look(tmp_path).state == "unsure"
    now[0] += EXPIRES_SECONDS - 1
    assert observer.look(tmp_path).state == "unsure"
    now[0] += 2
    assert observer.look(tmp_path).state == "expired"


def test_a_heartbeat_from_elsewhere_shows_life(tmp_path: Path) -> None:
    lease = take_lease(tmp_path)
    owner = {**(owner_of(tmp_path) or {}), "host": "elsewhere"}
    (tmp_path / "lease" / "owner.json").write_text(json.dumps(owner))
    now = [0.0]
    observer = Observer(clock=lambda: now[0])
    assert observer.look(tmp_path).state == "unsure"
    now[0] += EXPIRES_SECONDS + 1
    lease.progress = {"step": 7}
    lease.beat()
    assert observer.look(tmp_path).state == "held"
    assert heartbeat_of(tmp_path)["step"] == 7


def test_an_owner_that_lost_its_token_notices(tmp_path: Path) -> None:
    lease = take_lease(tmp_path)
    (tmp_path / "lease").rename(tmp_path / f"lease.expired-{lease.token}")
    with pytest.raises(LeaseLost):
        lease.check()
    other = take_lease(tmp_path)
    with pytest.raises(LeaseLost):
        lease.check()
    lease.release()
    other.check()


def test_an_owner_whose_folder_was_deleted_notices(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    lease = take_lease(folder)
    leases.shutil.rmtree(folder)
    with pytest.raises(LeaseLost):
        lease.check()
    lease.release()


def test_an_unreadable_owner_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    take_lease(tmp_path)
    (tmp_path / "lease" / "owner.json").write_text("")
    assert Observer().look(tmp_path).state == "unsure"
    with pytest.raises(LeaseHeld):
        take_lease(tmp_path)


def test_the_heartbeat_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "BEAT_SECONDS", 0.01)
    with take_lease(tmp_path) as lease:
        lease.keep_alive()
        first = heartbeat_of(tmp_path)["beat"]
        threading.Event().wait(0.2)
        assert heartbeat_of(tmp_path)["beat"] > first


def test_what_earlier_leases_left_is_swept_away(tmp_path: Path) -> None:
    left_behind(tmp_path, pid=a_dead_pid())
    take_lease(tmp_path).release()
    assert list(tmp_path.iterdir()) != []
    sweep_away(tmp_path)
    assert list(tmp_path.iterdir()) == []
