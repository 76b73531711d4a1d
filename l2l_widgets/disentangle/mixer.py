"""A trained mixer at work: the identity of some pictures, the attributes of others.

Pictures in, pictures and latents out; nothing is optimised, one mix is one pass of two small
encoders and of the generator. A mix is one w for all rows, as the paper has it, so every editor of
the package can go on from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from l2l_widgets.disentangle.networks import MixerNetwork, load_mixer
from l2l_widgets.latents import lerp, to_wplus
from l2l_widgets.models.checks import check_models

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import FaceEmbedder, Generator

#: The file of a mixer beside its generator.
MIXER_FILE = "identity_mixer.safetensors"
SPACES = ("w", "z")
#: Pictures encoded or drawn at a time.
BATCH = 32


class MixError(ValueError):
    """A mix that cannot be made; one line that names the field, the value and what is allowed."""


@dataclass(frozen=True)
class Signature:
    """What the two encoders say of B pictures; the two halves of z.

    Parameters
    ----------
    person : Tensor, shape (B, D)
        Identity vectors of unit length.
    attributes : Tensor, shape (B, features)
        Attribute features.
    """

    person: Tensor
    attributes: Tensor

    def __len__(self) -> int:
        return len(self.person)

    def __getitem__(self, rows: Any) -> Signature:
        return Signature(self.person[rows], self.attributes[rows])

    @staticmethod
    def join(parts: Iterable[Signature]) -> Signature:
        """One signature of all the pictures."""
        kept = list(parts)
        return Signature(
            torch.cat([p.person for p in kept]), torch.cat([p.attributes for p in kept])
        )


class FaceMixer:
    """Mixes faces.

    Parameters
    ----------
    generator : Generator
        The one that the mixer was trained with.
    embedder : FaceEmbedder
        E_id; likewise.
    network : MixerNetwork
        E_attr and M.

    Raises
    ------
    MixError
        The parts do not fit each other: widths differ.
    """

    def __init__(self, generator: Generator, embedder: FaceEmbedder, network: MixerNetwork) -> None:
        config = network.config
        wanted = (
            ("embedder", "vectors", embedder.embedding_dim, config.embedding_dim),
            ("generator", "latents", generator.w_dim, config.w_dim),
        )
        for part, what, found, trained in wanted:
            if found != trained:
                raise MixError(
                    f"{part}: its {what} have length {found}; this mixer was trained with "
                    f"{trained}: use that {part}, or train again (l2l train identity-disentangle)"
                )
        self.generator, self.embedder, self.network = generator, embedder, network

    @classmethod
    def of(cls, models: Models) -> FaceMixer:
        """The mixer that lies beside a generator.

        Raises
        ------
        MixError
            These models have none, or it was trained with another generator or embedder.
        """
        check_models(models)
        if MIXER_FILE not in models.manifest or models.folder is None:
            raise MixError(
                f"models {models.name!r} have no identity mixer ({MIXER_FILE}); train one with "
                "`l2l train landmarks --publish` and `l2l train identity-disentangle --publish`"
            )
        network, origin = load_mixer(models.check_file(MIXER_FILE))
        for part, trained_with in origin.items():
            if models.hashes.get(part, trained_with) != trained_with:
                raise MixError(
                    f"{MIXER_FILE}: trained with another {part} (sha256 {trained_with[:12]}..., "
                    f"here {models.hashes[part][:12]}...); train again "
                    "(l2l train identity-disentangle --publish)"
                )
        return cls(models.generator, models.embedder, network.to(models.device))

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.network.parameters()).device

    # -- encoding and drawing ----------------------------------------------------------------------

    @torch.inference_mode()
    def signature(self, images: Tensor) -> Signature:
        """What the encoders say of pictures (B, 3, R, R) in [-1, 1]."""
        if images.ndim != 4 or images.shape[1] != 3 or len(images) == 0:
            raise MixError(f"images have shape {tuple(images.shape)}; allowed: (B >= 1, 3, R, R)")
        if not bool(torch.isfinite(images).all()):
            raise MixError("images hold values that are not finite; allowed: numbers in [-1, 1]")
        parts = images.to(self.device).split(BATCH)
        return Signature.join(
            Signature(self.embedder(part).float(), self.network.attributes(part)) for part in parts
        )

    @torch.inference_mode()
    def draw(self, w: Tensor) -> Tensor:
        """Pictures (B, 3, R, R) of w (B, w_dim) or W+ (B, num_ws, w_dim)."""
        ws = to_wplus(w.to(self.device), self.generator.num_ws)
        return torch.cat([self.generator.synthesis(p, noise_mode="const") for p in ws.split(BATCH)])

    @torch.inference_mode()
    def latent(self, identity: Signature, attributes: Signature) -> Tensor:
        """Latents w, (B, w_dim), of paired signatures; one side may be a single one for all."""
        count = max(len(identity), len(attributes))
        for name, part in (("identity", identity), ("attributes", attributes)):
            if len(part) not in (1, count):
                raise MixError(
                    f"{name} has {len(part)} faces, the other {count}; allowed for pairs: equal "
                    "numbers, or a single face on one side"
                )
        return self.network.latent(
            identity.person.expand(count, -1), attributes.attributes.expand(count, -1)
        )

    # -- mixes -------------------------------------------------------------------------------------

    def mix(self, identity: Tensor, attributes: Tensor) -> Tensor:
        """Latents w, (B, w_dim): the people of some pictures, the attributes of others.

        Parameters
        ----------
        identity, attributes : Tensor, shape (B, 3, R, R)
            Pictures in [-1, 1]; one of them may be a single picture.
        """
        return self.latent(self.signature(identity), self.signature(attributes))

    def grid(self, identity: Signature, attributes: Signature) -> Tensor:
        """Latents w, (N, M, w_dim), of N people, a row each, with M attributes, a column each."""
        rows = len(attributes)
        return torch.stack(
            [self.latent(identity[i : i + 1], attributes) for i in range(len(identity))]
        ).view(len(identity), rows, -1)

    def square(
        self,
        first: Signature,
        second: Signature,
        person: float,
        attributes: float,
        space: str = "w",
    ) -> Tensor:
        """The w, (1, w_dim), at a place in the square between two faces.

        Parameters
        ----------
        first, second : Signature
            One face each.
        person, attributes : float
            Shares of the second face's, in [0, 1]: (0, 0) redraws the first face, (1, 1) the
            second, (0, 1) is the first person with the second's attributes.
        space : {"w", "z"}
            Whether the four corners are blended in W, as the authors do by default, or the two
            halves of z before the mapper.

        Raises
        ------
        MixError
            A share outside [0, 1], or another space.
        """
        for name, share in (("person", person), ("attributes", attributes)):
            if not isinstance(share, (int, float)) or not 0 <= share <= 1:
                raise MixError(f"{name} is {share!r}; allowed: a number from 0 to 1")
        if space not in SPACES:
            raise MixError(f"space is {space!r}; allowed: {', '.join(SPACES)}")
        if space == "z":
            mixed = Signature(
                lerp(first.person, second.person, person),
                lerp(first.attributes, second.attributes, attributes),
            )
            return self.latent(mixed, mixed)
        edges = [
            lerp(self.latent(first, a), self.latent(second, a), person) for a in (first, second)
        ]
        return lerp(edges[0], edges[1], attributes)

    def travel(
        self, first: Signature, second: Signature, what: str, steps: int = 9, space: str = "w"
    ) -> Tensor:
        """Latents w, (steps, w_dim), on the way from one face's identity (attributes) to another's.

        Parameters
        ----------
        first, second : Signature
            One face each.
        what : {"identity", "attributes"}
            What travels from the first face to the second; the other half stays the first's.
        steps : int
            Pictures, at least 2; both ends are among them.
        space : {"w", "z"}
            As for :meth:`square`.
        """
        if what not in ("identity", "attributes"):
            raise MixError(f"travel is {what!r}; allowed: identity, attributes")
        if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= 1024:
            raise MixError(f"steps is {steps!r}; allowed: a whole number from 2 to 1024")
        places = [i / (steps - 1) for i in range(steps)]
        pairs = [(t, 0.0) if what == "identity" else (0.0, t) for t in places]
        return torch.cat([self.square(first, second, *pair, space) for pair in pairs])

    def frames(
        self,
        identity: Signature,
        images: Iterable[Tensor],
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One person through a sequence: each frame's attributes with the same identity.

        Parameters
        ----------
        identity : Signature
            One face.
        images : iterable of Tensor, each (3, R, R)
            Frames in [-1, 1]; taken one by one, so a clip need not fit into memory.
        progress : callable, optional
            Gets the number of frames done.

        Yields
        ------
        w : Tensor, shape (1, w_dim)
        image : Tensor, shape (3, R, R)
        """
        for count, image in enumerate(images, 1):
            w = self.latent(identity, self.signature(image[None]))
            yield w, self.draw(w)[0]
            if progress is not None:
                progress(count)
