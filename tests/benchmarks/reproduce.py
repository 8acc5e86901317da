"""What a run of van de Ven's table costs, and how much faster it is than plain single runs on two cores.

    python tests/benchmarks/reproduce.py [--rounds 3] [--steps 150] [--strengths 5]

A single run learns all five tasks with autograd, torch's Adam and the penalty's gradient, on one thread or on two. Ours are
the same runs as ``python -m cl_teach.reproduce`` makes them: strengths share the first task, no autograd, Adam in one call,
products by oneDNN; in one process, and in two at once, each on one thread. Both test after each task and compute the same
Fisher information. Ways take turns in each round; a ratio above 1 says how many times as many runs a way makes in a time.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import torch

from cl_teach.reproduce import TABLES
from cl_teach.reproduce.protocol import Learner, run_all

TABLE = TABLES["van_de_ven_2025"]
METHOD = "EXACT (n=500)"


def single(steps: int, strengths: list[float], seed: int, quick: bool = False) -> None:
    protocol, tasks = replace(TABLE.protocols["task"], steps=steps), TABLE.tasks("task", seed, 12_000)
    for strength in strengths:
        learner = Learner(protocol, TABLE.penalty("task", METHOD, seed), strength, seed, quick)
        for i, task in enumerate(tasks):
            learner.learn(task)
            learner.tested(tasks[: i + 1])
            learner.remember(task)


def ours(steps: int, strengths: list[float], seed: int) -> None:
    torch.set_num_threads(1)
    protocol, tasks = replace(TABLE.protocols["task"], steps=steps), TABLE.tasks("task", seed, 12_000)
    list(run_all(protocol, tasks, lambda: TABLE.penalty("task", METHOD, seed), strengths, seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=150, help="on each task; 2,000 in the paper")
    parser.add_argument("--strengths", type=int, default=5)
    given = parser.parse_args()
    strengths = [10.0**k for k in range(given.strengths)]
    seeds = (1, 2)
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:

        def threads(n: int, work: Callable[..., None], **options: bool) -> None:
            torch.set_num_threads(n)
            for seed in seeds:
                work(given.steps, strengths, seed, **options)

        ways: dict[str, Callable[[], object]] = {
            "single runs, 1 thread": lambda: threads(1, single),
            "single runs, 2 threads": lambda: threads(2, single),
            "single quick runs, 1 thread": lambda: threads(1, single, quick=True),
            "ours, 1 process": lambda: threads(1, ours),
            "ours, 2 processes": lambda: list(pool.map(ours, [given.steps] * 2, [strengths] * 2, seeds)),
        }
        list(pool.map(ours, [2] * 2, [strengths] * 2, seeds))  # started, and data read, before the clock
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(given.rounds):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    print(f"{versions}; {given.steps} steps a task, medians of {given.rounds} rounds")
    print("| way | seconds a run | throughput / single, 1 thread | / single, 2 threads |\n|---|---|---|---|")
    for name, found in times.items():
        ratios = [
            statistics.median(base / t for base, t in zip(times[f"single runs, {n}"], found, strict=True))
            for n in ("1 thread", "2 threads")
        ]
        each = statistics.median(found) / len(seeds) / len(strengths)
        print(f"| {name} | {each:.2f} | {ratios[0]:.2f} | {ratios[1]:.2f} |")


if __name__ == "__main__":
    main()
