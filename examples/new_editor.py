"""Bring an editor of your own: a linear one, fitted in seconds, checked against the contract.

    python examples/new_editor.py --faces 512

Attributes are taken as linear in w, a = w J' + b (ridge regression on the regressor's readings);
an edit is the shortest step that changes the asked attributes and leaves the others where they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

import l2l_widgets as l2l
from l2l_widgets.latents import check_ws
from l2l_widgets.storage import load_safetensors, save_safetensors


class LinearEditor:
    """The editor protocol: a name, the attributes, the space, ``edit``, ``save`` and ``load``."""

    name = "linear"
    space = "w"
    can_preserve = False

    def __init__(self, table: l2l.AttributeTable, steps: torch.Tensor) -> None:
        self.table = table
        self.attributes = table.names
        self.steps = steps  # (A, w_dim): the step in W for a change of 1 of each attribute

    @classmethod
    def fit(cls, models: l2l.Models, faces: int, seed: int = 0) -> LinearEditor:
        """Learn the steps from ``faces`` random faces, in batches of 64."""
        random = torch.Generator().manual_seed(seed)
        z = torch.randn(faces, models.generator.z_dim, generator=random)
        with torch.inference_mode():
            ws = torch.cat([models.generator.mapping(part, 0.7) for part in z.split(64)])
            a = [models.regressor(models.generator.synthesis(part)) for part in ws.split(64)]
        x, y = ws[:, 0] - ws[:, 0].mean(0), torch.cat(a)  # (N, w_dim), (N, A)
        ridge = 1e-2 * faces * float(x.var()) * torch.eye(x.shape[1])
        jacobian = torch.linalg.solve(x.T @ x + ridge, x.T @ (y - y.mean(0))).T  # (A, w_dim)
        return cls(models.table, torch.linalg.pinv(jacobian, rtol=1e-2).T.contiguous())

    def edit(self, w: torch.Tensor, request: l2l.EditRequest) -> torch.Tensor:
        """``w``, (B, num_ws, w_dim), moved by what is asked; ValueError for what cannot be."""
        request.validate(self.table)
        if request.preserve:
            raise ValueError(f"{self.name} cannot preserve {request.preserve}; allowed: none")
        check_ws(w, w.shape[1], self.steps.shape[1])
        return w + (request.deltas(self.table).to(w) @ self.steps.to(w))[:, None]

    def save(self, path: Path) -> None:
        """Write steps and table."""
        save_safetensors(path, {"steps": self.steps}, {"table": self.table.to_json()})

    @classmethod
    def load(cls, path: Path) -> LinearEditor:
        """Read what :meth:`save` wrote."""
        tensors, metadata = load_safetensors(path)
        return cls(l2l.AttributeTable.from_json(metadata["table"]), tensors["steps"])


def main(argv: Sequence[str] | None = None) -> int:
    """Fit and check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=int, default=512)
    args = parser.parse_args(argv)
    models = l2l.load()
    editor = LinearEditor.fit(models, args.faces)
    ws = models.generator.mapping(torch.randn(4, models.generator.z_dim)).detach()
    print("check_editor passed:", *l2l.check_editor(editor, ws))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
