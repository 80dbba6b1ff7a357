"""The exercises of lesson 2, Load a model."""

from os import PathLike
from pathlib import Path

import torch

from helpers.models import load


def exercise_1(name: str, state_dict: dict[str, torch.Tensor]) -> str | None:
    """The tensor that holds the most numbers."""
    if name not in state_dict:
        return f"{name!r} is not a name in state_dict."
    numbers = state_dict[name].numel()
    largest = max(value.numel() for value in state_dict.values())
    return f"{name} holds {numbers:,} numbers; another tensor holds more." if numbers < largest else None


def exercise_2(layers: int, state_dict: dict[str, torch.Tensor]) -> str | None:
    """The number of layers of the text transformer."""
    right = len({name.split(".")[2] for name in state_dict if name.startswith("transformer.resblocks.")})
    return None if layers == right else "each layer has a number of its own after transformer.resblocks."


def exercise_3(file: str | PathLike, model: torch.nn.Module) -> str | None:
    """A state dict of this model, in 32 bits."""
    if not Path(file).is_file():
        return f"there is no file {file}."
    saved = dict(torch.load(file, map_location="cpu", weights_only=True))
    kinds = {value.dtype for value in saved.values() if value.is_floating_point()}
    if kinds != {torch.float32}:
        return f"its numbers are of type {', '.join(sorted(map(str, kinds)))}."
    loaded, _ = load(file, device="cpu")
    same = all(map(torch.equal, loaded.state_dict().values(), model.state_dict().values()))
    return None if same else "it holds other numbers than the model."
