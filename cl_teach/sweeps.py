"""Many strengths, methods and seeds: learn A once for each seed, then B again and again, and keep every result.

The strengths of one method share their data, and most of their arithmetic: K fully connected networks side by side turn K
small products into one large one. Networks of other kinds are trained one by one; the results are the same.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import io
import math
import os
import struct
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear
from tqdm.auto import tqdm

from . import _checks
from .models import head, matched
from .penalties import EWC, L2, MAS, SI, LatestEWC, Named, OnlineEWC, Penalty
from .tasks import Split, Task
from .training import Evaluation, History, _Observer, evaluate, train

METHODS = {kind.__name__: kind for kind in (L2, EWC, OnlineEWC, LatestEWC, SI, MAS)}
OPTIONS = ("step", "epochs", "batch_size", "lr", "momentum", "every")  # of train, the same for A and B
ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Identity)

Data = Task | Split
Key = tuple[str, float, int]  # method, strength, seed
P, T = ParamSpec("P"), TypeVar("T")


@dataclass
class Start:
    """Where the runs of one seed start: the network that has learnt A. All tensors lie on the CPU.

    Attributes:
        a, b: evaluations on A and, not learnt yet, on B.
        weights: theta_A, the trainable parameters by name.
        buffers: what else the network remembers, such as batch norm's averages; empty for most.
        penalties: method -> the penalty that has consolidated A.
    """

    a: Evaluation
    b: Evaluation
    weights: Named
    buffers: Named
    penalties: dict[str, Penalty]


@dataclass
class Result:
    """One run: what B has made of the network that had learnt A. All tensors lie on the CPU.

    Attributes:
        a, b: evaluations on A and B (test data if they are tasks) after learning B.
        distance: |theta_B - theta_A|, the Euclidean distance over all trainable parameters.
        weights: theta_B, the trainable parameters by name.
        buffers: as in :class:`Start`.
        history: of learning B, with the watched data and, if asked for, the weights on the way.
    """

    a: Evaluation
    b: Evaluation
    distance: float
    weights: Named
    buffers: Named
    history: History


@dataclass
class Sweep:
    """The results of a sweep; ``sweep["EWC", 100.0, 0]`` is the :class:`Result` of that method, strength and seed.

    Attributes:
        methods, strengths, seeds: as asked for, in this order.
        starts: seed -> :class:`Start`.
        results: (method, strength, seed) -> :class:`Result`; not all of them if ``interrupted``.
        interrupted: True if Ctrl-C ended the sweep early.
    """

    methods: tuple[str, ...]
    strengths: tuple[float, ...]
    seeds: tuple[int, ...]
    starts: dict[int, Start] = field(default_factory=dict)
    results: dict[Key, Result] = field(default_factory=dict)
    interrupted: bool = False

    def __getitem__(self, key: Key) -> Result:
        if key not in self.results:
            known = f"methods {self.methods}, strengths {self.strengths}, seeds {self.seeds}"
            raise KeyError(f"no result for {key!r}; this sweep has {len(self.results)} results of {known}")
        return self.results[key]

    def accuracies(self, seed: int | None = None) -> dict[str, dict[float, tuple[float, float]]]:
        """method -> {strength: (accuracy on A, accuracy on B)}, as ``cl.figures.frontier`` and ``strength_frame`` take it.

        Args:
            seed: of one seed; None takes the mean over the seeds that are done.
        """
        table: dict[str, dict[float, tuple[float, float]]] = {method: {} for method in self.methods}
        for method in self.methods:
            for strength in self.strengths:
                keys = [(method, strength, s) for s in (self.seeds if seed is None else [seed])]
                done = [self.results[key] for key in keys if key in self.results]
                if done:
                    a, b = (sum(e.accuracy for e in column) / len(done) for column in zip(*((r.a, r.b) for r in done)))
                    table[method][strength] = a, b
        return table


def sweep(
    model: nn.Module | Callable[[int], nn.Module],
    task_a: Data,
    task_b: Data,
    *,
    methods: Mapping[str, Callable[[], Penalty] | Penalty] | Sequence[str] = ("L2", "EWC"),
    strengths: Iterable[float],
    seeds: Iterable[int] = (0,),
    watch: Mapping[str, Data] | None = None,
    keep_weights: bool = False,
    file: str | os.PathLike[str] | None = None,
    executor: Executor | None = None,
    together: int = 8,
    progress: bool = True,
    **options: Any,
) -> Sweep:
    """For each seed learn A; then, from there, learn B under each method at each strength.

    Each result is that of ``train(model, task_b, penalty=penalty, strength=strength, seed=seed)`` after the same on A and
    ``penalty.consolidate(model, task_a)``, but for rounding.

    Args:
        model: seed -> a network, such as ``lambda seed: cl.mlp(seed=seed)``; or one network, which every seed starts from
            (it stays as it is). Input and output as for :func:`train`.
        task_a, task_b: learnt first and second; tested on their test data, if they are tasks.
        methods: names of penalties of this package, or name -> what makes a penalty, such as
            ``{"L2": cl.L2, "EWC, 500 samples": cl.EWC(n=500)}``.
        strengths: lambdas, each finite and not negative. 0 holds nothing.
        seeds: of the network (if ``model`` is a function) and of the order of the samples.
        watch, keep_weights: recorded while B is learnt, every ``every`` steps; see :class:`History`. The path of a network
            of 80,000 weights takes 320 kB a step kept.
        file: where finished work is written at once; the same sweep with the same file continues where it was, however
            it ended. One sweep at a time may use it.
        executor: does the work: threads, processes, a cluster (Dask's ``client.get_executor()``, ipyparallel's
            ``client.executor()``). Each unit of work is sent with its data and networks; a process uses one core. Threads
            take turns where networks are not trained together. None works here.
        together: how many strengths make one unit of work and, where the network is a ``Sequential`` of ``Linear`` layers and
            activations and the step is "proximal", are trained side by side; takes that many times the memory.
        progress: show a progress bar if it takes longer than two seconds.
        **options: step, epochs, batch_size, lr, momentum and every, as for :func:`train`; for A and B alike.

    Returns:
        A :class:`Sweep`. Ctrl-C ends it early and returns what is done, with a RuntimeWarning; what an executor is just
        working on, it finishes in vain. Runs whose loss stopped being finite are counted in a RuntimeWarning, and say so in
        ``history.diverged``.

    Raises:
        TypeError, ValueError: an argument cannot work, or ``file`` is of another sweep, in use or damaged (it stays as it is);
            raised before any work.
        RuntimeError: the network diverged on A already.
    """
    settings = _options(options)
    lambdas, numbers = _several("strengths", strengths, _checks.strength), _several("seeds", seeds, _checks.seed)
    makers = _methods(methods)
    _checks.whole_number("together", together, at_least=1)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}")
    networks = {seed: _checks.module(model if isinstance(model, nn.Module) else model(seed)) for seed in numbers}
    fresh = {seed: {name: _penalty(name, make) for name, make in makers.items()} for seed in numbers}
    for network in networks.values():
        for data in (task_a, task_b):  # no step is taken, but every check of training and testing is made
            _train(copy.deepcopy(network), data, watch={**(watch or {}), "test": data}, **{**settings, "epochs": 0})
    for penalty in fresh[numbers[0]].values():
        (task_a.train if isinstance(task_a, Task) else task_a).first(getattr(penalty, "n", None))
    configuration = {
        "model": [_digest(network, *network.state_dict().values()) for network in networks.values()],
        "task_a": _digest_data(task_a),
        "task_b": _digest_data(task_b),
        "methods": {name: _describe(penalty) for name, penalty in fresh[numbers[0]].items()},
        "strengths": list(lambdas),
        "seeds": list(numbers),
        "watch": {name: _digest_data(data) for name, data in (watch or {}).items()},
        "keep_weights": bool(keep_weights),
        **settings,
    }

    result = Sweep(tuple(makers), lambdas, numbers)
    journal = _Journal(file, configuration) if file is not None else None
    for seed, key, record in journal.records if journal else []:
        if key is None:
            result.starts[seed] = _unpacked(record, fresh[seed])
        else:
            result.results[key] = record

    queue: list[tuple[int, str, list[float]]] = []  # units of work: seed, method, strengths; no strengths: learn A
    for seed in numbers:
        queue += _units(result, seed, together) if seed in result.starts else [(seed, "", [])]
    sample = task_b.train if isinstance(task_b, Task) else task_b
    steps = settings["epochs"] * math.ceil(len(sample) / settings["batch_size"])
    quiet = not progress or os.environ.get("TQDM_DISABLE") == "1"
    pending: dict[Future[Any], tuple[int, str, list[float]]] = {}
    total, done = len(numbers) * (1 + len(makers) * len(lambdas)), len(result.starts) + len(result.results)
    bar = tqdm(total=total * steps, initial=done * steps, disable=quiet, delay=2, leave=False, desc="sweep", unit="step")
    try:
        while queue or pending:
            while queue and (executor is not None or not pending):
                seed, method, some = unit = queue.pop(0)
                common = (networks[seed], task_a, task_b, seed, settings, os.getpid())
                if method:
                    tick = bar.update if executor is None else None
                    work = (result.starts[seed], method, some, watch, keep_weights, tick, *common)
                    pending[(executor or _Here()).submit(_learn_b, *work)] = unit
                else:
                    pending[(executor or _Here()).submit(_learn_a, fresh[seed], *common)] = unit
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                seed, method, some = pending.pop(future)
                if method:
                    new = {(method, strength, seed): run for strength, run in zip(some, future.result(), strict=True)}
                    if journal:
                        journal.append([(seed, key, run) for key, run in new.items()])
                    result.results.update(new)
                else:
                    start = future.result()
                    if journal:
                        journal.append([(seed, None, _packed(start))])
                    result.starts[seed] = start
                    queue = _units(result, seed, together) + queue
                finished = len(result.starts) + len(result.results)
                bar.update(finished * steps - bar.n)  # what has not been counted step by step
    except KeyboardInterrupt:
        result.interrupted = True
        kept = "" if file is None else f" and kept in {os.fspath(file)}"
        message = f"interrupted after {len(result.results)} of {total - len(numbers)} runs; what is done is returned{kept}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    finally:
        for future in pending:
            future.cancel()
        bar.close()
        if journal:
            journal.close()
    if diverged := [key for key, run in result.results.items() if run.history.diverged]:
        message = f"{len(diverged)} of {len(result.results)} runs diverged: their loss is no longer finite, first {diverged[0]}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return result


# the work


def _learn_a(
    penalties: dict[str, Penalty],
    model: nn.Module,
    task_a: Data,
    task_b: Data,
    seed: int,
    settings: dict[str, Any],
    caller: int,
) -> Start:
    _one_core(caller)
    model, penalties = copy.deepcopy((model, penalties))  # threads share what they are given
    if _train(model, task_a, penalty=_Spectators(penalties.values()), seed=seed, **settings).diverged:
        raise RuntimeError(f"the network diverged on A with seed {seed}, before any method could act; try a smaller lr")
    for penalty in penalties.values():
        penalty.consolidate(model, task_a)
        penalty.to("cpu")
    return Start(*_evaluations(model, task_a, task_b), *_weights(model), penalties)


def _learn_b(
    start: Start,
    method: str,
    strengths: list[float],
    watch: Mapping[str, Data] | None,
    keep_weights: bool,
    tick: Callable[[int], object] | None,
    model: nn.Module,
    task_a: Data,
    task_b: Data,
    seed: int,
    settings: dict[str, Any],
    caller: int,
) -> list[Result]:
    _one_core(caller)
    models = [copy.deepcopy(model) for _ in strengths]
    options = {"watch": watch, "keep_weights": keep_weights, "seed": seed, **settings}
    for each in models:
        _set(each, start)
    histories: list[History | None] = [None] * len(strengths)
    if len(strengths) > 1 and settings["step"] == "proximal" and _stackable(model, start.penalties[method]):
        histories = _train_together(models, task_b, start.penalties[method], strengths, tick or (lambda n: None), **options)
    results = []
    for each, strength, history in zip(models, strengths, histories, strict=True):
        if history is None:
            _set(each, start)
            penalty = copy.deepcopy(start.penalties[method])
            history = _train(each, task_b, penalty=penalty, strength=strength, **options)
        history.weights = [{name: t.cpu() for name, t in weights.items()} for weights in history.weights]
        weights, buffers = _weights(each)
        distance = math.sqrt(sum(float((weights[n] - t).double().square().sum()) for n, t in start.weights.items()))
        results.append(Result(*_evaluations(each, task_a, task_b), distance, weights, buffers, history))
    return results


def _train_together(
    models: list[nn.Module],
    task: Data,
    penalty: Penalty,
    strengths: list[float],
    tick: Callable[[int], object],
    *,
    step: str,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    every: int,
    seed: int,
    watch: Mapping[str, Data] | None,
    keep_weights: bool,
) -> list[History | None]:
    """What :func:`train` does, for K networks that start alike, one a strength; None for those that diverged."""
    k = len(models)
    split, classes = (task.train, task.classes) if isinstance(task, Task) else (task, None)
    split = matched(models[0], split, classes)
    stack = {name: p.detach().repeat(k, *[1] * p.ndim).unflatten(0, (k, -1)) for name, p in models[0].named_parameters()}
    for i, model in enumerate(models):
        for name, p in model.named_parameters():
            p.data = stack[name][i]  # a view: to look at a network is to look at its part of the stack
    pull = {}  # c P / (1 + c P), as in Penalty.proximal_step
    for name, precision in penalty.precision.items():
        c = torch.tensor(strengths, dtype=torch.float64) * lr / (1 - momentum)
        cp = (c.to(stack[name]).view(k, *[1] * precision.ndim) * precision.to(stack[name])).clamp_max_(1e30)
        pull[name] = stack[name], penalty.anchor[name].to(stack[name]), cp.div_(cp + 1.0)
    stepper = torch.optim.SGD([t.requires_grad_() for t in stack.values()], lr=lr, momentum=momentum)
    observers = [_Observer(model, watch or {}, keep_weights) for model in models]
    order, losses, total = torch.Generator().manual_seed(seed), [], epochs * math.ceil(len(split) / batch_size)
    for observer in observers:
        observer.look(0)
    for _ in range(epochs):
        for batch in torch.randperm(len(split), generator=order).to(split.y.device).split(batch_size):
            logits = head(_forward(models[0], stack, split.x[batch]).flatten(0, 1), classes)  # (K N, C)
            y = split.y[batch].repeat(k)
            loss = cross_entropy(logits, y, reduction="none").view(k, -1).mean(1)  # (K,)
            stepper.zero_grad()
            loss.sum().backward()
            stepper.step()
            with torch.no_grad():
                for theta, anchor, by in pull.values():
                    theta.lerp_(anchor, by)
            losses.append(loss.detach())
            tick(k)
            if len(losses) % every == 0 or len(losses) == total:
                for observer in observers:
                    observer.look(len(losses))
    curves = torch.stack(losses, 1).tolist() if losses else [[]] * k
    for observer, curve in zip(observers, curves, strict=True):
        observer.history.loss = curve
    looked = observers[0].history.steps[1:]
    return [o.history if all(math.isfinite(o.history.loss[s - 1]) for s in looked) else None for o in observers]


def _stackable(model: nn.Module, penalty: Penalty) -> bool:
    """Whether it is a plain chain of Linear layers and activations, without shared or frozen weights, hooks or extras."""
    if type(model) is not nn.Sequential or type(penalty).proximal_step is not Penalty.proximal_step:
        return False
    flat = type(model[0]) is nn.Flatten and (model[0].start_dim, model[0].end_dim) == (1, -1)
    layers = list(model)[1:] if flat else list(model)
    own = [f"{i}.{name}" for i, layer in enumerate(model) for name, _ in layer.named_parameters()]
    return (
        all(type(layer) in (nn.Linear, *ELEMENTWISE) for layer in layers)
        and own == [name for name, p in model.named_parameters() if p.requires_grad]
        and not any(layer._forward_hooks or layer._forward_pre_hooks for layer in model.modules())
    )


def _forward(model: nn.Module, stack: Named, x: Tensor) -> Tensor:
    """(N, ...) inputs to (K, N, C) logits of K networks; the first product is one for all, as they see the same inputs."""
    for name, layer in model.named_children():
        if not isinstance(layer, nn.Linear):
            x = layer(x)
            continue
        weight, bias = stack[f"{name}.weight"], stack.get(f"{name}.bias")  # (K, out, in), (K, out)
        if x.ndim == 2:
            x = linear(x, weight.flatten(0, 1), None if bias is None else bias.flatten())  # (N, K out)
            x = x.unflatten(1, weight.shape[:2]).transpose(0, 1)
        else:
            x = x @ weight.mT if bias is None else torch.baddbmm(bias[:, None], x, weight.mT)
    return x


class _Spectators(Penalty):
    """Shows every step to several penalties at once (SI gathers its importance there), and holds nothing."""

    def __init__(self, penalties: Iterable[Penalty]) -> None:
        super().__init__()
        self.penalties = list(penalties)

    def observe(self, model: nn.Module) -> None:
        for penalty in self.penalties:
            penalty.observe(model)


class _Here(Executor):
    """No executor: the work is done at once, by the caller."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


