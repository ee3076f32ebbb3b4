"""The Frechet distance between Gaussians, by symmetric eigenvalues with a root of the reals' side.

tr (S S')^(1/2) is the sum of the singular values of X F / sqrt(n - 1), where S = F F' and X are the
centred fakes: no eigenvalues of a product that is not symmetric, and for fewer fakes than features
no matrix of features by features. The number is torch-fidelity's, to 1e-9 of it wherever the fakes'
covariance has full rank. Where it has not, torch-fidelity's is the one that is off (by up to 1e-6
of it, measured: it takes roots of the rounding errors of eigenvalues that are 0), and this one is
right to 1e-9.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg
from scipy.linalg.blas import dsyrk, dtrmm
from scipy.linalg.lapack import dsygst

Matrix = NDArray[np.float64]

# In units of the largest eigenvalue's last bit: below it an eigenvalue is no more than rounding,
# measured at 1.4 for singular covariances of 64 to 2,048 features, and its root would be 1e-8 of
# the largest one's. Singular values, which are the roots themselves, are then taken instead.
_ROUNDING = 16 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Root:
    """A root F of a covariance S = F F'.

    Attributes:
        factor: F, shape (D, R), float64; R is D or, where S is singular, may be less.
        triangular: whether F is lower triangular, D by D: Cholesky's.
    """

    factor: Matrix
    triangular: bool


def triangular_root(covariance: Matrix) -> Root | None:
    """Cholesky's root, which costs a tenth of the others; None where the covariance is singular."""
    try:
        factor = linalg.cholesky(covariance, lower=True)
    except linalg.LinAlgError:
        return None
    return Root(np.asfortranarray(factor), triangular=True)


def spectral_root(covariance: Matrix) -> Root:
    """The root V L^(1/2) of any covariance V L V', its null space left out.

    Eigenvalues that are no more than rounding, below D times the largest one's last bit, count as
    null: negative ones are among them.
    """
    values, vectors = linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return Root(np.asfortranarray(vectors[:, kept] * np.sqrt(values[kept])), triangular=False)


def root_of(covariance: Matrix) -> Root:
    """A root of a covariance, shape (D, D): the quicker one where it exists."""
    return triangular_root(covariance) or spectral_root(covariance)


def frechet_distance(
    features: NDArray[np.floating[Any]],
    mean: NDArray[np.floating[Any]],
    covariance: Matrix,
    root: Root | None = None,
) -> float:
    """The Frechet distance |m - m'|^2 + tr(S + S' - 2 (S S')^(1/2)) of features to a Gaussian.

    Heusel et al. 2017, arXiv:1706.08500, equation 6.

    Args:
        features: of the fakes, shape (N, D), N > 1.
        mean, covariance: m' and S' of the reals, shapes (D,) and (D, D).
        root: of `covariance`, where it is at hand already.

    Raises:
        ValueError: features that are not all finite.
    """
    root = root_of(covariance) if root is None else root
    own_mean = np.mean(features, axis=0)
    if not np.isfinite(own_mean).all():
        raise ValueError("a Frechet distance needs finite features")
    centred = features - np.mean(features, axis=0, dtype=np.float64)
    # In the means' own precision, as torch-fidelity takes it: another would show at 1e-7.
    between = own_mean - mean
    trace = np.vdot(centred, centred) / (len(features) - 1)
    total = between.dot(between) + trace + np.trace(covariance)
    return float(total - 2 * _root_trace(centred, root))


def _root_trace(centred: Matrix, root: Root) -> float:
    """The trace of (S S')^(1/2) for S of rows (N, D) that sum to 0, and S' = F F'."""
    count, size = centred.shape
    if root.triangular and count > size:
        squares = _eigenvalues(_between_roots(centred, root))
        if _all_known(squares):
            return float(np.sqrt(squares).sum())
    image = _image(_without_null_row(centred), root)
    if not (root.triangular and count > size):
        wide = image.shape[0] < image.shape[1]
        squares = _eigenvalues(_gram(image if wide else image.T))
        if _all_known(squares):
            return float(np.sqrt(squares / (count - 1)).sum())
    values = np.linalg.svd(image, compute_uv=False)
    return float(values.sum() / np.sqrt(count - 1))


def _all_known(squares: Matrix) -> bool:
    """Whether no eigenvalue, in rising order, is mere rounding."""
    return len(squares) > 0 and bool(squares[0] > _ROUNDING * squares[-1])


def _between_roots(centred: Matrix, root: Root) -> Matrix:
    """F' S F, its lower triangle: as S S' in its eigenvalues, and symmetric."""
    covariance = dsyrk(1 / (len(centred) - 1), centred.T, lower=1)
    product, failed = dsygst(covariance, root.factor, itype=2, lower=1, overwrite_a=1)
    assert failed == 0
    return np.asarray(product)


def _without_null_row(centred: Matrix) -> Matrix:
    """One row fewer with the same products X'X, by a reflection that takes (1, ..., 1) to a row.

    Rows that sum to 0 have that null direction, whose eigenvalue would be mere rounding.
    """
    fewer: Matrix = centred[1:] - centred[0] / (1 + math.sqrt(len(centred)))
    return fewer


def _image(rows: Matrix, root: Root) -> Matrix:
    if root.triangular:
        # Transposed: what is in rows here is in columns there, and nothing is copied.
        image: Matrix = dtrmm(1.0, root.factor, rows.T, side=0, lower=1, trans_a=1)
        return image.T
    return rows @ root.factor


def _gram(rows: Matrix) -> Matrix:
    """The products of rows, the lower triangle."""
    return dsyrk(1.0, rows.T, trans=1, lower=1)


def _eigenvalues(symmetric: Matrix) -> Matrix:
    """In rising order, from the lower triangle; what is in `symmetric` is lost."""
    if not len(symmetric):
        return np.empty(0)
    found = linalg.eigvalsh(
        symmetric, lower=True, overwrite_a=True, check_finite=False, driver="evd"
    )
    return found.astype(np.float64, copy=False)
