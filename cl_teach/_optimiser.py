"""Who takes the step: SGD or an optimiser of the user's, and what a penalty's strength means for it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ._weights import inner
from .fast.momentum import Momentum
from .penalties import Penalty, proximal_factor

Stepper: TypeAlias = torch.optim.Optimizer | Momentum
ADAM = (torch.optim.Adam, torch.optim.AdamW)


def stepper_for(model: nn.Module, optimizer: object, step: str, lr: float, momentum: float, diagonal: bool = True) -> Stepper:
    """SGD, or the optimiser asked for, if it is one for this model and this kind of step of a penalty, diagonal or not."""
    weights = [p for p in model.parameters() if p.requires_grad]
    if optimizer is None:
        return Momentum(weights, float(lr), float(momentum))
    example = "lambda p: torch.optim.Adam(p, lr=1e-3)"
    if not callable(optimizer):
        raise TypeError(f"optimizer must be a function of the parameters such as {example}, got {type(optimizer).__name__}")
    stepper = optimizer(weights)
    if not isinstance(stepper, torch.optim.Optimizer) or isinstance(stepper, torch.optim.LBFGS):
        raise TypeError(f"optimizer must make an optimiser whose step needs no closure, such as {example}, got {stepper!r}")
    strange = {id(p) for g in stepper.param_groups for p in g["params"]} - {id(p) for p in weights}
    if strange:
        raise ValueError(f"optimizer must be of this model's parameters, such as {example}, got one of {len(strange)} others")
    if any(group.get("maximize") for group in stepper.param_groups):
        raise ValueError("optimizer must minimise the loss, got one with maximize=True")
    if step == "proximal" and not isinstance(stepper, torch.optim.SGD) and not (diagonal and type(stepper) in ADAM):
        known = "SGD, Adam and AdamW" if diagonal else "SGD with a penalty that holds whole matrices"
        raise ValueError(f"step must be 'gradient' with {type(stepper).__name__}: the proximal step is known only for {known}")
    return stepper


def factors(model: nn.Module, stepper: Stepper, strength: float) -> float | dict[str, float] | dict[str, Tensor]:
    """c of the proximal step: one number, or parameter name -> its group's. Nesterov's has the fixed point of plain SGD.

    Adam has a step size for each weight, and so a c for each: parameter name -> tensor of its shape.
    """
    if not strength:
        return 0.0
    if isinstance(stepper, Momentum):
        (group,) = stepper.param_groups
        return proximal_factor(strength, group["lr"], group["momentum"])
    if isinstance(stepper, ADAM):
        sizes = {id(p): adam_sizes(stepper.state[p], g) for g in stepper.param_groups for p in g["params"] if stepper.state[p]}
        return {n: strength * sizes[id(p)] for n, p in inner(model).named_parameters() if id(p) in sizes}
    of = {id(p): proximal_factor(strength, float(g["lr"]), g["momentum"]) * (1 - g["dampening"])
          for g in stepper.param_groups for p in g["params"]}  # fmt: skip
    each = {name: of.get(id(p), 0.0) for name, p in inner(model).named_parameters() if p.requires_grad}
    return each if len(set(each.values())) > 1 else next(iter(each.values()))


@torch.no_grad()
def adam_sizes(state: Mapping[str, Tensor], group: Mapping[str, Any]) -> Tensor:
    """How far Adam moves each weight at a gradient of 1 that lasts: lr / (sqrt(v) + eps), the inverse of Adam's metric.

    No number is fetched from a GPU for it.
    """
    v = state["max_exp_avg_sq" if group["amsgrad"] else "exp_avg_sq"]
    size: Tensor = group["lr"] / ((v / (1 - group["betas"][1] ** state["step"])).sqrt_() + group["eps"])
    return size


def warn_if_unstable(penalty: Penalty, strength: float, stepper: Stepper) -> None:
    """A gradient step that cannot work is said to be one before it is taken. Only SGD's limit is known."""
    if not isinstance(stepper, (torch.optim.SGD, Momentum)):
        return
    limit = min(penalty.stability_limit(float(g["lr"]), float(g["momentum"])) for g in stepper.param_groups)
    if strength > limit:
        message = (
            f"strength {strength:g} is above {limit:.3g}, the largest that the gradient step survives at this lr and momentum; "
            "training will probably diverge. step='proximal' is stable at any strength"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=3)
