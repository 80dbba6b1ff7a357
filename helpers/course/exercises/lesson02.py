"""The exercises of lesson 2, Load a model."""

from collections.abc import Callable, Mapping

from torch import Tensor


def exercise_1(name: str, state_dict: Mapping[str, Tensor]) -> str | None:
    """The tensor with the most values."""
    if name not in state_dict:
        return f"Expected a name in state_dict; got {name!r}."
    most = max(tensor.numel() for tensor in state_dict.values())
    count = state_dict[name].numel()
    return None if count == most else f"{name} has {count:,} values; another tensor has {most:,}."


def exercise_2(text_layers: Callable) -> str | None:
    """The number of blocks in the text transformer."""
    if not callable(text_layers):
        return f"Expected a function of a state dict; got {type(text_layers).__name__}."
    for layers, vision in ((2, 0), (12, 3)):
        names = [f"transformer.resblocks.{i}.{part}" for i in range(layers) for part in ("ln_1.weight", "ln_1.bias")]
        names += [f"visual.transformer.resblocks.{i}.ln_1.weight" for i in range(vision)]
        given = text_layers(dict.fromkeys(["positional_embedding", *names]))
        if given != layers:
            blocks = f"{layers} blocks in the text transformer and {vision} in the image encoder"
            return f"For a model with {blocks}, expected {layers}; got {given}."
    return None
