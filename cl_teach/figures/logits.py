"""What the outputs of a network say of images whose task is over."""

from __future__ import annotations

import math

import torch
from matplotlib.patches import Patch
from torch import Tensor

from .. import _checks
from .style import RED, REGIONS, TASK_A, Picture, array, canvas, check_title, key_columns, literal, styled, titled

RIGHT = {"facecolor": TASK_A["color"], "edgecolor": "black"}
OTHER = {"facecolor": REGIONS[1], "edgecolor": "black"}
WRONG = {"facecolor": REGIONS[1], "edgecolor": RED, "hatch": "////", "linewidth": 2}


@styled
def logits(means: Tensor, right: int, title: str = "") -> Picture:
    """Mean logit of each output on images of one class, in a panel for each task learnt; the highest one is the answer given.

    Args:
        means: (T, C), row i after task i + 1; NaN where an output does not compete yet.
        right: the class of the images.
        title: shown above.

    Raises:
        TypeError, ValueError: no such tensor, a row without any number, an infinite one, or a class that there is not.
    """
    _checks.tensor("means", means, "T", "C", finite=False)
    right = _checks.whole_number("right", right, at_least=0)
    check_title(title)
    bad = int((means.isinf().any(dim=1) | means.isnan().all(dim=1)).sum())
    if bad:
        raise ValueError(
            f"means must hold finite logits, one at least a row, NaN where an output does not compete, got {bad} other rows"
        )
    if right >= means.shape[1]:
        raise ValueError(f"right must be below the {means.shape[1]} outputs that there are, got {right}")
    n, width = means.shape[1], max(4.2, 0.9 + 1.5 * len(means))
    figure, axes = canvas(columns=len(means), width=width, height=3.4, sharey=True)
    parts = []
    for i, (axis, row) in enumerate(zip(axes, means.nan_to_num(nan=-math.inf), strict=True)):
        highest = int(row.argmax())
        looks = [RIGHT if c == right else WRONG if c == highest else OTHER for c in range(n)]
        heights = torch.where(row.isinf(), 0.0, row)
        for c in torch.nonzero(row.isfinite()).flatten().tolist():
            axis.bar(c, array(heights[c]), **looks[c])
        axis.axhline(0, color="black", lw=1)
        axis.set(title=f"after task {i + 1}", xlim=(-0.8, n - 0.2), xticks=range(0, n, math.ceil(n / 5)))
        beside = f"; output {right}: {row[right]:.1f}" if highest != right and row[right].isfinite() else ""
        parts.append(f"after task {i + 1} output {highest} is highest ({row[highest]:.1f}{beside})")
    axes[0].set_ylabel("mean logit")
    axes[len(axes) // 2].set_xlabel("output")
    keys = {f"output {right}, the right one": RIGHT, "another output": OTHER, "another, and the highest": WRONG}
    patches = [Patch(label=label, **look) for label, look in keys.items()]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(3, key_columns(keys, width)))
    if title:
        figure.suptitle(literal(title))
    return Picture(figure, titled(title, f"Mean logits on images of {right}: {', '.join(parts)}."))
