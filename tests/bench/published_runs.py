"""Records of trainings that never were, on data sets of which figures are published."""

from __future__ import annotations

from dataclasses import replace

from fake_records import PROTOCOL, fake_records


def published_records(
    dataset="cifar10", labels=("gan", "wgan", "wgan_gp", "sngan"), seeds=3, **changed
):
    """Records whose runs were trained on `dataset`; `changed` overrides run and protocol fields."""
    records = fake_records(list(labels), range(seeds), pictures=False)
    of_runs = {
        "network": "dcgan",
        "batch_size": 64,
        "critic_steps": 5,
        "critic_norm": "none",
        "lipschitz_settings": '[{"gradient_penalty": {"every": 1, "weight": 10.0}}]',
        "optimizer_settings": '{"adam": {"lr": 0.0001}}',
    }
    protocol = {
        **PROTOCOL,
        "dataset": {dataset: {}},
        "n_real": 50000,
        "n_fake": 2000,
        "n_floor": 10000,
        "extractor": "inception",
        "inception_score_splits": 10,
    }
    if dataset in ("ring8", "grid25"):
        protocol = {"id": "abcd1234", "dataset": {dataset: {}}, "n_fake": 2000, "floor": {}}
    of_runs |= {name: value for name, value in changed.items() if name not in protocol}
    protocol |= {name: value for name, value in changed.items() if name in protocol}
    curves = records.curves.assign(
        inception_score=5 + records.curves["step"] / 1000,
        modes_covered=float("nan"),
    )
    if dataset in ("ring8", "grid25", "stacked_mnist"):
        curves = curves.assign(modes_covered=4 + records.curves["step"] / 1000)
    return replace(
        records,
        runs=records.runs.assign(dataset=dataset, **of_runs),
        curves=curves,
        protocols=[protocol],
    )
