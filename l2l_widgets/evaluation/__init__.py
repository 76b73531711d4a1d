"""Measure editors on unseen faces, by judges that trained nothing, and write a report folder.

Faces are drawn from seeds that no training used, at the truncation of a session; every method gets
the same faces, the same requests and the same judges. ``requested.py`` measures at equal request,
as a slider is used.
"""

from __future__ import annotations

from l2l_widgets.evaluation.bench import Truth, choose_requests
from l2l_widgets.evaluation.requested import evaluate

__all__ = ["Truth", "choose_requests", "evaluate"]
