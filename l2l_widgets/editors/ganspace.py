"""GANSpace: principal components of W, applied to a range of layers.

Härkönen, Hertzmann, Lehtinen and Paris, "GANSpace: Discovering Interpretable GAN Controls",
NeurIPS 2020 (arXiv 2004.02546, sections 3.1 and 3.2), and the authors' code (harskish/ganspace):

* PCA of W itself, over 10^6 codes; the spread of a component is the standard deviation of 5,000
  fresh codes along it;
* an edit E(v_i, j-k) adds ``sigma * spread_i * v_i`` to the rows j to k of W+, half open, [j, k);
* *offset* semantics add; *target* semantics first subtract the coordinate that the face has, read
  from its first row, so that the result stands at ``sigma``.

The original runs incremental PCA. Here mean and covariance are accumulated in float64 over chunks
and decomposed once: one pass, exact, and the memory of one chunk. Signs of components are
arbitrary, and differ between the authors' own notebooks; here the entry of largest size is
positive.

A person finds edits among components by eye. The editor has no eye: the training ensemble reads
what each component does on each range of layers (``measure_effects``), which also names the
components, and forward selection takes for every attribute the few whose sum changes it and
disturbs the others least (``choose_steps``).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.editors.effects import Read, choose_for_all, measure_effects
from l2l_widgets.editors.linear_steps import CalibratedSteps, LinearEditor
from l2l_widgets.editors.origins import Origin
from l2l_widgets.latents import layer_groups
from l2l_widgets.storage import load_array

#: How far an edit goes along a component, in sigmas: the end of the authors' sliders.
LONGEST = 10.0
#: Price of a squared sigma beside disturbance, see ``choose_steps``.
DAMPING = 0.1


class StreamedCovariance:
    """Mean and covariance of codes that come in chunks, accumulated in float64.

    Parameters
    ----------
    dim : int
        Numbers in a code.
    """

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._shift = torch.zeros(dim, dtype=torch.float64)
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._outer = torch.zeros(dim, dim, dtype=torch.float64)

    def update(self, codes: Tensor) -> StreamedCovariance:
        """Take in codes (n, dim)."""
        if codes.ndim != 2 or codes.shape[1] != len(self._sum):
            raise ValueError(
                f"codes have shape {tuple(codes.shape)}; allowed: (n, {len(self._sum)})"
            )
        if not bool(torch.isfinite(codes).all()):
            raise ValueError("codes hold NaN or infinity; allowed: finite numbers")
        codes = codes.detach().cpu().double()
        if self.count == 0 and len(codes):
            # far from the origin, squares would cancel: count from the first chunk's mean
            self._shift = codes.mean(dim=0)
        codes = codes - self._shift
        self._sum += codes.sum(dim=0)
        self._outer.addmm_(codes.T, codes)
        self.count += len(codes)
        return self

    @property
    def mean(self) -> Tensor:
        """Mean so far, (dim,) float64."""
        return self._shift + self._sum / max(self.count, 1)

    @property
    def covariance(self) -> Tensor:
        """Covariance so far, (dim, dim) float64, divided by count - 1."""
        if self.count < 2:
            raise ValueError(f"{self.count} codes are too few; allowed: at least 2")
        centre = self._sum / self.count
        return (self._outer - self.count * torch.outer(centre, centre)) / (self.count - 1)


#: Numbers of a published array at most: 512 components of W+ with 18 rows have 5 million.
MOST_NUMBERS = 1 << 26


@dataclass(frozen=True)
class Components:
    """Principal components of W.

    Parameters
    ----------
    vectors : Tensor, shape (K, w_dim), float32
        Of length 1, the widest first.
    spread : Tensor, shape (K,), float32
        Standard deviation of fresh codes along each, in latent units: one sigma. Being measured,
        it need not fall strictly.
    mean : Tensor, shape (w_dim,), float32
        Where coordinates are counted from.
    origin : Origin
        Generator and set.
    """

    vectors: Tensor
    spread: Tensor
    mean: Tensor
    origin: Origin

    def __post_init__(self) -> None:
        count, dim = self.vectors.shape if self.vectors.ndim == 2 else (-1, -1)
        if self.spread.shape != (count,) or self.mean.shape != (dim,):
            raise ValueError(
                f"components {tuple(self.vectors.shape)}, spread {tuple(self.spread.shape)} and "
                f"mean {tuple(self.mean.shape)} do not fit; allowed: (K, dim), (K,) and (dim,)"
            )
        for label in ("vectors", "spread", "mean"):
            if not bool(torch.isfinite(getattr(self, label)).all()):
                raise ValueError(
                    f"components hold NaN or infinity in their {label}; allowed: finite numbers"
                )

    def coordinates(self, w: Tensor) -> Tensor:
        """Return where codes (N, w_dim) stand, (N, K), in sigmas; 0 along what has no spread."""
        spread = self.spread.to(w)
        along = (w - self.mean.to(w)) @ self.vectors.T.to(w)
        return torch.where(spread > 0, along / torch.where(spread > 0, spread, 1.0), 0.0)

    def step(self, component: int, layers: tuple[int, int], num_ws: int) -> Tensor:
        """Return one sigma of a component on the rows [start, end) of W+, (num_ws, w_dim).

        Raises
        ------
        ValueError
            No such component, or a range that is empty or leaves the rows.
        """
        if not 0 <= component < len(self.vectors):
            raise ValueError(f"component is {component}; allowed: 0 to {len(self.vectors) - 1}")
        start, end = layers
        if not 0 <= start < end <= num_ws:
            raise ValueError(
                f"layers are [{start}, {end}); allowed: 0 <= start < end <= {num_ws}, the end left "
                "out"
            )
        out = torch.zeros(num_ws, self.vectors.shape[1])
        out[start:end] = self.spread[component] * self.vectors[component]
        return out

    def apply(
        self,
        w: Tensor,
        component: int,
        sigma: float,
        layers: tuple[int, int],
        semantics: str = "offset",
    ) -> Tensor:
        """Return an edit E(v_component, start-end) of latents.

        Parameters
        ----------
        w : Tensor, shape (B, num_ws, w_dim)
            Left untouched.
        component : int
            Which.
        sigma : float
            How far, in standard deviations; the authors' sliders go to 10 either way.
        layers : tuple of int
            Rows [start, end).
        semantics : {"offset", "target"}
            Add ``sigma``, or go to ``sigma`` from where the first row stands.
        """
        if semantics not in ("offset", "target"):
            raise ValueError(f"semantics is {semantics!r}; allowed: offset, target")
        step = self.step(component, layers, w.shape[1]).to(w)
        amount = torch.full((len(w), 1, 1), float(sigma)).to(w)
        if semantics == "target":
            amount = amount - self.coordinates(w[:, 0])[:, component].reshape(-1, 1, 1)
        return w + amount * step


def pin_signs(vectors: Tensor) -> Tensor:
    """Return vectors (K, dim) with the entry of largest size positive, the first of equals."""
    peak = vectors.abs().argmax(dim=1, keepdim=True)
    return vectors * torch.where(vectors.gather(1, peak) < 0, -1.0, 1.0).to(vectors)


def fit_components(
    chunks: Iterable[Tensor], fresh: Tensor, origin: Origin, count: int = 80
) -> Components:
    """Decompose codes of W.

    Parameters
    ----------
    chunks : iterable of Tensor, each (n, w_dim)
        All codes, in any division; the published sets were fitted on 10^6.
    fresh : Tensor, shape (M, w_dim)
        Other codes, on which the spread is measured; 5,000 in the original.
    origin : Origin
        Generator and set; its space must be W.
    count : int
        Components to keep, 1 to w_dim.

    Raises
    ------
    ValueError
        Too few codes, codes that are not finite, a count out of range.
    """
    origin.require("components of W", space="w")
    sums: StreamedCovariance | None = None
    for chunk in chunks:
        sums = sums or StreamedCovariance(chunk.shape[-1])
        sums.update(chunk)
    if sums is None or sums.count < 2:
        raise ValueError("no codes to decompose; allowed: at least 2")
    dim = len(sums.mean)
    if not 1 <= count <= dim:
        raise ValueError(f"count is {count}; allowed: 1 to {dim}, the numbers in a code")
    _, vectors = torch.linalg.eigh(sums.covariance)  # ascending
    kept = pin_signs(vectors.T.flip(0)[:count])
    if fresh.ndim != 2 or fresh.shape[1] != dim or len(fresh) < 2:
        raise ValueError(f"fresh has shape {tuple(fresh.shape)}; allowed: (at least 2, {dim})")
    if not bool(torch.isfinite(fresh).all()):
        raise ValueError("fresh holds NaN or infinity; allowed: finite numbers")
    spread = ((fresh.cpu().double() - sums.mean) @ kept.T).std(dim=0)
    return Components(kept.float(), spread.float(), sums.mean.float(), origin)


def load_components(path: str | Path, generator: str = "") -> Components:
    """Read published components; nothing in the file is executed.

    Parameters
    ----------
    path : path
        A ``.pt`` with ``comp`` (K, 1, dim), ``mean`` (1, dim) and ``std`` (K,), as
        encoder4editing publishes it, or an ``.npz`` of the authors' own with ``lat_comp``,
        ``lat_mean`` and ``lat_stdev`` (``act_*`` where W itself was decomposed).
    generator : str
        Hash of the generator they belong to, where it is known.

    Raises
    ------
    ValueError
        A file that cannot be read, or lacks one of them.
    """
    from l2l_widgets.checkpoints import read_tensors

    path = Path(path)
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                there = [name.removesuffix(".npy") for name in archive.namelist()]
            wanted = [f"{p}{n}" for p in ("lat_", "act_") for n in ("comp", "stdev", "mean")]
            stored = {
                name: torch.from_numpy(load_array(path, MOST_NUMBERS, name))
                for name in wanted
                if name in there
            }
        else:
            stored = read_tensors(path, MOST_NUMBERS)
        prefix = next(
            (
                p
                for p in (("", "std"), ("lat_", "stdev"), ("act_", "stdev"))
                if f"{p[0]}comp" in stored
            ),
            None,
        )
        if prefix is None:
            raise KeyError("no 'comp', 'lat_comp' or 'act_comp'")
        names = f"{prefix[0]}comp", f"{prefix[0]}{prefix[1]}", f"{prefix[0]}mean"
        vectors, spread, mean = (stored[name].float() for name in names)
    # a file of no known kind makes torch and zipfile raise what they like
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{path}: no components that can be read ({reason}); allowed: .pt with comp, mean, std "
            "or .npz with lat_comp, lat_mean, lat_stdev"
        ) from error
    origin = Origin(generator, "w", path.name)
    try:
        flat = vectors.reshape(len(vectors), -1)
        return Components(flat, spread.reshape(-1), mean.reshape(-1), origin)
    except (ValueError, TypeError, RuntimeError) as error:  # numbers, and no components
        raise ValueError(f"{path}: {error}") from None


def layer_ranges(num_ws: int) -> list[tuple[int, int]]:
    """Return the ranges that are tried: all rows, and the coarse, middle and fine ones."""
    groups = [(g.start, g.stop) for g in layer_groups(num_ws).values() if g.start < g.stop]
    return [(0, num_ws), *(g for g in groups if g != (0, num_ws))]


class GANSpaceEditor(LinearEditor):
    """Components behind the editor interface.

    A request adds, for each attribute, the components that were chosen for it, offset semantics,
    as far as the gain curve says. ``details["terms"]`` holds the choice: component, range of
    layers, and sigmas for one attribute unit.
    """

    name = "ganspace"

    @classmethod
    def from_components(
        cls,
        components: Components,
        table: AttributeTable,
        read: Read,
        ws: Tensor,
        spread: Tensor,
        *,
        most: int = 3,
        size: float = 2.0,
        ranges: Sequence[tuple[int, int]] | None = None,
        reasons: Mapping[str, str] | None = None,
        provenance: Mapping[str, str] | None = None,
    ) -> GANSpaceEditor:
        """Measure every component on every range, and choose those of each attribute.

        Parameters
        ----------
        components : Components
            Of this generator's W.
        table : AttributeTable
            The A attributes.
        read : callable
            The training ensemble: latents (B, num_ws, w_dim) to readings (B, A).
        ws : Tensor, shape (F, num_ws, w_dim)
            Faces on which effects are measured.
        spread : Tensor, shape (A,)
            Standard deviation of each reading in the population.
        most : int
            Components of one attribute at most; 1 is an edit as the paper shows it.
        size : float
            Sigmas at which effects are measured.
        ranges : sequence of tuple of int, optional
            Rows [start, end) to try; :func:`layer_ranges` where not given.
        reasons : mapping of str to str, optional
            Attributes whose scores say nothing, and why; they are left out.
        provenance : mapping of str to str, optional
            Hashes of what else went in.
        """
        num_ws = ws.shape[1]
        places = [
            (k, tuple(layers))
            for k in range(len(components.vectors))
            for layers in (ranges or layer_ranges(num_ws))
        ]
        candidates = [components.step(k, (j[0], j[1]), num_ws) for k, j in places]
        effects = measure_effects(candidates, read, ws, size)
        chosen, reasons = choose_for_all(
            effects,
            spread.float().cpu(),
            table.names,
            reasons or {},
            most,
            LONGEST,
            DAMPING,
            "component",
        )
        steps = torch.zeros(len(table), num_ws, ws.shape[2])
        terms: dict[str, list[dict[str, object]]] = {}
        for name, parts in chosen.items():
            terms[name] = [
                {"component": places[c][0], "layers": list(places[c][1]), "sigma": round(x, 4)}
                for c, x in parts
            ]
            steps[table.index(name)] = sum(x * candidates[c] for c, x in parts)
        details = {"terms": terms, "places": [[k, *j] for k, j in places]}
        extras = {
            "vectors": components.vectors, "sigmas": components.spread, "mean": components.mean,
            "effects": effects, "spread": spread.float().cpu(),
        }  # fmt: skip
        return cls(
            CalibratedSteps(steps), table, components.origin, num_ws, reasons, details, extras,
            provenance,
        )  # fmt: skip

    @property
    def components(self) -> Components:
        """The components that edits are made of."""
        return Components(
            self.extras["vectors"], self.extras["sigmas"], self.extras["mean"], self.origin
        )

    def named(self, top: int = 3) -> list[str]:
        """Say of each component and range what one sigma does, the strongest effects first.

        Effects are in standard deviations of each attribute over the population: a line reads
        "12 [0, 2): glasses +0.41, age +0.10".
        """
        lines = []
        effects = self.extras["effects"] / self.extras["spread"].clamp_min(1e-3)
        effects = effects.nan_to_num(0, 0, 0)  # what nobody could read names nothing
        for (k, start, end), row in zip(self.details["places"], effects, strict=True):
            order = row.abs().argsort(descending=True)[:top].tolist()
            said = ", ".join(f"{self.table.names[i]} {float(row[i]):+.2f}" for i in order)
            lines.append(f"{k} [{start}, {end}): {said}")
        return lines