_turn = threading.Lock()  # train sets the random state and the warning filters, of which a process has one


def _train(model: nn.Module, data: Data, **options: Any) -> History:
    with _turn, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "interrupted after|training diverged", RuntimeWarning)  # sweep says it once
        history = train(model, data, progress=False, **options)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def _one_core(caller: int) -> None:
    """Processes that each take all cores stand in each other's way."""
    if os.getpid() != caller:
        torch.set_num_threads(1)


def _evaluations(model: nn.Module, a: Data, b: Data) -> tuple[Evaluation, Evaluation]:
    covered = isinstance(a, Task) and isinstance(b, Task) and set(a.classes) <= set(b.classes)  # as in learn
    return evaluate(model, a, b.classes if covered and isinstance(b, Task) else None), evaluate(model, b)


def _weights(model: nn.Module) -> tuple[Named, Named]:
    weights = {name: p.detach().cpu().clone() for name, p in model.named_parameters() if p.requires_grad}
    return weights, {name: t.cpu().clone() for name, t in model.named_buffers()}


@torch.no_grad()
def _set(model: nn.Module, start: Start) -> None:
    kept = start.weights | start.buffers
    for name, t in [*model.named_parameters(), *model.named_buffers()]:
        if name in kept:
            t.copy_(kept[name])


