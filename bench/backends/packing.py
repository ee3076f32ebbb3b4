"""Which runs train as one pack: decided here for every backend, and for the plan that is shown.

Packs are no larger than was measured to pay, and no so large that a slot would stand idle while
another is at a pack: where there are slots to fill, they are made smaller. Nothing is guessed from
the clock, so that the same runs on as many slots give the same packs.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bench.backends.base import cost, turn
from bench.environment import ANY, PACK, pack_size
from bench.files import FileError, read_json
from bench.packs import evenly, kind
from bench.run_folder import RunFolder
from bench.spec import RunSpec
from bench.store import Planned
from wgan import packed

_FULL = 8  # packs for each slot from which on no slot stands idle for long


@dataclass(frozen=True)
class Pack:
    """Runs that are trained together: a pack, or one run alone.

    Attributes:
        items: by their seeds.
        stack: the size of the stack in which they must go on, whoever else is in it; None: of their
            own number.
    """

    items: tuple[Planned, ...]
    stack: int | None = None

    @property
    def size(self) -> int:
        """How many trainings the stacked model holds; 1: a run alone."""
        return self.stack or len(self.items)

    @property
    def cost(self) -> float:
        """How long it takes, in the units of `base.cost`."""
        return _cost(self.items[0].spec, self.size)

    @property
    def run_ids(self) -> tuple[str, ...]:
        """The ids of its runs."""
        return tuple(item.spec.run_id for item in self.items)

    def without(self, run_ids: Collection[str]) -> Pack | None:
        """The pack without these runs; None where none is left."""
        left = tuple(item for item in self.items if item.spec.run_id not in run_ids)
        if len(left) == len(self.items):
            return self
        return Pack(left, self.stack) if left else None

    def halved(self) -> list[Pack]:
        """Its runs in two packs, or, where it holds one, itself."""
        return [Pack(half, self.stack) for half in evenly(self.items, min(2, len(self.items)))]


@dataclass(frozen=True)
class Terms:
    """On what packs depend beside the runs.

    Attributes:
        slots: packs trained at once.
        device: where: "cpu" or "cuda".
        allow_numerics: names of `numerics` in which a resumed run may differ.
        wanted: whether runs are packed that never were; others go on in the stack they had.
    """

    slots: int
    device: str = "cpu"
    allow_numerics: Collection[str] = ()
    wanted: bool = True


@dataclass
class _Group:
    """Runs of which any may be beside any other; `parts` packs are made of them.

    `size` is that of the stacks in which they must go on; None: they are free.
    """

    size: int | None
    largest: int
    items: list[Planned] = field(default_factory=list)
    parts: int = 1

    def packs(self) -> list[Pack]:
        return [Pack(part, self.size) for part in evenly(self.items, self.parts)]

    def costs(self) -> list[tuple[float, float]]:
        """Of each pack the cost, by which its turn comes, and about how long it really takes."""
        spec, parts = self.items[0].spec, evenly(range(len(self.items)), self.parts)
        costs = [_cost(spec, self.size or len(part)) for part in parts]
        return [(cost_, cost_ * _update_time(spec)) for cost_ in costs]


def form(runs: Iterable[Planned], terms: Terms) -> list[Pack]:
    """The runs as packs, in the order in which their turns come.

    The longest come first, so that no long one is left for the end; among equals the labels take
    turns, seeds in order: where a sweep is stopped, what is finished can be compared in pairs.
    """
    groups = _groups(sorted(runs, key=turn), terms)
    for group in groups:
        group.items.sort(key=lambda item: item.spec.config.seed)
        group.parts = math.ceil(len(group.items) / group.largest)
    _fill_slots(groups, terms.slots)
    packs = [pack for group in groups for pack in group.packs()]
    return sorted(packs, key=place_in_turn)


def shares(runs: Iterable[Planned], size: int, terms: Terms) -> list[list[Planned]]:
    """The runs in shares of `size`, each to be trained in one place: what can be packed, together.

    Whole shares of one label are made first, in their turns; what is left over shares the rest.
    """
    groups = _groups(sorted(runs, key=turn), terms)
    pieces, rest = [], []
    for group in groups:
        items = sorted(group.items, key=lambda item: item.spec.config.seed)
        whole = len(items) - len(items) % size if group.largest > 1 else 0
        pieces += [items[start : start + size] for start in range(0, whole, size)]
        rest += items[whole:]
    rest.sort(key=turn)
    pieces += [rest[start : start + size] for start in range(0, len(rest), size)]
    return sorted(pieces, key=lambda piece: turn(piece[0]))


def in_words(packs: Sequence[Pack]) -> str:
    """How many runs train as packs, e.g. "16 runs train as 2 packs of 8"; empty where none does."""
    together = [pack for pack in packs if pack.size > 1]
    if not together:
        return ""
    number = sum(len(pack.items) for pack in together)
    counts = Counter(pack.size for pack in together)
    kinds = [
        f"{many:,} pack{'s' if many > 1 else ''} of {size}"
        for size, many in sorted(counts.items(), reverse=True)
    ]
    verb = "run trains" if number == 1 else "runs train"
    return f"{number:,} {verb} as {', '.join(kinds)}"


def by_run(packs: Iterable[Pack]) -> Mapping[str, Pack]:
    """Each run's pack, by run id."""
    return {run_id: pack for pack in packs for run_id in pack.run_ids}


