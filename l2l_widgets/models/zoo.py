"""Which models exist without a download, and how a set of models is put together.

``load()`` gives the embedded world; ``load(folder)`` a world of your own, a folder with a
``MANIFEST.json``; ``Models.from_parts`` anything that keeps the protocols of
:mod:`l2l_widgets.protocols`: official networks, torch modules, plain callables.

Every part is loaded when it is first asked for, so the first picture waits for the generator
alone. The SHA-256 of a file is compared with the manifest before the file is read. Weights are
safetensors: no code in them ever runs.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from l2l_widgets.attributes import DEFAULT_TABLE, AttributeTable
from l2l_widgets.errors import first_line, suggestion
from l2l_widgets.models.checks import NoSuchModelsError, check_columns, checked_device
from l2l_widgets.models.checks import ZooError as ZooError
from l2l_widgets.models.checks import check_models as check_models
from l2l_widgets.storage import StorageError, sha256_file

if TYPE_CHECKING:  # which models and methods there are is known without torch, at once
    from l2l_widgets import protocols
    from l2l_widgets.protocols import AttributeRegressor, Editor, FaceEmbedder, Generator

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
MANIFEST = "MANIFEST.json"
TABLE_FILE = "attributes.json"

#: Part -> its file. ``regressor_b`` joins ``regressor`` in the losses; the judges never enter one.
PART_FILES = {
    "generator": "generator.safetensors",
    "regressor": "regressor.safetensors",
    "regressor_b": "regressor_b.safetensors",
    "embedder": "embedder.safetensors",
    "attribute_judge": "judge_regressor.safetensors",
    "attribute_judge_b": "judge_regressor_b.safetensors",
    "identity_judge": "judge_embedder.safetensors",
    "parser": "parser.safetensors",
}


class Models:
    """A generator, what reads its pictures, and what edits its latents.

    Use :func:`load` or :meth:`from_parts`; the constructor only stores.

    Parameters
    ----------
    name : str
        Name of the world, as in ``faceworld-128``.
    table : AttributeTable
        What the columns of every attribute reading mean.
    loaders : mapping of str to callable
        Part name (see ``PART_FILES``) -> a callable without arguments that gives the part.
        Called once, at first use.
    editors : mapping of str to Editor or callable
        Editors by method name, or callables that get these models and give one.
    manifest : mapping
        What is known of each file: sha256, recipe, seed, commit, scores, kind.
    hashes : mapping of str to str
        Part or method -> SHA-256, hexadecimal.
    folder : Path, optional
        Where the files lie.
    device : str
        Where the parts compute.
    """

    def __init__(
        self,
        name: str,
        table: AttributeTable,
        loaders: Mapping[str, Callable[[], Any]],
        *,
        editors: Mapping[str, Any] | None = None,
        manifest: Mapping[str, Any] | None = None,
        hashes: Mapping[str, str] | None = None,
        folder: Path | None = None,
        device: str = "cpu",
    ) -> None:
        self.name = name
        self.table = table
        self.manifest = dict(manifest or {})
        self.folder = folder
        self.device = device
        self._loaders = dict(loaders)
        self._editor_sources = dict(editors or {})
        self._hashes = dict(hashes or {})
        self._parts: dict[str, Any] = {}
        self._editors: dict[str, Editor] = {}
        self._lock = threading.RLock()

    @classmethod
    def from_parts(
        cls,
        generator: Generator,
        *,
        regressor: AttributeRegressor | None = None,
        embedder: FaceEmbedder | None = None,
        attribute_judge: AttributeRegressor | None = None,
        attribute_judge_b: AttributeRegressor | None = None,
        identity_judge: FaceEmbedder | None = None,
        parser: protocols.Segmenter | None = None,
        regressors: Iterable[AttributeRegressor] = (),
        editors: Mapping[str, Any] | None = None,
        table: AttributeTable = DEFAULT_TABLE,
        name: str = "own",
        hashes: Mapping[str, str] | None = None,
        device: str = "cpu",
    ) -> Models:
        """Models from parts at hand; only the generator is needed to draw.

        Parameters
        ----------
        generator, regressor, embedder, attribute_judge, attribute_judge_b, identity_judge, parser
            As in :mod:`l2l_widgets.protocols`. Without a judge the receipt uses the regressor (or
            embedder) and says so; the second attribute judge reads in evaluations alone.
        regressors : iterable of AttributeRegressor
            The ensemble that enters losses, where it is more than ``regressor``.
        editors : mapping of str to Editor or callable
            Method name -> the editor, or a callable that gets these models and gives it.
        table : AttributeTable
            The columns of the readings.
        name : str
            What recipes and reports call these models.
        hashes : mapping of str to str
            For parts whose identity the package cannot see; torch modules are hashed by their
            tensors.
        device : str
            Where the parts already are.
        """
        parts: dict[str, Any] = {"generator": generator}
        for key, part in (
            ("regressor", regressor),
            ("embedder", embedder),
            ("attribute_judge", attribute_judge),
            ("attribute_judge_b", attribute_judge_b),
            ("identity_judge", identity_judge),
            ("parser", parser),
        ):
            if part is not None:
                parts[key] = part
        others = [r for r in regressors if r is not regressor]
        for i, other in enumerate(others):
            parts[f"regressor_{chr(ord('b') + i)}"] = other
        loaders = {key: (lambda part=part: part) for key, part in parts.items()}
        return cls(name, table, loaders, editors=editors, hashes=hashes, device=device)

    def __repr__(self) -> str:
        return (
            f"Models({self.name!r}, parts={sorted(self._loaders)}, "
            f"editors={list(self.available_editors)})"
        )

    # -- parts -------------------------------------------------------------------------------------

    def has(self, part: str) -> bool:
        """Whether ``part`` is there; loads nothing."""
        return part in self._loaders

    @property
    def loaded(self) -> tuple[str, ...]:
        """Names of the parts that are in memory."""
        return tuple(self._parts)

    def part(self, name: str) -> Any:
        """A part by name, loaded at first use; ZooError when these models do not have it."""
        with self._lock:
            if name not in self._parts:
                if name not in self._loaders:
                    raise ZooError(
                        f"models {self.name!r}: part {name!r} is missing; "
                        f"present: {', '.join(self._loaders)}"
                    )
                part = self._loaders[name]()
                if "regressor" in name or name.startswith("attribute_judge"):
                    check_columns(part, name, self.table)
                self._parts[name] = part
            return self._parts[name]

    @property
    def generator(self) -> Generator:
        """G: latents to pictures."""
        return self.part("generator")

    @property
    def regressor(self) -> AttributeRegressor:
        """H: pictures to attributes, as it entered the losses."""
        return self.part("regressor")

    @property
    def embedder(self) -> FaceEmbedder:
        """F: pictures to identity vectors, as it entered the losses."""
        return self.part("embedder")

    @property
    def regressors(self) -> tuple[AttributeRegressor, ...]:
        """Every regressor that entered the losses, ``regressor`` first."""
        names = ["regressor", *sorted(n for n in self._loaders if n.startswith("regressor_"))]
        return tuple(self.part(n) for n in names if self.has(n))

    @property
    def attribute_judge(self) -> AttributeRegressor:
        """The attribute judge of another family and seed, which never enters a loss."""
        return self.part("attribute_judge")

    @property
    def attribute_judge_b(self) -> AttributeRegressor:
        """The second attribute judge, of a third family, which never enters a loss either."""
        return self.part("attribute_judge_b")

    @property
    def identity_judge(self) -> FaceEmbedder:
        """The identity judge of another family and seed, which never enters a loss."""
        return self.part("identity_judge")

    @property
    def parser(self) -> protocols.Segmenter:
        """The face parser: pictures to the 19 classes of CelebAMask-HQ."""
        return self.part("parser")

    # -- editors -----------------------------------------------------------------------------------

    @property
    def available_editors(self) -> tuple[str, ...]:
        """Method names that :meth:`editor` can give: those whose files are there."""
        from l2l_widgets.editors import list_editors

        # a lone generator may be called anything, "mapper.safetensors" too
        listed = {f for f, entry in self.manifest.items() if entry.get("kind") != "generator"}
        there = {f for f in listed if self.folder and (self.folder / f).is_file()}
        shipped = [n for n in list_editors() if f"{n}.safetensors" in there]
        return tuple(dict.fromkeys([*self._editor_sources, *shipped]))

    def editor(self, name: str) -> Editor:
        """An editor by method name, loaded at first use."""
        with self._lock:
            if name not in self._editors:
                if name not in self.available_editors:
                    raise ZooError(self._no_method(name))
                self._editors[name] = self._make_editor(name)
            return self._editors[name]

    def _no_method(self, name: str) -> str:
        there = suggestion(name, self.available_editors, "available")
        if not self.available_editors:
            from l2l_widgets.checkpoints import needs

            place = str(self.folder) if self.folder and self.manifest else None
            lacks = "; ".join(w for ws in needs(self.has, (), place).values() for w in ws)
            there += f". For edits, models {self.name!r} lack {lacks}"
        return f"method {name!r} is not available; {there}"

    def _make_editor(self, name: str) -> Editor:
        from l2l_widgets.editors import make_editor

        source = self._editor_sources.get(name)
        if source is None:
            return make_editor(name, self)
        # What has `edit` is the editor: it may be a torch module, which is callable as well.
        is_editor = hasattr(source, "edit") and not isinstance(source, type)
        return source if is_editor else source(self)

    # -- provenance --------------------------------------------------------------------------------

    def file(self, name: str) -> Path:
        """The checked file of a part or method.

        Parameters
        ----------
        name : str
            A key of ``PART_FILES`` or a method name.

        Raises
        ------
        ZooError
            When the file is not in the manifest, missing, or not the one the manifest describes.
        """
        if self.folder is None:
            raise ZooError(
                f"models {self.name!r} were made from parts; there is no file of {name!r}"
            )
        return self.check_file(PART_FILES.get(name, f"{name}.safetensors"))

    def check_file(self, file: str) -> Path:
        """The path of a file of the manifest, its hash checked; ZooError as for :meth:`file`."""
        return _checked_file(self.folder or Path(), file, self.manifest)

    @property
    def hashes(self) -> dict[str, str]:
        """Part or method -> SHA-256 of its file, or of its tensors where it has no file."""
        from l2l_widgets.models.fingerprints import content_hash, object_hash

        with self._lock:
            for name in self._loaders:
                if name not in self._hashes and self.folder is None:
                    self._hashes[name] = content_hash(self.part(name), name)
            for name in self._editor_sources:
                if name not in self._hashes:
                    self._hashes[name] = object_hash(self.editor(name))
            return dict(self._hashes)


def list_models() -> tuple[str, ...]:
    """Names of the embedded worlds."""
    if not WEIGHTS.is_dir():
        return ()
    return tuple(sorted(p.parent.name for p in WEIGHTS.glob(f"*/{MANIFEST}")))


def load(name: str | os.PathLike[str] | None = None, device: str = "cpu") -> Models:
    """The models of an embedded world, or of a folder or generator file of your own.

    Parameters
    ----------
    name : str or path, optional
        An embedded world (``faceworld-128``), a folder with a ``MANIFEST.json``, or the file or
        address of one generator (:mod:`l2l_widgets.checkpoints` says of which kinds), which can be
        sampled but neither edited nor judged. Default: the first embedded world.
    device : str
        A torch device.

    Returns
    -------
    Models
        Nothing is in memory yet; each part is read, and its hash checked, at first use.

    Raises
    ------
    ZooError
        No such world or folder, a broken manifest, an unknown device.
    """
    device = checked_device(device)
    known = list_models()
    if name is not None and not isinstance(name, (str, os.PathLike)):
        raise ZooError(
            f"name is {name!r}; allowed: {', '.join(known)}, a folder with a {MANIFEST}, or the "
            "file or address of a generator"
        )
    if name is None:
        if not known:
            raise ZooError(
                f"no embedded models: {WEIGHTS} holds no {MANIFEST}; give a folder of your own"
            )
        return _from_folder(WEIGHTS / known[0], device)
    text = os.fspath(name)
    if text in known:
        return _from_folder(WEIGHTS / text, device)
    path = Path(text)
    if path.is_dir():
        return _from_folder(path, device)
    if "://" in text or any(map(os.path.exists, (text, text.rpartition("#")[0]))):
        from l2l_widgets.checkpoints import CheckpointError, is_generator_file

        try:
            if is_generator_file(text):
                return _from_generator_file(text, device)
        except CheckpointError as error:
            raise ZooError(str(error)) from None
    hint = suggestion(text, known, "embedded")
    raise NoSuchModelsError(
        f"models {text!r}: no embedded world, folder or file of that name; {hint}"
    )


def _from_folder(folder: Path, device: str) -> Models:
    manifest = _read_manifest(folder)
    table = DEFAULT_TABLE
    if TABLE_FILE in manifest:
        text = _checked_file(folder, TABLE_FILE, manifest).read_text(encoding="utf-8")
        try:
            table = AttributeTable.from_json(text)
        except (ValueError, TypeError, KeyError) as error:
            raise ZooError(
                f"{folder / TABLE_FILE}: no attribute table ({first_line(error)})"
            ) from None
    if PART_FILES["generator"] not in manifest:
        raise ZooError(
            f"{folder / MANIFEST}: {PART_FILES['generator']!r} is not listed; a world needs one"
        )
    by_file = {
        file: part
        for part, ours in PART_FILES.items()
        # weights of ours, or the declaration of a network of your own
        for file in (ours, ours.replace(".safetensors", ".toml"))
        if file in manifest
    }
    loaders = {
        part: (lambda part=part, file=file: _load_part(folder, file, part, manifest, device))
        for file, part in by_file.items()
    }
    hashes = {
        by_file.get(file, file.removesuffix(".safetensors")): entry["sha256"]
        for file, entry in manifest.items()
    }
    return Models(
        folder.name, table, loaders, manifest=manifest, hashes=hashes, folder=folder, device=device
    )


def _from_generator_file(text: str, device: str) -> Models:
    from l2l_widgets.checkpoints import GeneratorFile

    own = GeneratorFile(text)
    loaders = {"generator": lambda: own.load(device)}
    hashes = {"generator": own.sha256}
    return Models(
        own.name, DEFAULT_TABLE, loaders, hashes=hashes, folder=own.path.parent, device=device
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ZooError(f"{folder}: there is no {MANIFEST}; a folder of models needs one") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ZooError(f"{path}: not readable as JSON ({first_line(error)})") from None
    if not isinstance(manifest, dict):
        raise ZooError(
            f"{path}: holds a {type(manifest).__name__}; allowed: an object, file name -> entry"
        )
    for file, entry in manifest.items():
        # A manifest may come with somebody else's folder: it must not point out of it.
        if Path(file).name != file:
            raise ZooError(f"{path}: {file!r} is not a plain file name")
        sha = entry.get("sha256") if isinstance(entry, dict) else None
        if not isinstance(sha, str) or len(sha) != 64 or set(sha) - set("0123456789abcdef"):
            raise ZooError(f"{path}: sha256 of {file!r} is {sha!r}; allowed: 64 hexadecimal digits")
    return manifest


def _checked_file(folder: Path, file: str, manifest: Mapping[str, Any]) -> Path:
    path = folder / file
    if file not in manifest:
        raise ZooError(
            f"{folder / MANIFEST}: {file!r} is not listed; listed: {', '.join(sorted(manifest))}"
        )
    found, wanted = _hash_or_refuse(path), manifest[file]["sha256"]
    if found != wanted:
        raise ZooError(
            f"{path}: sha256 is {found[:12]}..., the manifest says {wanted[:12]}...; "
            "the file is truncated or another one: install the package again or restore it"
        )
    return path


def _hash_or_refuse(path: Path) -> str:
    try:
        return sha256_file(path)
    except (OSError, StorageError) as error:
        reason = "the file is missing" if not path.exists() else first_line(error)
        raise ZooError(f"{path}: {reason}") from None


def _load_part(folder: Path, file: str, part: str, manifest: Mapping[str, Any], device: str) -> Any:
    import torch

    path = _checked_file(folder, file, manifest)
    # Normal tensors even inside inference mode: the generator's packed weights need them, and the
    # same pixels must come out whichever way it was loaded.
    with torch.inference_mode(False):
        try:
            if part == "generator":
                from l2l_widgets.stylegan2 import load_generator

                network = load_generator(path)
            elif path.suffix == ".toml":
                from l2l_widgets.judges import load_judge, read_declaration

                declaration = read_declaration(path)
                _checked_file(folder, declaration.file, manifest)
                return load_judge(declaration)
            else:
                from l2l_widgets.perception import load_network

                network = load_network(path)
        except ZooError:
            raise
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise ZooError(f"{path}: holds no {part} of ours ({first_line(error)})") from None
        return network.eval().requires_grad_(False).to(device)
