"""What a comparison of methods measures."""

from __future__ import annotations

from dataclasses import dataclass, field

from l2l_widgets.evaluation import paper_protocol
from l2l_widgets.evaluation.report import Protocol

#: Parts of a comparison, in the order in which they are measured.
PARTS = ("request", "equal", "paper", "several", "standards")
#: Those that are measured where none are named.
USUAL_PARTS = ("request", "equal", "paper")
#: Faces whose whole sweep is drawn, unless a plan says otherwise.
SWEEP_FACES = 200
#: Fewer faces than this make a preview, and are stamped so.
ENOUGH_FACES = 1000


@dataclass(frozen=True)
class Plan:
    """What a comparison measures.

    Parameters
    ----------
    protocol : Protocol
        Faces, attributes, the request, which is also the change to be achieved.
    seeds : int
        Training seeds of each method; seed 0 is what ships. A method without so many is measured
        with those it has.
    parts : tuple of str
        Of :data:`PARTS`.
    paper_faces, positions : int
        Faces and positions of the paper's protocol.
    detector : str
        What finds faces in the paper's protocol, see ``detection.detector_of``; "none" leaves the
        range to the request.
    truth_people : int
        People drawn again with an attribute truly changed; 0 where the truth is not known.
    world : int
        Number of the world that the faces are of and the truth is drawn in; 0 where it has none.
        Another world's cells must not be mixed with these.
    sweep_faces : int
        At equal achieved change, the first so many faces are followed to the largest strength:
        how steadily a method goes, and identity along the way, are of them. The others are drawn
        until every reader has seen the change.
    """

    protocol: Protocol = field(default_factory=Protocol)
    seeds: int = 1
    parts: tuple[str, ...] = USUAL_PARTS
    paper_faces: int = paper_protocol.FACES
    positions: int = paper_protocol.POSITIONS
    detector: str = "none"
    truth_people: int = 0
    world: int = 0
    sweep_faces: int = SWEEP_FACES

    def __post_init__(self) -> None:
        for name, least, most in (
            ("seeds", 1, 100),
            ("paper_faces", 2, 4000),
            ("positions", 2, 999),
            ("sweep_faces", 2, 4000),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{name} is {value!r}; allowed: an integer from {least} to {most}")
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts or len(set(self.parts)) != len(self.parts):
            raise ValueError(
                f"parts are {', '.join(self.parts) or 'empty'}; allowed: {', '.join(PARTS)}, once"
            )
