"""What the Fisher information does to directions v of the weights, in about two passes instead of one a sample.

It needs J v, the derivative of the logits along v, and J^T u, the way back. Three ways, from the quickest to the one that is
right for every network:

    forward    J v in forward mode (Pearlmutter 1994); some layers have none
    twice      J^T u is linear in u, and its product with v has J v as its derivative by u: backward, and backward again
    gradients  per-sample gradients g, and their products with v

Which is right for a network and a direction is the judge's to say: on two samples, against plain per-sample gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.func import jvp

from .._weights import Named, wide
from .agree import agree
from .columns import Columns
from .per_sample import Bound, PerSample

_Along = Callable[[PerSample, Tensor, Sequence[Named]], Tensor]  # of x (N, ...) and k directions: J v, (N, C, k)


class Directions:
    """k directions of the weights, each a dict of all that are trainable; the way is judged at the first use."""

    def __init__(self, basis: Sequence[Named]) -> None:
        self.basis = basis
        self._way: _Along | None = None  # None: by per-sample gradients
        self._judged = False

    def restricted(self, work: PerSample, x: Tensor, columns_of: Bound) -> Tensor:
        """The sum over samples and columns of v_i^T g g^T v_j, (k, k)."""
        if (way := self._chosen(work)) is not None:
            return columns_of(work.logits(x)).inner(way(work, x, self.basis))
        total: Tensor | float = 0.0
        for gradients in work.gradients(list(work.theta), x, columns_of(work.logits(x))):
            scores = _scores(gradients, self.basis)
            total = total + scores.T @ scores
        assert isinstance(total, Tensor)
        return total

    def product(self, work: PerSample, x: Tensor, columns_of: Bound) -> Named:
        """The sum over samples and columns of g g^T v, for the only direction v."""
        if (way := self._chosen(work)) is not None:
            along = way(work, x, self.basis)[:, :, 0]
            return _back(work, x, lambda logits: columns_of(logits).covariance(along))
        total: Named = {}
        for gradients in work.gradients(list(work.theta), x, columns_of(work.logits(x))):
            scores = _scores(gradients, self.basis)[:, 0]
            for name, g in gradients.items():
                found_here = (scores @ g.to(scores.dtype).reshape(len(scores), -1)).view(g.shape[2:])
                total[name] = total[name] + found_here if name in total else found_here
        return total

    def _chosen(self, work: PerSample) -> _Along | None:
        if not self._judged:
            self._way, self._judged = self._judge(work), True
        return self._way

    def _judge(self, work: PerSample) -> _Along | None:
        x, columns = work.two, Columns(work.unlikely().dense[:, :, :1])
        truth = list(work.gradients(list(work.theta), x, columns, plainly=True))
        scores = torch.cat([_scores(gradients, self.basis) for gradients in truth])  # (2, k)
        together = {name: torch.stack([g[name].sum((0, 1)) for g in truth]).sum(0) for name in work.theta}
        size, dtype = _norm(together), work.example.dtype
        sizes = [size * _norm(v) for v in self.basis]  # g and v may be at right angles: what is zero is compared with these
        for way in (_forward, _twice):
            try:
                along = torch.einsum("nc,nck->nk", columns.dense[:, :, 0], way(work, x, self.basis)).to(scores.dtype)
                back = _back(work, x, lambda logits: columns.dense[:, :, 0])
            except Exception:  # whatever this network does not allow, the next way takes over
                continue
            right = all(agree(along[:, i], scores[:, i], dtype, largest) for i, largest in enumerate(sizes))
            if right and all(agree(back[name].to(g), g, dtype, size) for name, g in together.items()):
                return way
        return None


def _scores(gradients: Named, basis: Sequence[Named]) -> Tensor:
    """g^T v, (n K, k), of per-sample gradients (n, K, ...)."""
    dtype = wide(next(iter(gradients.values())).dtype)
    flat = {name: g.flatten(0, 1).reshape(g.shape[0] * g.shape[1], -1).to(dtype) for name, g in gradients.items()}
    one = [torch.stack([g @ v[name].flatten().to(dtype) for name, g in flat.items()]).sum(0) for v in basis]
    return torch.stack(one, dim=1)


def _norm(named: Named) -> float:
    return float(torch.stack([t.double().norm() for t in named.values()]).norm())


def _back(work: PerSample, x: Tensor, sent: Callable[[Tensor], Tensor]) -> Named:
    """J^T u, with u what is ``sent`` back from the logits."""
    theta = {name: t.detach().requires_grad_() for name, t in work.theta.items()}
    logits = work.logits(x, theta)
    found = torch.autograd.grad(logits, list(theta.values()), sent(logits.detach()), materialize_grads=True)
    return {name: g.to_dense() for name, g in zip(theta, found, strict=True)}


def _forward(work: PerSample, x: Tensor, basis: Sequence[Named]) -> Tensor:
    with work.derivable():
        found = [jvp(lambda theta: work.logits(x, theta), (work.theta,), (dict(v),))[1] for v in basis]
    return torch.stack(found, dim=2)


def _twice(work: PerSample, x: Tensor, basis: Sequence[Named]) -> Tensor:
    theta = {name: t.detach().requires_grad_() for name, t in work.theta.items()}
    with work.derivable():
        logits = work.logits(x, theta)
        u = torch.zeros_like(logits, requires_grad=True)
        back = torch.autograd.grad(logits, list(theta.values()), u, create_graph=True, materialize_grads=True)
        found = []
        for v in basis:
            score = torch.stack([(g * v[name]).sum() for name, g in zip(theta, back, strict=True)]).sum()
            found.append(torch.autograd.grad(score, u, retain_graph=True)[0])
    return torch.stack(found, dim=2)
