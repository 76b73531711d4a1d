"""The receipt of an edit: what was asked for, what came, and what else moved.

The readings are those of the second judges, which trained nothing (``models.attribute_judge`` and
``models.identity_judge``). Beside every change stands the band that random edits of the same
latent size cause, since a judge never reads two different pictures quite alike: a change inside
the band is what any step of that length would do.

Identity stands on a scale between two faces that are the same and two that are strangers: a cosine
of 0.9 says little where any two faces of this generator have one of 0.85. What an edit keeps of it
is held against the same random edits: a long step leads away from a person wherever it goes.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from typing import Any

from l2l_widgets.attributes import Attribute, AttributeTable
from l2l_widgets.session.receipt_words import PHRASES as PHRASES
from l2l_widgets.session.references import N_RANDOM as N_RANDOM
from l2l_widgets.session.stopwatch import Stopwatch as Stopwatch

#: Below this share of the scale a face is nearer to a stranger than to itself.
DRIFT = 0.5
#: The one tolerance of the receipt, a share of the scale: 4 years, 5 %, 9° of yaw. The judges read
#: no finer, so a request smaller than this is not graded, and one counts as reached where the judge
#: reads no more than this between what was asked for and what came.
TOLERANCE = 0.05
#: A change is said to have come in part where less than this share of it came.
PARTLY = 2 / 3
#: Where random edits hardly move an attribute the band is thinner than a line; a change of one in
#: fifty of the scale is the least that is worth pointing at.
VISIBLE = 0.02
#: How many of the largest changes that nobody asked for are always named.
N_NAMED = 3


@dataclass(frozen=True)
class Receipt:
    """What an edit did, in attribute units unless said otherwise.

    Parameters
    ----------
    requested : mapping of str to float
        Asked-for change of each edited attribute, absolute targets already turned into changes.
    targets : mapping of str to float
        Which of them were asked for as a value to reach, in [0, 1], by the last edit.
    achieved : mapping of str to float
        Change of the same attributes as the attribute judge reads it.
    others : mapping of str to float
        Change of every other attribute.
    band : mapping of str to (float, float)
        5th and 95th percentile of each attribute's change under random edits of the same size.
    identity : float or None
        Cosine similarity of the faces before and after, in [-1, 1]; 1 is the same face. None
        without an identity judge.
    identity_band : (float, float) or None
        The same similarity under random edits of the same size, 5th and 95th percentile.
    strangers : float or None
        Mean similarity of different faces at this truncation to the same judge, in [-1, 1].
    before, after : mapping of str to float
        The judge's readings, in [0, 1].
    by_regressor : mapping of str to float
        Change of the edited attributes as the regressor of the losses reads it. Where it is far
        above ``achieved``, the edit has found a shortcut of that regressor.
    shares : tuple of str
        Attributes whose movement what was asked for shares (``AttributeTable.moved_with``).
    size : float
        Length of the step in W+, the norm of w' - w over all entries.
    seconds : mapping of str to float
        Time of each stage of this measurement; a stage that was already known takes none.
    judges : mapping of str to str
        Who read: ``attribute`` and ``identity``.
    n_random : int
        Random edits behind the band.
    held : tuple of str
        Attributes that the last edit was to hold still.
    narrowed : bool
        Whether the last edit was held to some rows: what is missing is then not the method's.
    error : str or None
        Why there is nothing to measure; the other fields are then empty.
    stamp : int
        Number of the request that was measured.
    """

    requested: Mapping[str, float] = field(default_factory=dict)
    targets: Mapping[str, float] = field(default_factory=dict)
    achieved: Mapping[str, float] = field(default_factory=dict)
    others: Mapping[str, float] = field(default_factory=dict)
    band: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    identity: float | None = None
    identity_band: tuple[float, float] | None = None
    strangers: float | None = None
    before: Mapping[str, float] = field(default_factory=dict)
    after: Mapping[str, float] = field(default_factory=dict)
    by_regressor: Mapping[str, float] = field(default_factory=dict)
    shares: tuple[str, ...] = ()
    size: float = 0.0
    seconds: Mapping[str, float] = field(default_factory=dict)
    judges: Mapping[str, str] = field(default_factory=dict)
    n_random: int = N_RANDOM
    held: tuple[str, ...] = ()
    narrowed: bool = False
    error: str | None = None
    stamp: int = 0

    def outside_band(self) -> dict[str, float]:
        """Attributes that were not asked for and moved beyond the band, the farthest first."""
        beyond = {
            name: change
            for name, change in self.others.items()
            if not self.band[name][0] <= change <= self.band[name][1]
        }
        return dict(sorted(beyond.items(), key=lambda item: -abs(item[1])))

    def stands_out(self, table: AttributeTable) -> dict[str, float]:
        """Of :meth:`outside_band` what is beyond it in whole units, as a reader compares them.

        A change and an end of the band that are both shown as "+2 %" look alike, whichever is the
        larger; what is smaller than ``VISIBLE``, or shown as "0", is not worth pointing at. Without
        what is part of the movement, and without what was held: both are named apart.
        """
        apart = {*self.along(), *self.slipped()}
        return {
            name: change
            for name, change in self.outside_band().items()
            if name in table
            and name not in apart
            and abs(change) >= VISIBLE
            and is_shown(table[name], change)
            and all(
                change_text(table[name], change) != change_text(table[name], end)
                for end in self.band[name]
            )
        }

    def slipped(self) -> dict[str, float]:
        """What was held and moved nevertheless, by more than ``TOLERANCE``; the farthest first."""
        moved = {n: c for n, c in self.largest_others().items() if n in self.held}
        return {n: c for n, c in moved.items() if abs(c) > TOLERANCE}

    @property
    def identity_kept(self) -> float | None:
        """``identity`` on a scale from 0, two strangers, to 1, the same face; may fall below 0.

        None without an identity judge, and where all faces are alike, as at truncation 0.
        """
        if self.identity is None or self.strangers is None or self.strangers > 0.99:
            return None
        return (self.identity - self.strangers) / (1 - self.strangers)

    @property
    def identity_kept_band(self) -> tuple[float, float] | None:
        """``identity_band`` on the scale of :attr:`identity_kept`; None where there is none."""
        if self.identity_kept is None or self.strangers is None or self.identity_band is None:
            return None
        low, high = ((x - self.strangers) / (1 - self.strangers) for x in self.identity_band)
        return low, high

    @property
    def identity_against_band(self) -> str | None:
        """Where :attr:`identity_kept` lies beside random edits of the same size.

        "below" what they keep, "inside" or "above", in whole per cent as the words show them; None
        where there is no scale or no band.
        """
        if self.identity_kept is None or self.identity_kept_band is None:
            return None
        shown = map(percent, (self.identity_kept, *self.identity_kept_band))
        kept, low, high = map(int, shown)
        return "below" if kept < low else "above" if kept > high else "inside"

    @property
    def drifts(self) -> bool:
        """Whether the edited face is nearer to a stranger than to the unedited one.

        A random edit of the size may lead as far: :attr:`identity_against_band` says so.
        """
        return self.identity_kept is not None and self.identity_kept < DRIFT

    def share(self, name: str) -> float | None:
        """How much of what was asked of one attribute came, as the judge reads it: 1 is all of it.

        Of a value to reach it is the share of the judge's own way there: the reader that guides
        the edit may see the face stand elsewhere. None where there was less to do than is graded.
        """
        asked = self.requested[name]
        if name in self.targets:
            asked = self.targets[name] - self.before[name]
        return self.achieved[name] / asked if abs(asked) >= TOLERANCE else None

    def is_reached(self, name: str) -> bool:
        """Whether the judge reads what was asked for, within ``TOLERANCE``.

        A value is reached from either side; of a change, more than was asked for has come as well.
        """
        if name in self.targets:
            return abs(self.after[name] - self.targets[name]) <= TOLERANCE
        asked = self.requested[name]
        return (asked - self.achieved[name]) * math.copysign(1.0, asked) <= TOLERANCE

    def shortfalls(self) -> dict[str, float]:
        """What came, of the attributes of which less than half came, or the opposite.

        Of a value that was asked for the judge decides alone, by where the face stood and where it
        stands now: a target that the guiding reader saw all but reached asks for next to nothing,
        and yet the edit may leave it. What is reached falls short of nothing.
        """
        away = self.moved_away()
        return {
            name: self.achieved[name]
            for name in self.requested
            if name in away
            or (
                (share := self.share(name)) is not None
                and share < 0.5
                and not self.is_reached(name)
            )
        }

    def moved_away(self) -> tuple[str, ...]:
        """Attributes that the judge reads farther from their target after the edit than before.

        By at least ``TOLERANCE``, and to a place that is as far from it.
        """
        return tuple(
            name
            for name, target in self.targets.items()
            if name in self.requested
            and not self.is_reached(name)
            and abs(self.after[name] - target) - abs(self.before[name] - target) >= TOLERANCE
        )

    def partly(self) -> dict[str, float]:
        """What came, of the attributes of which half or more came, but less than ``PARTLY``.

        Of a value that was asked for: where the judge reads more than the rest of the way to it as
        still to go, or as gone too far. What is reached came whole.
        """
        short, found = self.shortfalls(), {}
        for name in self.requested:
            if self.is_reached(name):
                continue
            if name in self.targets:
                way = abs(self.targets[name] - self.before[name])
                left = abs(self.targets[name] - self.after[name])
                is_part = left > (1 - PARTLY) * way
            else:
                share = self.share(name)
                is_part = share is not None and share < PARTLY
            if is_part and name not in short:
                found[name] = self.achieved[name]
        return found

    def missed(self) -> dict[str, str]:
        """Why what was asked for did not come, of the attributes of which it did not.

        Returns
        -------
        dict
            Name -> "away" (farther from the value that was asked for), "opposite" (a change the
            other way), "short" (less than half) or "partly" (less than ``PARTLY``, or too far
            beyond a value); those that were left first.
        """
        away, short = self.moved_away(), self.shortfalls()
        found = dict.fromkeys(away, "away")
        for name in short:
            back = name not in self.targets and (self.share(name) or 0.0) < 0
            found.setdefault(name, "opposite" if back else "short")
        return {**found, **dict.fromkeys(self.partly(), "partly")}

    def nearly_there(self) -> tuple[str, ...]:
        """Attributes whose target the face had all but reached before the edit."""
        return tuple(
            name
            for name in self.targets
            if name in self.requested and abs(self.requested[name]) < TOLERANCE
        )

    def largest_others(self, names: Container[str] | None = None) -> dict[str, float]:
        """Attributes that were not asked for, the farthest moved first; of ``names`` if given."""
        moved = {n: c for n, c in self.others.items() if names is None or n in names}
        return dict(sorted(moved.items(), key=lambda item: -abs(item[1])))

    def along(self) -> dict[str, float]:
        """What moved because it shares the movement that was asked for, the farthest first.

        Those of ``shares`` that a reader would point at: a smile is happiness, too. What was held
        was not to move with it.
        """
        moved = {n: c for n, c in self.largest_others().items() if n in self.shares}
        moved = {n: c for n, c in moved.items() if n not in self.held}
        return {n: c for n, c in moved.items() if abs(c) > TOLERANCE}

    def to_dict(self) -> dict[str, Any]:
        """The receipt as plain JSON values; ``docs/receipt.md`` says what each is.

        What :meth:`sentences` says in words is here as data: ``missed``, ``drifts`` and, for every
        attribute, ``inside_band``.
        """
        return {
            "requested": dict(self.requested),
            "targets": dict(self.targets),
            "achieved": dict(self.achieved),
            "others": dict(self.others),
            "band": {name: list(pair) for name, pair in self.band.items()},
            "outside_band": list(self.outside_band()),
            "inside_band": {
                name: self.band[name][0] <= change <= self.band[name][1]
                for name, change in {**self.achieved, **self.others}.items()
            },
            "identity": self.identity,
            "identity_band": None if self.identity_band is None else list(self.identity_band),
            "strangers": self.strangers,
            "identity_kept": self.identity_kept,
            "identity_kept_band": list(self.identity_kept_band or ()) or None,
            "identity_against_band": self.identity_against_band,
            "drifts": self.drifts,
            "missed": [self._missed_value(name, why) for name, why in self.missed().items()],
            "shortfalls": list(self.shortfalls()),
            "moved_away": list(self.moved_away()),
            "nearly_there": list(self.nearly_there()),
            "along": self.along(),
            "held": list(self.held),
            "slipped": self.slipped(),
            "before": dict(self.before),
            "after": dict(self.after),
            "by_regressor": dict(self.by_regressor),
            "size": self.size,
            "seconds": dict(self.seconds),
            "judges": dict(self.judges),
            "n_random": self.n_random,
            "error": self.error,
        }

    def _missed_value(self, name: str, why: str) -> dict[str, Any]:
        """One entry of ``missed``: all of its numbers are the judge's."""
        value = {"attribute": name, "why": why}
        if name not in self.targets:
            asked = {"asked": self.requested[name]}
        else:
            target, before = self.targets[name], self.before[name]
            ends = {"target": target, "before": before, "after": self.after[name]}
            asked = {"asked": target - before, **ends}
        return {**value, **asked, "came": self.achieved[name], "share": self.share(name)}

    def sentences(self, table: AttributeTable, phrases: Mapping[str, str] = PHRASES) -> list[str]:
        """The receipt in words, what a reader must not miss first.

        What was held and moved nevertheless; what was asked for and did not come; the largest
        changes that nobody asked for, whether or not they leave the band, and which of them do; a
        face that is no longer the same person.

        Parameters
        ----------
        table : AttributeTable
            Display names and units; attributes that it lacks are not mentioned.
        phrases : mapping of str to str
            The sentences, with the names of :data:`PHRASES`.
        """
        if self.error is not None:
            return [self.error]
        if not self.requested:
            return [phrases["nothing"]]
        slipped = {n: c for n, c in self.slipped().items() if n in table}
        lines = [phrases["held"].format(amounts=_amounts(slipped, table))] if slipped else []
        lines += [
            self._missed_sentence(name, why, table, phrases)
            for name, why in self.missed().items()
            if name in table
        ]
        lines += [
            phrases["nearly"].format(
                label=table[name].label,
                target=table[name].value_text(self.targets[name]),
                before=table[name].value_text(self.targets[name] - self.requested[name]),
            )
            for name in self.nearly_there()
            if name in table
        ]
        lines += self._identity_sentences(phrases)
        along = {n: c for n, c in self.along().items() if n in table}
        if along:
            lines.append(phrases["along"].format(amounts=_amounts(along, table)))
        lines.append(self._others_sentence(table, phrases))
        return lines

    def _missed_sentence(
        self, name: str, why: str, table: AttributeTable, phrases: Mapping[str, str]
    ) -> str:
        """One number a thing, and one reader: the judge, whose numbers the table shows too."""
        row = table[name]
        if name not in self.targets:
            if why == "short" and self.narrowed:
                why = "short_rows"
            return phrases[why].format(
                label=row.label,
                asked=change_text(row, self.requested[name]),
                came=change_text(row, self.achieved[name]),
            )
        phrase = {"away": "away", "short": "far_from", "partly": "short_of"}[why]
        return phrases[phrase].format(
            label=row.label,
            target=row.value_text(self.targets[name]),
            before=row.value_text(self.before[name]),
            after=row.value_text(self.after[name]),
        )

    def _identity_sentences(self, phrases: Mapping[str, str]) -> list[str]:
        """A drift, and whether a random edit would do the same; or else a loss beyond the band."""
        beside = self.identity_against_band
        if beside is None or self.identity_kept_band is None:
            return [phrases["drifts"]] if self.drifts else []
        if not self.drifts and beside != "below":
            return []
        numbers = dict(zip(("low", "high"), map(percent, self.identity_kept_band), strict=True))
        said = phrases[f"drifts_{beside}" if self.drifts else "kept_below"]
        return [said.format(kept=percent(self.identity_kept or 0.0), **numbers)]

    def _others_sentence(self, table: AttributeTable, phrases: Mapping[str, str]) -> str:
        moved = {n: c for n, c in self.largest_others(table).items() if abs(c) >= VISIBLE}
        moved = {n: c for n, c in moved.items() if n not in {**self.along(), **self.slipped()}}
        if not moved:
            return phrases["still"].format(least=f"{VISIBLE:.0%}")
        beyond = [n for n in self.stands_out(table) if n in moved]
        named = list(moved)[:N_NAMED]
        amounts = _amounts({n: moved[n] for n in named}, table)
        stand_out = [table[n].label for n in named if n in beyond]
        rest = len(beyond) - len(stand_out)
        if rest:
            stand_out.append(phrases["one_smaller" if rest == 1 else "smaller"].format(count=rest))
        verdict = phrases["no_more"]
        if stand_out:
            verdict = phrases["more_than"].format(names=_list(stand_out, phrases["and"]))
        return phrases["moved"].format(amounts=amounts, verdict=verdict)

    def identity_text(self, phrases: Mapping[str, str] = PHRASES, decimal: str = ".") -> str:
        """How much of the identity is kept, with its scale; empty without an identity judge."""
        if self.identity is None:
            return ""
        if self.identity_kept is None:
            return phrases["identity_raw"].format(raw=f"{self.identity:.3f}".replace(".", decimal))
        raw = f"{self.identity:.2f}".replace(".", decimal)
        return phrases["identity_kept"].format(kept=percent(self.identity_kept), raw=raw)

    def to_text(self, table: AttributeTable, others: int = 6) -> str:
        """A table for the terminal.

        Parameters
        ----------
        table : AttributeTable
            For display names and units.
        others : int
            How many of the attributes that were not asked for are listed: those beyond the band
            first, and the farthest first among each.
        """
        from l2l_widgets.session.receipt_table import as_table

        return as_table(self, table, others)


def change_text(row: Attribute, change: float) -> str:
    """A change in attribute units as signed text in the row's unit: "+47 %", "-3°"."""
    return row.change_text(change)


def is_shown(row: Attribute, change: float) -> bool:
    """Whether a change is more than nought in the unit that it is shown in."""
    return row.change_text(change) != row.change_text(0.0)


def _amounts(changes: Mapping[str, float], table: AttributeTable) -> str:
    return ", ".join(f"{table[n].label} {change_text(table[n], c)}" for n, c in changes.items())


def percent(share: float) -> str:
    """A share of the identity scale as it is shown: what lies beyond an end stands at the end."""
    return f"{100 * max(0.0, min(1.0, share)):.0f}"


def _list(words: list[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
