"""Where the eyes are in a found face, by the cascades that OpenCV carries beside those for faces.

A landmark network that has seen the pictures of one generator puts its points where *that* world
has eyes and mouths; on a photograph it is off by a brow or a chin. These cascades were made from
photographs. Each of them alone errs often, on glasses most of all, so four vote, and only a pair
that two of them see and that a face can have is believed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["EyeFinder", "best_pair"]

#: File of each cascade, and how far below the middle of its boxes the pupil lies, in box sides:
#: the last two have the brow in them.
CASCADES = {
    "haarcascade_eye_tree_eyeglasses.xml": 0.0,
    "haarcascade_eye.xml": 0.0,
    "haarcascade_lefteye_2splits.xml": 0.12,
    "haarcascade_righteye_2splits.xml": 0.12,
}
#: Side of the face as it is searched, pixels, and the share of its height in which eyes may be.
SIDE, DEPTH = 240, 0.7
#: Votes nearer than this are for the same eye; no cascade has more than so many.
NEAR, MOST = 0.05, 60
#: What a pair must be, in sides of the face's box: apart, around the middle, not too high or low.
APART, ASIDE, HEIGHT, TILT = (0.26, 0.62), 0.13, (0.16, 0.58), 20.0


class EyeFinder:
    """Finds both eyes inside a face's box.

    Parameters
    ----------
    cv2 : module
        OpenCV, release 4.

    Raises
    ------
    AttributeError, ValueError
        OpenCV carries no cascades.
    """

    def __init__(self, cv2: Any) -> None:
        folder = Path(cv2.data.haarcascades)
        self._cv2 = cv2
        self._cascades = [
            (cv2.CascadeClassifier(str(folder / name)), below) for name, below in CASCADES.items()
        ]
        if any(cascade.empty() for cascade, _ in self._cascades):
            raise ValueError("OpenCV carries no cascades for eyes")

    def __call__(self, face: np.ndarray) -> tuple[tuple[float, float], ...]:
        """The eyes in a square cut around a face, upright.

        Parameters
        ----------
        face : array, shape (S, S)
            Grey, uint8.

        Returns
        -------
        tuple of 2 points, or empty
            The picture's left eye and its right one, x and y as shares of the side.
        """
        cv2 = self._cv2
        searched = cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        searched = searched[: round(SIDE * DEPTH)]
        votes = []
        for number, (cascade, below) in enumerate(self._cascades):
            found, support = cascade.detectMultiScale2(
                searched, 1.05, 1, minSize=(SIDE // 12,) * 2, maxSize=(SIDE * 2 // 5,) * 2
            )
            for (x, y, width, height), weight in zip(found, support, strict=True):
                middle = (x + width / 2) / SIDE, (y + height * (0.5 + below)) / SIDE
                votes.append((*middle, min(float(weight), MOST), number))
        return best_pair(np.array(votes, dtype=np.float64).reshape(-1, 4))


def best_pair(votes: np.ndarray) -> tuple[tuple[float, float], ...]:
    """The pair of places that most votes speak for, among those that a face can have.

    Parameters
    ----------
    votes : array, shape (N, 4)
        x and y as shares of the face's side, weight, and who votes.

    Returns
    -------
    tuple of 2 points, or empty
        Left and right in the picture; empty where no pair has two voters for each of its eyes.
    """
    places = []
    for vote in votes:
        near = votes[np.hypot(*(votes[:, :2] - vote[:2]).T) < NEAR]
        # a voter that sees an eye three times is one voter
        if len(set(near[:, 3])) >= 2:
            weight = near[:, 2].sum()
            places.append((*(near[:, :2] * near[:, 2:3]).sum(0) / weight, weight))
    best = 0.0
    found: tuple[tuple[float, float], ...] = ()
    for left in places:
        for right in places:
            apart, down = right[0] - left[0], right[1] - left[1]
            middle = (left[0] + right[0]) / 2, (left[1] + right[1]) / 2
            possible = (
                APART[0] < apart < APART[1]
                and abs(middle[0] - 0.5) < ASIDE
                and HEIGHT[0] < middle[1] < HEIGHT[1]
                and abs(math.degrees(math.atan2(down, apart))) < TILT
            )
            if possible and min(left[2], right[2]) > best:
                best = min(left[2], right[2])
                found = ((float(left[0]), float(left[1])), (float(right[0]), float(right[1])))
    return found
