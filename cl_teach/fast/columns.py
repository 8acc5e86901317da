"""What is sent back from the logits: K columns a sample, whose pulled-back squares are added up.

For labels with weights w the gradient of log p(label) at the logits is e_label - p, and its column sqrt(w) times that. The
expectation over *all* C labels needs no more than C - 1 columns: those of a factor L of the covariance of the one-hot label,
L L^T = diag(p) - p p^T, of rank C - 1 (its Cholesky factor in closed form: Tanabe & Sagae 1992). In it stand p and its tail
sums only, so that nothing is subtracted and nothing goes negative; and a product with it is a running sum.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from .layers import Moment


class Columns:
    """Any columns, (N, C, K).

    Attributes:
        count: K.
    """

    def __init__(self, dense: Tensor) -> None:
        self.dense, self.count = dense, dense.shape[2]

    def __iter__(self) -> Iterator[Tensor]:
        """One after the other, (N, C) each."""
        return iter(self.dense.unbind(2))

    def through(self, weight: Tensor) -> Iterator[Tensor]:
        """Each one times ``weight`` (C, H): what arrives below a last linear layer, (N, H) each."""
        return (column @ weight for column in self)

    def total(self, moment: Moment) -> Tensor:
        """The sum over columns of ``moment``, (N, C)."""
        return moment(self.dense).sum(2)

    def covariance(self, z: Tensor) -> Tensor:
        """The sum over columns of column column^T, times ``z`` (N, C): (N, C)."""
        return torch.einsum("nck,nk->nc", self.dense, torch.einsum("nck,nc->nk", self.dense, z))

    def inner(self, z: Tensor) -> Tensor:
        """For ``z`` (N, C, J) the sum over samples of z^T column column^T z, (J, J)."""
        scores = torch.einsum("nck,ncj->nkj", self.dense, z).flatten(0, 1)
        return scores.T @ scores

    def of(self, samples: slice) -> Columns:
        """The columns of some samples."""
        return Columns(self.dense[samples])


class Labelled(Columns):
    """sqrt(w) (e_label - p), up to its sign, for K labels a sample.

    Args:
        p: probabilities, (N, C).
        labels, weights: (N, K).
    """

    def __init__(self, p: Tensor, labels: Tensor, weights: Tensor) -> None:
        self.labels = labels
        others = p.unsqueeze(2).expand(*p.shape, labels.shape[1]).scatter(1, labels.unsqueeze(1), 0.0)
        own = -others.sum(1, keepdim=True)  # p - 1 as minus the sum of the others, never as a difference
        super().__init__(others.scatter(1, labels.unsqueeze(1), own) * weights.to(p).sqrt().unsqueeze(1))


class AllLabels(Columns):
    """The C - 1 columns for all labels, each weighted by its probability p (N, C); made one at a time, from the last back.

    Column k is 0 above k, sqrt(p_k t_{k+1} / t_k) at k and -p_j sqrt(p_k / (t_k t_{k+1})) at j > k, with the tail sums
    t_j = p_j + ... + p_{C-1}.
    """

    def __init__(self, p: Tensor) -> None:
        self.p, self.count = p, p.shape[1] - 1
        self.tail = p.flip(1).cumsum(1).flip(1)
        after, root = self.tail[:, 1:], (p / self.tail).sqrt_()[:, :-1]  # root: at most 1
        self.ratio = torch.where(after == 0, 0.0, root / after.sqrt())  # (N, C - 1); nothing after a class: no column

    def __iter__(self) -> Iterator[Tensor]:
        for k in reversed(range(self.count)):
            column = self.p * -self.ratio[:, k, None]
            column[:, :k] = 0.0
            column[:, k] = self.ratio[:, k] * self.tail[:, k + 1]
            yield column

    def through(self, weight: Tensor) -> Iterator[Tensor]:
        if self.count < 1:
            return
        reached = self.p[:, -1:] * weight[-1]  # sum_{j>k} p_j weight_j, (N, H)
        for k in reversed(range(self.count)):
            sent = torch.sub(self.tail[:, k + 1, None] * weight[k], reached)
            yield sent.mul_(self.ratio[:, k, None])
            reached.addcmul_(self.p[:, k, None], weight[k])

    def total(self, moment: Moment) -> Tensor:
        before = self.p.cumsum(1)[:, :-1]  # of squares: p (1 - p), again without a difference
        others = torch.zeros_like(self.p)
        others[:, 1:] += before
        others[:, :-1] += self.tail[:, 1:]
        return self.p * others

    def covariance(self, z: Tensor) -> Tensor:
        return self.p * (z - (self.p * z).sum(1, keepdim=True))

    def inner(self, z: Tensor) -> Tensor:
        centred = z - (self.p.unsqueeze(2) * z).sum(1, keepdim=True)
        scores = (centred * self.p.sqrt().unsqueeze(2)).flatten(0, 1)
        return scores.T @ scores

    def of(self, samples: slice) -> Columns:
        return AllLabels(self.p[samples])
