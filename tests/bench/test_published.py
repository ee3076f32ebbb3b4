"""Published tables hold what was read in their sources, and are matched by stated facts only."""

import json
import re

import pandas as pd
import pytest
from click.testing import CliRunner
from published_runs import published_records

from bench.cli import main
from bench.grid.source import Source, SweepError
from bench.published import (
    DIFFERS,
    NOT_STATED,
    POINTS,
    SAME,
    compare,
    counterparts,
    load,
    matching,
)
from bench.published.tables import HERE, from_source
from bench.report.sweep_tables import METRIC_NAMES
from wgan.config import COMPONENTS
from wgan.lipschitz import LipschitzMethod
from wgan.losses import Loss

TABLES = {table.name: table for table in load()}

# As printed: method, inception score, FID.
SNGAN = """
Real data 11.24 7.8
Weight clipping 6.41 42.6
GAN-GP 6.93 37.7
WGAN-GP 6.68 40.2
Batch norm 6.27 56.3
Layer norm 7.19 33.9
Weight norm 6.84 34.7
Orthonormal 7.40 29.0
SN 7.42 29.3
SN, hinge 7.58 25.5
"""
# MNIST / Fashion / CIFAR-10 / CelebA.
LUCIC = """
NS GAN 6.8/26.5/58.5/55.0
LSGAN 7.8/30.7/87.1/53.9
WGAN 6.7/21.5/55.2/41.3
WGAN-GP 20.3/24.5/55.8/30.0
DRAGAN 7.6/27.7/69.8/42.3
"""


def test_sngan_s_table_is_as_printed():
    lines = [
        f"{row.method} {row.values['cifar10']['inception_score'].text} "
        f"{row.values['cifar10']['fid'].text}"
        for row in TABLES["sngan"].rows
    ]
    assert lines == SNGAN.strip().splitlines()


def test_lucic_s_table_is_as_printed():
    sets = ("mnist", "fashion_mnist", "cifar10", "celeba")
    lines = [
        f"{row.method} " + "/".join(row.values[name]["fid"].text for name in sets)
        for row in TABLES["lucic"].rows
    ]
    assert lines == LUCIC.strip().splitlines()


def test_the_other_figures_are_as_printed():
    def texts(table, dataset, metric):
        return {
            row.method: row.values[dataset][metric].text
            for row in TABLES[table].rows
            if metric in row.values.get(dataset, {})
        }

    assert texts("mimicry", "cifar10", "fid") == {"WGAN-GP": "22.29", "SNGAN": "16.77"}
    assert texts("mimicry", "cifar10", "inception_score") == {"WGAN-GP": "7.33", "SNGAN": "7.97"}
    assert texts("wgan_gp", "cifar10", "inception_score") == {"WGAN-GP": "7.86 ± 0.07"}
    assert texts("pacgan", "ring8", "modes_covered") == {"GAN": "6.3", "PacGAN4": "7.8"}
    assert texts("pacgan", "grid25", "modes_covered") == {"GAN": "17.3", "PacGAN4": "24.8"}
    assert texts("pacgan", "stacked_mnist", "modes_covered") == {
        "DCGAN": "78.9 ± 6.5",
        "VEEGAN": "150",
        "PacDCGAN2": "1,000",
    }
    assert texts("one_cell", "cifar10", "fid") == {
        "WGAN-GP": "16.95, 19.83, 22.29, 25.85, 26.08, 28.2, 36.84, 40.2, 53.98, 55.8",
        "Weight clipping": "40.03 to 159.09",
    }


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_speak_of_parts_that_there_are(table):
    assert set(table.datasets) <= COMPONENTS["dataset"].registry.keys()
    assert set(table.protocol) <= POINTS.keys()
    assert table.source
    for row in table.rows:
        assert set(row.loss) <= Loss.registry.keys()
        assert row.lipschitz in {None, "none", *LipschitzMethod.registry}
        for metrics in row.values.values():
            assert set(metrics) <= METRIC_NAMES.keys()
    network = table.protocol.get("network")
    assert network is None or network.equals in COMPONENTS["network"].registry


@pytest.mark.parametrize(
    ("wrong", "right", "said"),
    [
        ("loss:", "losses:", "unknown key 'losses'"),
        ("method: WGAN-GP", "trap: WGAN-GP", "has no 'method'"),
        ("fid: 22.29", "fid: good", "'good' is not allowed: must be a number"),
        ("fid: 2}", "kid: 2}", "decimals says nothing of 'fid'"),
    ],
)
def test_a_table_that_is_wrong_is_named_with_its_line(wrong, right, said):
    text = (HERE / "mimicry.yaml").read_text(encoding="utf-8")
    assert wrong in text
    with pytest.raises(SweepError) as caught:
        from_source(Source(text.replace(wrong, right), "mimicry.yaml"))
    assert said in str(caught.value)
    assert re.match(r"mimicry\.yaml:\d+: ", str(caught.value))


def row(table, method):
    return next(row for row in TABLES[table].rows if row.method == method)


RUNS = (
    pd.DataFrame(
        {
            "gan": ("nonsaturating", "none", "batch"),
            "minimax_gan": ("minimax", "none", "none"),
            "clipped_gan": ("nonsaturating", "weight_clipping(limit=0.01)", "none"),
            "wgan": ("wasserstein", "weight_clipping", "batch"),
            "wgan_gp": ("wasserstein", "gradient_penalty", "none"),
            "gan_gp": ("nonsaturating", "gradient_penalty", "none"),
            "sngan": ("nonsaturating", "spectral_norm", "none"),
            "sngan_hinge": ("hinge", "spectral_norm", "none"),
            "both": ("wasserstein", "gradient_penalty+spectral_norm", "none"),
            "dragan": ("nonsaturating", "dragan", "none"),
        },
        index=["loss", "lipschitz", "critic_norm"],
    )
    .T.rename_axis("label")
    .reset_index()
)


