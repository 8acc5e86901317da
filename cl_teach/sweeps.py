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
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from . import _checks
from ._prepare import prepare
from ._progress import bar, reported, silent
from ._store import Store
from ._weights import Named, copied, flat
from .fast.chain import is_chain
from .fast.together import train_together
from .history import Evaluation, History, evaluation
from .penalties import EWC, L2, LatestEWC, OnlineEWC, Penalty, proximal_factor
from .rivals import MAS, SI
from .tasks import Split, Task, data_and_classes
from .training import choice, train

METHODS = {kind.__name__: kind for kind in (L2, EWC, OnlineEWC, LatestEWC, SI, MAS)}
OPTIONS = ("step", "epochs", "batch_size", "lr", "momentum", "statistics", "every")  # of train, the same for A and B

DATA = "a Task or Split: Task.from_datasets makes one of data sets (of a DataLoader: loader.dataset), Split(x, y) of tensors"
POLL = 0.5  # seconds between two looks at what other processes have done
Data = Task | Split
Key = tuple[str, float, int]  # method, strength, seed; to learn A is ("", 0.0, seed)
Unit = list[Key]  # work that is done together: of one method and seed


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
        try:
            return self.results[key]
        except (KeyError, TypeError):
            known = f"methods {self.methods}, strengths {self.strengths}, seeds {self.seeds}"
            message = f"no result for {key!r}; this sweep has {len(self.results)} results of {known}"
            raise KeyError(message) from None

    def accuracies(self, seed: int | None = None) -> dict[str, dict[float, tuple[float, float]]]:
        """method -> {strength: (accuracy on A, accuracy on B)}, as ``cl.figures.frontier`` and ``strength_frame`` take it.

        Args:
            seed: of one seed; None takes the mean over the seeds that are done.

        Raises:
            ValueError: a seed that is not of this sweep.
        """
        if seed is not None and seed not in self.seeds:
            raise ValueError(f"seed must be one of {self.seeds}, or None for the mean of all, got {seed!r}")
        table: dict[str, dict[float, tuple[float, float]]] = {method: {} for method in self.methods}
        for method in self.methods:
            for strength in self.strengths[method]:
                keys = [(method, strength, s) for s in (self.seeds if seed is None else [seed])]
                done = [self.results[key] for key in keys if key in self.results]
                if done:
                    a, b = sum(r.a.accuracy for r in done), sum(r.b.accuracy for r in done)
                    table[method][strength] = a / len(done), b / len(done)
        return table

    def best(self, method: str, on: str | Iterable[str]) -> float:
        """The strength of ``method`` whose mean accuracy on the watched data ``on``, after B, is the highest.

        The mean is over these data and the seeds; among equals the lowest mean loss decides. Nothing but watched data is looked
        at: hold some of the training data out, watch them, and the test data are still unseen when the best is tested on them.
        A strength at which a seed diverged is never the best. Of an interrupted sweep the seeds with all strengths count.

        Args:
            on: names of watched data, such as ``("A, held out", "B, held out")``; or one name.

        Raises:
            TypeError, ValueError: the sweep has no such method, did not watch such data, has no seed with all strengths, or
                diverged at each of them.

        A RuntimeWarning says if the best is the largest strength there was, or the smallest (unless that is 0).
        """
        _checks.one_of("method", method, self.methods)
        grid = self.strengths[method]
        seeds = [seed for seed in self.seeds if all((method, strength, seed) in self.results for strength in grid)]
        if not seeds:
            raise ValueError(f"method {method!r} must have results of all its {len(grid)} strengths, got no seed that has them")
        names = (on,) if isinstance(on, str) or not isinstance(on, Iterable) else tuple(on)
        watched = tuple(self.results[method, grid[0], seeds[0]].history.watched)
        if not names or any(name not in watched for name in names):
            known = f"watched were {', '.join(map(repr, watched))}" if watched else "nothing was; give sweep watch={name: data}"
            raise ValueError(f"on must name watched data, got {on!r}; {known}")
        scores = {}
        for strength in grid:
            histories = [self.results[method, strength, seed].history for seed in seeds]
            if not any(history.diverged for history in histories):
                last = [history.watched[name][-1] for history in histories for name in names]
                accuracy, loss = sum(e.accuracy for e in last) / len(last), sum(e.loss for e in last) / len(last)
                scores[strength] = round(accuracy, 9), -loss  # equal means may differ by rounding
        if not scores:
            raise ValueError(f"method {method!r} must have strengths at which no run diverged, got none among {grid}")
        best = max(scores, key=lambda strength: scores[strength])
        if best == max(grid) or 0 < best == min(grid):
            end = "largest" if best == max(grid) else "smallest"
            message = f"the best strength of {method}, {best:g}, is the {end} of its grid; a wider grid may hold a better one"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        return best


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
            ``{"L2": cl.L2, "EWC, 500 samples": cl.EWC(n=500)}``. Figures draw "none" and "joint" as no penalty and as joint
            training: no method that holds anything may have such a name.
        strengths: lambdas, each finite and not negative, for all methods alike or method -> its own. 0 holds nothing.
        seeds: of the network (if ``model`` is a function) and of the order of the samples.
        watch, keep_weights: recorded while B is learnt, every ``every`` steps; see :class:`History`. The path of a network
            of 80,000 weights takes 320 kB a step kept.
        file: where finished work is written at once; the same sweep with the same file continues where it was, however
            it ended. Several processes that run it at the same time share the work: none does what another has done or is
            doing, others take over from one that was killed, and each returns all results. They may run on several machines
            if files are locked between these. With an ``executor`` a process takes all the work that can begin.
        executor: does the work: threads, processes, a cluster (Dask's ``client.get_executor()``, ipyparallel's
            ``client.executor()``). Each unit of work is sent with its data and networks; a process uses one core. Threads
            take turns with networks that are no ``Sequential`` of Linear layers and activations. None works here.
        together: how many strengths are trained side by side, as one unit of work, where the network is a ``Sequential`` of
            ``Linear`` layers and activations and the step is "proximal"; takes that many times the memory. Elsewhere each
            run is a unit of its own.
        progress: show a progress bar if it takes longer than two seconds.
        **options: step, epochs, batch_size, lr, momentum, statistics and every, as for :func:`train`; for A and B alike.

    Returns:
        A :class:`Sweep`. Ctrl-C ends it early and returns what is done, with a RuntimeWarning; what an executor is just
        working on, it finishes in vain. Runs whose loss stopped being finite are counted in a RuntimeWarning, and say so in
        ``history.diverged``.

    Raises:
        TypeError, ValueError, OSError: an argument cannot work, or ``file`` is of another sweep or damaged (it stays as it
            is), or cannot be written; raised before any work.
        RuntimeError: the network diverged on A already.
    """
    settings = _options(options)
    makers, numbers = _methods(methods), _checks.several("seeds", seeds, _checks.seed)
    result = Sweep(tuple(makers), _strengths(strengths, list(makers)), numbers)
    if strange := [name for name in ("none", "joint") if any(result.strengths.get(name, ()))]:
        drawn = "no penalty" if strange[0] == "none" else "joint training"
        raise ValueError(f"methods must not have the name {strange[0]!r}, which figures draw as {drawn}, got {list(makers)}")
    together, keep_weights = _checks.whole_number("together", together, at_least=1), _checks.truth("keep_weights", keep_weights)
    for name, data in (("task_a", task_a), ("task_b", task_b)):
        _checks.kind(name, data, (Task, Split), DATA)
    watched = {} if watch is None else watch
    _checks.named("watch", watched, (Task, Split), DATA, or_empty=True)
    jobs = {}
    for seed in numbers:
        network = _network(model, seed)
        fresh = {name: _penalty(name, make) for name, make in makers.items()}
        sizes = {name: together if _side_by_side(network, penalty, settings) else 1 for name, penalty in fresh.items()}
        jobs[seed] = _Job(network, fresh, task_a, task_b, seed, settings, watched, keep_weights, sizes, os.getpid())
        _check(jobs[seed])
    _check_executor(executor)

    runs = [(method, strength, seed) for seed in numbers for method in makers for strength in result.strengths[method]]
    samples = data_and_classes(task_b, "train")[0]
    steps = settings["epochs"] * math.ceil(len(samples) / settings["batch_size"])  # of a run, or of A
    store = None if file is None else Store(file, _configuration(result, jobs), [Start, Result, Evaluation, History])
    try:
        _take_over(result, jobs, store)
        total, done = steps * (len(numbers) + len(runs)), steps * (len(result.starts) + len(result.results))
        with bar(total, "sweep", "step", progress, done) as shown:
            _work(result, jobs, store, executor, shown, steps)
    except KeyboardInterrupt:
        result.interrupted = True
        kept = "" if file is None else f" and kept in {os.fspath(file)}"
        message = f"interrupted after {len(result.results)} of {len(runs)} runs; what is done is returned{kept}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    finally:
        if store:
            store.close()
    result.results = {key: result.results[key] for key in runs if key in result.results}
    if diverged := [key for key, run in result.results.items() if run.history.diverged]:
        message = f"{len(diverged)} of {len(result.results)} runs diverged: their loss is no longer finite, first {diverged[0]}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return result


# the work


@dataclass(frozen=True)
class _Job:
    """What every unit of work of one seed needs, wherever it is done."""

    model: nn.Module
    penalties: dict[str, Penalty]  # that know no task yet
    task_a: Data
    task_b: Data
    seed: int
    settings: dict[str, Any]
    watch: Mapping[str, Data]
    keep_weights: bool
    sizes: dict[str, int]  # method -> how many strengths are a unit of work: 1 if they gain nothing from one another
    caller: int  # its process


def _work(result: Sweep, jobs: dict[int, _Job], store: Store | None, executor: Executor | None, shown: Any, steps: int) -> None:
    """Do what is left, and wait for what other processes with the same file are doing."""
    submit, tick = (_at_once, shown.update) if executor is None else (executor.submit, None)  # a bar would not travel
    pending: dict[Future[Any], Unit] = {}
    try:
        while (units := _units(result, jobs, pending.values())) or pending:
            for unit in units:
                if pending and executor is None:
                    break  # what is pending is done already: keep it first
                if mine := store.claim(unit) if store else unit:
                    method, _, seed = unit[0]
                    work: list[Any] = [_learn_a, jobs[seed]]
                    if method:
                        work = [_learn_b, jobs[seed], result.starts[seed], method, [strength for _, strength, _ in mine], tick]
                    pending[submit(*work)] = mine
            if not pending:
                time.sleep(POLL)
            for future in wait(pending, POLL if store else None, FIRST_COMPLETED).done:
                new = dict(zip(pending.pop(future), future.result(), strict=True))
                if store:
                    store.put({key: _plain(value) for key, value in new.items()})
                _add(result, new)
            _take_over(result, jobs, store)
            shown.update(steps * (len(result.starts) + len(result.results)) - shown.n)  # what has not been counted step by step
    finally:
        for future in pending:
            future.cancel()


def _units(result: Sweep, jobs: dict[int, _Job], pending: Iterable[Unit]) -> list[Unit]:
    """The work that can begin, in order."""
    begun, units = {*result.results, *(key for unit in pending for key in unit)}, []
    for seed, job in jobs.items():
        for method in result.methods if seed in result.starts else [""]:
            keys = [(method, strength, seed) for strength in result.strengths.get(method, [0.0])]
            left, size = [key for key in keys if key not in begun], job.sizes.get(method, 1)
            units += [left[i : i + size] for i in range(0, len(left), size)]
    return units


def _add(result: Sweep, new: Mapping[Key, Any]) -> None:
    result.starts.update({seed: start for (method, _, seed), start in new.items() if not method})
    result.results.update({key: run for key, run in new.items() if key[0]})


def _take_over(result: Sweep, jobs: dict[int, _Job], store: Store | None) -> None:
    """Add what has come into the file, from an earlier sweep or another process."""
    found = store.done([*result.results, *(("", 0.0, seed) for seed in result.starts)]) if store else {}
    for (method, _, seed), start in found.items():
        if not method:
            states, start.penalties = start.penalties, copy.deepcopy(jobs[seed].penalties)
            for name, penalty in start.penalties.items():
                penalty.load_state_dict(states[name])
    _add(result, found)


def _plain(value: Any) -> Any:
    """Penalties as plain data: a file must not say which classes to make."""
    states = {name: penalty.state_dict() for name, penalty in getattr(value, "penalties", {}).items()}
    return replace(value, penalties=states) if isinstance(value, Start) else value


def _learn_a(job: _Job) -> list[Start]:
    one_core(job.caller)
    model, penalties = copy.deepcopy((job.model, job.penalties))  # threads share what they are given
    if _train(model, job.task_a, penalty=_Spectators(penalties.values()), seed=job.seed, **job.settings).diverged:
        raise RuntimeError(f"the network diverged on A with seed {job.seed}, before any method could act; try a smaller lr")
    with silent():
        for penalty in penalties.values():
            penalty.consolidate(model, job.task_a)
            penalty.to("cpu")
    return [Start(*_evaluations(model, job), *_state(model), penalties)]


def _learn_b(job: _Job, start: Start, method: str, strengths: list[float], tick: Any) -> list[Result]:
    one_core(job.caller)
    models = [_set(copy.deepcopy(job.model), start) for _ in strengths]
    options = {"watch": job.watch, "keep_weights": job.keep_weights, "seed": job.seed, **job.settings}
    histories: list[History | None] = [None] * len(strengths)
    if len(strengths) > 1:
        penalty = start.penalties[method]
        settings = {name: value for name, value in options.items() if name not in ("step", "statistics")}
        factors = [proximal_factor(strength, settings["lr"], settings["momentum"]) for strength in strengths]
        histories = train_together(models, job.task_b, penalty.precision, penalty.anchor, factors, tick, **settings)
    results = []
    for model, strength, history in zip(models, strengths, histories, strict=True):
        if history is None:  # one by one
            penalty = copy.deepcopy(start.penalties[method])
            history = _train(_set(model, start), job.task_b, penalty=penalty, strength=strength, **options)
        history.weights = [{name: t.cpu() for name, t in weights.items()} for weights in history.weights]
        weights, buffers = _state(model)
        distance = float((flat(weights) - flat(start.weights)).norm())
        results.append(Result(*_evaluations(model, job), distance, weights, buffers, history))
    return results


class _Spectators(Penalty):
    """Shows every step to several penalties at once (SI gathers its importance there), and holds nothing."""

    def __init__(self, penalties: Iterable[Penalty]) -> None:
        super().__init__()
        self.penalties = list(penalties)

    def observe(self, model: nn.Module) -> None:
        for penalty in self.penalties:
            penalty.observe(model)


def _at_once(work: Callable[..., Any], *args: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(work(*args))
    return future


def _train(model: nn.Module, data: Data, **options: Any) -> History:
    with reported():
        history = train(model, data, progress=False, **options)
    if history.interrupted:
        raise KeyboardInterrupt
    return history


def one_core(caller: int) -> None:
    """Processes that each take all cores stand in each other's way."""
    if os.getpid() != caller:
        torch.set_num_threads(1)


