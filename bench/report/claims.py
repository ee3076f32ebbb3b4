"""The claims of a report: each sentence with its verdict and the evidence for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.claims import FAMILIES, WORDS, Judged, Observations, all_claims, judge
from bench.claims.evidence import LEAST_SEEDS, NO_DATA, READ, Evidence, Finding
from bench.records import Records
from bench.report.sentences import counted, listed
from bench.tables import (
    Cell,
    Column,
    Row,
    Table,
    correlation,
    number,
    number_column,
    p_value,
    probability,
    span,
    text_column,
)

RULES = (
    (
        "supported",
        "the 95 % interval lies wholly on the claimed side of nothing; of an equality, wholly "
        "within the margin",
    ),
    ("refuted", "wholly on the other side, or wholly within the margin, where it counts as none"),
    (
        "undecided",
        f"otherwise; with fewer than {LEAST_SEEDS} seeds; where runs diverged, unless the same "
        "holds with those seeds at the largest difference seen; and where the p value after Holm's "
        "adjustment over the family is above .05",
    ),
    ("no data", "its sweep has not been run, or lacks the settings that are compared"),
)


@dataclass(frozen=True)
class Shown:
    """A claim as it is read: `said` holds a sentence for each part of its evidence."""

    name: str
    sentence: str
    word: str
    said: tuple[str, ...]
    why: str
    scope: str
    source: str
    command: str


@dataclass(frozen=True)
class ClaimsPart:
    """The claims of a report, family by family, and all numbers as one table."""

    lead: str
    families: tuple[tuple[str, tuple[Shown, ...]], ...]
    evidence: Table | None
    rules: Sequence[tuple[str, str]] = RULES


def claims_part(records: Records) -> ClaimsPart | None:
    """The claims that the sweep of these records lists, or None where it lists none."""
    judged = judged_here(records)
    return part_of(judged) if judged else None


def judged_here(records: Records) -> list[Judged]:
    """The verdicts on the claims that the sweep of these records lists.

    The adjustment goes over whole families, as if their other claims had no data.
    """
    if not records.claims:
        return []
    seen = Observations.of(records)
    listed_here = set(records.claims)
    families = {claim.family for name, claim in all_claims().items() if name in listed_here}
    asked = [claim for claim in all_claims().values() if claim.family in families]
    judged = judge(asked, dict.fromkeys(listed_here, seen))
    return [item for item in judged if item.claim.name in listed_here]


def part_of(judged: Sequence[Judged]) -> ClaimsPart:
    """These verdicts, ready to be shown; every number in a sentence is from the table."""
    frame = evidence_frame(judged)
    said = {
        name: tuple(map(_sentence, rows.to_dict("records")))
        for name, rows in frame.groupby("claim", sort=False)
    }
    families = []
    for family, title in FAMILIES.items():
        members = tuple(
            _shown(item, said.get(item.claim.name, ()))
            for item in judged
            if item.claim.family == family
        )
        if members:
            families.append((title, members))
    return ClaimsPart(
        lead=_lead(judged),
        families=tuple(families),
        evidence=_table(frame) if len(frame) else None,
    )


def evidence_frame(judged: Sequence[Judged]) -> pd.DataFrame:
    """One row for each part of each claim, on the scale of reading."""
    columns = (
        "family",
        "claim",
        "verdict",
        "effect",
        "finding",
        "value",
        "value_low",
        "value_high",
        "seeds",
        "lost",
        "claimed",
        "margin",
        "scale",
        "p",
        "p_claim",
        "p_holm",
        "exact",
        "note",
    )
    rows = [
        dict(zip(columns, _row(item, part, finding), strict=True))
        for item in judged
        for part, finding in zip(item.evidence, item.findings, strict=True)
    ]
    return pd.DataFrame(rows, columns=list(columns))


def _row(item: Judged, part: Evidence, finding: Finding) -> tuple[object, ...]:
    read = part.read
    return (
        item.claim.family,
        item.claim.name,
        item.word,
        part.effect,
        finding.word,
        read.center,
        read.low,
        read.high,
        len(part.values),
        sum(part.lost),
        part.claimed,
        READ[part.scale](part.margin),
        part.scale,
        finding.p,
        item.p,
        item.p_holm,
        part.exact,
        "; ".join(text for text in (finding.why, part.note) if text),
    )


def _shown(item: Judged, said: tuple[str, ...]) -> Shown:
    claim = item.claim
    return Shown(
        name=claim.name,
        sentence=_whole(claim.sentence),
        word=item.word,
        said=said,
        why=_whole(item.why),
        scope=_whole(claim.scope),
        source=_whole(claim.source),
        command=f"wgan-bench run {sweep_file(claim.sweep)}" if claim.sweep else "",
    )


def _whole(text: str) -> str:
    """A text as a sentence: a capital before it and a full stop behind."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def sweep_file(sweep: str) -> str:
    """The file of the sweep that supplies a claim's data."""
    return f"sweeps/claims/{sweep}.yaml"


