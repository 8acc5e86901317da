"""What a GPU changes: the same work on the CPU, on one thread and on all, and on CUDA; in turn in each round, medians.

    python tests/benchmarks/devices.py [--rounds 3] [--threads 1 16] [--small]

A ratio is CPU time / GPU time: above 1 the GPU is faster. Every way computes the same; the largest relative difference from the
CPU on one thread is shown, in norms (of a run of a table: of its accuracies, as long training is not the same to the last bit).
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

import cl_teach as cl
from cl_teach.reproduce import TABLES
from cl_teach.reproduce.protocol import Protocol, run_all

Work = Callable[[str], Tensor]  # device -> one vector of what came out


def vector(named: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten().cpu().double() for t in named.values()])


def network(name: str, device: str) -> nn.Module:
    return cl.article_cnn(device=device) if name == "CNN" else cl.mlp([int(w) for w in name.split("-")[1:-1]], device=device)


def fisher(name: str, n: int) -> Work:
    data = cl.mnist(n, 10).train
    return lambda device: vector(cl.diagonal_fisher(network(name, device), data.to(device)))


def epoch(name: str, n: int) -> Work:
    """One epoch under EWC, after a task that was consolidated before the clock."""
    a, b = cl.rotated_mnist(angles=(0, 90), n_train=n, n_test=100)
    model, penalty = network(name, "cpu"), cl.EWC(labels="true", n=100)
    cl.train(model, a, epochs=1, progress=False)
    penalty.consolidate(model, a)

    def work(device: str) -> Tensor:
        learner = copy.deepcopy(model).to(device)
        cl.train(learner, b, penalty=copy.deepcopy(penalty), strength=10.0, epochs=1, every=1_000_000, progress=False)
        return vector(dict(learner.named_parameters()))

    return work


def sweep(name: str, n: int, strengths: int, together: int) -> Work:
    a, b = cl.rotated_mnist(angles=(0, 90), n_train=n, n_test=500)
    lambdas = [10 ** (8 * i / strengths - 4) for i in range(strengths)]

    def work(device: str) -> Tensor:
        found = cl.sweep(network(name, device), a, b, strengths=lambdas, epochs=1, progress=False, together=together)
        return torch.cat([vector(found["EWC", strength, 0].weights) for strength in lambdas])

    return work


def grid(name: str, points: int) -> Work:
    task = cl.permuted_mnist(1, n_train=2_000, n_test=2_000)[0]
    model = network(name, "cpu")
    cl.train(model, task, epochs=1, progress=False)
    plane, at = cl.landscapes.random_plane(model), torch.linspace(-1, 1, points)

    def work(device: str) -> Tensor:
        moved = copy.deepcopy(model).to(device)
        return cl.landscapes.loss_surface(moved, plane, task.test, at, at, progress=False).loss["data"].flatten()

    return work


@dataclass(frozen=True)
class Placed(Protocol):
    """A protocol whose network is where we want it; the command takes CUDA where there is one."""

    device: str = "cpu"

    def network(self, seed: int) -> nn.Module:
        return super().network(seed).to(self.device)


def run_of_a_table(steps: int) -> Work:
    """One strength of van de Ven's table: five tasks, Adam, a Fisher of 500 samples after each."""
    table = TABLES["van_de_ven_2025"]
    protocol, tasks = replace(table.protocols["task"], steps=steps), table.tasks("task", 1, None)

    def work(device: str) -> Tensor:
        there = Placed(**vars(protocol), device=device)
        ((_, found),) = run_all(there, tasks, lambda: table.penalty("task", "EXACT (n=500)", 1), [1e6], 1)
        return torch.tensor([accuracy for after in found for accuracy in after])

    return work


def timed(work: Work, device: str, threads: int) -> tuple[float, Tensor]:
    torch.set_num_threads(threads)
    start = time.perf_counter()
    found = work(device)
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1], help="of the CPU; the first is the base"
    )
    parser.add_argument("--small", action="store_true", help="a tenth of the work, to see that all runs")
    given = parser.parse_args()
    part = 10 if given.small else 1
    rows: list[tuple[str, Callable[[], Work], int]] = [
        ("exact Fisher, 784-400-400-10, 10,000 images", lambda: fisher("784-400-400-10", 10_000 // part), given.rounds),
        ("exact Fisher, CNN, 2,000 images", lambda: fisher("CNN", 2_000 // part), given.rounds),
        ("epoch under EWC, 784-100-10, 10,000 images", lambda: epoch("784-100-10", 10_000 // part), given.rounds),
        ("epoch under EWC, 784-400-400-10, 10,000 images", lambda: epoch("784-400-400-10", 10_000 // part), given.rounds),
        ("epoch under EWC, 784-2000-2000-10, 10,000 images", lambda: epoch("784-2000-2000-10", 10_000 // part), given.rounds),
        ("epoch under EWC, CNN, 2,000 images", lambda: epoch("CNN", 2_000 // part), given.rounds),
        ("sweep of 64 strengths, 784-100-10, 2,000 images", lambda: sweep("784-100-10", 2_000 // part, 64, 8), given.rounds),
        ("the same, together=64", lambda: sweep("784-100-10", 2_000 // part, 64, 64), given.rounds),
        ("sweep of 64 strengths, 784-400-400-10, 2,000 images, together=64",
         lambda: sweep("784-400-400-10", 2_000 // part, 64, 64), 1),
        ("landscape, 784-100-10, 41 x 41, 2,000 images", lambda: grid("784-100-10", 41 if part == 1 else 5), given.rounds),
        ("landscape, CNN, 7 x 7, 2,000 images", lambda: grid("CNN", 7 if part == 1 else 2), 1),
        ("a run of van_de_ven_2025", lambda: run_of_a_table(2_000 // part), 1),
    ]  # fmt: skip
    cuda = torch.cuda.is_available()
    where = torch.cuda.get_device_name() if cuda else "no CUDA device"
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores, {where}\n")
    ways = [("cpu", threads) for threads in given.threads] + ([("cuda", 1)] if cuda else [])
    heads = [f"CPU, {n} thread{'s' * (n > 1)}, s" for n in given.threads]
    if cuda:
        heads += ["GPU, s", *(f"CPU, {n} / GPU" for n in given.threads), "difference"]
    print("| work | " + " | ".join(heads) + " |\n|" + "---|" * (len(heads) + 1))
    for name, make, rounds in rows:
        work = make()
        if cuda and rounds > 1:
            timed(work, "cuda", 1)  # kernels are loaded before the clock
        times: list[list[float]] = []
        for _ in range(rounds):
            results = [timed(work, *way) for way in ways]
            times.append([seconds for seconds, _ in results])
        cells = [f"{statistics.median(column):.2f}" for column in zip(*times, strict=True)]
        if cuda:
            cells += [f"{statistics.median(one[i] / one[-1] for one in times):.1f}" for i in range(len(given.threads))]
            base, there = results[0][1], results[-1][1]
            cells.append(f"{float((there - base).norm() / base.norm()):.0e}")
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