# what is asked for


def _units(result: Sweep, seed: int, together: int) -> list[tuple[int, str, list[float]]]:
    units = []
    for method in result.methods:
        left = [strength for strength in result.strengths if (method, strength, seed) not in result.results]
        units += [(seed, method, left[i : i + together]) for i in range(0, len(left), together)]
    return units


def _several(name: str, values: Iterable[Any], check: Callable[[object], T]) -> tuple[T, ...]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} must be several numbers such as [1, 10], got {values!r}")
    try:
        found = tuple(check(value) for value in values)
    except (TypeError, ValueError) as error:
        raise type(error)(f"in {name}: {error}") from None
    if not found:
        raise ValueError(f"{name} must hold at least one number, got none")
    if twice := sorted(value for value in set(found) if found.count(value) > 1):  # type: ignore[type-var]
        raise ValueError(f"{name} must differ from one another, got {twice[0]} more than once")
    return found


def _methods(methods: object) -> dict[str, Any]:
    if isinstance(methods, Mapping):
        found = dict(methods)
    elif isinstance(methods, Sequence) and not isinstance(methods, str):
        found = {_checks.one_of("a method", name, list(METHODS)): METHODS[name] for name in methods}
        if len(found) < len(methods):
            raise ValueError(f"methods must differ from one another, got {list(methods)}")
    else:
        raise TypeError(f"methods must be names such as ['L2', 'EWC'], or name -> penalty, got {methods!r}")
    if not found:
        raise ValueError(f"methods must hold at least one of {', '.join(METHODS)}, got none")
    return found


