"""The weights of a model: by name, as one flat vector, and other ones in their place for a while; its modes and buffers too."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ._turns import turn

Named = dict[str, Tensor]  # parameters by their names in named_parameters(), the frozen ones left out


def inner(model: nn.Module) -> nn.Module:
    """The network inside ``torch.compile``, DataParallel or DistributedDataParallel, whose parameters have their own names."""
    while True:
        if isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            model = model.module
        elif "_orig_mod" in model._modules:  # what torch.compile returns
            model = model._modules["_orig_mod"]  # type: ignore[assignment]
        else:
            return model


def copied(model: nn.Module) -> Named:
    """The trainable parameters of ``model`` as they are now."""
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def flat(named: Mapping[str, Tensor]) -> Tensor:
    """One after the other in a single float64 vector, (P,)."""
    return torch.cat([t.flatten().double() for t in named.values()])


def shaped(vector: Tensor, like: Mapping[str, Tensor]) -> Named:
    """The other way: the pieces of ``vector``, (P,), with the names, shapes and types of ``like``."""
    pieces = vector.split([t.numel() for t in like.values()])
    return {name: piece.view(t.shape).to(t.dtype) for (name, t), piece in zip(like.items(), pieces, strict=True)}


def as_in(model: nn.Module, named: Mapping[str, Tensor]) -> Named:
    """``named`` in the order of the parameters of ``model``, on their device and in their type; strange names are left out."""
    return {name: normal(named[name].to(p)) for name, p in model.named_parameters() if name in named}


def wide(dtype: torch.dtype) -> torch.dtype:
    """The type to add up in: half-precision numbers are added up in float32."""
    return torch.float32 if dtype in (torch.bfloat16, torch.float16) else dtype


def as_function(model: nn.Module) -> Callable[[Mapping[str, Tensor], Tensor], Tensor]:
    """``model`` as a function f(theta, x); weights that ``theta`` does not name stay as they are."""
    model = inner(model)
    fixed = {name: p.detach() for name, p in model.named_parameters()}
    # Every place in a module that holds a parameter, once. (With tie_weights=True, functional_call would visit a module that
    # is registered twice twice, and leave the detached weights in it.)
    names = {id(p): name for name, p in model.named_parameters()}
    places = {
        f"{path}.{kind}" if path else kind: names[id(p)]
        for path, module in model.named_modules()
        for kind, p in module.named_parameters(recurse=False, remove_duplicate=False)
    }

    def call(theta: Mapping[str, Tensor], x: Tensor) -> Tensor:
        values = {**fixed, **theta}
        output: Tensor = functional_call(
            model, {place: values[name] for place, name in places.items()}, (x,), tie_weights=False
        )
        return output

    return call


@contextmanager
def plain_autograd() -> Iterator[None]:
    """Inside, or in a function that this decorates, derivatives are taken, in the model's own type, whatever is set outside.

    ``torch.inference_mode``, ``no_grad`` and ``autocast`` are left, what ``torch.compile`` made runs uncompiled, and attention
    layers take the path that has derivatives. Threads take turns.
    """
    with ExitStack() as stack:
        stack.enter_context(turn())
        fused = torch.backends.mha.get_fastpath_enabled()
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps", "xpu"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if "torch._dynamo" in sys.modules:  # else nothing is compiled, and its import takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.callback(torch.backends.mha.set_fastpath_enabled, fused)
        torch.backends.mha.set_fastpath_enabled(False)
        yield


def normal(t: Tensor) -> Tensor:
    """``t`` as autograd takes it: a copy of a tensor that was made in ``torch.inference_mode``."""
    return t.clone() if t.is_inference() else t


def differentiable(model: nn.Module) -> None:
    """An error if ``model`` was made in ``torch.inference_mode``, whose tensors have no derivatives."""
    for name, t in [*model.named_parameters(), *model.named_buffers()]:
        if t.is_inference():
            raise ValueError(
                f"model must be made outside torch.inference_mode to have derivatives, got an inference tensor in {name}; "
                "copy.deepcopy(model), outside, is a model that works"
            )


@plain_autograd()
def serving(model: nn.Module, x: Tensor, classes: Sequence[int] | None) -> tuple[Named, Named]:
    """Which trainable weights the outputs ``classes`` (None: all) depend on, and which the others do, as truth values."""
    model = inner(model)
    differentiable(model)
    theta = {name: p.detach().requires_grad_() for name, p in model.named_parameters() if p.requires_grad}
    with eval_mode(model, derivatives=True):
        z = as_function(model)(theta, normal(x))  # (N, outputs)
    factors = torch.rand(z.shape, generator=torch.Generator().manual_seed(0)).to(z) + 0.5  # so that nothing cancels in the sum
    ours = torch.zeros_like(factors)
    ours[:, slice(None) if classes is None else list(classes)] = 1.0
    found = []
    for part in (ours, 1.0 - ours):
        gradients = torch.autograd.grad(z, list(theta.values()), factors * part, retain_graph=True, materialize_grads=True)
        found.append({name: g.to_dense() != 0 for name, g in zip(theta, gradients, strict=True)})
    return found[0], found[1]


def with_rows_of(larger: Tensor, t: Tensor) -> Tensor:
    """``t``, and below it the rows that only ``larger`` has."""
    return t if t.shape == larger.shape else torch.cat([t, larger[len(t) :].to(t)])


@contextmanager
def buffers_watched(model: nn.Module, wanted: bool) -> Iterator[None]:
    """A warning if numbers beside the weights, but for the averages of norms, change in the block; if that is ``wanted``."""
    norms = {f"{name}.{kind}".lstrip(".") for name, layer in averaging(model) for kind, _ in layer.named_buffers(recurse=False)}
    before = {n: b.clone() for n, b in model.named_buffers() if b.is_floating_point() and n not in norms} if wanted else {}
    yield
    after = dict(model.named_buffers())
    moved = [name for name, b in before.items() if name in after and not torch.equal(after[name], b)]
    if moved:
        message = (
            f"{moved[0]} ({len(moved)} such buffers) changed while a penalty was in force, and no penalty holds what is not a "
            "weight: earlier tasks may change though no weight moves"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=4)


@contextmanager
def holding(model: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """``model`` with other values in some parameters inside the block; its own tensors, not copies, afterwards."""
    parameters = dict(model.named_parameters())
    own = {name: parameters[name].data for name in weights}
    try:
        for name, value in weights.items():
            parameters[name].data = value
        yield
    finally:
        for name, value in own.items():
            parameters[name].data = value


@contextmanager
def same_buffers(model: nn.Module) -> Iterator[None]:
    """What ``model`` remembers beside its parameters, such as a counter of forward passes, is afterwards as it was."""
    own = [(m, name, b, b.clone()) for m in model.modules() for name, b in m._buffers.items() if b is not None]
    try:
        yield
    finally:
        with torch.no_grad():
            for module, name, buffer, value in own:
                module._buffers[name] = buffer.copy_(value)


@contextmanager
def eval_mode(model: nn.Module, derivatives: bool = False) -> Iterator[None]:
    """``model`` in eval mode (no dropout, fixed batch statistics) inside the block; every module's own mode afterwards.

    For ``derivatives``, a model with recurrent layers runs without cuDNN, which has none for them in eval mode.
    """
    recurrent = derivatives and any(isinstance(module, nn.RNNBase) for module in model.modules())
    with own_modes(model), _without_cudnn() if recurrent else nullcontext():
        model.eval()
        yield


@contextmanager
def _without_cudnn() -> Iterator[None]:
    before = torch._C._get_cudnn_enabled()
    torch._C._set_cudnn_enabled(False)  # which torch.backends.disable_global_flags does not forbid
    try:
        yield
    finally:
        torch._C._set_cudnn_enabled(before)


def averaging(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and layers that keep averages of what they see in train mode, which are no weights: batch norm and its kin."""
    norms = [(name, m) for name, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    return [(name, m) for name, m in norms if m.running_mean is not None]


def warn_of_averaging(model: nn.Module) -> bool:
    """A warning if such layers are in train mode while a penalty acts; whether there was one."""
    moving = [name for name, layer in averaging(inner(model)) if layer.training]
    if moving:
        message = (
            f"the running statistics of {moving[0]} ({len(moving)} such layers) move with the new task, and no penalty holds "
            "them: earlier tasks may be lost though no weight moves. In eval mode such layers keep them"
        )
        warnings.warn(message, RuntimeWarning, stacklevel=4)
    return bool(moving)


@contextmanager
def own_modes(model: nn.Module) -> Iterator[None]:
    """Every module of ``model`` is afterwards in the mode (train or eval) it was in."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