@pytest.mark.parametrize(
    ("table", "method", "labels"),
    [
        # The trap of traps: a clipped standard GAN is not the WGAN.
        ("sngan", "Weight clipping", ["clipped_gan"]),
        ("lucic", "WGAN", ["wgan"]),
        ("sngan", "WGAN-GP", ["wgan_gp"]),
        ("sngan", "GAN-GP", ["gan_gp"]),
        ("sngan", "SN", ["sngan"]),
        ("sngan", "SN, hinge", ["sngan_hinge"]),
        ("sngan", "Batch norm", ["gan"]),
        ("sngan", "Layer norm", []),
        ("sngan", "Real data", []),
        ("lucic", "NS GAN", ["gan"]),
        ("lucic", "DRAGAN", ["dragan"]),
        ("mimicry", "SNGAN", ["sngan", "sngan_hinge"]),
        ("pacgan", "GAN", ["gan", "minimax_gan"]),
        ("pacgan", "PacGAN4", []),
        ("one_cell", "Weight clipping", ["clipped_gan", "wgan"]),
    ],
)
def test_rows_are_matched_by_stated_loss_constraint_and_norm(table, method, labels):
    assert counterparts(row(table, method), RUNS) == labels


def test_tables_are_matched_by_data_set_and_metric():
    def names(dataset, *metrics):
        return [table.name for table in matching(load(), dataset, metrics)]

    assert names("cifar10", "fid") == ["lucic", "mimicry", "one_cell", "sngan"]
    assert names("cifar10", "inception_score") == ["mimicry", "sngan", "wgan_gp"]
    assert names("celeba", "fid") == names("mnist", "fid") == names("fashion_mnist", "fid")
    assert names("mnist", "fid") == ["lucic"]
    assert names("ring8", "modes_covered") == names("stacked_mnist", "modes_covered") == ["pacgan"]
    assert names("digits", *METRIC_NAMES) == names("stacked_digits", *METRIC_NAMES) == []
    assert names("cifar10", "kid") == []


def verdicts(records, table="sngan", dataset="cifar10"):
    found = compare(TABLES[table], dataset, records.runs, records.protocols[0])
    return {item.point: item for item in found}


def test_each_point_is_same_differs_or_not_stated():
    points = verdicts(published_records())
    assert (points["network"].ours, points["network"].verdict) == ("dcgan", DIFFERS)
    assert (points["generator updates"].ours, points["generator updates"].verdict) == (
        "2,000",
        DIFFERS,
    )
    assert points["real samples"].verdict == DIFFERS
    assert points["features"].theirs == points["features"].verdict == NOT_STATED
    assert points["optimizer"].verdict == NOT_STATED
    assert points["which model is scored"].verdict == DIFFERS
    assert points["what ± or the interval is over"].verdict == DIFFERS
    assert points["resolution"].ours == "32 x 32"
    assert points["data set"].verdict == SAME


def test_a_point_is_the_same_only_where_every_run_has_the_stated_value():
    records = published_records(network="sn_cnn", steps=100_000, n_real=10_000, n_fake=5000)
    points = verdicts(records)
    for name in ("network", "generator updates", "real samples", "generated samples"):
        assert points[name].verdict == SAME, name
    runs = records.runs.copy()
    runs.loc[0, "network"] = "dcgan"
    mixed = compare(TABLES["sngan"], "cifar10", runs, records.protocols[0])
    (network,) = [item for item in mixed if item.point == "network"]
    assert (network.ours, network.verdict) == ("dcgan and sn_cnn", DIFFERS)


def test_runs_on_a_part_of_the_images_stand_apart_from_the_whole_set():
    table = TABLES["lucic"]
    part = '{"mnist": {"images": 1000, "bias": 0.5, "size": 28}}'
    whole = '{"mnist": {"images": 0, "bias": 0.0, "size": 28}}'
    for settings, verdict, ours in (
        (whole, "same", "mnist"),
        (part, "differs", "mnist, 1,000 of its images and without 50% of half of its classes"),
    ):
        records = published_records("mnist", dataset_settings=settings)
        found = compare(table, "mnist", records.runs, records.protocols[0])
        assert (found[0].verdict, found[0].ours) == (verdict, ours)


def test_what_we_have_not_recorded_is_not_stated():
    records = published_records()
    found = compare(TABLES["sngan"], "cifar10", records.runs, {})
    ours = {item.point: item for item in found}
    for name in ("real samples", "generated samples"):
        assert ours[name].ours == ours[name].verdict == NOT_STATED


def test_points_in_the_plane_have_no_pixels_and_trials_are_those_of_their_sets():
    records = published_records("ring8")
    points = verdicts(records, "pacgan", "ring8")
    assert not {"resolution", "features"} & set(points)
    assert points["trainings per figure"].theirs == "10 (ring and grid)"
    other = compare(TABLES["pacgan"], "stacked_mnist", records.runs, {"extractor": "mnist_cnn"})
    (trials,) = [item for item in other if item.point == "trainings per figure"]
    assert trials.theirs == NOT_STATED


def test_list_published_shows_every_table_with_source_rows_and_traps():
    runner = CliRunner()
    entries = json.loads(runner.invoke(main, ["list", "published", "--json"]).stdout)
    assert [entry["name"] for entry in entries] == list(TABLES)
    text = runner.invoke(main, ["list", "published"]).stdout
    for table in TABLES.values():
        assert f"  source: {table.source}\n" in text
        for trap in table.traps:
            assert f"  trap: {trap}\n" in text
    assert "  row: WGAN-GP (wasserstein, constraint gradient_penalty)\n" in text
