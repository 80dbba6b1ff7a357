"""A linear layer's product, as fast as this processor allows."""

from collections.abc import Callable
from functools import cache
from threading import Lock

import torch
from torch import nn
from torch.nn import functional

ROWS_THAT_PAY = 2048  # packing a weight takes as long as its packed form saves in about so many rows

Product = Callable[[torch.Tensor, torch.Tensor, torch.Tensor | None], torch.Tensor]  # `Linear`, or functional.linear


class Linear:
    """Compute what ``nn.functional.linear`` does, faster in float32 and bfloat16 on a CPU, where no gradient is needed.

    A weight that many rows go through is packed for oneDNN's kernels, once for the life of this object; the result is
    the same to the bit. So make one for a call in which no weight changes, and let it go: what it has packed takes as
    much memory as those weights themselves. Safe in several threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[torch.Tensor, int] = {}
        self._packed: dict[torch.Tensor, torch.Tensor] = {}

    def __call__(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return ``x @ weight.T + bias``: ``x`` is ``(…, in)``, the weight ``(out, in)``."""
        if not _suits_onednn(x, weight):
            return functional.linear(x, weight, bias)
        with self._lock:
            rows = self._rows[weight] = self._rows.get(weight, 0) + x.shape[:-1].numel()
            if rows >= ROWS_THAT_PAY and weight not in self._packed:
                self._packed[weight] = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        return torch.ops.mkldnn._linear_pointwise(x, self._packed.get(weight, weight), bias, "none", [], "")


def _suits_onednn(x: torch.Tensor, weight: torch.Tensor) -> bool:
    return (
        type(weight) is nn.Parameter
        and x.device.type == weight.device.type == "cpu"
        and x.dtype == weight.dtype in (torch.float32, torch.bfloat16)
        and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"))
        and has_fast_onednn()
    )


@cache
def has_fast_onednn() -> bool:
    """Return whether the processor has AVX-512, where oneDNN multiplies faster, and torch's way to it works.

    MKL, which torch takes in float32, uses half the width of some of these processors; on others they are alike.
    """
    x, weight, bias = torch.linspace(-1, 1, 96).view(4, 24), torch.linspace(-1, 1, 384).view(16, 24), torch.ones(16)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, None)
        found = [torch.ops.mkldnn._linear_pointwise(x, w, bias, "none", [], "") for w in (weight, packed)]
    except (AttributeError, RuntimeError, TypeError):  # these operators are private: they may go, or change
        return False
    right = all(torch.allclose(one, functional.linear(x, weight, bias), atol=1e-5) for one in found)
    return right and torch.backends.cpu.get_cpu_capability() == "AVX512"
