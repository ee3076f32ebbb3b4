"""What `doctor` makes of nvidia-smi and of SLURM's commands, told by false ones on the PATH."""

from __future__ import annotations

import json
from importlib import metadata

import pytest
import torch

from bench.doctor import gpu, slurm

HEADING = "| NVIDIA-SMI 550.54.15    Driver Version: 550.54.15    CUDA Version: {}     |"
ROWS = "0, NVIDIA A100, 81920, 512, 550.54.15\n1, NVIDIA A100, 81920, 0, 550.54.15"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Puts false commands, and nothing else, on the PATH: each the body of a shell script."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("LOGNAME", "ada")

    def put(**scripts):
        for name, body in scripts.items():
            path = folder / name.replace("_", "-")
            path.write_text(f"#!/bin/sh\n{body}\n")
            path.chmod(0o755)

    return put


@pytest.fixture
def cuda(monkeypatch):
    """Makes torch one that is built for a CUDA, and its computation one that says this."""

    def build(version, answer="", seconds=30.0):
        monkeypatch.setattr(torch.version, "cuda", version)
        monkeypatch.setattr(gpu, "_COMPUTE", answer)
        monkeypatch.setattr(gpu, "_COMPUTE_SECONDS", seconds)

    return build


def smi(cuda="12.4", rows=ROWS):
    """A false nvidia-smi."""
    return f"case \"$1\" in --query*) echo '{rows}';; *) echo '{HEADING.format(cuda)}';; esac"


def devices(*problems, available=True):
    found = [{"name": "NVIDIA A100", "problem": problem} for problem in problems]
    return f"print({json.dumps(json.dumps({'available': available, 'devices': found}))})"


def test_a_machine_without_gpus_trains_on_the_cpu(commands, cuda):
    cuda(None)
    (check,) = gpu.check_gpus()
    assert (check.state, check.found) == ("ok", "none; runs train on the CPU")
    cuda("12.6", devices(available=False))
    (check,) = gpu.check_gpus()
    assert (check.state, check.name) == ("ok", "CUDA")
    assert "none that torch can use; runs train on the CPU" in check.found


def test_gpus_are_named_with_memory_and_driver_and_compute(commands, cuda):
    commands(nvidia_smi=smi())
    cuda("12.6", devices("", ""))
    shown, computed = gpu.check_gpus()
    assert shown.state == computed.state == "ok"
    assert shown.found == (
        "0: NVIDIA A100, 81920 MiB, 512 in use, driver 550.54.15; "
        "1: NVIDIA A100, 81920 MiB, 0 in use, driver 550.54.15"
    )
    assert computed.found == (
        "torch is built for CUDA 12.6, the driver knows 12.4; computes on 2 of 2"
    )


@pytest.mark.slow
def test_the_real_computation_is_sound_python_and_says_what_it_found(commands, cuda):
    compute = gpu._COMPUTE
    cuda("12.6", compute)
    (check,) = gpu.check_gpus()
    assert check.state == "ok"
    assert "torch is built for CUDA 12.6" in check.found


def test_a_torch_without_cuda_beside_gpus_is_a_warning(commands, cuda):
    commands(nvidia_smi=smi())
    cuda(None)
    _, check = gpu.check_gpus()
    assert check.state == "warn"
    assert check.found == "this torch is built without it; runs train on the CPU"
    assert "install a build of torch for CUDA" in check.advice


def test_a_driver_that_is_too_old_for_torch_is_a_warning(commands, cuda):
    commands(nvidia_smi=smi("12.4"))
    cuda("13.0", devices(available=False))
    _, check = gpu.check_gpus()
    assert check.state == "warn"
    assert "built for CUDA 13.0, the driver knows 12.4, which is too old" in check.found
    assert check.advice == "update the driver, or install a build of torch for CUDA 12.4 or older"


def test_gpus_that_torch_does_not_see_are_a_warning_unless_hidden_on_purpose(
    commands, cuda, monkeypatch
):
    commands(nvidia_smi=smi())
    cuda("12.1", devices(available=False))
    assert gpu.check_gpus()[1].state == "warn"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    shown, check = gpu.check_gpus()
    assert check.state == "ok"
    assert shown.found.endswith("CUDA_VISIBLE_DEVICES=(empty) chooses")


