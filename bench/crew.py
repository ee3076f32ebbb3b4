"""Runs that one process trains in lockstep: a pack as one stacked model, or one run alone.

Each is recorded, scored and checkpointed as if it were alone, and what ends one of them (a
divergence, a failure, somebody's wish) ends it alone. What a pack's own step raises is nobody's:
its two halves are then trained apart, until the one that cannot be trained is alone.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.failures import explain
from bench.member import Member
from bench.packs import evenly, kind, listed_seeds
from bench.resume import ResumeRefused
from bench.session import Material, Place, read_material
from bench.stopping import CutShort, StopRequest
from wgan import packed
from wgan.memory import keep_freed_memory
from wgan.train import Pause

Left = list[tuple[Path, ...]]  # what is to be trained afterwards, together each


class Pauses(Protocol):
    """Where trainings in lockstep stop to be looked at; `wgan.packed.PackedPause` is one."""

    @property
    def pauses(self) -> tuple[Pause | None, ...]:
        """One for each training; None for one that goes on no further."""
        ...

    def leave(self, index: int) -> None:
        """This training goes on no further."""
        ...


class Alone(NamedTuple):
    """The pause of a training that no other is beside."""

    pauses: tuple[Pause | None, ...]

    def leave(self, index: int) -> None:
        """Nothing: nobody trains on."""


class Crew:
    """The runs in these folders, of which the first is trained with all that can be beside it.

    Those that are finished, or that others are at, are left out.

    Args:
        print_to: called with the log of the first, and to be sent there what this process prints.
        between: called at every pause, to keep a display alive.
    """

    def __init__(
        self,
        run_dirs: Sequence[Path],
        stop: StopRequest,
        place: Place,
        between: Callable[[], None] | None = None,
        print_to: Callable[[Path], None] | None = None,
    ) -> None:
        self.members: list[Member] = []
        for run_dir in run_dirs:
            self.members.append(Member(run_dir, stop, place, self.members))
        self._later: list[Member] = []
        self._stop, self._place = stop, place
        self._between, self._print_to = between, print_to

    def work(self) -> Left:
        """Train; returns the folders of those that are to be trained afterwards."""
        everybody, halves = list(self.members), []
        try:
            material = self._gather()
            if material is not None:
                size = self._choose()
                self._open(material, size)
                halves = self.go(size)
            return halves + ([_folders(self._later)] if self._later else [])
        finally:
            for member in everybody:
                member.does(member.stand_back)

    @property
    def living(self) -> list[Member]:
        """Those that are still being trained."""
        return [member for member in self.members if not member.over]

    def _gather(self) -> Material | None:
        """Take those that are free, and find out where each goes on."""
        for member in self.members:
            member.does(member.take)
        for member in self.living if self._print_to is not None else ():
            if member.does(self._print_into, member):
                break
        self.members[:] = self.living
        if not self.members:
            return None
        first = self.members[0]
        self._postpone(other for other in self.living if kind(other.spec) != kind(first.spec))
        try:
            material = self._stop.unless_stopped(
                lambda: read_material(first.spec, first.folder, self._place.device)
            )
        except (Exception, CutShort) as error:
            self._raise_in_each(error)
            return None
        for member in self.members:
            member.does(member.begin, material)
        self.members[:] = self.living
        return material if self.members else None

    def _choose(self) -> int:
        """The size of the stack, whose members stay; those that do not fit are postponed."""
        first, allowed = self.members[0], self._place.allow_numerics
        size, step = first.beginning.pack(allowed), first.beginning.state.step
        mates = [
            member
            for member in self.members
            if (member.beginning.pack(allowed), member.beginning.state.step) == (size, step)
        ]
        if size is None:
            size = 1 if packed.unpackable(first.spec.config) else len(mates)
        self._postpone(member for member in self.members if member not in mates[:size])
        return size

    def _postpone(self, members: Iterable[Member]) -> None:
        for member in list(members):
            member.does(member.stand_back)
            self.members.remove(member)
            self._later.append(member)

    def _open(self, material: Material, size: int) -> None:
        """Begin a session for each, and say in its log whom it trains beside."""
        why = packed.unpackable(self.members[0].spec.config) if size > 1 else None
        if why is not None:
            self._raise_in_each(
                ResumeRefused(
                    f"it was trained in a pack of {size} so far, and that can be done no more: "
                    f"{why}; let it go on alone with --allow-numerics pack, or give the sweep "
                    "another name"
                )
            )
        for member in self.living:
            member.does(member.open, material, size)
        self.members[:] = self.living
        self._count()
        for member in self.living if size > 1 else ():
            member.does(self._introduce, member, size)

    def _print_into(self, member: Member) -> bool:
        assert self._print_to is not None
        self._print_to(member.folder.log)
        return True

    def _introduce(self, member: Member, size: int) -> bool:
        others = [other.spec.config.seed for other in self.living if other is not member]
        beside = f"beside {listed_seeds(others)}" if others else "beside no other run"
        copies = size - len(self.living)
        filled = f", filled up with {copies} that are thrown away" if copies else ""
        first = self.living[0]
        prints = self._print_to is not None and member is not first
        where = f"; what its process prints goes to {first.folder.log}" if prints else ""
        return member.note(f"trains in a pack of {size}, {beside}{filled}{where}")

    def go(self, size: int) -> Left:
        """Train to the end of each; what the pack's own step raised leaves its halves."""
        pauses = self._pauses(size)
        try:
            if any(member.session.evaluation_due for member in self.living):
                self._look(Alone(tuple(map(_overdue, self.members))))
            self.members[:] = self.living
            while self.living and (pause := next(pauses, None)) is not None:
                self._look(pause)
        except Exception as error:
            return self._give_up(error)
        finally:
            pauses.close()
        for member in self.living:
            member.does(member.session.complete)
        return []

    def _pauses(self, size: int) -> Generator[Pauses]:
        members = list(self.members)
        first = members[0]
        keep_freed_memory()
        if size == 1:
            for pause in first.session.pauses():
                yield Alone((pause,))
            return
        yield from packed.train_packed(
            [member.spec.config for member in members],
            first.session.data,
            [member.session.state for member in members],
            self._wants_a_pause,
            size=size,
            log_every=first.spec.log_every,
            evaluate_every=first.spec.evaluate.every,
        )

    def _wants_a_pause(self) -> bool:
        """Whether all are to pause after this step: they save together, so that one may ask."""
        cancelled = any(member.session.cancelled for member in self._alive)
        return cancelled or self._alive[0].session.wants_a_pause()

    def _look(self, pause: Pauses) -> None:
        """Record, score and save each; those that end here leave."""
        living = self.living
        for member, own in zip(self.members, pause.pauses, strict=True):
            if own is not None:
                member.does(member.session.record, own)
        for member in self.living:
            member.does(self._evaluate, member)
        # All at once, so that they go on together wherever they are interrupted.
        due = any(member.session.checkpoint_is_due() for member in self.living)
        save = self._stop.take_save() or due
        for member in self.living:
            member.does(member.session.settle, save)
        if self._between is not None:
            self._between()
        for index, member in enumerate(self.members):
            if member.over and member in living:
                pause.leave(index)
        self._count()

    def _evaluate(self, member: Member) -> bool:
        def save() -> None:
            """Have all written down as they are now."""
            for other in self.living:
                if other is not member:
                    other.does(other.session.keep)
            member.session.keep()

        return member.session.evaluate(save)

    def _count(self) -> None:
        """Tell each how many train beside it."""
        self._alive = self.living
        for member in self._alive:
            member.session.together = len(self._alive)

    def _give_up(self, error: Exception) -> Left:
        """Fail the only one, or leave two halves of several: the one that spoils it is in one."""
        living = self.living
        if len(living) == 1:
            self._raise_in_each(error)
            return []
        trace = "".join(traceback.format_exception(error)).rstrip()
        living[0].does(living[0].note, trace)
        for member in living:
            reason = explain(error, member.folder.path)[0]
            told = f"its pack of {len(living)} could not be trained: {reason}"
            member.does(member.note, f"{told}; it goes on in a half of it")
            member.does(member.stand_back)
        gc.collect()  # what filled a memory may be in it still
        return [_folders(half) for half in evenly(living, 2)]

    def _raise_in_each(self, error: Exception | CutShort) -> None:
        def fail() -> bool:
            raise error

        for member in self.living:
            member.does(fail)


def _overdue(member: Member) -> Pause | None:
    """The pause whose evaluation was cut short, where it was."""
    if member.over:
        return None
    return Pause(member.session.state, [], evaluate=member.session.evaluation_due)


def _folders(members: Sequence[Member]) -> tuple[Path, ...]:
    return tuple(member.folder.path for member in members)
