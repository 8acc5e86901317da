"""Learn: one task under a penalty, or a sequence of tasks.

The loss is loss_B + strength / 2 * sum_i P_i (theta_i - m_i)^2 with loss_B a mean over samples: the strength is the lambda
of Kirkpatrick et al. 2017, eq. 3.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from . import _checks
from ._optimiser import factors, stepper_for, warn_if_unstable
from ._prepare import Data, Loaded, check_batches, prepare, prepare_or_load
from ._progress import bar, is_reported, silent
from ._weights import averaging, buffers_watched, inner, own_modes
from .fast.chain import Chain, is_chain
from .history import Evaluation, History, Recorder, evaluation
from .models import head, random_state
from .penalties import Penalty
from .runs import Run
from .tasks import Task


def evaluate(model: nn.Module, data: Data, classes: Sequence[int] | None = None) -> Evaluation:
    """Loss and accuracy of ``model`` on ``data``, in eval mode.

    Args:
        data: a :class:`Split`; a :class:`Task` (its test data and classes); or a DataLoader over such data.
        classes: the outputs that take part; None takes all (or the task's).

    Raises:
        TypeError, ValueError: ``data`` does not fit the model, or its weights are not finite.
    """
    _checks.finite(_checks.module(model))
    return evaluation(model, prepare_or_load(model, data, "test", classes))


def train(
    model: nn.Module,
    task: Data,
    *,
    penalty: Penalty | None = None,
    strength: float = 1.0,
    step: str = "proximal",
    epochs: int = 3,
    batch_size: int = 128,
    lr: float = 0.05,
    momentum: float = 0.9,
    optimizer: Callable[[Iterable[Tensor]], torch.optim.Optimizer] | None = None,
    statistics: str = "held",
    seed: int = 0,
    watch: Mapping[str, Data] | None = None,
    every: int = 10,
    keep_weights: bool = False,
    progress: bool = True,
) -> History:
    """Train ``model`` in place on ``task``, held by ``penalty``.

    Args:
        model: from (N, ...) inputs to (N, C) logits; training happens on its device, in its floating-point type.
        task: a :class:`Task` (its training data and classes), a :class:`Split`, or a DataLoader, whose batches and order are
            taken as they come (batch_size then says nothing).
        penalty: what earlier tasks left; None, or one that has consolidated nothing yet, holds nothing.
        strength: lambda; minimised is loss_B + strength / 2 * penalty(model).
        step: how the penalty acts. "proximal": solved exactly after each step of the optimiser, stable at any strength
            (SGD, also Nesterov's, with weight decay, or with a learning rate a group; Adam and AdamW, in their own metric,
            unless the penalty holds whole matrices, as ``KFAC`` does). "gradient": its gradient is added to that of the loss,
            which with SGD diverges once strength > 2 (1 + momentum) / (lr * max P), and with Adam does not.
        epochs, batch_size, lr, momentum: of SGD over shuffled batches.
        optimizer: makes another optimiser from the parameters, such as ``lambda p: torch.optim.Adam(p, lr=1e-3)``;
            lr and momentum are then ignored, and unless it is SGD, Adam or AdamW, step must be "gradient".
        statistics: of batch norm while a penalty is in force. "held": such layers are in eval mode, with the running
            statistics that the earlier tasks left. "moving": they go on averaging, which no penalty holds; with a warning.
        seed: of the order of the samples, which is the same on every device, and of dropout.
        watch: name -> data evaluated before training, every ``every`` steps and at the end; see :class:`History`.
        keep_weights: also keep the weights at these steps.
        progress: show a progress bar if training takes longer than two seconds.

    Returns:
        The history. Ctrl-C ends training early, not the program: the model stays as it is, the history so far is returned
        with ``interrupted`` set, and a RuntimeWarning says so. A loss that is no longer finite ends it in the same way, with
        ``diverged`` set, when it is next looked at (every ``every`` steps).

    Raises:
        TypeError, ValueError: an argument cannot work; raised before any training (what a loader gives, when it gives it).

    Source: Kirkpatrick et al. 2017 (arXiv:1612.00796), eq. 3. The proximal step solves the penalty as in Parikh & Boyd 2014;
    dividing lr by 1 - momentum gives it the fixed point of the gradient step.
    """
    numbers = _check(model, penalty, strength, step, epochs, batch_size, lr, momentum, statistics, seed, every)
    epochs, batch_size, seed, every = numbers
    data = prepare_or_load(model, task, "train", name="task")
    in_force = penalty is not None and penalty.n_tasks > 0 and strength > 0
    held = [layer for _, layer in averaging(model)] if in_force and statistics == "held" else []
    check_batches(model, task, batch_size, held)
    stepper = stepper_for(
        model, optimizer, step if penalty is not None else "gradient", lr, momentum, getattr(penalty, "diagonal", True)
    )
    total = epochs * data.steps(batch_size)
    with bar(total, "training", "step", progress) as shown:
        recorder = Recorder([model], watch or {}, keep_weights, every, total, shown.update)
        if penalty is not None and step == "gradient":
            warn_if_unstable(penalty, strength, stepper)
        learn_from = _by_autograd(model, data.classes)
        if quick := is_chain(model) and _ours(stepper, penalty):  # nobody looks at or changes the network in between
            learn_from = Chain(model, data.classes)  # the same numbers
        watched = buffers_watched(model, in_force)
        drawing = [
            found for found in (data, *recorder.data.values()) if isinstance(found, Loaded) and type(found.data) is not list
        ]
        # Dropout draws random numbers, a DataLoader its order; where nothing does, threads need not wait for each other.
        chance = nullcontext() if quick and not drawing else random_state(seed, data.like.device)
        # The recorder ends the block at Ctrl-C.
        with torch.inference_mode(False), torch.enable_grad(), recorder, own_modes(model), watched, chance:
            recorder.look()
            model.train()
            for layer in held:
                layer.eval()
            for x, y in data.shuffled(batch_size, epochs, seed):
                stepper.zero_grad()
                loss = learn_from(x, y)
                if penalty is not None:
                    penalty.observe(model)
                    if step == "gradient":
                        penalty.add_gradient(model, strength)  # lambda P (theta - m)
                stepper.step()
                if penalty is not None and step == "proximal":
                    penalty.proximal_step(model, factors(model, stepper, strength))
                if not recorder(loss):
                    break
    if epochs:
        stepper.zero_grad()
    (history,) = recorder.histories
    told = is_reported()  # or will be, by the work around this
    if history.interrupted and not told:
        message = f"interrupted after {len(history.loss)} of {total} steps; the history so far is returned"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    elif history.diverged and not told:
        message = f"training diverged: the loss is {history.loss[-1]} after step {len(history.loss)}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return history


def _by_autograd(model: nn.Module, classes: Sequence[int] | None) -> Callable[[Tensor, Tensor], Tensor]:
    """(x, y) of a batch -> its loss; its gradient is added to ``.grad``."""

    def step(x: Tensor, y: Tensor) -> Tensor:
        loss = cross_entropy(head(model(x), classes), y)
        loss.backward()
        return loss

    return step


def _ours(stepper: object, penalty: Penalty | None) -> bool:
    """Whether what acts in a step is of this package or of torch, and does there what it is known to do."""
    if type(stepper).__module__.split(".")[0] not in ("torch", "cl_teach"):
        return False
    methods = [getattr(type(penalty), name) for name in ("observe", "add_gradient", "proximal_step")] if penalty else []
    return all(method.__module__.split(".")[0] == "cl_teach" for method in methods)


def _check(
    model: nn.Module,
    penalty: Penalty | None,
    strength: float,
    step: str,
    epochs: int,
    batch_size: int,
    lr: float,
    momentum: float,
    statistics: str,
    seed: int,
    every: int,
) -> list[int]:
    """An error for what cannot work, before any work; epochs, batch_size, seed and every as whole numbers of Python's."""
    _checks.trainable(model)
    _checks.finite(inner(model))
    _checks.one_of("step", step, ("proximal", "gradient"))
    _checks.one_of("statistics", statistics, ("held", "moving"))
    _checks.strength(strength)
    numbers = [_checks.whole_number("epochs", epochs, 0), _checks.whole_number("batch_size", batch_size, 1)]
    numbers += [_checks.seed(seed), _checks.whole_number("every", every, 1)]
    _checks.real_number("lr", lr, at_least=0.0)
    _checks.real_number("momentum", momentum, at_least=0.0, below=1.0)
    if penalty is not None:
        if not isinstance(penalty, Penalty):
            raise TypeError(f"penalty must be a cl_teach penalty such as EWC(), got {type(penalty).__name__}")
        penalty.check(model)
    return numbers


def choice(seen: Task, latest: Task) -> tuple[int, ...]:
    """The classes between which a learner of the ``latest`` task chooses when it is tested on one ``seen`` before.

    In class-incremental learning all that it has met so far, which are those of the latest task; else those of the task seen.
    """
    return latest.classes if set(seen.classes) <= set(latest.classes) else seen.classes


def learn(
    model: nn.Module,
    tasks: Sequence[Task],
    penalty: Penalty | None = None,
    strength: float = 1.0,
    **options: Any,
) -> Run:
    """Train ``model`` in place on one task after the other; after each, consolidate it and test on all tasks seen.

    Args:
        tasks: in the order in which they are met.
        penalty: consolidated after every task; None holds nothing.
        strength, **options: as for :func:`train`, the same for every task.

    Returns:
        A :class:`Run` with the accuracy matrix. Ctrl-C ends the sequence early and returns what was measured; so does a task
        whose training diverges.

    Raises:
        TypeError, ValueError: an argument or any of the tasks cannot work; raised before the first task is trained.
    """
    if isinstance(tasks, Task) or not isinstance(tasks, Sequence):
        raise TypeError(f"tasks must be a sequence of Task, got {type(tasks).__name__}; use train for a single one")
    if not tasks:
        raise ValueError("tasks must hold at least one task, got none")
    known = inspect.signature(train).parameters
    if strange := sorted(set(options) - set(known)):
        raise TypeError(f"learn does not take {', '.join(strange)}; of train it passes on {', '.join(list(known)[2:])}")
    _checks.whole_number("epochs", options.get("epochs", 1), at_least=0)
    for task in tasks:  # no step is taken, but every check of training, consolidating and testing is made
        if not isinstance(task, Task):
            raise TypeError(f"tasks must hold cl_teach.Task objects, got {type(task).__name__}")
        if train(model, task, penalty=penalty, strength=strength, **{**options, "epochs": 0}).interrupted:
            raise KeyboardInterrupt
        prepare(model, task, "test")
        task.train.first(penalty.n if penalty is not None else None)
    unknown = torch.full((len(tasks), len(tasks) + 2), math.nan, dtype=torch.float64)
    accuracy, untrained, ahead = unknown[:, :-2], *unknown[:, -2:].T.clone()
    run = Run(accuracy, accuracy.clone(), untrained=untrained, ahead=ahead)
    try:
        for j, task in enumerate(tasks):
            run.untrained[j] = _measured(model, task, task).accuracy
        for i, task in enumerate(tasks):
            run.ahead[i] = _measured(model, task, task).accuracy
            history = train(model, task, penalty=penalty, strength=strength, **options)
            run.histories.append(history)
            for j, seen in enumerate(tasks[: i + 1]):
                result = _measured(model, seen, task)
                run.accuracy[i, j], run.loss[i, j] = result.accuracy, result.loss
            run.interrupted = history.interrupted
            if history.interrupted or history.diverged:
                break
            if penalty is not None:
                with silent(not options.get("progress", True)):
                    penalty.consolidate(model, task)
    except KeyboardInterrupt:  # while testing or consolidating; training deals with its own
        run.interrupted = True
        message = f"interrupted after training {len(run.histories)} of {len(tasks)} tasks; what was measured is returned"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    return run


def _measured(model: nn.Module, seen: Task, latest: Task) -> Evaluation:
    """On the test data of a task seen, after the latest; also of a network whose training diverged."""
    return evaluation(model, prepare(model, seen, "test", choice(seen, latest)))
