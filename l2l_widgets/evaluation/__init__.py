"""Measure editors on unseen faces, by judges that trained nothing, and write a report folder.

Faces are drawn from seeds that no training used, at the truncation of a session; every method gets
the same faces, the same requests and the same judges. Five parts answer five questions, the last
two where they are asked for:

``requested.py``       of what a slider asks for, how much comes?
``equal_change.py``    when the target has moved as much, what else moved?
``paper_protocol.py``  what would the paper's tables say here?
``several.py``         of five attributes in one request, how much of each comes?
``standards.py``       separability, path length, DCI, MIG, SAP, each with its caveat

``comparison.py`` measures methods side by side, cell by cell, goes on after a kill, and may be
asked for more afterwards (``growth.py``); ``groups.py`` holds readers, and groups of faces, apart;
``report_folder.py`` writes what it found; ``verification.py`` measures random rows again.
"""

from __future__ import annotations

from l2l_widgets.evaluation.bench import Truth, choose_requests
from l2l_widgets.evaluation.comparison import compare
from l2l_widgets.evaluation.detection import cascade_detector, detector_of, usable_detector
from l2l_widgets.evaluation.paper_protocol import judge_features
from l2l_widgets.evaluation.plan import Plan
from l2l_widgets.evaluation.report import Comparison
from l2l_widgets.evaluation.report_folder import paper_mark, stamp, summary, write_report
from l2l_widgets.evaluation.requested import evaluate
from l2l_widgets.evaluation.trained import (
    SEEDS,
    editor_from,
    labelled,
    trained_editors,
    trained_hashes,
)
from l2l_widgets.evaluation.verification import plan_of, read_report, verify

__all__ = [
    "SEEDS",
    "Comparison",
    "Plan",
    "Truth",
    "cascade_detector",
    "choose_requests",
    "compare",
    "detector_of",
    "editor_from",
    "evaluate",
    "judge_features",
    "labelled",
    "paper_mark",
    "plan_of",
    "read_report",
    "stamp",
    "summary",
    "trained_editors",
    "trained_hashes",
    "usable_detector",
    "verify",
    "write_report",
]