def _penalty(name: str, make: Any) -> Penalty:
    penalty = copy.deepcopy(make) if isinstance(make, Penalty) else make() if callable(make) else make
    if not name or not isinstance(name, str):
        raise TypeError(f"methods must have names, got {name!r}")
    if not isinstance(penalty, Penalty):
        raise TypeError(f"methods[{name!r}] must be or make a cl_teach penalty such as EWC(), got {make!r}")
    if penalty.n_tasks:
        raise ValueError(f"methods[{name!r}] must be a fresh penalty, got one that has consolidated {penalty.n_tasks} tasks")
    return penalty


def _options(options: dict[str, Any]) -> dict[str, Any]:
    if strange := sorted(set(options) - set(OPTIONS)):
        raise TypeError(f"sweep does not take {', '.join(strange)}; of train it passes on {', '.join(OPTIONS)}")
    defaults = inspect.signature(train).parameters
    return {name: options.get(name, defaults[name].default) for name in OPTIONS}


# the file


class _Journal:
    """A file that only grows: each record is its length, its SHA-256 and a ``torch.save``; the first is the configuration.

    A kill can cut off only the last record, which then counts for nothing. Loading runs no code.
    """

    magic = b"cl_teach sweep 1\n"
    header = struct.Struct("<Q32s")

    def __init__(self, path: str | os.PathLike[str], configuration: dict[str, Any]) -> None:
        self.records: list[tuple[int, Key | None, Any]] = []
        self.path = os.fspath(path)
        self.file = open(path, "a+b", buffering=0)  # noqa: SIM115 - open until close(); a write is with the system at once
        try:
            self._lock()
            found = self._read()
            if found:
                self._compare(found[0], configuration)
                self.records = [record for group in found[1:] for record in group]
            self.file.truncate(self.end)  # what a kill has cut off
            if not found:
                self._write(self.magic)
                self.append(configuration)
        except BaseException:
            self.close()
            raise

    def append(self, content: object) -> None:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        payload = buffer.getvalue()
        self._write(self.header.pack(len(payload), hashlib.sha256(payload).digest()) + payload)
        os.fsync(self.file.fileno())

    def close(self) -> None:
        self.file.close()

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self.file.write(left) :]

    def _read(self) -> list[Any]:
        """All whole records; ``end`` is where they end."""
        found: list[Any] = []
        size = self.file.seek(0, os.SEEK_END)
        self.end = self.file.seek(0)
        start = self.file.read(len(self.magic))
        if not self.magic.startswith(start):
            raise ValueError(f"file {self.path} is no file of a sweep; it is left as it is")
        while len(header := self.file.read(self.header.size)) == self.header.size:
            length, digest = self.header.unpack(header)
            if length > size - self.file.tell():
                break
            payload = self.file.read(length)
            if hashlib.sha256(payload).digest() != digest:
                raise ValueError(f"file {self.path} is damaged at byte {self.end}; it is left as it is")
            with torch.serialization.safe_globals([Start, Result, Evaluation, History]):
                found.append(torch.load(io.BytesIO(payload), weights_only=True))
            self.end = self.file.tell()
        return found

    def _compare(self, there: dict[str, Any], here: dict[str, Any]) -> None:
        other = [name for name in here if there.get(name) != here[name]]
        if other:
            plain = [
                f"{n} {there.get(n)!r}, here {here[n]!r}" for n in other if n not in ("model", "task_a", "task_b", "watch")
            ]
            details = f" ({'; '.join(plain)})" if plain else ""
            raise ValueError(
                f"file {self.path} is of a sweep with another {', '.join(other)}{details}; it is left as it is. "
                "Give another file, or the same arguments"
            )

    def _lock(self) -> None:
        """Two sweeps would cut off each other's records. The lock ends with the process, however that ends."""
        try:
            import fcntl
        except ImportError:  # Windows
            return
        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"file {self.path} is in use by another sweep") from None


