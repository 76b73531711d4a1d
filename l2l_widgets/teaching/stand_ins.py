"""What a lesson asks for where a teacher hides it: something else, and a sentence that says so."""

from __future__ import annotations

import sys

from l2l_widgets.attributes import AttributeTable

#: Attribute -> what is like it in how it is asked for, and in how far it can be moved.
STAND_INS = {
    "smile": ("mouth_open", "eyes_open"),
    "glasses": ("hat", "earrings"),
    "age": ("hair_grey", "baldness"),
    "beard": ("moustache", "sideburns"),
}


def shown_for(visible: AttributeTable, *names: str) -> tuple[str, ...]:
    """The attributes that a lesson is about, or others where they are hidden.

    Writes one sentence to standard output where it had to choose: the text around the cells of a
    notebook cannot change with the list of hidden attributes. The sentence names what is shown.

    Parameters
    ----------
    visible : AttributeTable
        What may be asked for, see :func:`l2l_widgets.policy.visible_table`.
    *names : str
        The attributes that the lesson is written for.

    Returns
    -------
    tuple of str
        A visible attribute for each of the names, all different.

    Raises
    ------
    ValueError
        Fewer attributes are visible than the lesson needs.
    """
    found: list[str] = []
    instead: list[str] = []
    for name in names:
        taken = {*found, *(other for other in names if other in visible)}
        free = [other for other in (*STAND_INS.get(name, ()), *visible.names) if other in visible]
        others = [other for other in free if other not in taken]
        if name not in visible and not others:
            raise ValueError(
                f"visible has {len(visible)} attributes; allowed: at least {len(names)}, which "
                "this lesson needs"
            )
        found.append(name if name in visible else others[0])
        if name not in visible:
            instead.append(visible[others[0]].label)
    if instead:
        sys.stdout.write(
            "Not everything that this lesson speaks of is shown here: its cells ask for "
            f"{', '.join(instead)} instead.\n"
        )
    return tuple(found)
