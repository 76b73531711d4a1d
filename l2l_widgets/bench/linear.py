"""Directions and components, found in codes whose truth is planted: the originals' way, and ours.

The same codes and scores go to every side. What is planted is known, so beside the time stands how
well the answer fits: the cosine to the truth, in the median and for the worst one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["by_boundaries", "by_covariance", "by_incremental_pca", "by_machines"]

#: Steepness of a score along its direction, and what blurs it, as regressors are not exact.
STEEPNESS, BLUR = 2.0, 0.5
#: Share of the codes taken from each end, and the part of them that is trained on: the original's.
CHOSEN, SPLIT = 0.02, 0.7
#: Most components that are asked for: the original's number.
COMPONENTS = 80

Answer = Callable[[], Tensor]
Facts = Callable[[], "dict[str, Any]"]


def planted_scores(codes: int, attributes: int, dim: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes of Z, scores of attributes, and the directions that these follow.

    Parameters
    ----------
    codes, attributes, dim : int
        How many codes and attributes, and numbers in a code; ``dim`` is not below ``attributes``.

    Returns
    -------
    codes : Tensor, shape (N, dim), float32
    scores : Tensor, shape (N, A), float64
        In (0, 1).
    truth : Tensor, shape (A, dim), float32
        Unit vectors at right angles, so that regression and separating planes mean the same.
    """
    source = torch.Generator().manual_seed(0)
    truth = torch.linalg.qr(torch.randn(dim, attributes, generator=source))[0].T.contiguous()
    x = torch.randn(codes, dim, generator=source)
    blur = BLUR * torch.randn(codes, attributes, generator=source)
    return x, torch.sigmoid((STEEPNESS * (x @ truth.T) + blur).double()), truth


