"""Columns: whatever their form, their products are those of the matrix of squared scores that the label choice means."""

import pytest
import torch
from torch import Tensor

from cl_teach import fisher
from cl_teach.fast.columns import AllLabels, Columns, Labelled

pytestmark = pytest.mark.usefixtures("float64")


def probabilities(n: int = 7, classes: int = 6, scale: float = 3.0) -> Tensor:
    return (scale * torch.randn(n, classes)).softmax(1)


def covariance(p: Tensor) -> Tensor:
    """diag(p) - p p^T of each sample, (N, C, C)."""
    return torch.diag_embed(p) - p[:, :, None] * p[:, None, :]


def made() -> dict[str, tuple[Columns, Tensor]]:
    """Columns, and the sum over columns of column column^T that they stand for, (N, C, C)."""
    p = probabilities()
    labels, weights = torch.randint(0, 6, (7, 3)), torch.rand(7, 3)
    scores = torch.nn.functional.one_hot(labels, 6) - p[:, None, :]  # (N, K, C)
    dense = torch.randn(7, 6, 4)
    return {
        "all labels": (AllLabels(p), covariance(p)),
        "labelled": (Labelled(p, labels, weights), torch.einsum("nk,nkc,nkd->ncd", weights, scores, scores)),
        "dense": (Columns(dense), torch.einsum("nck,ndk->ncd", dense, dense)),
    }


@pytest.mark.parametrize("name", ["all labels", "labelled", "dense"])
def test_every_product_is_that_of_the_matrix(name: str) -> None:
    columns, matrix = made()[name]
    each = list(columns)
    assert len(each) == columns.count == {"all labels": 5, "labelled": 3, "dense": 4}[name]
    stacked = torch.stack(each, dim=2)
    torch.testing.assert_close(torch.einsum("nck,ndk->ncd", stacked, stacked), matrix)
    weight, z, many = torch.randn(6, 5), torch.randn(7, 6), torch.randn(7, 6, 3)
    below = torch.stack(list(columns.through(weight)), dim=2)  # (N, H, K)
    torch.testing.assert_close(torch.einsum("nhk,njk->nhj", below, below), weight.T @ matrix @ weight)
    torch.testing.assert_close(columns.total(torch.square), matrix.diagonal(dim1=1, dim2=2))
    torch.testing.assert_close(columns.covariance(z), torch.einsum("ncd,nd->nc", matrix, z))
    torch.testing.assert_close(columns.inner(many), torch.einsum("nci,ncd,ndj->ij", many, matrix, many))
    part = torch.stack(list(columns.of(slice(2, 4))), dim=2)
    torch.testing.assert_close(part, stacked[2:4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("certain", [0, 2, 5])
def test_a_certain_model_gives_no_nan_and_nothing_negative(certain: int, dtype: torch.dtype) -> None:
    p = torch.zeros(2, 6, dtype=dtype)
    p[0, certain] = 1.0
    p[1] = 1e-30
    p[1, certain] = 1.0
    columns, weight = AllLabels(p), torch.randn(6, 4, dtype=dtype)
    for column in [*columns, *columns.through(weight), columns.total(torch.square), columns.covariance(torch.ones_like(p))]:
        assert bool(torch.isfinite(column).all())
    total = columns.total(torch.square)
    assert bool((total >= 0).all()) and float(total[0].sum()) == 0.0
    others = torch.full((6,), 1e-30, dtype=dtype)
    others[certain] = 5e-30
    torch.testing.assert_close(total[1], others, rtol=1e-5, atol=0.0)  # p (1 - p) without a difference
    stacked = torch.stack(list(columns), dim=2)
    torch.testing.assert_close(stacked.square().sum(2)[1], others, rtol=1e-5, atol=0.0)


def test_nan_is_not_swallowed() -> None:
    p = probabilities()
    p[3] = torch.nan
    columns = AllLabels(p)
    assert all(bool(column[3].isnan().any()) for column in columns)
    assert all(bool(below[3].isnan().all()) for below in columns.through(torch.randn(6, 4)))


CHOICES = ("exact", "sample", "true", "predicted", "stratified")


@pytest.mark.parametrize("choice", CHOICES)
def test_label_weights_say_what_each_choice_means(choice: str) -> None:
    p, y = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]]), torch.tensor([2, 1])
    uniform = torch.tensor([0.75, 0.49])  # of the first sample into label 2, of the second into label 0
    labels, weights = fisher.label_weights(p, choice, y, uniform, likeliest=1)
    expected = {
        "exact": ([[0, 1, 2], [0, 1, 2]], p.tolist()),
        "sample": ([[2], [0]], [[1.0], [1.0]]),
        "true": ([[2], [1]], [[1.0], [1.0]]),
        "predicted": ([[1], [0]], [[1.0], [1.0]]),
        "stratified": ([[1, 2], [0, 2]], [[0.6, 0.4], [0.5, 0.5]]),  # .75 of .4 is beyond .1; .49 of .5 is beyond .2
    }[choice]
    assert labels.tolist() == expected[0]
    torch.testing.assert_close(weights, torch.tensor(expected[1]))


def test_a_drawn_label_follows_the_probabilities() -> None:
    p = torch.tensor([[0.1, 0.0, 0.6, 0.3]]).expand(100_000, 4)
    uniform = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    labels, _ = fisher.label_weights(p, "sample", torch.zeros(100_000).long(), uniform)
    shares = torch.bincount(labels[:, 0], minlength=4) / 100_000
    torch.testing.assert_close(shares, p[0], atol=0.01, rtol=0.0)
    labels, weights = fisher.label_weights(p, "stratified", torch.zeros(100_000).long(), uniform, likeliest=1)
    assert set(labels[:, 0].tolist()) == {2} and set(labels[:, 1].tolist()) == {0, 3}
    torch.testing.assert_close((labels[:, 1] == 3).double().mean(), torch.tensor(0.75), atol=0.01, rtol=0.0)
    torch.testing.assert_close(weights[0], torch.tensor([0.6, 0.4]))


@pytest.mark.parametrize("likeliest", [2, 3, 4])
def test_as_many_likeliest_labels_as_there_are_is_all_labels(likeliest: int) -> None:
    p = probabilities(classes=3)
    uniform = torch.rand(len(p))
    labels, weights = fisher.label_weights(p, "stratified", torch.zeros(len(p)).long(), uniform, likeliest)
    assert labels.shape == weights.shape == (len(p), 3) and labels.sort(1).values.tolist() == [[0, 1, 2]] * len(p)
    torch.testing.assert_close(weights, p.gather(1, labels))
    torch.testing.assert_close(weights.sum(1), torch.ones(len(p)))
    columns = fisher.label_columns("stratified", likeliest)(p.log(), labels[:, 0], uniform)
    assert type(columns) is AllLabels and columns.count == 2
    z = torch.randn(len(p), 3)
    torch.testing.assert_close(columns.covariance(z), torch.einsum("ncd,nd->nc", covariance(p), z))
