"""Recurrent layers as what they are, products step by step; torch.func cannot see into torch's own RNN, LSTM and GRU.

Each matrix of such a layer is a product like that of a Linear layer, with a position a step. So the closed forms of layers.py
hold for them, and what remains is derivatives of plain operations. While a model is ``unrolled`` these layers run that way;
their parameters stay where they are. Dropout between layers is left out: models are in eval mode here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

State = tuple[Tensor, Tensor | None]  # h (N, H), and the c of an LSTM


class Gates(nn.Module):
    """One matrix of a recurrent layer, with its bias, as a layer of its own: (N, ..., inputs) to (N, ..., outputs)."""

    def __init__(self, layer: nn.RNNBase, kind: str, suffix: str) -> None:
        super().__init__()
        self.kind = kind  # "ih" of the inputs, "hh" of the state, "hr" of the projection
        self.names = {"weight": f"weight_{kind}_{suffix}", "bias": f"bias_{kind}_{suffix}"}
        vars(self)["layer"] = layer  # not a part of this one: its parameters are looked up where they are
        self.record: Callable[[Tensor, Tensor], object] | None = None  # told of what was met step by step, and the output

    @property
    def weight(self) -> Tensor:
        found: Tensor = getattr(self.layer, self.names["weight"])
        return found

    @property
    def bias(self) -> Tensor | None:
        return getattr(self.layer, self.names["bias"], None)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)


class _Steps:
    """A matrix that meets one step after the other. If it is recorded, it is so as a single call.

    To the output of every step a part of one tensor of zeros is added; the gradients at it are those at all steps.
    """

    def __init__(self, gates: Gates, x: Tensor) -> None:
        self.gates, self.met = gates, list[Tensor]()
        if gates.record is not None:
            self.zeros = x.new_zeros(*x.shape[:2], len(gates.weight)).requires_grad_()
            self.parts = self.zeros.unbind(1)

    def __call__(self, h: Tensor) -> Tensor:
        output: Tensor = self.gates(h)
        if self.gates.record is not None:
            output = output + self.parts[len(self.met)]
            self.met.append(h)
        return output

    def end(self) -> None:
        if self.gates.record is not None:
            self.gates.record(torch.stack(self.met, dim=1), self.zeros)


class Unrolled:
    """What ``layer`` computes, from one :class:`Gates` for the inputs, the state and the projection of each level."""

    def __init__(self, layer: nn.RNNBase) -> None:
        self.layer = layer
        directions = ("", "_reverse") if layer.bidirectional else ("",)
        kinds = ("ih", "hh", "hr") if layer.proj_size else ("ih", "hh")
        self.levels = [
            [{kind: Gates(layer, kind, f"l{level}{way}") for kind in kinds} for way in directions]
            for level in range(layer.num_layers)
        ]

    def gates(self) -> list[Gates]:
        return [gates for level in self.levels for parts in level for gates in parts.values()]

    def __call__(self, input: Any, hx: Any = None) -> tuple[Tensor, Any]:
        if not isinstance(input, Tensor) or input.ndim != 3:
            raise NotImplementedError("packed sequences, and a sequence without a dimension of samples")
        x = input if self.layer.batch_first else input.transpose(0, 1)  # (N, T, F)
        is_lstm = type(self.layer) is nn.LSTM
        given = (*hx,) if is_lstm and hx is not None else (hx, None)
        last: list[State] = []
        for level in self.levels:
            found = []
            for back, parts in enumerate(level):
                state = [None if s is None else s[len(last)] for s in given]
                outputs, end = self._run(parts, x.flip(1) if back else x, state[0], state[1])
                found.append(outputs.flip(1) if back else outputs)
                last.append(end)
            x = torch.cat(found, dim=2)
        h = torch.stack([state[0] for state in last])
        ends = (h, torch.stack([c for _, c in last if c is not None])) if is_lstm else h
        return (x if self.layer.batch_first else x.transpose(0, 1)), ends

    def _run(self, parts: dict[str, Gates], x: Tensor, h: Tensor | None, c: Tensor | None) -> tuple[Tensor, State]:
        hidden = self.layer.hidden_size
        h = x.new_zeros(len(x), self.layer.proj_size or hidden) if h is None else h
        c = x.new_zeros(len(x), hidden) if c is None else c
        step, outputs = STEPS[type(self.layer)], []
        stepwise = {kind: _Steps(gates, x) for kind, gates in parts.items() if kind != "ih"}
        for met in parts["ih"](x).unbind(1):
            h, c = step(self.layer, met, stepwise["hh"](h), h, c)
            h = stepwise["hr"](h) if "hr" in stepwise else h
            outputs.append(h)
        for each in stepwise.values():
            each.end()
        return torch.stack(outputs, dim=1), (h, c if type(self.layer) is nn.LSTM else None)


def _rnn(layer: Any, met: Tensor, kept: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    z = met + kept
    return (z.relu() if layer.nonlinearity == "relu" else z.tanh()), c


def _lstm(layer: Any, met: Tensor, kept: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    i, f, g, o = (met + kept).chunk(4, dim=1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru(layer: Any, met: Tensor, kept: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    (r, z, n), (r_kept, z_kept, n_kept) = met.chunk(3, dim=1), kept.chunk(3, dim=1)
    z = (z + z_kept).sigmoid()
    n = (n + (r + r_kept).sigmoid() * n_kept).tanh()
    return n + z * (h - n), c


STEPS: dict[type, Callable[[Any, Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    nn.RNN: _rnn,
    nn.LSTM: _lstm,
    nn.GRU: _gru,
}


def recurrent_layers(model: nn.Module) -> list[Unrolled]:
    """By the very class: a subclass may compute something else."""
    return [Unrolled(module) for module in model.modules() if isinstance(module, nn.RNNBase) and type(module) in STEPS]


@contextmanager
def unrolled(layers: list[Unrolled]) -> Iterator[None]:
    """Inside, these layers run step by step."""
    own = [(vars(each.layer), vars(each.layer).get("forward")) for each in layers]
    try:
        for each in layers:
            vars(each.layer)["forward"] = each  # seen before the method of the class
        yield
    finally:
        for attributes, forward in own:
            if forward is None:
                del attributes["forward"]
            else:
                attributes["forward"] = forward
