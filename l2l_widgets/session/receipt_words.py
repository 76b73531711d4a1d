"""The sentences of a receipt, in English."""

from __future__ import annotations

from collections.abc import Mapping

#: Sentences of a receipt; a view may bring those of another language.
PHRASES: Mapping[str, str] = {
    "nothing": "Nothing is asked for: before and after are the same face.",
    "held": "Held, and moved nevertheless: {amounts}.",
    "short": "{label}: asked {asked}, came {came}: less than half of it, for this request on this "
    "face.",
    "short_rows": "{label}: asked {asked}, came {came}: the chosen rows do not bring it on this "
    "face.",
    "opposite": "{label}: asked {asked}, came {came}: the other way, for this request on this "
    "face.",
    "away": "{label}: asked to be {target}; the judge read {before} before and reads {after} now, "
    "which is farther away.",
    "partly": "{label}: asked {asked}, came only {came}.",
    "short_of": "{label}: asked to be {target}; the judge read {before} before and reads {after} "
    "now.",
    "far_from": "{label}: asked to be {target}; the judge read {before} before and reads {after} "
    "now, less than half of the way.",
    "nearly": "{label}: asked to be {target}; the reader that guides the edit saw {before} before, "
    "so hardly anything was left to change.",
    "drifts": "The face drifts towards another person.",
    "drifts_below": "The face drifts towards another person: {kept} % of the identity is kept, "
    "less than random edits of this size keep ({low} to {high} %).",
    "drifts_inside": "The face drifts towards another person, no more than a random edit of this "
    "size would: {kept} % of the identity is kept, random edits keep {low} to {high} %.",
    "drifts_above": "The face drifts towards another person, less than a random edit of this size "
    "would: {kept} % of the identity is kept, random edits keep {low} to {high} %.",
    "kept_below": "{kept} % of the identity is kept, less than random edits of this size keep "
    "({low} to {high} %).",
    "still": "Nothing else moved by as much as {least} of its scale.",
    "along": "Part of the movement that was asked for: {amounts}.",
    "moved": "Also moved: {amounts}. {verdict}",
    "more_than": "More than a random edit of this size would: {names}.",
    "no_more": "No more than a random edit of this size would.",
    "one_smaller": "1 smaller change",
    "smaller": "{count} smaller changes",
    "and": "and",
    "identity_kept": "identity kept {kept} % (0 = a stranger, 100 = the same face; raw {raw})",
    "identity_raw": "identity {raw} (1 is the same face; no scale of strangers)",
}