def test_a_gpu_that_does_not_compute_is_named(commands, cuda):
    commands(nvidia_smi=smi())
    cuda("12.4", devices("", "OutOfMemoryError: CUDA out of memory"))
    _, check = gpu.check_gpus()
    assert check.state == "warn"
    assert "GPU 1 (NVIDIA A100): OutOfMemoryError: CUDA out of memory" in check.found


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo 'Failed to initialize NVML: Driver/library version mismatch' >&2; exit 18",
         "nvidia-smi: Failed to initialize NVML: Driver/library version mismatch"),
        ("exit 9", "nvidia-smi: exit code 9"),
        ("exec /bin/sleep 60", "nvidia-smi: no answer within 1 s"),
    ],
)  # fmt: skip
def test_a_driver_that_fails_or_hangs_is_a_warning(commands, cuda, monkeypatch, body, said):
    monkeypatch.setattr(gpu, "_DRIVER_SECONDS", 0.6)
    commands(nvidia_smi=body)
    cuda(None)
    shown, _ = gpu.check_gpus()
    assert (shown.state, shown.found) == ("warn", said)
    assert "restart the machine" in shown.advice


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("import time; time.sleep(60)", "no answer within 1 s"),
        ("import os; os.kill(os.getpid(), 11)", "exit code -11"),
        ("raise RuntimeError('CUDA driver error')", "RuntimeError: CUDA driver error"),
        ("print('Segmentation fault')", "Segmentation fault"),
    ],
)
def test_a_computation_that_hangs_or_dies_is_a_warning(commands, cuda, body, said):
    commands(nvidia_smi=smi())
    cuda("12.4", body, seconds=1.0 if "sleep" in body else 30.0)
    _, check = gpu.check_gpus()
    assert check.state == "warn"
    assert f"a computation failed: {said}" in check.found


def test_a_machine_without_slurm_is_sound(commands):
    (check,) = slurm.check_slurm()
    assert (check.state, check.found) == (
        "ok",
        "not installed: --backend slurm is not available here",
    )


def answering(**changed):
    """SLURM's commands, all well but for those that are given."""
    whole = {
        "sbatch": "echo slurm 23.11.4",
        "scancel": "echo slurm 23.11.4",
        "sinfo": "printf 'debug|up|2|idle\\ndebug|up|1|alloc\\nlong|down|4|drain\\n'",
        "squeue": "printf 'PENDING\\nRUNNING\\nPENDING\\n'",
        "sacct": "echo 7",
    }
    return {**whole, **changed}


def found(checks):
    return {check.name: (check.state, check.found) for check in checks}


def test_a_slurm_that_answers_is_told_with_partitions_and_jobs(commands):
    commands(**answering())
    checks = slurm.check_slurm()
    assert found(checks) == {
        "SLURM": ("ok", "partitions: debug (2 idle, 1 alloc), long (down)"),
        "SLURM queue": ("ok", "jobs of ada: 2 pending, 1 running"),
        "SLURM accounting": ("ok", "sacct answers"),
        "submitit": ("ok", metadata.version("submitit")),
    }


def test_a_controller_that_does_not_answer_is_a_warning_with_what_to_do(commands, monkeypatch):
    monkeypatch.setattr(slurm, "_ANSWER_SECONDS", 0.6)
    refusing = (
        "echo 'slurm_load_partitions: Unable to contact slurm controller (connect failure)' >&2; "
        "exit 1"
    )
    for body, said in (
        (refusing, "slurm_load_partitions: Unable to contact slurm controller (connect failure)"),
        ("exec /bin/sleep 60", "no answer within 1 s"),
    ):
        commands(**answering(sinfo=body))
        first, *others = slurm.check_slurm()
        assert (first.state, first.found) == ("warn", f"sinfo: {said}")
        assert "--backend slurm does not work until it does: wait a minute" in first.advice
        assert [check.name for check in others] == ["SLURM accounting", "submitit"]


def test_commands_without_a_cluster_are_told_apart(commands):
    fatal = "echo 'sinfo: fatal: Could not establish a configuration source' >&2; exit 1"
    commands(**answering(sinfo=fatal))
    (check,) = slurm.check_slurm()
    assert check.found == "sinfo: fatal: Could not establish a configuration source"
    assert "set SLURM_CONF" in check.advice


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("echo 'Slurm accounting storage is disabled' >&2; exit 1", "switched on, if you can"),
        ("echo 'sacct: error: Problem talking to the database: Connection refused' >&2; exit 1",
         "cannot tell how jobs ended until it answers"),
    ],
)  # fmt: skip
def test_accounting_that_is_off_or_away_is_a_warning(commands, body, said):
    commands(**answering(sacct=body))
    check = {check.name: check for check in slurm.check_slurm()}["SLURM accounting"]
    assert check.state == "warn"
    assert said in check.advice
    assert check.found.count("sacct") == 1


def test_what_is_missing_beside_the_rest_is_named(commands, monkeypatch):
    partly = answering()
    del partly["sacct"], partly["scancel"]
    commands(**partly)
    monkeypatch.setattr(slurm.importlib.util, "find_spec", lambda _: None)
    checks = slurm.check_slurm()
    assert (checks[0].state, checks[0].found) == ("warn", "not on the PATH: sacct, scancel")
    assert (checks[-1].state, checks[-1].advice) == ("warn", "pip install 'wgan-bench[slurm]'")


@pytest.mark.parametrize("lines", ["", "debug|down|2|idle"])
def test_a_cluster_that_takes_no_jobs_is_a_warning(commands, lines):
    commands(**answering(sinfo=f"echo '{lines}'" if lines else ":"))
    assert slurm.check_slurm()[0].state == "warn"
