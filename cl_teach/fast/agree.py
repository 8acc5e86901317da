"""The judge: which quick way may be taken is not guessed. On two samples it must agree with the plain way, or it is not used.

That finds weights that are used outside their layer's own call, layers that see their samples in another order, hooks that
change an output, and all else that a list of layers does not tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from .._weights import Named

Attempt = Callable[[Sequence[str]], Mapping[str, Tensor]]  # names still open -> what the way finds for them, or for some


def two_of(x: Tensor) -> Tensor:
    """The samples that are judged by: the first and the last."""
    return x[[0, -1]] if len(x) > 1 else x


def judge(plain: Named, ways: Mapping[str, Attempt], dtype: torch.dtype) -> dict[str, str]:
    """Name of each thing in ``plain`` -> the first way that finds the same; things that no way finds are left out."""
    chosen: dict[str, str] = {}
    largest = max((_size(t) for t in plain.values()), default=0.0)
    for way, attempt in ways.items():
        still = [name for name in plain if name not in chosen]
        if not still:
            break
        try:
            found = attempt(still)
        except Exception:  # whatever it is that this model does not allow, the next way takes over
            continue
        chosen |= {n: way for n in still if n in found and agree(found[n], plain[n], dtype, largest)}
    return chosen


def agree(a: Tensor, b: Tensor, dtype: torch.dtype, largest: float = 0.0) -> bool:
    """Whether two ways of computing one thing differ by rounding in ``dtype`` only; ``largest``: the largest such thing."""
    if a.shape != b.shape:
        return False
    tolerance = {torch.float64: 1e-8, torch.float32: 1e-3}.get(dtype, 0.1)
    gap, size = float((a - b).norm()), _size(b)
    if not math.isfinite(gap):
        a, b = a.double(), b.double()
        odd = ~(a.isfinite() & b.isfinite())  # infinite logits are a way to switch a class off: equal ones agree
        if not torch.allclose(a[odd], b[odd], equal_nan=True):
            return False
        gap = float((a - b)[~odd].norm())
    return math.isfinite(gap + size + largest) and gap <= tolerance * size + 1e-7 * largest


def _size(t: Tensor) -> float:
    """The norm of what is finite: within an infinite tolerance anything would agree. In float64 if squares overflow."""
    size = float(t.norm())
    return size if math.isfinite(size) else float(t[t.isfinite()].double().norm())


def met_in_graph(output: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, int]:
    """Name -> how many times the graph that leads to ``output`` takes that leaf in."""
    times = dict.fromkeys(leaves, 0)
    names = {id(t): name for name, t in leaves.items()}
    todo, seen = [output.grad_fn], {output.grad_fn}
    while todo:
        for node, _ in getattr(todo.pop(), "next_functions", ()):
            name = names.get(id(getattr(node, "variable", None)))
            if name is not None:
                times[name] += 1
            elif node is not None and node not in seen:
                seen.add(node)
                todo.append(node)
    return times
