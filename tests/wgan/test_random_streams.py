"""The streams: one per purpose, nothing shared, nothing global."""

from __future__ import annotations

import hashlib
import itertools

import torch

from wgan.random import PURPOSES, stream, stream_seed, training_streams


def draw(seed: int, purpose: str, count: int = 1000) -> torch.Tensor:
    return torch.randn(count, generator=stream(seed, purpose), dtype=torch.float64)


def test_a_stream_is_a_function_of_seed_and_purpose():
    assert torch.equal(draw(3, "data"), draw(3, "data"))
    digest = hashlib.sha256(b"3:data").digest()
    expected = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    reference = torch.randn(1000, generator=expected, dtype=torch.float64)
    assert torch.equal(draw(3, "data"), reference)


def test_unlike_purposes_and_seeds_share_nothing():
    drawn = [draw(seed, purpose) for seed in (0, 1, 10) for purpose in (*PURPOSES, "penalty:x")]
    correlations = torch.corrcoef(torch.stack(drawn))
    off_diagonal = correlations[~torch.eye(len(drawn), dtype=torch.bool)]
    assert off_diagonal.abs().max() < 0.15  # 4.7 standard errors
    seeds = [stream_seed(seed, purpose) for seed in range(200) for purpose in PURPOSES]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_training_streams_are_data_noise_and_one_per_method():
    streams = training_streams(5, ["gradient_penalty", "spectral_norm"])
    purposes = {"data", "data:generator", "noise"}
    purposes |= {"penalty:gradient_penalty", "penalty:spectral_norm"}
    assert set(streams) == purposes
    for left, right in itertools.combinations(streams.values(), 2):
        assert not torch.equal(left.get_state(), right.get_state())
    for purpose, rng in streams.items():
        assert torch.equal(rng.get_state(), stream(5, purpose).get_state())


def test_streams_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    training_streams(0, ["none"])
    assert torch.equal(torch.get_rng_state(), before)
