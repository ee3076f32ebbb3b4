"""Which runs train as one pack: what may be beside what, how many, and in which order."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_runs import frozen
from tiny_runs import packable as tiny

from bench.backends import packing
from bench.backends.packing import Pack, Terms, form, in_words, shares
from bench.packs import evenly, listed_seeds
from bench.spec import RunSpec
from bench.store import Planned
from wgan import packed


@pytest.fixture(autouse=True)
def _sixteen_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "pays", lambda config, device: 16)
    monkeypatch.setattr(packed, "unpackable", lambda config: None)


def planned(*specs: RunSpec) -> list[Planned]:
    return [Planned(spec, Path("nowhere"), "pending", "run", "not begun") for spec in specs]


def label(name: str, seeds: int, lr: float = 1e-3) -> list[RunSpec]:
    optimizer = {"adam": {"lr": lr, "beta1": 0.5, "beta2": 0.9}}
    return [tiny(label=name, seed=seed, optimizer=optimizer) for seed in range(seeds)]


def sizes(packs: list[Pack]) -> list[int]:
    return [pack.size for pack in packs]


@pytest.mark.parametrize(
    ("seeds", "slots", "expected"),
    [
        (16, 1, [16]),
        (16, 2, [8, 8]),
        (16, 4, [4] * 4),
        (17, 1, [9, 8]),
        (4, 2, [2, 2]),
        (3, 2, [2, 1]),
        (2, 2, [1, 1]),
        (1, 2, [1]),
        (4, 8, [1] * 4),
        (64, 2, [16] * 4),
    ],
)
def test_packs_are_as_large_as_pays_and_small_enough_for_every_slot(
    seeds: int, slots: int, expected: list[int]
) -> None:
    assert sizes(form(planned(*label("a", seeds)), Terms(slots))) == expected


def test_labels_share_the_slots_before_any_is_divided() -> None:
    specs = [*label("a", 16), *label("b", 16, lr=2e-3)]
    assert sizes(form(planned(*specs), Terms(2))) == [16, 16]
    assert sizes(form(planned(*specs), Terms(4))) == [8] * 4
    specs += label("c", 16, lr=3e-3)
    assert sizes(form(planned(*specs), Terms(2))) == [16, 16, 8, 8]


def test_a_sweep_of_four_recipes_and_three_seeds_leaves_no_slot_idle_for_long() -> None:
    digits = {"dataset": "digits", "network": {"dcgan": {"width": 32}}, "batch_size": 64}
    specs = [
        tiny(recipe, seed, **digits)
        for recipe in ("gan", "wgan", "wgan_gp", "sngan")
        for seed in range(3)
    ]
    packs = form(planned(*specs), Terms(2))
    assert sizes(packs) == [3] * 4
    assert packs == form(planned(*specs), Terms(1))
    # About how long each takes, as measured: the short ones are where the dear one is.
    seconds = {"gan": 7, "wgan": 16, "wgan_gp": 19, "sngan": 16}
    slots = [0, 0]
    for pack in packs:
        slots.sort()
        slots[0] += seconds[str(pack.items[0].spec.recipe)]
    assert max(slots) < 0.6 * sum(slots)
    assert [pack.cost for pack in packs] == sorted((pack.cost for pack in packs), reverse=True)


def test_labels_take_turns_pack_by_pack_with_seeds_in_order() -> None:
    """So that what is finished, whenever a sweep is stopped, can be compared in pairs."""
    specs = [*label("a", 32), *label("b", 32, lr=2e-3)]
    packs = form(planned(*reversed(specs)), Terms(1))
    told = [(pack.items[0].spec.label, pack.items[0].spec.config.seed) for pack in packs]
    assert sorted(told[:2]) == [("a", 0), ("b", 0)]
    assert sorted(told[2:]) == [("a", 16), ("b", 16)]
    for pack in packs:
        seeds = [item.spec.config.seed for item in pack.items]
        assert seeds == list(range(seeds[0], seeds[0] + 16))


def test_the_longest_come_first() -> None:
    specs = [*label("a", 4), *(tiny("wgan_gp", seed=seed, steps=600) for seed in range(4))]
    packs = form(planned(*specs), Terms(1))
    assert [pack.items[0].spec.recipe for pack in packs] == ["wgan_gp", "gan"]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=4), st.integers(1, 9), st.integers(1, 16))
def test_every_run_is_in_one_pack_of_its_own_kind_and_no_pack_is_too_large(
    counts: list[int], slots: int, largest: int
) -> None:
    packed.pays = lambda config, device: largest  # type: ignore[assignment]
    specs = [
        spec for name, seeds in enumerate(counts) for spec in label(f"{name}", seeds, name + 1)
    ]
    items = planned(*specs)
    packs = form(items, Terms(slots))
    held = Counter(run_id for pack in packs for run_id in pack.run_ids)
    assert held == Counter(spec.run_id for spec in specs)
    assert max(sizes(packs)) <= largest
    assert all(len({item.spec.label for item in pack.items}) == 1 for pack in packs)
    assert packs == form(items, Terms(slots))
    if sum(counts) >= slots:
        assert len(packs) >= slots or max(sizes(packs)) <= 2


def test_what_differs_in_more_than_the_seed_is_not_packed() -> None:
    twin = tiny(seed=0)
    for other in (
        tiny(seed=1, batch_size=64),
        tiny(seed=1, log_every=11),
        tiny(seed=1, checkpoint_seconds=5.0),
        tiny("wgan", seed=1),
    ):
        assert sizes(form(planned(twin, other), Terms(1))) == [1, 1]


def test_where_it_does_not_pay_or_is_not_wanted_each_is_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    items = planned(*label("a", 4))
    assert sizes(form(items, Terms(1, wanted=False))) == [1] * 4
    monkeypatch.setattr(packed, "pays", lambda config, device: 16 if device == "cuda" else 1)
    assert sizes(form(items, Terms(1))) == [1] * 4
    assert sizes(form(items, Terms(1, "cuda"))) == [4]
    monkeypatch.setattr(packed, "unpackable", lambda config: "no")
    assert sizes(form(items, Terms(1, "cuda"))) == [1] * 4


def resumed(results: Path, packs: dict[int, tuple[int, int]]) -> list[Planned]:
    """Runs by seed, each with the step and the pack size that its folder shows."""
    specs = [tiny(seed=seed) for seed in packs]
    items = []
    for path, spec in zip(frozen(results, *specs), specs, strict=True):
        step, size = packs[spec.config.seed]
        (path / "checkpoints").mkdir()
        (path / "checkpoints" / f"step-{step:08d}.ckpt").touch()
        numerics = {"pack": size} if size > 1 else {}
        (path / "env.json").write_text(json.dumps({"numerics": numerics}))
        items.append(Planned(spec, path, "interrupted", "resume", "not finished", step))
    return items


def test_resumed_runs_go_on_in_stacks_of_the_size_they_had(tmp_path: Path) -> None:
    states = {0: (20, 4), 1: (20, 4), 2: (20, 4), 3: (10, 4), 4: (20, 1), 5: (20, 1), 6: (20, 2)}
    packs = form(resumed(tmp_path, states), Terms(2))
    found = {tuple(item.spec.config.seed for item in pack.items): pack.size for pack in packs}
    assert found == {(0, 1, 2): 4, (3,): 4, (4,): 1, (5,): 1, (6,): 2}
    assert in_words(packs) == "5 runs train as 2 packs of 4, 1 pack of 2"


def test_without_packs_each_resumed_run_is_alone_in_its_stack(tmp_path: Path) -> None:
    packs = form(resumed(tmp_path, {0: (20, 4), 1: (20, 4)}), Terms(2, wanted=False))
    assert [(len(pack.items), pack.size) for pack in packs] == [(1, 4), (1, 4)]


@pytest.mark.parametrize("allowed", ["pack", "all"])
def test_where_that_is_allowed_runs_of_one_step_are_packed_anew(
    tmp_path: Path, allowed: str
) -> None:
    items = resumed(tmp_path, {0: (20, 4), 1: (20, 2), 2: (20, 1), 3: (10, 1)})
    packs = form(items, Terms(1, allow_numerics=(allowed,)))
    seeds = {tuple(item.spec.config.seed for item in pack.items) for pack in packs}
    assert seeds == {(0, 1, 2), (3,)}


def test_nothing_was_trained_at_step_0(tmp_path: Path) -> None:
    assert sizes(form(resumed(tmp_path, {0: (0, 4), 1: (0, 4)}), Terms(1))) == [2]


def test_a_job_s_share_holds_what_can_be_packed() -> None:
    specs = [*label("a", 10), *label("b", 10, lr=2e-3)]
    tasks = shares(planned(*specs), 8, Terms(1))
    labels = [Counter(item.spec.label for item in task) for task in tasks]
    assert labels == [{"a": 8}, {"b": 8}, {"a": 2, "b": 2}]
    alone = shares(planned(*specs), 8, Terms(1, wanted=False))
    assert Counter(item.spec.label for item in alone[0]) == {"a": 4, "b": 4}
    assert sum(map(len, alone)) == 20


def test_ten_thousand_runs_are_packed_within_seconds() -> None:
    specs = [spec for name in range(100) for spec in label(f"{name}", 100, 1 + name)]
    items = planned(*specs)
    began = time.process_time()
    packs = form(items, Terms(64))
    assert time.process_time() - began < 3.0
    assert sum(len(pack.items) for pack in packs) == 10_000


def test_words() -> None:
    assert in_words([]) == in_words(form(planned(tiny()), Terms(1))) == ""
    packs = form(planned(*label("a", 16)), Terms(2))
    assert in_words(packs) == "16 runs train as 2 packs of 8"
    assert listed_seeds([3]) == "seed 3"
    assert listed_seeds([9, 2, 1, 0, 4, 5]) == "seeds 0 to 2, 4, 5, 9"
    assert evenly(range(7), 3) == [(0, 1, 2), (3, 4), (5, 6)]
    assert packing.place_in_turn(packs[0]) < packing.place_in_turn(packs[1])
