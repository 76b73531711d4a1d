"""What is compared: each subject with its sides, the reference first.

A side is a function that gets the options and gives `(work, facts)`: a callable that does the thing
once, and one that says in a dict what there is to say of it, asked when all is timed. Building may
take long; it is not timed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from l2l_widgets.bench.catalogue import ALLOCATORS, CATALOGUE
from l2l_widgets.bench.linear import (
    by_boundaries,
    by_covariance,
    by_incremental_pca,
    by_machines,
)
from l2l_widgets.bench.maps import by_exact_neighbours, by_umap, by_umap_alike

__all__ = ["ALLOCATORS", "SAME_MEMORY", "SUBJECTS", "Subject"]

Work = Callable[[], object]
Facts = Callable[[], "dict[str, Any]"]
Side = Callable[[Mapping[str, Any]], "tuple[Work, Facts]"]


@dataclass(frozen=True)
class Subject:
    """A comparison.

    Parameters
    ----------
    summary
        One line for the help.
    sides
        Name -> side; the first is the reference.
    options
        Which of the command's options change what is done; the others are refused.
    """

    summary: str
    sides: Mapping[str, Side]
    options: tuple[str, ...] = ()


# -- synthesis: a StyleGAN2 of the official configuration F, random weights ------------------------


def _official(options: Mapping[str, Any]) -> tuple[Any, torch.Tensor]:
    """A random config-f synthesis network, (B, num_ws, 512) latents for it; the same each time."""
    from l2l_widgets.stylegan2 import Generator

    source = torch.Generator().manual_seed(0)
    generator = Generator(512, 0, 512, options["size"]).eval().requires_grad_(False)
    for name, tensor in generator.state_dict().items():
        if name.endswith("noise_strength"):
            tensor.fill_(0.1)
        elif tensor.ndim >= 2 and "resample_filter" not in name:
            # The mapping's weights are stored divided by their learning rate.
            tensor.normal_(generator=source).mul_(100.0 if name.startswith("mapping") else 1.0)
    z = torch.randn(options["batch"], 512, generator=source)
    return generator.synthesis, generator.mapping(z)


def _set_allocator(options: Mapping[str, Any], keep: bool = False) -> None:
    """Set this process' allocator before the first picture does, if it does."""
    from l2l_widgets.allocator import SWITCH, keep_memory

    allocator = options.get("allocator", "own")
    if allocator == "default":
        os.environ[SWITCH] = "0"
    elif allocator == "kept" or keep:
        keep_memory()


def _textbook(options: Mapping[str, Any], keep: bool = False) -> tuple[Work, Facts]:
    from l2l_widgets.allocator import keeps_memory
    from l2l_widgets.stylegan2.textbook import draw

    _set_allocator(options, keep)
    network, ws = _official(options)
    return _without_gradients(lambda: draw(network, ws)), lambda: {"keeps_memory": keeps_memory()}


