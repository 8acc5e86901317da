"""A device without a driver, on any machine: a stand-in for CUDA.

Tensors there have their values on the CPU, and say that they are on the device. What mixes them with tensors of the CPU is an
error, as with CUDA, and what makes Python and the device wait for one another is counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "lazy"  # one that torch knows and nobody has
COPIES, INDEXING = ("copy_", "_to_copy"), ("index", "index_put", "index_put_")
READING = ("_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "is_nonzero")  # values, or shapes by values


class Far(Tensor):
    """A tensor there; ``near`` has its values."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> Far:
        return Tensor._make_wrapper_subclass(
            cls, near.shape, near.stride(), near.storage_offset(), dtype=near.dtype, layout=near.layout, device=NAME
        )

    def __init__(self, near: Tensor) -> None:
        self.near = near

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, Counter())

    __torch_function__ = torch._C._disabled_torch_function_impl

    @property
    def data(self) -> Tensor:
        return Far(self.near)

    @data.setter
    def data(self, other: Far) -> None:
        self.near = other.near

    def tolist(self) -> Any:
        return self.to("cpu").tolist()

    def __format__(self, spec: str) -> str:
        return format(self.item() if self.dim() == 0 else self, spec)

    def __repr__(self) -> str:
        return f"Far({self.near!r})"


class Elsewhere(TorchDispatchMode):
    """Inside, ``device=NAME`` works. ``waits`` counts: "read" what Python reads there, "sent" what is copied to there."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __enter__(self) -> Any:
        torch._C._set_only_lift_cpu_tensors(True)  # numbers of Python become a tensor of the CPU first, which is sent there
        torch.__future__.set_overwrite_module_params_on_conversion(True)  # a Far keeps its type
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(False)
        torch.__future__.set_overwrite_module_params_on_conversion(False)
        super().__exit__(*error)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {}, self.waits)


def moved(network: nn.Module, device: str) -> nn.Module:
    """``network.to(device)``, in which shared weights stay shared, as on a device with a driver."""
    if device != NAME:
        return network.to(device)
    there = {id(p): nn.Parameter(Far(p.detach()), p.requires_grad) for p in network.parameters()}
    for module in network.modules():
        for name, p in module.named_parameters(recurse=False, remove_duplicate=False):
            module._parameters[name] = there[id(p)]
        for name, b in module.named_buffers(recurse=False):
            module._buffers[name] = Far(b)
    return network


def run(func: Any, args: Any, kwargs: Any, waits: Counter[str]) -> Any:
    """One operation of torch, where its tensors or its device say."""
    name = func.overloadpacket.__name__
    tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
    there = [isinstance(t, Far) for t in tensors]
    strict = tensors
    if name in INDEXING and there[0]:  # CUDA takes numbers of rows, not values, from the CPU
        strict = [t for t in tensors if isinstance(t, Far) or t.dtype not in (torch.int64, torch.bool)]
    mixed = any(there) and any(t.dim() or name in ("cat", "stack") for t in strict if not isinstance(t, Far))
    if mixed and name not in COPIES:
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} met {[t.device.type for t in tensors]}")
    device = kwargs.get("device")
    far = any(there) if device is None else torch.device(device).type == NAME
    if name == "copy_":
        far = there[0]
    asks = name in READING or (name in INDEXING and any(t.dtype is torch.bool for t in tensors[1:]))
    waits["read"] += any(there) and (asks or not far)
    waits["sent"] += far and not all(there) and name in COPIES + INDEXING
    found = func(*tree_map(_near, args), **tree_map(_near, kwargs))
    if not far:
        return found
    wrapped = tree_map(lambda t: Far(t) if isinstance(t, Tensor) else t, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _near(value: Any) -> Any:
    if isinstance(value, torch.device) and value.type == NAME:
        return torch.device("cpu")
    return value.near if isinstance(value, Far) else value