def _evaluations(model: nn.Module, job: _Job) -> tuple[Evaluation, Evaluation]:
    a, b = job.task_a, job.task_b
    classes = choice(a, b) if isinstance(a, Task) and isinstance(b, Task) else None
    return evaluation(model, prepare(model, a, "test", classes)), evaluation(model, prepare(model, b, "test"))


def _state(model: nn.Module) -> tuple[Named, Named]:
    weights = {name: t.cpu() for name, t in copied(model).items()}
    return weights, {name: t.cpu().clone() for name, t in model.named_buffers()}


@torch.no_grad()
def _set(model: nn.Module, start: Start) -> nn.Module:
    kept = start.weights | start.buffers
    for name, t in [*model.named_parameters(), *model.named_buffers()]:
        if name in kept:
            t.copy_(kept[name])
    return model


# what is asked for


def _side_by_side(model: nn.Module, penalty: Penalty, settings: dict[str, Any]) -> bool:
    """Whether the strengths of this penalty can be trained as one stack."""
    usual = type(penalty).proximal_step is Penalty.proximal_step
    return usual and settings["step"] == "proximal" and is_chain(model)


def _check(job: _Job) -> None:
    """No step is taken, but every check of training and testing is made."""
    model = copy.deepcopy(job.model)
    for data in (job.task_a, job.task_b):
        _train(model, data, **{**job.settings, "epochs": 0})
        prepare(model, data, "test")
    for name, data in job.watch.items():
        with _checks.about(f"watch[{name!r}]"):
            prepare(model, data, "test")
    for penalty in job.penalties.values():
        data_and_classes(job.task_a, "train")[0].first(penalty.n)