def planted_components(codes: int, dim: int) -> tuple[Tensor, Tensor]:
    """Return codes with known principal components.

    Returns
    -------
    codes : Tensor, shape (N, dim), float32
        Far from 0, as those of W are.
    truth : Tensor, shape (K, dim), float32
        Unit vectors, the widest first; from 1 to 0.1 in spread, the rest of the space has 0.05.
    """
    source = torch.Generator().manual_seed(0)
    count = min(COMPONENTS, dim // 4)
    basis = torch.linalg.qr(torch.randn(dim, dim, generator=source))[0].T.contiguous()
    spread = torch.full((dim,), 0.05)
    spread[:count] = 10 ** (-torch.arange(count) / count)
    x = torch.randn(codes, dim, generator=source).mul_(spread)  # in place: half a gigabyte each
    return (x @ basis).add_(1.0), basis[:count]


def closeness(found: Tensor, truth: Tensor) -> dict[str, float]:
    """Return the median and the least cosine of rows (A, dim) to the truth's, without their signs.

    A row without length has the cosine 0.
    """
    units = (torch.nn.functional.normalize(side.double(), dim=1) for side in (found, truth))
    cosines = torch.linalg.vecdot(*units).abs()
    return {
        "cosine_median": round(float(cosines.median()), 4),
        "cosine_least": round(float(cosines.min()), 4),
    }


def _side(answer: Answer, truth: Tensor, library: str | None = None) -> tuple[Answer, Facts]:
    """What works, and what it says of its last answer; finding that once more may take a minute."""
    last: list[Tensor] = []

    def work() -> Tensor:
        last[:] = [answer()]
        return last[0]

    def facts() -> dict[str, Any]:
        used = {} if library is None else {library: version(library)}
        return {**closeness(last[0] if last else answer(), truth), **used}

    return work, facts


# -- directions ------------------------------------------------------------------------------------


def by_machines(whole: bool) -> Callable[[Mapping[str, Any]], tuple[Answer, Facts]]:
    """A linear support vector machine for each attribute, as InterFaceGAN finds its boundaries.

    Shen et al., CVPR 2020, and genforce/interfacegan: codes are sorted by score, a share of either
    end is divided into what is trained on and what validates, and ``SVC(kernel="linear")`` parts
    the ends. Its script then classifies the codes between as well, through every support vector,
    for an accuracy that it prints.

    Parameters
    ----------
    whole : bool
        Whether that last part is done. It takes longer than all the rest; what is measured without
        it is the machines alone.
    """

    def side(options: Mapping[str, Any]) -> tuple[Answer, Facts]:
        from sklearn.svm import SVC

        x, scores, truth = planted_scores(options["codes"], options["attributes"], options["dim"])
        codes, y = x.numpy(), scores.numpy()
        count = int(len(codes) * CHOSEN)
        kept = int(count * SPLIT)

        def work() -> Tensor:
            draw = np.random.default_rng(0)
            normals = []
            for column in y.T:
                order = np.argsort(column)[::-1]
                ends = [draw.permutation(end) for end in (order[:count], order[-count:])]
                train, rest = (np.concatenate([end[part] for end in ends])
                               for part in (slice(kept), slice(kept, None)))  # fmt: skip
                machine = SVC(kernel="linear").fit(codes[train], np.arange(len(train)) < kept)
                machine.score(codes[rest], np.arange(len(rest)) < count - kept)
                if whole:
                    between = order[count:-count]
                    middle = (column.max() + column.min()) / 2
                    machine.score(codes[between], column[between] >= middle)
                normals.append(machine.coef_[0] / np.linalg.norm(machine.coef_))
            return torch.from_numpy(np.stack(normals))

        return _side(work, truth, "scikit-learn")

    return side


def by_boundaries(rule: str) -> Callable[[Mapping[str, Any]], tuple[Answer, Facts]]:
    """Ours: every attribute in one call of :func:`l2l_widgets.editors.interfacegan.fit_boundaries`.

    It measures the same three accuracies as InterFaceGAN's script, and lengths, and what each step
    is predicted to do to the other attributes.
    """

    def side(options: Mapping[str, Any]) -> tuple[Answer, Facts]:
        from l2l_widgets.editors.interfacegan import fit_boundaries
        from l2l_widgets.editors.origins import Origin

        codes, scores, truth = planted_scores(
            options["codes"], options["attributes"], options["dim"]
        )
        names = [f"attribute {i}" for i in range(options["attributes"])]
        origin = Origin("", "z", "planted")

        def work() -> Tensor:
            found = fit_boundaries(
                codes, scores, names, origin, rule=rule, chosen=CHOSEN, split=SPLIT
            )
            nothing = torch.zeros(codes.shape[1], dtype=torch.float64)
            return torch.stack(
                [found.boundaries[n].normal if n in found.boundaries else nothing for n in names]
            )

        return _side(work, truth)

    return side


# -- components ------------------------------------------------------------------------------------


def by_incremental_pca(options: Mapping[str, Any]) -> tuple[Answer, Facts]:
    """Incremental PCA, as GANSpace finds its components.

    Härkönen et al., NeurIPS 2020, and harskish/ganspace: ``IncrementalPCA`` without whitening takes
    in max(2000, 3 K) codes at a time; the spread is that of 5,000 codes.
    """
    from sklearn.decomposition import IncrementalPCA

    codes, truth = planted_components(options["codes"], options["dim"])
    x, count = codes.numpy(), len(truth)
    chunk = max(2000, 3 * count)

    def work() -> Tensor:
        machine = IncrementalPCA(count)
        for start in range(0, len(x), chunk):
            part = x[start : start + chunk]
            if len(part) >= count:  # a shorter rest is refused by the library
                machine.partial_fit(part)
        np.dot(machine.components_, x[:5000].T).std(axis=1)
        return torch.from_numpy(machine.components_)

    return _side(work, truth, "scikit-learn")


def by_covariance(options: Mapping[str, Any]) -> tuple[Answer, Facts]:
    """Ours: :func:`l2l_widgets.editors.ganspace.fit_components` on chunks of the same size."""
    from l2l_widgets.editors.ganspace import fit_components
    from l2l_widgets.editors.origins import Origin

    codes, truth = planted_components(options["codes"], options["dim"])
    count, origin = len(truth), Origin("", "w", "planted")
    chunk = max(2000, 3 * count)

    def work() -> Tensor:
        return fit_components(codes.split(chunk), codes[:5000], origin, count).vectors

    return _side(work, truth)
