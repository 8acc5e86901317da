"""Many strengths, methods and seeds: learn A once for each seed, then B again and again, and keep every result.

The strengths of one method share their data, and most of their arithmetic: K fully connected networks side by side turn K
small products into one large one. Networks of other kinds are trained one by one; the results are the same.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import math
import os
import threading
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from . import _checks
from ._journal import Journal
from ._weights import Named
from .fast.together import stackable, train_together
from .history import Evaluation, History
from .penalties import EWC, L2, LatestEWC, OnlineEWC, Penalty
from .rivals import MAS, SI
from .tasks import Split, Task
from .training import evaluate, train

METHODS = {kind.__name__: kind for kind in (L2, EWC, OnlineEWC, LatestEWC, SI, MAS)}
OPTIONS = ("step", "epochs", "batch_size", "lr", "momentum", "every")  # of train, the same for A and B

Data = Task | Split
Key = tuple[str, float, int]  # method, strength, seed
P = ParamSpec("P")
T = TypeVar("T")


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
        methods, seeds: as asked for, in this order.
        strengths: method -> its strengths, in this order.
        starts: seed -> :class:`Start`.
        results: (method, strength, seed) -> :class:`Result`; not all of them if ``interrupted``.
        interrupted: True if Ctrl-C ended the sweep early.
    """

    methods: tuple[str, ...]
    strengths: dict[str, tuple[float, ...]]
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
            for strength in self.strengths[method]:
                keys = [(method, strength, s) for s in (self.seeds if seed is None else [seed])]
                done = [self.results[key] for key in keys if key in self.results]
                if done:
                    a, b = (
                        sum(e.accuracy for e in column) / len(done) for column in ([r.a for r in done], [r.b for r in done])
                    )
                    table[method][strength] = a, b
        return table


