"""Per-sample gradients, the quick way: in closed form, by ``torch.func``, or sample by sample; each where it is right.

Which way is right for a parameter is not guessed: the judge (agree.py) holds the quicker ways against the plain one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager, nullcontext
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.func import vjp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from .. import _checks
from .._prepare import Data, prepared_batches
from .._progress import bar
from .._weights import Named, as_function, differentiable, eval_mode, normal, same_buffers, wide
from ..models import head
from ..tasks import Split, Task
from .agree import agree, judge, met_in_graph, two_of
from .columns import Columns, Labelled
from .layers import Call, Moment, Use, closed_uses, recorded
from .recurrent import Gates, Unrolled, recurrent_layers, unrolled
from .sums import STORED, closed_sums, quiet, stored_per_sample

ColumnsOf = Callable[[Tensor, Tensor, Tensor], Columns]  # logits (N, C), labels (N,), one uniform number a sample (N,)
Bound = Callable[[Tensor], Columns]  # the same with labels and uniform numbers filled in
Plain = Callable[..., Named]  # fisher.plain_squares: model, x, labels (N, K), weights (N, K), classes -> mean over samples
Visit = Callable[["PerSample", Tensor, Bound], None]
_PATIENCE = 10.0  # seconds that parameters may take sample by sample before that is said
_INFLUENCE = "the Fisher information needs samples that do not influence each other, and a forward pass without chance"


def mean_moments(
    model: nn.Module,
    data: Data,
    columns_of: ColumnsOf,
    moment: Moment,
    plain: Plain,
    *,
    n: int | None,
    classes: Sequence[int] | None,
    seed: int | torch.Generator,
    chunk: int,
) -> Named:
    """Mean over samples of the sums over columns of ``moment`` (square or abs) of per-sample gradients, by parameter."""
    parameters = _checks.trainable(model)
    totals: Named = {}

    def visit(work: PerSample, x: Tensor, columns_of: Bound) -> None:
        for name, total in work.sums(x, columns_of, moment).items():
            totals[name] = totals[name].add_(total) if name in totals else total

    count = visit_chunks(visit, model, data, columns_of, n, classes, seed, chunk, ("closed", "vmap"), plain)
    return {name: totals[name].div_(count).to(p.dtype) for name, p in parameters.items()}


def visit_chunks(
    visit: Visit,
    model: nn.Module,
    data: Data,
    columns_of: ColumnsOf,
    n: int | None,
    classes: Sequence[int] | None,
    seed: int | torch.Generator,
    chunk: int,
    ways: Sequence[str] = (),
    plain: Plain | None = None,
) -> int:
    """Call ``visit`` for each chunk of the data, with the model in eval mode; returns the number of samples.

    ``ways`` are those that per-sample gradients may take where they agree with ``plain``.
    """
    model = _checks.module(model)
    _checks.trainable(model)
    _checks.whole_number("chunk", chunk, at_least=1)
    generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(_checks.seed(seed))
    differentiable(model)
    _checks.finite(model)
    for name, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
            raise ValueError(f"model has a batch norm without running statistics ({name}): {_INFLUENCE}")
    total, count, work = _samples(data, n), 0, None
    with eval_mode(model, derivatives=True), same_buffers(model), bar(total, "Fisher information", "sample", True) as shown:
        for ready in prepared_batches(model, data, n, classes):
            if work is None:
                first = normal(ready.take(two_of(torch.arange(len(ready), device=ready.x.device)))[0])
                work = PerSample(model, first, ready.classes, ways, plain)
                work.total, work.tick = total, shown.update
                size = min(chunk, work.at_once(columns_of))
            for x, y in ready.batches(size):
                # One number a sample, in order: which labels are drawn does not depend on the chunks.
                uniform = torch.rand(len(y), generator=generator, dtype=torch.float64, device=generator.device).to(y.device)
                done = shown.n
                visit(work, normal(x), lambda z, y=y, uniform=uniform: columns_of(_numbers(z.detach()), y, uniform))  # type: ignore[misc]
                shown.update(done + len(y) - shown.n)
            count += len(ready)
    return count


def _samples(data: Data, n: int | None) -> int | None:
    """How many samples will be visited, if that is known."""
    if isinstance(n, int):
        return n
    whole = data.train if isinstance(data, Task) else data if isinstance(data, Split) else getattr(data, "dataset", None)
    return len(whole) if isinstance(whole, Sized) else None


def _numbers(logits: Tensor) -> Tensor:
    """``logits`` (N, C), or an error if they are no distribution; -inf is a way to switch a class off."""
    wrong = logits.softmax(1).isnan().any(1)
    if bool(wrong.any()):
        row = logits[wrong][0]
        got = "NaN" if bool(row.isnan().any()) else "infinity" if bool((row > 0).any()) else "-infinity for all classes"
        raise ValueError(
            f"model must give logits that are numbers, got {got} for {int(wrong.sum())} of {len(wrong)} samples; "
            "are there values in x that it cannot take, or weights that have grown too large?"
        )
    return logits


def _steps(call: Call) -> int:
    """How often a call met its weights: that of a recurrent layer's state stands for all steps."""
    return call.output.shape[1] if isinstance(call.layer, Gates) and call.layer.kind != "ih" else 1