def _groups(runs: Iterable[Planned], terms: Terms) -> list[_Group]:
    groups: dict[Hashable, _Group] = {}
    for item in runs:
        size, step = _recorded(item, terms.allow_numerics)
        key = (kind(item.spec), size, step)
        if key not in groups:
            groups[key] = _Group(size, _largest(item, size, terms))
        groups[key].items.append(item)
    return list(groups.values())


def _largest(item: Planned, size: int | None, terms: Terms) -> int:
    """The most runs that may be in one pack."""
    if not terms.wanted or packed.unpackable(item.spec.config) is not None:
        return 1
    return size or max(1, packed.pays(item.spec.config, terms.device))


def _recorded(item: Planned, allowed: Collection[str]) -> tuple[int | None, int]:
    """The size of the stack in which a run must go on, None where it is free, and from which step.

    By what is quickly read: a process that finds its checkpoint otherwise trains it apart.
    """
    folder = RunFolder(item.folder)
    step = folder.kept_step() if item.action == "resume" else 0
    if step == 0 or PACK in allowed or ANY in allowed:
        return None, step
    try:
        numerics = read_json(folder.environment).get("numerics")
    except (FileNotFoundError, FileError):
        numerics = None
    return pack_size(numerics if isinstance(numerics, dict) else {}), step


def _fill_slots(groups: Sequence[_Group], slots: int) -> None:
    """Make more and smaller packs of what ends last, for as long as all then end earlier."""
    if not groups or sum(group.parts for group in groups) >= _FULL * slots:
        return
    ends, last = _ends(groups, slots)
    while (group := last).size is None and group.parts < len(group.items):
        group.parts += 1
        sooner, last = _ends(groups, slots)
        if sooner >= ends:
            group.parts -= 1
            return
        ends = sooner


def _ends(groups: Sequence[_Group], slots: int) -> tuple[list[float], _Group]:
    """When each slot ends, the last first, and the group of the pack that ends last."""
    packs = sorted(
        ((*costs, -number) for number, group in enumerate(groups) for costs in group.costs()),
        key=lambda pack: (-pack[0], -pack[2]),
    )
    free = [0.0] * slots
    heapq.heapify(free)
    latest = (-1.0, 0)
    for _, seconds, number in packs:
        end = heapq.heappop(free) + seconds
        heapq.heappush(free, end)
        latest = max(latest, (end, number))
    return sorted(free, reverse=True), groups[-latest[1]]


def _cost(spec: RunSpec, size: int) -> float:
    """How long a stack of such runs takes, in the units of `base.cost`."""
    return cost(spec) * packed.time_of_stack(spec.config, size)


def _update_time(spec: RunSpec) -> float:
    """About how long an update takes, where one of a critic without a constraint takes 1."""
    config = spec.config
    critic = 1 + sum((method.update_time - 1) / method.every for method in config.lipschitz)
    return (config.critic_steps * critic + 1) / (config.critic_steps + 1)


def place_in_turn(pack: Pack) -> tuple[float, int]:
    """When a waiting pack comes up, as `base.turn` says of a run."""
    return -pack.cost, pack.items[0].spec.config.seed