def sweep(
    model: nn.Module | Callable[[int], nn.Module],
    task_a: Data,
    task_b: Data,
    *,
    methods: Mapping[str, Callable[[], Penalty] | Penalty] | Sequence[str] = ("L2", "EWC"),
    strengths: Iterable[float] | Mapping[str, Iterable[float]],
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
        strengths: lambdas, each finite and not negative, for all methods alike or method -> its own. 0 holds nothing.
        seeds: of the network (if ``model`` is a function) and of the order of the samples.
        watch, keep_weights: recorded while B is learnt, every ``every`` steps; see :class:`History`. The path of a network
            of 80,000 weights takes 320 kB a step kept.
        file: where finished work is written at once; the same sweep with the same file continues where it was, however
            it ended. One sweep at a time may use it.
        executor: does the work: threads, processes, a cluster (Dask's ``client.get_executor()``, ipyparallel's
            ``client.executor()``). Each unit of work is sent with its data and networks; a process uses one core. Threads
            take turns where networks are not trained together. None works here.
        together: how many strengths are trained side by side, as one unit of work, where the network is a ``Sequential`` of
            ``Linear`` layers and activations and the step is "proximal"; takes that many times the memory. Elsewhere each
            run is a unit of its own.
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
    makers, numbers = _methods(methods), _several("seeds", seeds, _checks.seed)
    lambdas = _strengths(strengths, list(makers))
    _checks.whole_number("together", together, at_least=1)
    _checks.whole_number("epochs", settings["epochs"], at_least=0)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor, got {type(executor).__name__}")
    networks = {seed: _checks.module(model if isinstance(model, nn.Module) else model(seed)) for seed in numbers}
    fresh = {seed: {name: _penalty(name, make) for name, make in makers.items()} for seed in numbers}
    for network in networks.values():
        for data in (task_a, task_b):  # no step is taken, but every check of training and testing is made
            _train(copy.deepcopy(network), data, watch={"": data, **(watch or {})}, **{**settings, "epochs": 0})
    for penalty in fresh[numbers[0]].values():
        (task_a.train if isinstance(task_a, Task) else task_a).first(getattr(penalty, "n", None))
    configuration = {
        "model": [_digest(network, *network.state_dict().values()) for network in networks.values()],
        "task_a": _digest_data(task_a),
        "task_b": _digest_data(task_b),
        "methods": {name: _describe(penalty) for name, penalty in fresh[numbers[0]].items()},
        "strengths": {method: list(some) for method, some in lambdas.items()},
        "seeds": list(numbers),
        "watch": {name: _digest_data(data) for name, data in (watch or {}).items()},
        "keep_weights": bool(keep_weights),
        **settings,
    }

    stacked = {m: settings["step"] == "proximal" and stackable(networks[numbers[0]], p) for m, p in fresh[numbers[0]].items()}
    sizes = {method: together if stacked[method] else 1 for method in makers}  # so that each run is kept as soon as it ends
    result = Sweep(tuple(makers), lambdas, numbers)
    journal = Journal(file, configuration, [Start, Result, Evaluation, History]) if file is not None else None
    for seed, key, record in journal.records if journal else []:
        if key is None:
            result.starts[seed] = _unpacked(record, fresh[seed])
        else:
            result.results[key] = record

    queue: list[tuple[int, str, list[float]]] = []  # units of work: seed, method, strengths; no strengths: learn A
    for seed in numbers:
        queue += _units(result, seed, sizes) if seed in result.starts else [(seed, "", [])]
    sample = task_b.train if isinstance(task_b, Task) else task_b
    steps = settings["epochs"] * math.ceil(len(sample) / settings["batch_size"])
    quiet = not progress or os.environ.get("TQDM_DISABLE") == "1"
    worker = executor or _Here()
    pending: dict[Future[Any], tuple[int, str, list[float]]] = {}
    total, done = len(numbers) * (1 + sum(map(len, lambdas.values()))), len(result.starts) + len(result.results)
    bar = tqdm(total=total * steps, initial=done * steps, disable=quiet, delay=2, leave=False, desc="sweep", unit="step")
    try:
        while queue or pending:
            while queue and (executor is not None or not pending):
                seed, method, some = unit = queue.pop(0)
                job = _Job(networks[seed], task_a, task_b, seed, settings, watch or {}, keep_weights, os.getpid())
                work: tuple[Any, ...] = (_learn_a, job, fresh[seed])
                if method:
                    tick = bar.update if executor is None else None  # which would not travel
                    work = (_learn_b, job, result.starts[seed], method, some, tick)
                pending[worker.submit(*work)] = unit
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
                    queue = _units(result, seed, sizes) + queue
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


@dataclass(frozen=True)
class _Job:
    """What every unit of work of one seed needs, wherever it is done."""

    model: nn.Module
    task_a: Data
    task_b: Data
    seed: int
    settings: dict[str, Any]
    watch: Mapping[str, Data]
    keep_weights: bool
    caller: int  # its process


def _learn_a(job: _Job, penalties: dict[str, Penalty]) -> Start:
    _one_core(job.caller)
    model, penalties = copy.deepcopy((job.model, penalties))  # threads share what they are given
    if _train(model, job.task_a, penalty=_Spectators(penalties.values()), seed=job.seed, **job.settings).diverged:
        raise RuntimeError(f"the network diverged on A with seed {job.seed}, before any method could act; try a smaller lr")
    for penalty in penalties.values():
        penalty.consolidate(model, job.task_a)
        penalty.to("cpu")
    return Start(*_evaluations(model, job), *_weights(model), penalties)


def _learn_b(
    job: _Job, start: Start, method: str, strengths: list[float], tick: Callable[[int], object] | None
) -> list[Result]:
    _one_core(job.caller)
    models = [copy.deepcopy(job.model) for _ in strengths]
    for model in models:
        _set(model, start)
    options = {"watch": job.watch, "keep_weights": job.keep_weights, "seed": job.seed, **job.settings}
    histories: list[History | None] = [None] * len(strengths)
    if len(strengths) > 1:
        histories = train_together(models, job.task_b, start.penalties[method], strengths, tick, **options)
    results = []
    for model, strength, history in zip(models, strengths, histories, strict=True):
        if history is None:  # one by one
            _set(model, start)
            penalty = copy.deepcopy(start.penalties[method])
            history = _train(model, job.task_b, penalty=penalty, strength=strength, **options)
        history.weights = [{name: t.cpu() for name, t in weights.items()} for weights in history.weights]
        weights, buffers = _weights(model)
        distance = math.sqrt(sum(float((weights[n] - t).double().square().sum()) for n, t in start.weights.items()))
        results.append(Result(*_evaluations(model, job), distance, weights, buffers, history))
    return results


def _packed(start: Start) -> Start:
    """Penalties as plain data: a file must not say which classes to make."""
    return replace(start, penalties={name: penalty.state_dict() for name, penalty in start.penalties.items()})  # type: ignore[misc]


def _unpacked(start: Start, fresh: dict[str, Penalty]) -> Start:
    penalties = copy.deepcopy(fresh)
    for name, penalty in penalties.items():
        penalty.load_state_dict(start.penalties[name])  # type: ignore[arg-type]
    return replace(start, penalties=penalties)


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


def _evaluations(model: nn.Module, job: _Job) -> tuple[Evaluation, Evaluation]:
    a, b = job.task_a, job.task_b
    covered = isinstance(a, Task) and isinstance(b, Task) and set(a.classes) <= set(b.classes)
    choice = b.classes if covered and isinstance(b, Task) else None  # class-incremental: among all met so far, as in learn
    return evaluate(model, a, choice), evaluate(model, b)


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


def _units(result: Sweep, seed: int, sizes: dict[str, int]) -> list[tuple[int, str, list[float]]]:
    units = []
    for method in result.methods:
        left = [strength for strength in result.strengths[method] if (method, strength, seed) not in result.results]
        units += [(seed, method, left[i : i + sizes[method]]) for i in range(0, len(left), sizes[method])]
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
    if twice := [value for value in found if found.count(value) > 1]:
        raise ValueError(f"{name} must differ from one another, got {twice[0]} more than once")
    return found


def _strengths(strengths: Any, methods: list[str]) -> dict[str, tuple[float, ...]]:
    if not isinstance(strengths, Mapping):
        same = _several("strengths", strengths, _checks.strength)
        return dict.fromkeys(methods, same)
    if set(strengths) != set(methods):
        raise ValueError(
            f"strengths must have the methods {', '.join(methods)}, got {', '.join(map(str, strengths)) or 'none'}"
        )
    return {method: _several(f"strengths[{method!r}]", strengths[method], _checks.strength) for method in methods}


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


def _describe(penalty: Penalty) -> str:
    """Its kind and settings, such as ``EWC(labels='exact', n=None, seed=0)``."""
    plain = {n: v for n, v in vars(penalty).items() if isinstance(v, (str, int, float, type(None))) and n[0] != "_"}
    details = ", ".join(f"{n}={v!r}" for n, v in plain.items() if n not in ("constant", "n_tasks"))
    return f"{type(penalty).__name__}({details})"


def _digest(what: object, *tensors: Tensor) -> str:
    digest = hashlib.sha256(str(what).encode())
    for t in tensors:
        digest.update(f"{t.dtype} {tuple(t.shape)}".encode())
        digest.update(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _digest_data(data: Data) -> str:
    if isinstance(data, Split):
        return _digest("split", data.x, data.y)
    return _digest(data.classes, data.train.x, data.train.y, data.test.x, data.test.y)
