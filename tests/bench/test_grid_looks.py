"""What evaluations ask of a run that cannot give it is refused at load, with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.grid import SweepError, load

HEAD = """name: x
base: {{dataset: {dataset}, network: {{mlp: {{width: 8}}}}, steps: 4, critic_norm: {norm}}}
grid: {{lipschitz: [{method}]}}
evaluate:
  every: 2
"""


def loaded(
    tmp_path: Path, asked: str, method: str = "none", norm: str = "none", dataset: str = "ring8"
) -> list[str]:
    path = tmp_path / "x.yaml"
    path.write_text(HEAD.format(method=method, norm=norm, dataset=dataset) + asked)
    return [run.label for run in load(path).runs]


def test_a_bound_asked_for_where_none_is_promised(tmp_path: Path) -> None:
    with pytest.raises(SweepError) as caught:
        loaded(tmp_path, "  require_bound: true\n", method="weight_clipping")
    assert str(caught.value).startswith(
        f"{tmp_path / 'x.yaml'}:6: evaluate.require_bound: the runs with lipschitz weight_clipping "
        "promise no Lipschitz constant for a critic; methods that promise one: lipschitz_network, "
        "spectral_norm: {of: operator}"
    )


def test_a_bound_that_normalisation_destroys(tmp_path: Path) -> None:
    method = "{spectral_norm: {of: operator}}"
    assert loaded(tmp_path, "  require_bound: true\n", method)
    with pytest.raises(SweepError, match="beside critic_norm layer, which has no Lipschitz"):
        loaded(tmp_path, "  require_bound: true\n", method, norm="layer")


def test_a_bound_that_another_method_voids(tmp_path: Path) -> None:
    both = "{all: [{spectral_norm: {of: operator}}, gradient_normalization]}"
    with pytest.raises(SweepError, match="promise no Lipschitz constant"):
        loaded(tmp_path, "  require_bound: true\n", both)


def test_a_surface_needs_the_plane(tmp_path: Path) -> None:
    assert loaded(tmp_path, "  profiles: [value_surface]\n")
    with pytest.raises(SweepError, match=r"x.yaml:6: evaluate.profiles: 'value_surface' does not"):
        loaded(tmp_path, "  profiles: [value_surface]\n", dataset="digits")


def test_a_surface_needs_a_score_of_each_point_alone(tmp_path: Path) -> None:
    assert loaded(tmp_path, "  profiles: [value_surface]\n", norm="layer")
    with pytest.raises(SweepError, match=r"x.yaml:6: .*'value_surface' is not allowed with"):
        loaded(tmp_path, "  profiles: [value_surface]\n", norm="batch")


def test_a_list_for_a_profile_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match=r"x.yaml:6: evaluate.profiles: unknown profile \['a'\]"):
        loaded(tmp_path, "  profiles: [[a]]\n")


def test_two_methods_that_rebuild_the_layers_do_not_stand_together(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="spectral_norm and orthonormal each rebuild"):
        loaded(tmp_path, "", method="{all: [spectral_norm, orthonormal]}")


def test_a_method_refuses_a_norm_that_it_cannot_stand_with(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="'batch' is not allowed with gradient_normalization"):
        loaded(tmp_path, "", method="gradient_normalization", norm="batch")
