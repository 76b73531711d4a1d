"""What is said wherever a picture of a person enters: in a help, beside a result, under a view."""

__all__ = ["CONSENT", "LIKENESS"]

CONSENT = (
    "A picture of a person stays on this machine. Ask before you edit somebody else's face, and "
    "remember that attribute judges were taught by pictures: they err more on faces unlike those."
)
LIKENESS = (
    "The embedded generator draws portraits of its own world: a photograph becomes its likeness "
    "there, not itself."
)