def _textbook_same_memory(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    return _textbook(options, keep=True)


def _quick(options: Mapping[str, Any], draft: bool = False) -> tuple[Work, Facts]:
    from l2l_widgets.allocator import keeps_memory
    from l2l_widgets.stylegan2.textbook import draw

    _set_allocator(options)
    network, ws = _official(options)

    def work() -> torch.Tensor:
        image = None
        for image in network.grow(ws, draft=draft):  # noqa: B007
            pass
        assert image is not None
        return image

    def facts() -> dict[str, Any]:
        with torch.inference_mode():
            # One picture tells as much as a batch, and the reference is slow.
            expected = draw(network, ws[:1])[0]
            difference = work()[:1] - expected
            spread = float(difference.square().mean().sqrt() / expected.std())
        return {
            "keeps_memory": keeps_memory(),
            "max_difference": float(difference.abs().max()),
            "rms_difference_of_spread": spread,
        }

    return _without_gradients(work), facts


def _draft(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    return _quick(options, draft=True)


def _nothing_to_say() -> dict[str, Any]:
    return {}


def _without_gradients(work: Work) -> Work:
    def run() -> object:
        with torch.inference_mode():
            return work()

    return run


# -- mapper: one edit of W+ by the embedded mapper -------------------------------------------------


def _faces(options: Mapping[str, Any]) -> tuple[Any, torch.Tensor]:
    """The embedded models, and (B, num_ws, w_dim) latents of theirs."""
    from l2l_widgets.models.zoo import load

    models = load()
    source = torch.Generator().manual_seed(0)
    z = torch.randn(options["batch"], models.generator.z_dim, generator=source)
    with torch.no_grad():
        return models, models.generator.mapping(z, truncation_psi=0.7)


def _request(models: Any) -> Any:
    from l2l_widgets.attributes import EditRequest

    return EditRequest({models.table.names[0]: 0.3})


def _mapper_training(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    models, ws = _faces(options)
    network = models.editor("mapper").network.train().requires_grad_(True)
    deltas = _request(models).deltas(models.table).expand(len(ws), -1)
    return lambda: network(ws, deltas), _nothing_to_say


def _mapper_network(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    models, ws = _faces(options)
    editor, request = models.editor("mapper"), _request(models)
    return _without_gradients(lambda: editor.network(ws, editor.knobs(len(ws), request))), (
        _nothing_to_say
    )


def _mapper_edit(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    models, ws = _faces(options)
    editor, request = models.editor("mapper"), _request(models)
    return _without_gradients(lambda: editor.edit(ws, request)), _nothing_to_say


# -- widget: a slider's event to pixels, through a session without a browser -----------------------


class _TextbookGenerator:
    """A generator that keeps the protocol and draws the textbook's way."""

    def __init__(self, generator: Any) -> None:
        self.z_dim, self.w_dim = generator.z_dim, generator.w_dim
        self.num_ws, self.img_resolution = generator.num_ws, generator.img_resolution
        self.mapping = generator.mapping
        self._network = generator.synthesis

    @property
    def w_avg(self) -> torch.Tensor:
        return self.mapping.w_avg

    def synthesis(self, ws: torch.Tensor, noise_mode: str = "const") -> torch.Tensor:
        from l2l_widgets.stylegan2.textbook import draw

        return draw(self._network, ws, noise_mode)[0]


def _session(plain: bool) -> tuple[Work, Facts]:
    from l2l_widgets.images import to_uint8
    from l2l_widgets.models.zoo import Models, load
    from l2l_widgets.session.edit_session import EditSession

    models = load()
    if plain:
        models = Models.from_parts(
            _TextbookGenerator(models.generator),
            regressor=models.regressor,
            editors={"mapper": models.editor("mapper")},
            table=models.table,
            name=models.name,
        )
    session = EditSession(models)
    name = models.table.names[0]
    session.render()
    count = 0

    def work() -> object:
        nonlocal count
        count += 1  # a value that was not drawn before: nothing comes from the cache
        session.set_changes({name: 0.1 + 1e-5 * count})
        result = session.render()
        if result.after is None:
            raise ValueError(result.error)
        return to_uint8(result.after)

    return work, _nothing_to_say


def _plain_session(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    return _session(plain=True)


def _own_session(options: Mapping[str, Any]) -> tuple[Work, Facts]:
    return _session(plain=False)


#: The reference once more with glibc keeping its memory; it says nothing where all sides do alike.
SAME_MEMORY = "textbook, memory kept"
_SIDES: dict[str, dict[str, Side]] = {
    "synthesis": {
        "textbook": _textbook,
        SAME_MEMORY: _textbook_same_memory,
        "fast fp32": _quick,
        "draft bf16": _draft,
    },
    "mapper": {
        "training path": _mapper_training,
        "network": _mapper_network,
        "editor": _mapper_edit,
    },
    "widget": {"textbook generator": _plain_session, "session": _own_session},
    "directions": {
        "InterFaceGAN's script": by_machines(whole=True),
        "its machines alone": by_machines(whole=False),
        "svm": by_boundaries("svm"),
        "ridge": by_boundaries("ridge"),
    },
    "components": {"incremental": by_incremental_pca, "streamed covariance": by_covariance},
    "map": {
        "umap-learn": by_umap,
        "umap-learn, same rounds": by_umap_alike,
        "exact neighbours": by_exact_neighbours,
    },
}
SUBJECTS = {
    name: Subject(summary, _SIDES[name], options) for name, (summary, options) in CATALOGUE.items()
}