def _packed(start: Start) -> Start:
    """Penalties as plain data: a file must not say which classes to make."""
    return replace(start, penalties={name: penalty.state_dict() for name, penalty in start.penalties.items()})  # type: ignore[misc]


def _unpacked(start: Start, fresh: dict[str, Penalty]) -> Start:
    penalties = copy.deepcopy(fresh)
    for name, penalty in penalties.items():
        penalty.load_state_dict(start.penalties[name])  # type: ignore[arg-type]
    return replace(start, penalties=penalties)


def _describe(penalty: Penalty) -> str:
    """Its kind and settings, such as ``EWC(labels='exact', n=None, seed=0)``."""
    plain = {n: v for n, v in vars(penalty).items() if isinstance(v, (str, int, float, type(None))) and n[0] != "_"}
    details = ", ".join(f"{n}={v!r}" for n, v in plain.items() if n not in ("constant", "n_tasks"))
    return f"{type(penalty).__name__}({details})"


def _digest(what: object, *tensors: Tensor) -> str:
    digest = hashlib.sha256(str(what).encode())
    for t in tensors:
        digest.update(f"{t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _digest_data(data: Data) -> str:
    if isinstance(data, Split):
        return _digest("split", data.x, data.y)
    return _digest(data.classes, data.train.x, data.train.y, data.test.x, data.test.y)
