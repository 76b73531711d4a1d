"""The exercises of student_7 with solutions: right ones pass, wrong ones are told why."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TESTS = str(Path(__file__).resolve().parent)
#: Long enough for attributes to follow somebody; none of it draws a picture in a step.
LESSON = '{"steps": 200, "warm_steps": 200, "faces": 512, "learning_rate": 2e-3}'
SOLUTIONS = {
    "follows = ...": "follows = table.names[int(lead.argmin())]",
    "kept = ...": "kept = float((to_first.mean() - strangers.mean()) / (1 - strangers.mean()))",
    "waypoint = ...": """
way = mixer.travel(two[0:1], one[0:1], "identity", steps=33)
with torch.inference_mode():
    seen = models.identity_judge(mixer.draw(way))
uneven = (seen @ seen[0] - seen @ seen[-1]).abs()
waypoint = way[int(uneven.argmin())][None]
""",
}
WRONG = {
    "follows_the_rest": ('"age of the moon"', "expected one of"),
    "on_a_scale": ("float(to_first.mean())", "where are the strangers?"),
    "half_way": ("two.person", "its shape is"),
}


@pytest.mark.notebook
def test_the_solutions_pass_and_wrong_answers_are_told_why(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(ROOT / "notebooks" / "student_7_identity.ipynb", as_version=4)
    left = dict(SOLUTIONS)
    for cell in notebook.cells:
        cell.source = cell.source.replace('{"steps": 8, "warm_steps": 6, "faces": 192}', LESSON)
        for dots in list(left):
            if dots in cell.source:
                cell.source = cell.source.replace(dots, left.pop(dots).strip())
    assert not left, "an exercise lost its three dots"
    wrong = "\n".join(f"print({name}.check({answer}))" for name, (answer, _) in WRONG.items())
    notebook.cells.append(nbformat.v4.new_code_cell(wrong))
    timing = "from exercise_checks import time_every_check\ntime_every_check()"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(timing))
    counted = "from l2l_widgets.teaching.exercises import Exercise\nprint(Exercise.check.checked)"
    notebook.cells.append(nbformat.v4.new_code_cell(counted))
    monkeypatch.setenv("L2L_SMOKE", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), TESTS, *filter(None, [before])]))
    resources = {"metadata": {"path": str(tmp_path)}}
    limits = {"timeout": 1500, "startup_timeout": 600}
    NotebookClient(notebook, kernel_name="python3", resources=resources, **limits).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    text = {cell.id: "".join(o.get("text", "") for o in cell.outputs) for cell in code}
    said = text[code[-2].id]
    assert int(text[code[-1].id]) >= 2 * len(WRONG), "no check was timed"
    for _, words in WRONG.values():
        assert words in said
    # what the sentences beside the tables say of them
    likeness = {line[:34].strip(): line[34:].split() for line in text["cell-10"].splitlines()}
    judge, embedder = map(float, likeness["the mix and its identity input"])
    assert embedder > judge, "the embedder of the training sees more of the first person"
    follows = {line.split()[0]: line for line in text["cell-12"].splitlines()[1:]}
    assert all(follows[name].endswith("the person") for name in ("beard", "age", "hair_length"))
    assert all(follows[name].endswith("the rest") for name in ("yaw", "mouth_open", "smile"))
    readers = {name: float(line.split()[3]) for name, line in follows.items()}
    hard = ("sadness", "fear", "eyes_open")
    assert max(readers[name] for name in hard) < 0.85 < min(readers["glasses"], readers["yaw"])
    assert "3 of 3 passed" in text[code[-3].id], [o for cell in code[-5:] for o in cell.outputs]
