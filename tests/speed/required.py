"""The rows of the table: what each figure is of, against what, and what it must reach.

The first rows are those that issue 6 requires; the others are measured beside them and require
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.speed.ratios import Spread

_CONV = "WGAN-GP step, conv critic 128-256-512 at 32x32, batch 64, 5:1"
_MLP = "WGAN-GP step, MLP of width 128 on 32x32, batch 64, 5:1"
_MLP_WIDE = _MLP.replace("128", "512")
_TOY = "16 runs of a toy MLP of width"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: of the figure; group: what measures it, with others, in one process.
        bound: in times; None: nothing is required.
        at_most: whether the value must not exceed the bound; else it must reach it.
        unit: "times", "share" (of 1, shown in per cent) or "excess" (over 1, shown in per cent).
        threads: of the process that measures it.
    """

    name: str
    group: str
    work: str
    against: str
    bound: float | None = None
    at_most: bool = False
    unit: str = "times"
    threads: int = 2
    decimals: int = 2

    def reached(self, spread: Spread, sound: bool) -> bool:
        """Whether the median is on the right side of the bound, and all else as it must be."""
        if self.bound is None:
            return sound
        right = spread.median <= self.bound if self.at_most else spread.median >= self.bound
        return sound and right

    def shown(self, value: float) -> str:
        """A value in the row's unit."""
        if self.unit == "share":
            return f"{100 * value:.0f} %"
        if self.unit == "excess":
            return f"{100 * (value - 1):.1f} %"
        return f"{value:.{self.decimals}f}"

    @property
    def required(self) -> str:
        """The bound in words."""
        if self.bound is None:
            return ""
        return f"{'at most' if self.at_most else 'at least'} {self.shown(self.bound)}"

    @property
    def on_a_gpu(self) -> bool:
        return self.group == "gpu"


REQUIRED = (
    Row("conv_step", "conv_step", f"{_CONV}, float32", "a clean stock-PyTorch loop", 1.15),
    Row("conv_step_bf16", "conv_step", "the same, bf16", "the clean stock loop, float32", 2.1),
    Row("conv_step_bf16_ours", "conv_step", "the same, bf16", "ours, float32", 1.7),
    Row(
        "conv_peak_share",
        "conv_step",
        "the same, float32: FLOPs strictly needed, per second",
        "the fastest convolution measured",
        0.65,
        unit="share",
    ),
    Row("mlp_step_tutorial", "mlp_step", _MLP, "the common tutorial loop", 1.9),
    Row(
        "penalty_flops",
        "penalty_flops",
        "critic step with penalty, FLOPs counted; gradient bit-equal",
        "stock autograd",
        0.86,
        at_most=True,
        threads=1,
        decimals=3,
    ),
    Row("pack_64", "packs", f"{_TOY} 64, one pack", "a plain loop, run after run", 3.0),
    Row("pack_128", "packs", f"{_TOY} 128, one pack", "a plain loop, run after run", 2.3),
    Row("pack_512", "packs", f"{_TOY} 512, one pack", "a plain loop, run after run", 1.5),
    Row(
        "pack_workers_64",
        "pack_workers",
        f"{_TOY} 64, a pack of 8 on each core",
        "two worker processes with default threads",
        2.0,
    ),
    Row(
        "pack_workers_128",
        "pack_workers",
        f"{_TOY} 128, a pack of 8 on each core",
        "two worker processes with default threads",
        2.0,
    ),
    Row(
        "pack_workers_512",
        "pack_workers",
        f"{_TOY} 512, a pack of 8 on each core",
        "two worker processes with default threads",
        2.0,
    ),
    Row(
        "digits_sweep",
        "digits_sweep",
        "a digits sweep of 12 runs, wall clock to report",
        "a plain loop, the same evaluations by calculate_metrics",
        3.0,
    ),
    Row(
        "frechet_5000", "frechet", "Frechet distance, 2048-d, n = 5000", "torch-fidelity 0.4.0", 3.5
    ),
    Row(
        "frechet_1000",
        "frechet",
        "Frechet distance, 2048-d, n = 1000",
        "torch-fidelity 0.4.0",
        10.0,
        decimals=1,
    ),
    Row(
        "harness_conv",
        "harness_conv",
        "whole run in the harness, DCGAN of width 64 on digits",
        "a bare loop of the same networks",
        1.02,
        at_most=True,
        unit="excess",
        threads=1,
    ),
    Row(
        "harness_toy",
        "harness_toy",
        "whole run in the harness, MLP of width 128 on ring8",
        "a bare loop of the same networks",
        1.05,
        at_most=True,
        unit="excess",
        threads=1,
    ),
    Row("gpu_graph_tf32", "gpu", "SN-GAN CNN, batch 64, CUDA graph, tf32", "eager", 1.6),
    Row("gpu_graph_bf16", "gpu", "SN-GAN CNN, batch 64, CUDA graph, bf16", "eager", 2.5),
    Row(
        "gpu_pack",
        "gpu",
        "16 packed seeds of a toy MLP, per seed",
        "eager, alone",
        15.0,
        decimals=1,
    ),
)

BESIDE = (
    Row(
        "conv_step_1_thread",
        "conv_step_1_thread",
        f"{_CONV}, float32, one thread",
        "a clean stock-PyTorch loop",
        threads=1,
    ),
    Row(
        "conv_peak_share_1_thread",
        "conv_step_1_thread",
        "the same: FLOPs strictly needed, per second",
        "the fastest convolution measured",
        unit="share",
        threads=1,
    ),
    Row("mlp_step_clean", "mlp_step", _MLP, "a clean stock-PyTorch loop"),
    Row("mlp_step_tutorial_512", "mlp_step", _MLP_WIDE, "the common tutorial loop"),
    Row("mlp_step_clean_512", "mlp_step", _MLP_WIDE, "a clean stock-PyTorch loop"),
    Row(
        "mlp_step_tutorial_1_thread",
        "mlp_step_1_thread",
        f"{_MLP}, one thread",
        "the common tutorial loop",
        threads=1,
    ),
    *(
        Row(
            f"pack_{width}_1_thread",
            "packs_1_thread",
            f"{_TOY} {width}, one pack, one thread",
            "a plain loop, run after run",
            threads=1,
        )
        for width in (64, 128, 512)
    ),
    Row(
        "loop_conv",
        "harness_conv",
        "the training loop alone, DCGAN of width 64 on digits",
        "a bare loop of the same networks",
        unit="excess",
        threads=1,
    ),
    Row(
        "loop_toy",
        "harness_toy",
        "the training loop alone, MLP of width 128 on ring8",
        "a bare loop of the same networks",
        unit="excess",
        threads=1,
    ),
)
ROWS = (*REQUIRED, *BESIDE)
