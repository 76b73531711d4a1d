"""Where a direction comes from, and the refusal to use it anywhere else.

A boundary fitted in Z is no direction in W, and one of another generator is none in this one: the
published StyleGAN1 normals have a cosine of at most 0.1 with any direction of StyleGAN2, and in Z
age and glasses are at 0.72 where in W they are at 0.10 (genforce/interfacegan, issue 13). Nothing
in the numbers shows the mistake, and the edit is merely bad. So every direction carries its origin.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Latent spaces: (B, z_dim); (B, w_dim); (B, num_ws, w_dim); the styles of the convolutions.
SPACES = ("z", "w", "w+", "s")


class OriginError(ValueError):
    """A direction that is used where it was not fitted; the message names the ways out."""


@dataclass(frozen=True)
class Origin:
    """Generator, space and set in which something was fitted.

    Parameters
    ----------
    generator : str
        SHA-256 of the generator's file or tensors; "" where nobody knows (a published file).
    space : {"z", "w", "w+", "s"}
        Of the codes.
    dataset : str
        The codes and who labelled them, in words.
    """

    generator: str
    space: str
    dataset: str

    def __post_init__(self) -> None:
        if self.space not in SPACES:
            raise ValueError(f"space is {self.space!r}; allowed: {', '.join(SPACES)}")

    def require(self, what: str, *, space: str | None = None, generator: str | None = None) -> None:
        """Refuse a use of ``what`` in another space, or with another generator.

        Parameters
        ----------
        what : str
            How the message names it.
        space : str, optional
            Space of the codes it is about to move.
        generator : str, optional
            Hash of the generator whose codes they are; "" where it is not known.

        Raises
        ------
        OriginError
            Where either differs from what is known of the origin.
        """
        if space is not None and space != self.space:
            raise OriginError(
                f"{what}: fitted in space {self.space!r} ({self.dataset}), used in {space!r}; "
                f"allowed: move codes of {self.space!r}, {_translated(self.space, space)}"
                f"or fit it again on codes of {space!r}"
            )
        if generator and self.generator and generator != self.generator:
            raise OriginError(
                f"{what}: fitted for generator {self.generator[:12]}... ({self.dataset}), used "
                f"with {generator[:12]}...; allowed: load that generator, or fit it again for "
                "this one"
            )


def _translated(fitted: str, used: str) -> str:
    if fitted == "z":
        return "map them to W afterwards, "
    if (fitted, used) == ("w", "w+"):
        return "repeat the direction over the rows, "
    return ""
