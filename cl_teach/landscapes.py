"""Loss surfaces. With two weights the surface is exact: every pair on a grid has a loss, and the grid is the picture."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import softplus

from .tasks import Split


def two_weight_losses(data: Split, w1: Tensor, w2: Tensor) -> Tensor:
    """Mean cross-entropy (nats) of the two-weight logistic model for every pair of weights.

    Args:
        data: inputs (N, 2), labels 0 or 1.
        w1, w2: values of the first and second weight, shapes (A,) and (B,).

    Returns:
        Losses of shape (B, A): rows follow w2, columns w1, as matplotlib's contour plots expect.

    Raises:
        ValueError: ``data`` is not two-dimensional with labels 0 and 1.
    """
    if data.x.ndim != 2 or data.x.shape[1] != 2 or int(data.y.max()) > 1:
        raise ValueError(
            f"data must hold inputs (N, 2) with labels 0 or 1, got {tuple(data.x.shape)} and labels up to {int(data.y.max())}"
        )
    x = data.x.to(w1)
    sign = 1.0 - 2.0 * data.y.to(w1)  # +1 for label 0, -1 for label 1
    scores = x[:, 0, None, None] * w1[None, None, :] + x[:, 1, None, None] * w2[None, :, None]  # (N, B, A)
    return softplus(sign[:, None, None] * scores).mean(0)
