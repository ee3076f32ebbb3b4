"""`doctor` says what is wrong with a machine and what to do; 2 where work is impossible."""

import json
import shutil
import sys
from importlib import metadata
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.evaluate import small_cnn
from bench.verbs import doctor


def call(*words):
    return CliRunner().invoke(main, ["doctor", *words], catch_exceptions=False)


def test_this_machine_can_run_the_tests(tmp_path):
    result = call("--json", "--results", str(tmp_path / "results"))
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert {"cores", "memory", "disk", "results folder", "torch", "GPU", "clock"} <= checks.keys()
    assert checks["digits"] == {
        "name": "digits",
        "state": "ok",
        "found": "1437 to train on, 360 held out",
        "advice": "",
    }
    assert checks["results folder"]["found"].endswith("can be written (not there yet)")
    assert not (tmp_path / "results").exists()


def test_results_that_cannot_be_written_fail_with_advice(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refuse)
    assert doctor.check_results(tmp_path) == doctor.Check(
        "results folder",
        "fail",
        f"{tmp_path} cannot be written: Permission denied",
        "choose another folder with --results, or mend its permissions",
    )
    result = call("--results", str(tmp_path))
    assert result.exit_code == 2
    assert "fail  results folder: " in result.stdout
    assert "1 fail" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize(("free", "state"), [(5e7, "fail"), (1e9, "warn"), (1e10, "ok")])
def test_a_full_disk_is_seen_before_it_hurts(free, state, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    check = doctor.check_disk(tmp_path)
    assert check.state == state
    assert bool(check.advice) == (state != "ok")


def test_little_memory_is_a_warning(monkeypatch):
    memory = SimpleNamespace(available=1e9, total=4e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    check = doctor.check_memory()
    assert (check.state, check.found) == ("warn", "1.0 of 4.0 GB available")


def test_missing_and_old_packages_are_named(monkeypatch):
    versions = {"torch": "2.10.1+cpu", "pandas": "3.1.0"}

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    required = ["torch>=2.11", "pandas>=2.2", "rich>=13.7", 'submitit>=1.5; extra == "slurm"']
    monkeypatch.setattr(metadata, "requires", lambda _: required)
    monkeypatch.setattr(metadata, "version", version)
    check = doctor.check_packages()
    assert check.state == "fail"
    assert check.found == "torch 2.10.1+cpu is older than 2.11; rich is missing"


def test_missing_shipped_weights_fail_with_the_command_that_makes_them(tmp_path, monkeypatch):
    monkeypatch.setattr(small_cnn, "WEIGHTS", tmp_path)
    check = doctor.check_digits_cnn()
    assert check.state == "fail"
    assert check.advice == "python -m bench.evaluate.train_digits_cnn makes them anew"


def test_a_wrong_clock_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    assert doctor.check_clock(tmp_path).state == "fail"


def test_a_check_that_breaks_is_a_failure_and_not_a_traceback(tmp_path, monkeypatch):
    def broken():
        raise ImportError("libtorch.so: cannot open shared object file\nmore")

    monkeypatch.setattr(doctor, "check_torch", broken)
    (check,) = (check for check in doctor.examine(tmp_path) if check.name == "torch")
    assert (check.state, check.found) == (
        "fail",
        "ImportError: libtorch.so: cannot open shared object file",
    )


def test_a_missing_psutil_is_a_finding_and_no_dead_end(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    found = {check.name: check for check in doctor.examine(tmp_path)}
    assert found["cores"].state == found["memory"].state == "fail"
    assert "psutil" in found["cores"].found
    assert "pip install" in found["cores"].advice
