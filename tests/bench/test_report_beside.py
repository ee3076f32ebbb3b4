"""What is drawn in processes beside the report is what is drawn here, whatever becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from fake_records import fake_records

from bench.report import beside, render
from bench.report.beside import Later


@pytest.fixture(params=[1, 2, 5])
def cores(request, monkeypatch):
    for left in list(beside._at_work):  # by a test that wanted no picture of what it made
        left.had()
    before = multiprocessing.active_children()  # a resource tracker's or a server's
    monkeypatch.setattr(beside, "usable_cores", lambda: request.param)
    yield request.param
    assert not beside._at_work
    assert multiprocessing.active_children() == before


def test_values_come_in_the_order_in_which_they_are_wanted(cores):
    # More than a pipe holds, so that none ends before it is received.
    later = [Later(lambda n=n: (n, os.getpid(), bytes(300_000))) for n in range(7)]
    assert 0 < len(beside._at_work) <= cores or cores == 1
    found = [one.had() for one in reversed(later)]
    assert [number for number, _, _ in found] == [6, 5, 4, 3, 2, 1, 0]
    assert (os.getpid() in {pid for _, pid, _ in found}) == (cores == 1)
    assert [one.had() for one in later] == found[::-1]


def test_what_is_raised_there_is_raised_here(cores):
    if cores == 1:
        with pytest.raises(ZeroDivisionError):
            Later(lambda: 1 / 0)
    else:
        later = Later(lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            later.had()


def test_a_process_that_is_killed_costs_time_and_no_value(monkeypatch):
    monkeypatch.setattr(beside, "usable_cores", lambda: 2)
    here = os.getpid()
    later = Later(lambda: os.getpid() if os.getpid() == here else time.sleep(60))
    os.kill(later._process.pid, signal.SIGKILL)
    assert later.had() == here


def test_a_process_that_cannot_be_begun_costs_time_and_no_value(monkeypatch):
    def refused():
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(beside, "usable_cores", lambda: 2)
    monkeypatch.setattr(os, "fork", refused)
    assert Later(os.getpid).had() == os.getpid()


def test_numpy_computes_in_a_process_forked_from_one_whose_numpy_has_computed(monkeypatch):
    monkeypatch.setattr(beside, "usable_cores", lambda: 2)
    table = np.random.default_rng(0).normal(size=(300, 300))
    known = table @ table
    assert np.array_equal(Later(lambda: table @ table).had(), known)


@pytest.mark.slow
def test_a_report_is_the_same_bytes_however_many_draw_it(monkeypatch):
    records = fake_records(["wgan", "wgan_gp"], range(3))
    found = []
    for cores in (1, 3):
        monkeypatch.setattr(beside, "usable_cores", lambda cores=cores: cores)
        found.append(render(records))
    assert found[0] == found[1]
    assert sum(name.endswith(".pdf") for name in found[0].files) >= 3
