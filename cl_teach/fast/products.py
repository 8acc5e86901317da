"""Products of matrices in single precision on the CPU: oneDNN's are up to twice as fast as those that torch calls by itself.

How much that is depends on the processor; on some there is no difference. The last bits differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

Product: TypeAlias = Callable[[Tensor, Tensor, "Tensor | None"], Tensor]


def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a (N, I) times b (O, I) transposed, plus bias (O,) in each row: (N, O)."""
    return a.mm(b.t()) if bias is None else torch.addmm(bias, a, b.t())


def quick_product(like: Tensor) -> Product:
    """What multiplies matrices of the type and device of ``like`` fastest, as :func:`product` does."""
    if like.dtype is not torch.float32 or like.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return product
    linear: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)  # of torch's compiler: no public function does it

    def quick(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        found: Tensor = linear(a, b, bias, "none", [], "")
        return found

    a, b, bias = torch.linspace(0, 1, 12).view(3, 4), torch.linspace(-1, 1, 8).view(2, 4), torch.tensor([0.5, -0.5])
    try:
        same = torch.allclose(quick(a, b, bias), product(a, b, bias), atol=1e-5)
    except Exception:  # another version of torch may know it by another name, or not at all
        same = False
    return quick if same else product