def _check_executor(executor: object) -> None:
    """Whether it takes work and gives what can be waited for, by asking it for next to nothing."""
    words = "a concurrent.futures.Executor such as ProcessPoolExecutor(4), or of a Dask client client.get_executor()"
    if executor is None:
        return
    submit = getattr(executor, "submit", None)
    if isinstance(executor, type) or hasattr(executor, "get_executor") or not callable(submit):
        raise TypeError(f"executor must be {words}, got {_checks.shown(executor)}")
    try:
        future = submit(int)
    except RuntimeError as error:
        raise ValueError(f"executor must still take work, got one that does not ({error}); make a new one") from error
    _checks.kind("executor", future, Future, f"{words}, whose submit gives a concurrent.futures.Future")


def _configuration(result: Sweep, jobs: dict[int, _Job]) -> dict[str, Any]:
    """What the results depend on."""
    job = jobs[result.seeds[0]]
    return {
        "model": [_digest(j.model, *j.model.state_dict().values()) for j in jobs.values()],
        "task_a": _digest_data(job.task_a),
        "task_b": _digest_data(job.task_b),
        "watch": {name: _digest_data(data) for name, data in job.watch.items()},
        "methods": {name: _describe(penalty) for name, penalty in job.penalties.items()},
        "strengths": result.strengths,
        "seeds": result.seeds,
        "keep_weights": job.keep_weights,
        **job.settings,
    }


