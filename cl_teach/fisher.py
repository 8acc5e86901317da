"""What matters: the Fisher information of a classifier, its diagonal.

F_i = E_x E_{y ~ p(y|x, theta)} [ (d log p(y|x, theta) / d theta_i)^2 ]

The square stands inside both means: gradients are squared sample by sample, never after summing over a batch. The label y
comes from the model's own distribution: all labels with their probabilities ("exact"), one drawn from it ("sample"), or a few
exactly and one drawn from the rest ("stratified"). Squares with the labels of the data ("true", the so-called empirical
Fisher) or with the most likely label ("predicted") are other quantities; they are offered because people use them
(Kunstner, Balles & Hennig 2019, arXiv:1905.12558; van de Ven 2025, arXiv:2502.11756).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from . import _checks
from ._prepare import Data
from ._weights import Named, as_function, eval_mode, plain_autograd
from .fast.columns import AllLabels, Columns, Labelled
from .fast.per_sample import ColumnsOf, mean_moments
from .models import head

LABELS = ("exact", "sample", "true", "predicted", "stratified")


def label_weights(p: Tensor, choice: str, y: Tensor, uniform: Tensor, likeliest: int = 4) -> tuple[Tensor, Tensor]:
    """Which labels each sample's gradient is squared for, and how much each square counts.

    Args:
        p: the model's probabilities, (N, C).
        choice: one of LABELS.
        y: the labels of the data, (N,).
        uniform: a random number in [0, 1) for each sample, (N,): it decides on the label that is drawn.
        likeliest: how many labels "stratified" takes exactly.

    Returns:
        labels and weights, (N, K) each: K is C for "exact", ``likeliest`` + 1 for "stratified" and 1 for the others.
    """
    if choice == "exact":
        return torch.arange(p.shape[1], device=p.device).expand_as(p), p
    if choice == "stratified":  # few exactly, and the rest, of probability r, by one draw that counts r
        top, labels = p.topk(min(likeliest, p.shape[1] - 1), dim=1)
        rest = p.scatter(1, labels, 0.0)
        drawn = _drawn(rest, uniform)
        return torch.cat([labels, drawn], dim=1), torch.cat([top, rest.sum(1, keepdim=True)], dim=1)
    one = torch.ones_like(p[:, :1])
    if choice == "sample":
        return _drawn(p, uniform), one
    return (y[:, None] if choice == "true" else p.argmax(1, keepdim=True)), one


def _drawn(p: Tensor, uniform: Tensor) -> Tensor:
    """One label a sample, (N, 1), drawn in proportion to ``p``: the first whose cumulative sum passes a random share."""
    cumulative = p.double().cumsum(1)
    passed = uniform[:, None] * cumulative[:, -1:] >= cumulative
    return passed.sum(1, keepdim=True).clamp_(max=p.shape[1] - 1)


@plain_autograd()
def plain_squares(model: nn.Module, x: Tensor, labels: Tensor, weights: Tensor, classes: Sequence[int] | None = None) -> Named:
    """The definition, word for word: gradients of log p, one a sample and label, squared, weighted, averaged over samples.

    One at a time, which is slow and always right. (``torch.func.vmap`` would take all at once, but it is wrong for some
    layers without a word: in torch 2.14 for PReLU.)

    Args:
        model: used in the mode it is in.
        x: inputs (N, ...), in its type and on its device.
        labels, weights: (N, K) each, as :func:`label_weights` gives them.
        classes: the outputs that take part, None for all.
    """
    network = as_function(model)
    theta = {name: p.detach().requires_grad_() for name, p in _checks.trainable(model).items()}
    total = {name: torch.zeros_like(t, requires_grad=False) for name, t in theta.items()}
    for sample, sample_labels, sample_weights in zip(x.split(1), labels, weights, strict=True):
        for label, weight in zip(sample_labels.split(1), sample_weights, strict=True):
            logits = head(network(theta, sample), classes)  # (1, C)
            if not logits.requires_grad:
                continue  # no weight that learns has a part in them
            log_p = -cross_entropy(logits, label)
            score = torch.autograd.grad(log_p, list(theta.values()), materialize_grads=True, allow_unused=True)
            for name, g in zip(theta, score, strict=True):  # d log p(label | sample) / d theta
                total[name] += weight / len(x) * g.to_dense().square()
    return total


@plain_autograd()
def plain_fisher(model: nn.Module, x: Tensor, y: Tensor, choice: str = "exact", seed: int = 0) -> Named:
    """The whole method: what the model believes, which labels count, and the mean of their squared gradients.

    The same as :func:`diagonal_fisher` on ``Split(x, y)``, without its checks, some hundred times slower.
    """
    with eval_mode(model, derivatives=True):  # no dropout
        p = model(x).detach().softmax(1)  # (N, C)
        uniform = torch.rand(len(x), generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(x.device)
        return plain_squares(model, x, *label_weights(p, choice, y, uniform))


@plain_autograd()
def diagonal_fisher(
    model: nn.Module,
    data: Data,
    labels: str = "exact",
    *,
    n: int | None = None,
    classes: Sequence[int] | None = None,
    seed: int | torch.Generator = 0,
    chunk: int = 1024,
    likeliest: int = 4,
) -> Named:
    """The diagonal Fisher information of ``model`` on ``data``: a mean over samples of squared per-sample gradients.

    It is :func:`plain_fisher`, chunk by chunk, in a quicker way: Linear, convolution, embedding, recurrent and
    normalisation layers in closed form, everything else by per-sample gradients (``torch.func``; sample by sample where that
    fails, with a UserWarning if it takes more than ten seconds). Which way is right for a parameter is not guessed: it must
    agree with the plain one on two samples. A bar appears after two seconds, unless TQDM_DISABLE=1 is set.

    Args:
        model: any classifier from (N, ...) to (N, C) logits whose samples do not influence each other. It is used in eval
            mode (no dropout) and in its own type, inside ``torch.inference_mode`` and ``autocast`` too, and given back as it
            was, modes and gradients included. Of what ``torch.compile`` or DataParallel made, the network inside is taken.
        data: a :class:`Split`; a :class:`Task` (its training data and classes); or a DataLoader or other iterable of batches
            (x, y), which is read once, batch by batch.
        labels: where the label of each squared gradient comes from.
            "exact": the expectation over all classes under the model. "sample": one label drawn from the model.
            "stratified": exactly for the ``likeliest`` classes, and one label drawn from the others; as right as "sample" on
            average, with less noise (Liu et al. 2019, arXiv:1810.04777).
            "true": the data's label (empirical Fisher). "predicted": the most likely label.
        n: use only the first ``n`` samples (shuffle first if their order means something).
        classes: the outputs that take part, as in ``Task.classes``; None takes all (or the task's).
        seed: of the labels that are drawn; a ``torch.Generator`` is used, and moved on, as it is.
        chunk: samples handled at once, at most; memory grows with it, the result changes by rounding only.
        likeliest: of "stratified": each costs one backward pass more.

    Returns:
        A dict like ``named_parameters()`` without the frozen ones, tensors of each parameter's shape and type.
        F_i has the unit 1 / theta_i^2.

    Raises:
        TypeError, ValueError: unknown ``labels``, ``n`` larger than the data, labels outside the model's outputs, a model
            without trainable parameters, with weights or logits that are NaN or infinite (-inf switches a class off), or
            one whose output for a sample depends on the others in the batch.

    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), section 2; Martens 2020 (arXiv:1412.1193), section 5.
    """
    columns_of = label_columns(labels, likeliest)
    return mean_moments(model, data, columns_of, torch.square, plain_squares, n=n, classes=classes, seed=seed, chunk=chunk)


def label_columns(labels: str, likeliest: int = 4) -> ColumnsOf:
    """A label choice as the quick way takes it: what is sent back from the logits."""
    _checks.one_of("labels", labels, LABELS)
    _checks.whole_number("likeliest", likeliest, at_least=1)

    def columns_of(logits: Tensor, y: Tensor, uniform: Tensor) -> Columns:
        p = logits.softmax(1)
        few = labels != "exact" and not (labels == "stratified" and likeliest >= p.shape[1] - 1)
        return Labelled(p, *label_weights(p, labels, y, uniform, likeliest)) if few else AllLabels(p)

    return columns_of
