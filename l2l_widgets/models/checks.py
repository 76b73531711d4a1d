"""What is said of models that cannot be: of a wrong device, wrong columns, no models at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from l2l_widgets.attributes import AttributeTable
from l2l_widgets.errors import first_line

if TYPE_CHECKING:
    from l2l_widgets.models.zoo import Models
    from l2l_widgets.protocols import AttributeRegressor


class ZooError(ValueError):
    """Models that cannot be had; one line that names the file or part and what is allowed."""


class NoSuchModelsError(ZooError):
    """A name that is no embedded world, and no folder or file either."""


def check_models(models: Any) -> Models:
    """The models that were given; a ZooError where something else was."""
    from l2l_widgets.models.zoo import Models

    if not isinstance(models, Models):
        example = f": load({models!r})" if isinstance(models, str) else ""
        raise ZooError(f"models is {models!r}; allowed: the Models that load() gives{example}")
    return models


def no_editor(models: Models) -> str:
    """What is said where methods are to be compared and these models have none."""
    return (
        f"models {models.name!r} have no editing method; allowed: models with one, made for them "
        "by `l2l train own --generator FILE --judge ATTRIBUTES --judge IDENTITY` (then load their "
        "folder), or given to Models.from_parts(..., editors={...})"
    )


def checked_device(device: str) -> str:
    """The device, where torch can compute there."""
    if device == "cpu":
        return device
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ZooError(f"device {device!r} cannot be used here ({first_line(error)})") from None
    return str(device)


def check_columns(part: AttributeRegressor, name: str, table: AttributeTable) -> None:
    """Readings are looked up by column: names in another order would all be wrong."""
    if tuple(part.attributes) != table.names:
        raise ZooError(
            f"{name} reads {len(part.attributes)} attributes "
            f"({', '.join(part.attributes[:3])}, ...), the table has {len(table)} "
            f"({', '.join(table.names[:3])}, ...); allowed: the table's names in its order"
        )
