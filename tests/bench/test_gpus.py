"""`--gpus`: numbers and names become what CUDA_VISIBLE_DEVICES must hold; mistakes are sentences.

A program called nvidia-smi that stands first on the PATH says which GPUs there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from bench import backends
from bench.backends import Local, make_backend
from bench.backends.gpus import choose_gpus
from bench.cli import main
from wgan.components import ConfigError

THREE = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa00)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb11)
GPU 2: Tesla V100 (16 GB) (UUID: GPU-bc22)
"""
SLICED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aa00)
  MIG 1g.5gb      Device  0: (UUID: MIG-11)
  MIG 3g.20gb     Device  1: (UUID: MIG-22)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bb11)
"""
Said = Callable[..., None]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Said:
    """Sets what nvidia-smi says and with which code it ends."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")

    def says(text: str, code: int = 0) -> None:
        (tmp_path / "bin").mkdir(exist_ok=True)
        (tmp_path / "said").write_text(text)
        program = tmp_path / "bin" / "nvidia-smi"
        program.write_text(f'#!/bin/sh\n[ "$*" = -L ] && cat {tmp_path}/said\nexit {code}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")

    return says


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("0", ("GPU-aa00",)),
        ("2,0", ("GPU-bc22", "GPU-aa00")),
        (" 1 , 2 ", ("GPU-bb11", "GPU-bc22")),
        ("all", ("GPU-aa00", "GPU-bb11", "GPU-bc22")),
        ("GPU-bb11,0", ("GPU-bb11", "GPU-aa00")),
        ("GPU-bc", ("GPU-bc22",)),
    ],
)
def test_numbers_are_nvidia_smis_and_handed_on_as_names(
    said: Said, asked: str, names: tuple[str, ...]
) -> None:
    said(THREE)
    assert choose_gpus(asked) == names


@pytest.mark.parametrize(
    ("visible", "asked", "names"),
    [
        ("2,0", "0", ("2",)),
        ("2,0", "1", ("0",)),
        ("2,0", "all", ("2", "0")),
        ("GPU-bb11,GPU-aa", "1,0", ("GPU-aa", "GPU-bb11")),
        ("GPU-bb11", "GPU-bb11", ("GPU-bb11",)),
        ("1,-1,0", "all", ("1",)),  # as CUDA reads it: up to the first wrong entry
        ("0,7,1", "all", ("0",)),
    ],
)
def test_numbers_count_what_the_users_own_variable_leaves(
    said: Said, monkeypatch: pytest.MonkeyPatch, visible: str, asked: str, names: tuple[str, ...]
) -> None:
    said(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert choose_gpus(asked) == names


def test_slices_are_named_one_by_one_and_all_takes_them(said: Said) -> None:
    said(SLICED)
    assert choose_gpus("all") == ("MIG-11", "MIG-22", "GPU-bb11")
    assert choose_gpus("MIG-22,1") == ("MIG-22", "GPU-bb11")
    with pytest.raises(ConfigError, match="GPU 0 is cut into slices; name them: MIG-11, MIG-22"):
        choose_gpus("0")


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("3", r"gpus: GPU 3 is not there; there are 0, 1, 2, or by name GPU-aa00, .*; or say all"),
        ("0,0", "gpus: 0: name each once; --per-gpu sets how many runs"),
        ("0,GPU-aa00", "'0' and 'GPU-aa00' are one GPU: name each once"),
        ("", "'' is not there; there are 0, 1, 2"),
        ("0,", "'' is not there; there are 0, 1, 2"),
        ("-1", "'-1' is not there"),
        ("cuda:0", "'cuda:0' is not there"),
        ("GPU-b", "'GPU-b' may be GPU-bb11 or GPU-bc22"),
        ("GPU-zz", "'GPU-zz' is not there"),
    ],
)
def test_a_wrong_gpu_is_answered_with_those_there_are(said: Said, asked: str, message: str) -> None:
    said(THREE)
    with pytest.raises(ConfigError, match=message):
        choose_gpus(asked)


@pytest.mark.parametrize(
    ("visible", "message"),
    [
        ("", "CUDA_VISIBLE_DEVICES='' leaves none; unset it"),
        ("-1", "CUDA_VISIBLE_DEVICES='-1' leaves none"),
        ("1,1", "CUDA_VISIBLE_DEVICES='1,1' names one twice"),
        ("0,1", r"GPU 2 is not there; there are 0, 1 \(CUDA_VISIBLE_DEVICES=0,1 leaves 2\)"),
    ],
)
def test_what_the_users_own_variable_hides_is_said(
    said: Said, monkeypatch: pytest.MonkeyPatch, visible: str, message: str
) -> None:
    said(THREE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(ConfigError, match=message):
        choose_gpus("2")


def test_a_machine_without_gpus_says_so(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said("NVIDIA-SMI has failed because it couldn't communicate with the driver.\n", code=9)
    with pytest.raises(ConfigError, match=r"there is none .* it said: NVIDIA-SMI has failed"):
        choose_gpus("all")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="nvidia-smi is not on the PATH; leave --gpus out"):
        choose_gpus("0")


def test_each_gpu_has_its_slots(said: Said) -> None:
    said(THREE)
    backend = make_backend("local", gpus="0,2", per_gpu=2)
    assert isinstance(backend, Local)
    assert (backend.slots, backend._places) == (4, ("GPU-aa00", "GPU-bc22"))
    assert make_backend("local", gpus="all").slots == 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("local", {"per_gpu": 2}, "per_gpu: says how to divide GPUs; name them with --gpus"),
        ("local", {"gpus": "0", "per_gpu": 0}, "per_gpu: 0 is not allowed"),
        ("local", {"gpus": "0", "slots": 2}, "slots: counts slots on cores; on GPUs --per-gpu"),
        ("inline", {"gpus": "0"}, "gpus: inline trains on the CPU; take the backend local"),
        ("local", {"threads": 3}, "threads: 3 is not allowed: this process may use 2 cores"),
        ("inline", {"threads": 3}, "threads: 3 is not allowed"),
    ],
)
def test_options_that_do_not_go_together_are_clear_errors(
    said: Said, monkeypatch: pytest.MonkeyPatch, name: str, options: dict, message: str
) -> None:
    said(THREE)
    monkeypatch.setattr(backends, "usable_cores", lambda: 2)
    with pytest.raises(ConfigError, match=message):
        make_backend(name, **options)


def test_a_torch_without_cuda_is_told_before_anything_is_trained(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(THREE)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(ConfigError, match="is built without CUDA; install one that has it"):
        make_backend("local", gpus="0")


def test_the_command_line_hands_the_gpus_on(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said(THREE)
    monkeypatch.chdir(tmp_path)
    Path("one.yaml").write_text("name: one\nbase: {steps: 1}\ngrid: {seed: 0}\n")
    answer = CliRunner().invoke(main, ["run", "one.yaml", "--gpus", "5", "--per-gpu", "2"])
    assert answer.exit_code == 2
    assert "gpus: GPU 5 is not there; there are 0, 1, 2" in answer.output
    assert not Path("results").exists()