def _strengths(strengths: Any, methods: list[str]) -> dict[str, tuple[float, ...]]:
    if not isinstance(strengths, Mapping):
        return dict.fromkeys(methods, _checks.several("strengths", strengths, _checks.strength))
    if set(strengths) != set(methods):
        got = ", ".join(map(str, strengths)) or "none"
        raise ValueError(f"strengths must have the methods {', '.join(methods)}, got {got}")
    return {method: _checks.several(f"strengths[{method!r}]", strengths[method], _checks.strength) for method in methods}


def _methods(methods: object) -> dict[str, Any]:
    if isinstance(methods, Mapping):
        found = dict(methods)
    elif isinstance(methods, Sequence) and not isinstance(methods, str):
        found = {_checks.one_of("methods", name, list(METHODS)): METHODS[name] for name in methods}
        if len(found) < len(methods):
            raise ValueError(f"methods must differ from one another, got {list(methods)}")
    else:
        raise TypeError(f"methods must be names such as ['L2', 'EWC'], or name -> penalty, got {_checks.shown(methods)}")
    if strange := [name for name in found if not name or not isinstance(name, str)]:
        raise TypeError(f"methods must have texts as names, such as 'EWC', got {strange[0]!r}")
    if not found:
        raise ValueError(f"methods must hold at least one of {', '.join(METHODS)}, got none")
    return found