class PerSample:
    """Per-sample gradients of one model, judged on ``two`` of the samples it will meet.

    Args:
        ways: of "closed" and "vmap", those that may be taken where they agree with ``plain``; what neither finds right goes
            sample by sample.
    """

    def __init__(
        self, model: nn.Module, two: Tensor, classes: Sequence[int] | None, ways: Sequence[str], plain: Plain | None
    ) -> None:
        self.model, self.classes, self.two, self.ways, self.plain = model, classes, two, ways, plain
        self.function = as_function(model)
        self.theta = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
        self._leaves = {name: t.detach().requires_grad_() for name, t in self.theta.items()}  # whose uses can be counted
        self.stored = 0  # numbers a sample and column that the closed forms keep
        self.total: int | None = None  # how many samples will be visited, if that is known
        self._said = False  # that something is slow
        self.tick: Callable[[int], object] = lambda samples: None  # told of each sample that went alone
        self.example = _numbers(self._independent(two))
        self.recurrent = self._recurrent()
        self.uses = closed_uses(model, self.theta, self.recurrent)

    @cached_property
    def way(self) -> dict[str, str]:
        """Name -> "closed" or "vmap", the quickest way that is right; what has neither goes sample by sample."""
        return self._judged(self.plain) if self.plain else {}

    def unlikely(self) -> Labelled:
        """What the judge sends back: the gradient at the logits for the least likely label; that of a likely one may be zero.

        For two of them, where columns go back together.
        """
        labels = self.example.topk(min(2 if self.recurrent else 1, self.example.shape[1]), largest=False).indices
        return Labelled(self.example.softmax(1), labels, torch.full(labels.shape, 1 / len(labels)))

    def at_once(self, columns_of: ColumnsOf) -> int:
        """How many samples fit into memory at once, with up to 16 of their columns."""
        if "closed" in self.ways:
            _ = self.way  # which finds out what is stored
        zero = torch.zeros(len(self.example), device=self.example.device)
        columns = columns_of(self.example, zero.long(), zero.double())
        return max(1, STORED // max(1, self.stored * min(16, columns.count)))

    @contextmanager
    def derivable(self) -> Iterator[None]:
        """Inside, the model runs by operations that torch.func has derivatives of."""
        with sdpa_kernel(SDPBackend.MATH), unrolled(self.recurrent), quiet():
            yield

    def logits(self, x: Tensor, theta: Mapping[str, Tensor] | None = None) -> Tensor:
        """(N, C), of the active classes."""
        return head(self.function(theta or {}, x), self.classes)

    def sums(self, x: Tensor, columns_of: Bound, moment: Moment) -> Named:
        """For each parameter the sum over samples and columns of ``moment`` of its per-sample gradients."""
        closed = {name: uses for name, uses in self.uses.items() if self.way.get(name) == "closed"}
        sums, columns = self._closed(closed, x, columns_of, moment)
        rest = [name for name in self.theta if name not in sums]
        sums |= {name: torch.zeros_like(self.theta[name], dtype=wide(self.theta[name].dtype)) for name in rest}
        quick = [name for name in rest if self.way.get(name) == "vmap"]
        for names in (quick, [name for name in rest if name not in quick]):
            for gradients in self.gradients(names, x, columns):
                for name, g in gradients.items():
                    sums[name] += moment(g.to(sums[name].dtype)).sum((0, 1))
        return sums

    def gradients(self, names: Sequence[str], x: Tensor, columns: Columns, *, plainly: bool = False) -> Iterator[Named]:
        """Per-sample gradients themselves, name -> (n, K, *shape), for as many samples and columns as fit in about 32 MB."""
        if not names:
            return
        quick = not plainly and all(self.way.get(name) == "vmap" for name in names)
        size = max(sum(self.theta[name].numel() for name in names), self.example.shape[1])  # a gradient, or a column
        at_once = max(1, STORED // (size * max(1, columns.count))) if quick else 1
        few = max(1, STORED // (size * at_once))  # columns
        began = time.perf_counter()
        for start in range(0, len(x), at_once):
            piece = slice(start, start + at_once)
            for column in torch.stack(list(columns.of(piece)), dim=2).split(few, dim=2):
                yield self._vmapped(names, x[piece], column) if quick else self._looped(names, x[piece], column)
            if not (quick or plainly):
                self.tick(1)
                self._say_slow(names, time.perf_counter() - began)

    def _say_slow(self, names: Sequence[str], seconds: float) -> None:
        """Once, after the first sample: which parameters go sample by sample, how long that takes, and what would help."""
        if self._said:
            return
        self._said, samples = True, self.total or 1000
        if seconds * samples > _PATIENCE:
            them = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            warnings.warn(
                f"{them} must go sample by sample, as no quicker way is right for them in this model: about "
                f"{seconds * samples:.0f} s for {samples} samples. Fewer samples (n=), labels='sample' in place of 'exact', "
                "other layers, or requires_grad_(False) on what need not learn, would help",
                UserWarning,
                stacklevel=2,
            )

    def _closed(self, uses: dict[str, list[Use]], x: Tensor, columns_of: Bound, moment: Moment) -> tuple[Named, Columns]:
        output, calls = self._called(uses, x)
        columns = columns_of(head(output, self.classes))
        # The judge has seen two samples. Another may take a way on which a weight is used outside the call of its layer too.
        met = met_in_graph(output, {name: self._leaves[name] for name in uses})
        for name, times in met.items():
            if times > sum(_steps(call) for use in uses[name] for call in calls if call.layer is use.layer):
                del self.way[name], uses[name]
        return closed_sums(uses, calls, output, self.classes, columns, moment), columns

    def _recurrent(self) -> list[Unrolled]:
        """The recurrent layers, if the model gives the same logits with them unrolled."""
        found = recurrent_layers(self.model)
        if not found:
            return []
        try:
            with torch.no_grad(), unrolled(found):
                same = agree(self.logits(self.two), self.example, self.example.dtype)
        except Exception:  # packed sequences, for instance
            same = False
        return found if same else []

    def _called(self, uses: Mapping[str, list[Use]], x: Tensor) -> tuple[Tensor, list[Call]]:
        layers = [use.layer for found in uses.values() for use in found]
        with self.derivable() if self.recurrent else nullcontext(), recorded(layers) as calls:
            return self.function(self._leaves, x), calls

    def _independent(self, x: Tensor) -> Tensor:
        """The logits of ``x``, or an error if they depend on what else is in the batch."""
        with torch.no_grad():
            logits, alone = self.logits(x), torch.cat([self.logits(sample) for sample in x.split(1)])
        if not agree(logits, alone, logits.dtype):
            raise ValueError(f"model gives other logits for a sample alone than in a batch: {_INFLUENCE}")
        return logits

    def _judged(self, plain: Plain) -> dict[str, str]:
        """Which way is right for which parameter, on the two samples."""
        x, columns = self.two, self.unlikely()
        try:
            truth = plain(self.model, x, columns.labels, torch.ones_like(columns.dense[:, 0]), self.classes)
        except Exception:  # what functional_call cannot do
            truth = self._added(self.gradients(list(self.theta), x, columns, plainly=True))

        def closed(names: Sequence[str]) -> Named:
            output, calls = self._called(self.uses, x)
            self.stored = stored_per_sample(calls, len(x))
            return closed_sums(self.uses, calls, output, self.classes, columns, torch.square)

        def vmapped(names: Sequence[str]) -> Named:
            return self._added([self._vmapped(names, x, columns.dense)])

        known = {"closed": closed, "vmap": vmapped}
        return judge(truth, {way: known[way] for way in self.ways}, self.example.dtype)

    def _added(self, gradients: Iterable[Named]) -> Named:
        """Sums of squares over samples and columns."""
        total: Named = {}
        for found in gradients:
            for name, g in found.items():
                square = g.to(wide(g.dtype)).square().sum((0, 1))
                total[name] = total[name] + square if name in total else square
        return total

    def _vmapped(self, names: Sequence[str], x: Tensor, columns: Tensor) -> Named:
        theta = {name: self.theta[name] for name in names}

        def pulled(sample: Tensor, column: Tensor) -> Named:
            pull_back = vjp(lambda theta: self.logits(sample[None], theta)[0], theta)[1]
            gradients: Named = vmap(lambda c: pull_back(c)[0])(column.T)
            return gradients

        with self.derivable():
            gradients: Named = vmap(pulled)(x, columns)
        return gradients

    def _looped(self, names: Sequence[str], x: Tensor, columns: Tensor) -> Named:
        """Plain autograd for one sample, x (1, ...), columns (1, C, K)."""
        theta = [self.theta[name].detach().requires_grad_() for name in names]
        logits = self.logits(x, dict(zip(names, theta, strict=True)))
        found = {name: t.new_zeros(1, columns.shape[2], *t.shape) for name, t in zip(names, theta, strict=True)}
        for k in range(columns.shape[2] if logits.requires_grad else 0):
            gradients = torch.autograd.grad(logits, theta, columns[:, :, k], retain_graph=True, allow_unused=True)
            for name, g in zip(names, gradients, strict=True):
                if g is not None:  # None: the logits do not depend on it
                    found[name][0, k] = g.detach().to_dense()
        return found
