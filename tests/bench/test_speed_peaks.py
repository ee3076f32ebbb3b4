"""The peak is of products whose operations are known; an iteration's are its closed form."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from tiny_runs import tiny
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from bench.spec import EvaluateSpec
from bench.speed import peaks
from bench.speed.inside import look_inside
from bench.speed.peaks import best_seconds, peak

SHAPES = peaks._CONVOLUTIONS["cpu"]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_convolution_s_operations_are_those_that_torch_counts(shape: Any) -> None:
    images = torch.randn(2, shape.channels, shape.side, shape.side)
    kernel = torch.randn(shape.out, shape.channels, shape.kernel, shape.kernel)
    with FlopCounterMode(display=False) as counted:
        out = functional.conv2d(images, kernel, padding=shape.kernel // 2)
    assert out.shape[2:] == images.shape[2:]
    assert shape.flops * 2 == counted.get_total_flops() * shape.images


def test_the_best_of_the_trials_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    durations, now = iter([9.0, 0.5, 0.2, 0.4]), [0.0]  # the first warms up
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def work() -> None:
        now[0] += next(durations)

    assert best_seconds(work, "cpu", seconds=0.0) == pytest.approx(0.2)


def test_a_peak_is_operations_over_the_best_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where everything takes a millisecond the largest of each kind is the peak."""
    monkeypatch.setattr(peaks, "best_seconds", lambda work, device, seconds: work() is None or 1e-3)
    monkeypatch.setitem(peaks._SIDES, "cpu", (8, 32))
    small = tuple(shape._replace(images=1, side=4) for shape in SHAPES)
    monkeypatch.setitem(peaks._CONVOLUTIONS, "cpu", small)
    found = peak("float32", seconds=0.0)
    assert found.matrices == pytest.approx(2 * 32**3 / 1e-3 / 1e9)
    assert found.convolutions == pytest.approx(max(shape.flops for shape in small) / 1e-3 / 1e9)


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("float32", torch.float32), ("bf16", torch.bfloat16), ("float64", torch.float64)],
)
def test_products_are_made_in_the_precision(
    precision: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def once(work: Any, device: str, seconds: float) -> float:
        made.append(work().dtype)
        return 1.0

    monkeypatch.setattr(peaks, "best_seconds", once)
    monkeypatch.setitem(peaks._SIDES, "cpu", (8,))
    monkeypatch.setitem(peaks._CONVOLUTIONS, "cpu", (SHAPES[0]._replace(images=1, side=2),))
    peak(precision, seconds=0.0)
    assert made == [dtype] * 3


def dense(width: int, batch: int, noise: int, critic_steps: int) -> tuple[float, float]:
    """An iteration's operations of the plain GAN on points of the plane, and one critic update's.

    Both networks have three hidden layers of equal width. A pass forward costs a product for each
    layer, back two, and one less where no gradient of the input is wanted.
    """
    hidden = 2 * 2 * width**2
    generator = 2 * batch * noise * width + batch * hidden + 2 * batch * width * 2
    critic = 2 * batch * 2 * width + batch * hidden + 2 * batch * width
    first = 2 * batch * 2 * width
    update = generator + 2 * (3 * critic - first)
    # The critic passes gradients on and collects none; the noise wants none.
    generators = (generator + critic) + critic + (2 * generator - 2 * batch * noise * width)
    return critic_steps * update + generators, update


def test_the_operations_of_an_iteration_are_the_closed_form() -> None:
    spec = tiny("gan", network={"mlp": {"width": 16}}, critic_steps=3, batch_size=8, noise_size=4)
    found = look_inside(spec, "cpu")
    iteration, update = dense(16, 8, 4, 3)
    assert found.flops == iteration
    assert found.update_flops == update
    assert found.convolutional == 0.0


def test_operations_of_convolutions_are_told_apart_and_the_rest_is_timed() -> None:
    spec = tiny(
        "wgan_gp",
        dataset="digits",
        network={"dcgan": {"width": 2}},
        evaluate=EvaluateSpec(every=1, samples=64, profiles=()),
    )
    found = look_inside(spec, "cpu")
    assert 0.5 < found.convolutional < 1
    assert found.batches > 0
    assert found.checkpoint > 0
    assert found.beside > 0


def test_a_lazy_penalty_is_counted_by_its_share() -> None:
    """Every second update: the mean of one with the penalty and one without."""

    def flops(**penalty: Any) -> float:
        spec = tiny("wgan_gp", critic_steps=1, lipschitz={"gradient_penalty": penalty})
        return look_inside(spec, "cpu").flops

    always, never = flops(), look_inside(tiny("wgan_gp", critic_steps=1, lipschitz="none"), "cpu")
    assert flops(every=2) == pytest.approx((always + never.flops) / 2)
    assert always > never.flops


@pytest.mark.slow
def test_the_peak_of_this_machine_is_one_that_a_machine_can_have() -> None:
    found = peak("float32", seconds=0.1)
    assert 0.1 < found.matrices < 1e5
    assert 0.1 < found.convolutions < 1e5


def settings() -> list[object]:
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    return [cudnn.enabled, cudnn.benchmark, cudnn.deterministic, products.allow_tf32]


@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_the_settings_of_precision_are_left_as_they_were(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []

    def once(work: Any, device: str, seconds: float) -> float:
        found.append(torch.backends.cuda.matmul.allow_tf32)
        raise MemoryError

    monkeypatch.setattr(peaks, "best_seconds", once)
    before = settings()
    with pytest.raises(MemoryError):
        peak(precision)
    assert settings() == before
    assert found == [precision == "tf32"]


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "tf32", "bf16"])
def test_the_peak_of_a_gpu_is_one_that_a_gpu_can_have(precision: str) -> None:
    before = settings()
    found = peak(precision, "cuda", seconds=1.0)
    assert settings() == before
    assert 1e3 < found.matrices < 1e7
    assert 1e2 < found.convolutions < 1e7


@pytest.mark.gpu
def test_operations_are_the_same_on_a_gpu() -> None:
    spec = tiny("wgan_gp", dataset="digits", network={"dcgan": {"width": 8}})
    here, there = look_inside(spec, "cpu"), look_inside(spec, "cuda")
    assert there.flops == here.flops
    assert there.update_flops == here.update_flops
