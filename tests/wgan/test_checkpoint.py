"""Checkpoints: going on bit for bit, and refusing whatever is not whole and ours."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import random
import resource
import stat

import pytest
import torch
from small import DIGITS, EACH_RECIPE, contents, follow, never, same, small, without_times

from wgan.checkpoint import CheckpointError, load, save
from wgan.train import TrainState, new_state, train

STEPS = 17
LOG_EVERY, EVALUATE_EVERY = 5, 7


def uninterrupted(config) -> tuple[TrainState, list, list]:
    state, rows, evaluated = new_state(config, DIGITS), [], []
    for pause in train(
        config, DIGITS, state, never, log_every=LOG_EVERY, evaluate_every=EVALUATE_EVERY
    ):
        rows += pause.rows
        evaluated += [pause.state.step] * pause.evaluate
    return state, rows, evaluated


def interrupted(config, path, stops: set[int]) -> tuple[TrainState, list, list]:
    """Stopped at each of `stops`, each time gone on with from the file alone, in a fresh state."""
    rows, evaluated, stops = [], [], set(stops)
    while True:
        state = new_state(config, DIGITS)
        if path.exists():
            assert load(path, state) == {"rows": len(rows)}
        for pause in train(
            config,
            DIGITS,
            state,
            lambda state=state: state.step in stops,
            log_every=LOG_EVERY,
            evaluate_every=EVALUATE_EVERY,
        ):
            rows += pause.rows
            evaluated += [pause.state.step] * pause.evaluate
            if pause.state.step in stops:
                stops.remove(pause.state.step)
                save(path, state, {"rows": len(rows)})
                break
        else:
            return state, rows, evaluated


@pytest.mark.parametrize("recipe", EACH_RECIPE)
def test_going_on_from_a_checkpoint_gives_the_same_weights_and_rows(recipe, tmp_path):
    config = small(recipe, steps=STEPS)
    expected = uninterrupted(config)
    dice = random.Random(recipe)
    mid_window = {s for s in range(1, STEPS) if s % LOG_EVERY and s % EVALUATE_EVERY}
    for trial, stops in enumerate(
        (
            {0, dice.choice(sorted(mid_window))},
            set(dice.sample(range(STEPS + 1), 3)),
            {14, 15, 17},  # an evaluation, a row, the end
        )
    ):
        found = interrupted(config, tmp_path / f"{trial}.pt", stops)
        assert same(contents(found[0]), contents(expected[0])), stops
        assert without_times(found[1]) == without_times(expected[1]), stops
        assert found[2] == expected[2], stops


def test_going_on_works_in_float64_with_batch_norm_and_a_combination(tmp_path):
    config = small(
        "wgan_gp",
        steps=STEPS,
        precision="float64",
        critic_norm="batch",
        lipschitz={"all": ["spectral_norm", {"gradient_penalty": {"every": 3}}]},
    )
    expected, found = uninterrupted(config), interrupted(config, tmp_path / "c.pt", {1, 8})
    assert same(contents(found[0]), contents(expected[0]))
    assert without_times(found[1]) == without_times(expected[1])


@pytest.fixture
def config():
    return small("sngan", steps=7)


@pytest.fixture
def state(config):
    """Stopped in mid-window."""
    state = new_state(config, DIGITS)
    for pause in train(config, DIGITS, state, lambda: state.step == 3, log_every=5):
        if pause.state.step == 3:
            break
    return state


@pytest.fixture
def path(state, tmp_path):
    path = tmp_path / "folder" / "checkpoint.pt"
    save(path, state, {"rows": 3, "name": "ä"})
    return path


def test_a_round_trip_keeps_everything(config, state, path):
    again = new_state(config, DIGITS)
    assert load(path, again) == {"rows": 3, "name": "ä"}
    assert same(contents(again), contents(state))
    assert again.training_seconds == state.training_seconds > 0
    assert len(again.window.critic) == 15
    assert len(again.window.generator_losses) == 3
    assert len(again.window.critic_gradients) == len(again.window.generator_gradients) == 3


def test_a_checkpoint_from_before_the_gradients_were_kept_can_be_gone_on_from(
    config, state, path, monkeypatch
):
    with monkeypatch.context() as before:
        before.setattr("wgan.checkpoint._WINDOW_LISTS", ("generator_losses",))
        save(path, state, {})
    again = new_state(config, DIGITS)
    load(path, again)
    assert again.window.critic_gradients == []
    rows, unstopped = follow(config, again), follow(config, state)
    assert same(contents(again), contents(state))
    new = ("critic_gradient_norm_largest", "generator_gradient_norm_largest")
    for row, full in zip(without_times(rows), without_times(unstopped), strict=True):
        assert {name: row[name] for name in row if name not in new} == {
            name: full[name] for name in full if name not in new
        }
        assert all(0 < row[name] <= full[name] for name in new)


def test_saving_changes_nothing(config, state, tmp_path):
    before = contents(state)
    save(tmp_path / "a.pt", state, {})
    assert same(before, contents(state))


def test_the_file_is_replaced_whole_and_nothing_else_is_left(config, state, path):
    first = path.read_bytes()
    save(path, state, {"rows": 4})
    assert path.read_bytes() != first
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.pt"]
    assert load(path, new_state(config, DIGITS)) == {"rows": 4}


def refused(path, config, match: str) -> None:
    with pytest.raises(CheckpointError, match=match) as caught:
        load(path, new_state(config, DIGITS))
    assert str(path) in str(caught.value)


def test_a_file_cut_anywhere_is_refused(config, path):
    whole = path.read_bytes()
    header = whole.index(b"\n")
    dice = random.Random(0)
    anywhere = [dice.randrange(header, len(whole)) for _ in range(20)]
    for length in (
        0,
        1,
        10,
        header - 64,
        header - 1,
        header,
        header + 1,
        *anywhere,
        len(whole) - 1,
    ):
        path.write_bytes(whole[:length])
        refused(path, config, "not a checkpoint|torn or altered")


def test_a_file_with_something_after_its_end_is_refused(config, path):
    path.write_bytes(path.read_bytes() + b"\0")
    refused(path, config, "torn or altered")


def test_a_single_changed_bit_anywhere_is_refused(config, path):
    whole, dice = path.read_bytes(), random.Random(1)
    for position in [dice.randrange(len(whole)) for _ in range(40)]:
        altered = bytearray(whole)
        altered[position] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(altered))
        refused(path, config, "not a checkpoint|torn or altered")


def test_a_foreign_file_is_refused(config, path):
    torch.save({"weights": torch.zeros(3)}, path)
    refused(path, config, "not a checkpoint of wgan-bench")
    path.write_text("step,loss\n1,2\n")
    refused(path, config, "not a checkpoint of wgan-bench")
    path.unlink()
    refused(path, config, "cannot be read: No such file")
    path.mkdir()
    refused(path, config, "cannot be read: Is a directory")


def sealed(path, payload: bytes) -> None:
    """Write `payload` with a header and checksum that fit it."""
    magic = path.read_bytes().split(b"\n")[0][:-64]
    path.write_bytes(magic + hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)


class Hostile:
    """Runs code when unpickled."""

    def __init__(self, marker) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def saved_by_torch(content: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_a_hostile_file_with_a_right_checksum_runs_no_code(config, path, tmp_path):
    marker = tmp_path / "executed"
    for payload in (
        saved_by_torch({"parts": Hostile(marker)}),
        pickle.dumps(Hostile(marker), protocol=2),
    ):
        sealed(path, payload)
        refused(path, config, "it holds more than tensors and numbers")
        assert not marker.exists()
    # The payload is dangerous indeed.
    pickle.loads(pickle.dumps(Hostile(marker)))
    assert marker.exists()


@pytest.mark.parametrize(
    "content",
    [[], 3, {}, {"parts": 3}, {"parts": {}}, {"parts": {"generator": {}, "critic": {}}}],
    ids=str,
)
def test_a_sealed_file_of_another_content_is_refused(config, path, content):
    sealed(path, saved_by_torch(content))
    refused(path, config, "a checkpoint of another training")


@pytest.mark.parametrize(
    "change",
    [
        {"network": {"dcgan": {"width": 5}}},
        {"network": "mlp"},
        {"critic_norm": "layer"},
        {"noise_size": 7},
        {"lipschitz": "none"},
        {"lipschitz": ["spectral_norm", "gradient_penalty"]},
    ],
    ids=str,
)
def test_a_checkpoint_of_another_training_is_refused(path, change):
    refused(path, small("sngan", **{"steps": 7, **change}), "a checkpoint of another training")


def test_a_full_disk_leaves_the_old_file(config, state, path, monkeypatch):
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, state, {"rows": 9})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.pt"]


def test_a_removed_run_folder_does_not_come_back_as_its_checkpoint(state, tmp_path):
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "removed" / "checkpoints" / "step-00000003.ckpt", state, {})
    assert list(tmp_path.iterdir()) == []


def test_a_write_that_breaks_off_leaves_the_old_file(config, state, path):
    """The kernel itself ends the write in the middle of the file."""
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(path, state, {"rows": 9})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["checkpoint.pt"]
    load(path, new_state(config, DIGITS))


def test_the_file_is_synced_before_it_takes_its_name(config, state, tmp_path, monkeypatch):
    synced, fsync = [], os.fsync
    path = tmp_path / "new.pt"

    def note(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        synced.append((kind, path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    save(path, state, {})
    # And its folder after that, without which a machine's crash may lose the name.
    assert synced == [("file", False), ("folder", True)]


def test_a_file_system_that_cannot_sync_a_folder_is_no_failure(config, state, path, monkeypatch):
    fsync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    save(path, state, {"rows": 5})
    assert load(path, new_state(config, DIGITS)) == {"rows": 5}


def test_a_checkpoint_survives_a_state_that_was_half_filled(config, state, path):
    """A refused load may leave its state half filled; the file still loads into a fresh one."""
    wrong = new_state(small("sngan", lipschitz="none"), DIGITS)
    with pytest.raises(CheckpointError):
        load(path, wrong)
    again = new_state(config, DIGITS)
    load(path, again)
    follow(config, again)
    assert again.step == config.steps
