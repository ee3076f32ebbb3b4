import math

import numpy as np
import pytest
import scipy.stats

from bench.stats import Interval, Projection, decide, project
from bench.stats.verdicts import VERDICTS


def around(center, half, n=5):
    return Interval(center, center - half, center + half, n)


RULES = [
    (around(0.8, 0.1), around(0.5, 0.3), 0.01, "tracks"),
    (around(0.8, 0.1), around(0.5, 0.3), 0.06, "falls with time, beyond that undecided"),
    (around(0.8, 0.1), around(0.5, 0.3), math.nan, "falls with time, beyond that undecided"),
    (around(0.8, 0.1), around(-0.3, 0.2), 0.5, "misleads"),
    (around(-0.6, 0.3), around(0.0, 0.3), 0.5, "misleads"),
    (around(0.8, 0.1), around(0.0, 0.15), 0.5, "tracks only through time"),
    (around(0.8, 0.1), around(0.0, 0.25), 0.5, "falls with time, beyond that undecided"),
    (around(0.0, 0.15), around(0.05, 0.1), 0.5, "does not track"),
    (around(0.0, 0.25), around(0.05, 0.1), 0.5, "undecided"),
    (around(0.15, 0.1), around(0.0, 0.3), 0.5, "undecided"),
]


@pytest.mark.parametrize(("raw", "adjusted", "p", "word"), RULES)
def test_each_rule_gives_its_verdict(raw, adjusted, p, word):
    verdict = decide(raw, adjusted, p, live=5, evaluations=20)
    assert verdict.word == word
    assert word in VERDICTS
    assert (verdict.more_seeds, verdict.more_evaluations) == (0, 0)


@pytest.mark.parametrize(("raw", "adjusted", "p", "word"), RULES)
def test_fewer_than_five_seeds_or_twenty_evaluations_decide_nothing(raw, adjusted, p, word):
    few_seeds = decide(raw, adjusted, p, live=3, evaluations=25)
    assert (few_seeds.word, few_seeds.more_seeds, few_seeds.more_evaluations) == ("undecided", 2, 0)
    short = decide(raw, adjusted, p, live=6, evaluations=14)
    assert (short.word, short.more_seeds, short.more_evaluations) == ("undecided", 0, 6)


def test_an_interval_of_fewer_than_five_seeds_decides_nothing():
    verdict = decide(around(0.8, 0.1), around(0.5, 0.1, n=4), 0.01, live=6, evaluations=25)
    assert verdict.word == "falls with time, beyond that undecided"


def test_the_projection_is_the_first_number_of_seeds_that_decides():
    raw, adjusted = [0.9, 0.85, 0.8], [0.6, -0.1, 0.4]
    z = np.arctanh(adjusted)

    def lower_bound(seeds):
        return z.mean() - scipy.stats.t.ppf(0.975, seeds - 1) * z.std(ddof=1) / math.sqrt(seeds)

    expected = next(seeds for seeds in range(5, 100) if lower_bound(seeds) > 0)
    assert expected > 6
    assert project(raw, adjusted) == Projection(expected, "tracks")


def test_a_projection_that_needs_too_many_seeds_says_so():
    raw, adjusted = [0.9, 0.9, 0.9], [0.5, -0.5, 0.01]
    enough = project(raw, adjusted)
    assert enough.word == "tracks only through time"
    assert project(raw, adjusted, most=enough.seeds) == enough
    assert project(raw, adjusted, most=enough.seeds - 1) == Projection(None, "")


def test_two_seeds_are_too_few_to_project_from():
    assert project([0.9, 0.8], [0.5, 0.6]) is None
    assert project([0.9, 0.8, 0.7], [0.5, 0.6, math.nan]) is None