def _lead(judged: Sequence[Judged]) -> str:
    counts = Counter(item.word for item in judged)
    words = {word: "without data" if word == NO_DATA else word for word in WORDS}
    said = listed([f"{counts[word]} {spoken}" for word, spoken in words.items() if counts[word]])
    return f"Of {counted(len(judged), 'claim')}: {said}." if judged else "There are no claims."


def _sentence(row: Row) -> str:
    """In words, `Final FID of a over b: 0.52 (0.40 to 0.66), 10 seeds, p = 0.012 after Holm.`."""
    effect, show = str(row["effect"]), _show(row)
    held = span(float(row["value_low"]), float(row["value_high"]), show)
    # Of what is computed without chance, cases are counted and no seeds.
    what = "case" if row["exact"] else "seed"
    facts = [counted(int(row["seeds"]), what)]
    if not math.isnan(float(row["p_holm"])):
        facts.append(f"{p_value(float(row['p_holm']))} after Holm")
    value = f"{show(float(row['value']))}{f' ({held})' if held else ''}"
    said = f"{effect[:1].upper()}{effect[1:]}: {value}, {', '.join(facts)}."
    return f"{said} {_whole(str(row['note']))}".rstrip()


def _show(row: Row) -> Callable[[float], str]:
    return correlation if row["scale"] == "correlation" else number


def _table(frame: pd.DataFrame) -> Table:
    def value(row: Row) -> Cell:
        show = _show(row)
        low, high = float(row["value_low"]), float(row["value_high"])
        return Cell(show(float(row["value"])), span(low, high, show))

    return Table(
        frame,
        (
            text_column("claim", "claim"),
            text_column("verdict", "verdict"),
            text_column("what was measured", "effect", detail="note"),
            Column("found", value, "right"),
            Column("claimed", lambda row: Cell(_claimed(row))),
            number_column("seeds", "seeds", lambda value: f"{value:,.0f}"),
            number_column("p of the part", "p", probability),
            number_column("p of the claim", "p_claim", probability),
            number_column("p after Holm", "p_holm", probability),
        ),
    )


def _claimed(row: Row) -> str:
    """The claimed side in words, with the margin."""
    ratio, margin = row["scale"] == "ratio", float(row["margin"])
    within = f"{number(1 / margin)} to {number(margin)}" if ratio else f"±{number(margin)}"
    return {
        "above": f"above (none: {within})",
        "below": f"below (none: {within})",
        "within": f"within {within}",
        "apart": f"outside {within}",
    }[str(row["claimed"])]


def claims_by_sweep(names: Mapping[str, Records]) -> list[Judged]:
    """Verdicts on all declared claims, given the records of sweeps by name."""
    seen = {name: Observations.of(records) for name, records in names.items()}
    observed = {
        name: seen[claim.sweep] for name, claim in all_claims().items() if claim.sweep in seen
    }
    return judge(all_claims().values(), observed)
