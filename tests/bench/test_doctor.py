"""`doctor` says what is wrong with a machine and what to do; 2 where work is impossible."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from click.testing import CliRunner

from bench.cli import main
from bench.doctor import Check, Planned, data, disk, examine, machine, packages
from bench.doctor.check import ask
from bench.evaluate import small_cnn
from wgan.data import CIFAR10, places

ROOT = Path(__file__).parents[2]


def call(*words):
    return CliRunner().invoke(main, ["doctor", *words], catch_exceptions=False)


def test_this_machine_can_run_the_tests(tmp_path):
    result = call("--json", "--results", str(tmp_path / "results"))
    checks = {check["name"]: check for check in json.loads(result.stdout)}
    assert result.exit_code == 0
    assert {"cores", "memory", "disk", "results folder", "torch", "GPU", "clock"} <= checks.keys()
    assert {"threads", "files", "disk speed", "digits_cnn weights", "SLURM"} <= checks.keys()
    assert checks["digits"] == {
        "name": "digits",
        "state": "ok",
        "found": "1437 to train on, 360 held out",
        "advice": "",
    }
    assert checks["results folder"]["found"].endswith("can be written (not there yet)")
    assert not (tmp_path / "results").exists()
    assert all(check["advice"] for check in checks.values() if check["state"] != "ok")


def test_results_that_cannot_be_written_fail_with_advice(tmp_path, monkeypatch):
    def refuse(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", refuse)
    assert disk.check_results(tmp_path) == Check(
        "results folder",
        "fail",
        f"{tmp_path} cannot be written: Permission denied",
        "choose another folder with --results, or mend its permissions",
    )
    monkeypatch.undo()
    monkeypatch.setattr(
        disk, "check_results", lambda _: Check("results folder", "fail", "it burns", "put it out")
    )
    result = call("--results", str(tmp_path))
    assert result.exit_code == 2
    assert "fail  results folder: it burns\n      put it out\n" in result.stdout
    assert "1 fail" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize(("free", "state"), [(5e7, "fail"), (1e9, "warn"), (1e10, "ok")])
def test_a_full_disk_is_seen_before_it_hurts(free, state, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    check = disk.check_disk(tmp_path)
    assert check.state == state
    assert bool(check.advice) == (state != "ok")


@pytest.mark.parametrize(("left", "state"), [(19, "fail"), (1000, "warn"), (10**6, "ok")])
def test_a_disk_that_is_full_of_files_is_seen_too(left, state, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=10**7, f_favail=left))
    check = disk.check_files(tmp_path)
    assert (check.state, bool(check.advice)) == (state, state != "ok")
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=0, f_favail=0))
    assert disk.check_files(tmp_path).state == "ok"


def test_a_disk_that_syncs_slowly_is_a_warning(tmp_path, monkeypatch):
    assert disk.check_sync(tmp_path / "not" / "there").state == "ok"
    naps = iter([0.0, 0.6, 0.0])  # one of three is slow
    monkeypatch.setattr(os, "fsync", lambda _: time.sleep(next(naps)))
    check = disk.check_sync(tmp_path)
    assert check.state == "warn"
    assert check.found.startswith("a small synced write takes 6")
    assert "checkpoint_seconds" in check.advice


def test_little_memory_is_a_warning(monkeypatch):
    memory = SimpleNamespace(available=1e9, total=4e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    check = machine.check_memory()
    assert (check.state, check.found) == ("warn", "1.0 of 4.0 GB available")


@pytest.mark.parametrize(
    ("variables", "state", "said"),
    [
        ({}, "ok", "the environment sets none"),
        ({"OMP_NUM_THREADS": "8"}, "ok", "OMP_NUM_THREADS=8 in the environment; each run is given"),
        ({"OMP_NUM_THREADS": "4,2"}, "ok", "OMP_NUM_THREADS=4,2"),
        ({"OMP_NUM_THREADS": "auto"}, "warn", "not a number of threads: unset OMP_NUM_THREADS"),
        ({"MKL_NUM_THREADS": "0"}, "warn", "unset MKL_NUM_THREADS"),
        ({"OMP_PROC_BIND": "true"}, "warn", "share the same cores: unset OMP_PROC_BIND"),
        ({"OMP_PROC_BIND": "false", "KMP_AFFINITY": "none"}, "ok", "OMP_PROC_BIND=false"),
        ({"KMP_AFFINITY": "compact"}, "warn", "unset KMP_AFFINITY"),
    ],
)
def test_threads_set_in_the_environment_are_seen(variables, state, said, monkeypatch):
    for name in (*machine._COUNTS, *machine._BINDINGS):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    check = machine.check_threads()
    assert check.state == state
    assert said in f"{check.found} {check.advice}"


def test_missing_and_old_packages_are_named(monkeypatch):
    versions = {"torch": "2.10.1+cpu", "pandas": "3.1.0"}

    def version(name):
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    required = ["torch>=2.11", "pandas>=2.2", "rich>=13.7", 'submitit>=1.5; extra == "slurm"']
    monkeypatch.setattr(metadata, "requires", lambda _: required)
    monkeypatch.setattr(metadata, "version", version)
    check = packages.check_packages()
    assert check.state == "fail"
    assert check.found == "torch 2.10.1+cpu is older than 2.11; rich is missing"


def test_missing_or_torn_shipped_weights_fail_with_the_command_that_makes_them(
    tmp_path, monkeypatch
):
    shipped = small_cnn.WEIGHTS / "digits_cnn.safetensors"
    monkeypatch.setattr(small_cnn, "WEIGHTS", tmp_path)
    digits, mnist = data.check_classifiers()
    assert (digits.state, mnist.state) == ("fail", "fail")
    assert digits.advice == "python -m bench.evaluate.train_digits_cnn makes them anew"
    assert mnist.found == f"{tmp_path}/mnist_cnn.safetensors is missing"
    (tmp_path / shipped.name).write_bytes(shipped.read_bytes()[:-100])
    digits, _ = data.check_classifiers()
    assert digits.state == "fail"
    assert "cannot be read" in digits.found


def test_inception_weights_are_checked_against_the_hash_in_their_name(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    missing = data.check_inception()
    assert (missing.state, missing.found) == ("warn", f"not in {tmp_path / 'checkpoints'}")
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "weights-inception-2015-12-05-2cf24dba.pth"
    path.write_bytes(b"hello")  # whose SHA-256 begins with 2cf24dba
    assert data.check_inception() == Check("inception weights", "ok", f"{path}, 0 MB")
    path.write_bytes(b"hell")
    damaged = data.check_inception()
    assert (damaged.state, damaged.found) == ("warn", f"{path}, 0 MB, is damaged")


def test_each_data_set_in_files_is_there_or_not_and_neither_is_a_failure(tmp_path, monkeypatch):
    monkeypatch.setenv(places.DATA, str(tmp_path))
    for name in CIFAR10.files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    checks = {check.name: check for check in data.check_sets()}
    assert checks["data set cifar10"].found == f"in {tmp_path}"
    assert checks["data set mnist"].found == "not there"
    assert "needs the package gdown" in checks["data set celeba"].found
    assert {check.state for check in checks.values()} == {"ok"}
    assert checks["data folder"].found.startswith(f"{tmp_path}; what is not there is downloaded")
    assert not {"data set digits", "data set ring8", "data set folder"} & checks.keys()
    monkeypatch.setenv(places.DATA, str(tmp_path / "nowhere"))
    place, *_ = data.check_sets()
    assert place.state == "warn"
    assert place.found == f"{tmp_path}/nowhere ($WGAN_BENCH_DATA) is not there"


def test_a_wrong_clock_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.time, "time", lambda: 0.0)
    assert machine.check_clock(tmp_path).state == "fail"


def raising(error):
    def make():
        raise error

    return make


@pytest.mark.parametrize(
    ("error", "said", "advice"),
    [
        (
            ImportError("libtorch.so: cannot open shared object file\nmore"),
            "ImportError: libtorch.so: cannot open shared object file",
            "install the requirements again: pip install wgan-bench",
        ),
        (
            OSError(errno.ESTALE, "Stale file handle", "/mnt/x"),
            "Stale file handle: /mnt/x",
            "choose another folder with --results",
        ),
        (AttributeError("x"), "AttributeError: x", "install the requirements again: "),
    ],
)
def test_a_check_that_breaks_is_a_finding_and_not_a_traceback(error, said, advice):
    needed, other, last = examine(
        [
            Planned("a", raising(error)),
            Planned("b", raising(error), needed=False),
            Planned("c", lambda: Check("c", "ok", "fine")),
        ]
    )
    assert (needed.state, needed.found, other.state) == ("fail", said, "warn")
    assert needed.advice.startswith(advice)
    assert last.state == "ok"


def test_a_check_that_hangs_is_given_up():
    over = threading.Event()
    began = time.monotonic()
    hung, last = examine(
        [
            Planned("disk", lambda: over.wait() and Check("disk", "ok", ""), seconds=0.1),
            Planned("c", lambda: Check("c", "ok", "fine")),
        ]
    )
    over.set()
    assert time.monotonic() - began < 5
    assert (hung.state, hung.found, last.state) == ("fail", "no answer within 0.1 s", "ok")


def test_a_command_that_hangs_is_ended_with_all_that_it_has_started(tmp_path):
    script = tmp_path / "hangs"
    script.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\n/bin/sleep 60 &\n/bin/sleep 60\n")
    script.chmod(0o755)
    began = time.monotonic()
    answer = ask([str(script)], 0.5)
    assert time.monotonic() - began < 5
    assert (answer.code, answer.why) == (None, "no answer within 1 s")
    group = int((tmp_path / "pid").read_text())
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            break
        time.sleep(0.01)
    else:
        pytest.fail("something of it lives on")


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["torch", "psutil", "pandas", "ruamel"])
def test_a_missing_package_is_a_finding_and_no_dead_end(missing, tmp_path):
    code = (
        f"import sys\nsys.modules['{missing}'] = None\n"
        "from bench.cli import main\nmain(['doctor', '--json'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    names = {"torch": ["torch", "digits"], "psutil": ["cores", "memory"]}.get(missing, [])
    for name in names:
        assert checks[name]["state"] == "fail"
        assert "pip install" in checks[name]["advice"]
    assert checks["python"]["state"] == "ok"
    assert done.returncode == (2 if names else 0)