def _network(model: object, seed: int) -> nn.Module:
    words = "a network, or a function seed -> network such as lambda seed: cl.mlp(seed=seed)"
    made = model
    if not isinstance(model, nn.Module):
        if not callable(model):
            raise TypeError(f"model must be {words}, got {_checks.shown(model)}")
        with _checks.about(f"model must be {words}, but model({seed}) says"):
            made = copy.deepcopy(model(seed))  # the next call may give the same one again, with other weights
        _checks.kind("model", made, nn.Module, f"{words}; from model({seed})")
    _checks.trainable(made)
    return _checks.module(made)


def _penalty(name: str, make: Any) -> Penalty:
    words = f"methods[{name!r}] must be or make a cl_teach penalty such as EWC()"
    with _checks.about(f"{words}, but calling it says"):
        penalty = copy.deepcopy(make) if isinstance(make, Penalty) else make() if callable(make) else make
    if not isinstance(penalty, Penalty):
        raise TypeError(f"{words}, got {_checks.shown(penalty)}")
    if type(penalty).importance is Penalty.importance:
        raise TypeError(f"{words}, with an importance of its own, got {type(penalty).__name__}")
    if penalty.n_tasks:
        raise ValueError(f"methods[{name!r}] must be a fresh penalty, got one that has consolidated {penalty.n_tasks} tasks")
    return penalty


def _options(options: dict[str, Any]) -> dict[str, Any]:
    if strange := sorted(set(options) - set(OPTIONS)):
        raise TypeError(f"sweep does not take {', '.join(strange)}; of train it passes on {', '.join(OPTIONS)}")
    defaults = inspect.signature(train).parameters
    settings = {name: options.get(name, defaults[name].default) for name in OPTIONS}
    _checks.one_of("step", settings["step"], ("proximal", "gradient"))
    for name, least in (("epochs", 0), ("batch_size", 1), ("every", 1)):
        settings[name] = _checks.whole_number(name, settings[name], at_least=least)
    settings["lr"] = _checks.real_number("lr", settings["lr"], at_least=0.0)
    settings["momentum"] = _checks.real_number("momentum", settings["momentum"], at_least=0.0, below=1.0)
    return settings


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
    return digest.hexdigest()[:16]  # to be read in errors


def _digest_data(data: Data) -> str:
    (train, classes), (test, _) = data_and_classes(data, "train"), data_and_classes(data, "test")
    return _digest(classes, train.x, train.y, test.x, test.y)
