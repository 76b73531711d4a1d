"""One side of a comparison, in its own process: ``python -m l2l_widgets.bench.side JOB``.

JOB is a JSON object (`subject`, `side`, `options`, `threads`). The process answers one JSON line
when it is ready, and one more for every line on its standard input: after working once, or, for
the line "facts", what the side says of itself. That is asked last: finding it out may take more
memory than the work.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main(argv: list[str]) -> int:
    """Build the side, then work at every line until the input ends."""
    import torch

    from l2l_widgets.bench.subjects import SUBJECTS

    job = json.loads(argv[0])
    torch.set_num_threads(job["threads"])
    # What a library prints must not end up between the answers.
    out, sys.stdout = sys.stdout, sys.stderr

    def answer(value: dict[str, Any]) -> None:
        out.write(json.dumps(value) + "\n")
        out.flush()

    try:
        work, facts = SUBJECTS[job["subject"]].sides[job["side"]](job["options"])
        answer({})
        for line in sys.stdin:
            if line.strip() == "facts":
                answer(facts())
                continue
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            answer({"wall": wall, "cpu": cpu, "memory_mb": _peak_mb()})
    except Exception as error:  # the parent says it in one line
        answer({"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})
        return 1
    return 0


def _peak_mb() -> float:
    """Largest memory of this process so far; 0 where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
