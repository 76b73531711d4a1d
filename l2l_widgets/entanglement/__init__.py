"""What else moves when one attribute is edited: the matrix, the faces behind it, the way there.

``study.py``         measures a method attribute by attribute, and can be interrupted and resumed
``report_study.py``  the same answers out of a folder that ``l2l evaluate`` wrote
``matrix.py``        the leakage matrix: intervals, verdicts, and each cell in words
``difference.py``    two methods face by face, as before and after a projection
``background.py``    a study that goes on in a thread, row by row, with stop and pause
``trajectories.py``  every attribute's score along the strength of one edit
``projection.py``    what conditional projection promises before it is tried

The numbers are those of :mod:`l2l_widgets.evaluation`: at equal achieved change, by judges that
trained nothing.
"""

from __future__ import annotations

from l2l_widgets.entanglement.background import BackgroundStudy, Progress
from l2l_widgets.entanglement.difference import paired_difference
from l2l_widgets.entanglement.matrix import FaceChange, LeakageMatrix, cell_sentences
from l2l_widgets.entanglement.projection import stored_projection
from l2l_widgets.entanglement.report_study import ReportStudy
from l2l_widgets.entanglement.study import LeakageStudy
from l2l_widgets.entanglement.trajectories import Trajectories, measure_trajectories

__all__ = [
    "BackgroundStudy",
    "FaceChange",
    "LeakageMatrix",
    "LeakageStudy",
    "Progress",
    "ReportStudy",
    "Trajectories",
    "cell_sentences",
    "measure_trajectories",
    "paired_difference",
    "stored_projection",
]
