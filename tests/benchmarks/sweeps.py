"""What a sweep costs against single runs: 16 strengths of EWC, methods in turn in each round, medians of the ratios.

    python tests/benchmarks/sweeps.py [--rounds 5] [--epochs 1] [--networks 100 400-400 cnn]

Single runs call cl.train once a strength, from a network that has learnt A, and test on A and B; the sweep does that, and
learns A as well. A ratio above 1 says how many times faster a way is, within the same round. Processes are started before
the clock.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor

import torch
from torch import nn

import cl_teach as cl

BASE = "single runs, 1 thread"
STRENGTHS = [10.0**i for i in range(-6, 10)]


def network(name: str) -> nn.Module:
    return cl.article_cnn(device="cpu") if name == "cnn" else cl.mlp([int(w) for w in name.split("-")], device="cpu")


def distance(one: list[dict[str, torch.Tensor]], other: list[dict[str, torch.Tensor]]) -> float:
    """The largest of the relative differences, over all weights of a network."""
    vectors = [torch.stack([nn.utils.parameters_to_vector(list(w.values())) for w in found]) for found in (one, other)]
    return float(((vectors[0] - vectors[1]).norm(dim=1) / vectors[1].norm(dim=1)).max())


def measure(name: str, rounds: int, epochs: int, only: str) -> None:
    a, b = cl.rotated_mnist(angles=(0, 90), n_train=10_000, n_test=2_000)
    options = {"epochs": epochs, "every": 1_000_000}
    model, penalty = network(name), cl.EWC(labels="true")
    cl.train(model, a, progress=False, **options)
    penalty.consolidate(model, a)

    def single(threads: int) -> list[dict[str, torch.Tensor]]:
        torch.set_num_threads(threads)
        found = []
        for strength in STRENGTHS:
            learner = copy.deepcopy(model)
            cl.train(learner, b, penalty=penalty, strength=strength, progress=False, **options)
            cl.evaluate(learner, a), cl.evaluate(learner, b)
            found.append({n: p.detach() for n, p in learner.named_parameters()})
        return found

    def swept(threads: int, together: int = 8, pool: Executor | None = None) -> list[dict[str, torch.Tensor]]:
        torch.set_num_threads(threads)
        settings = {"methods": {"EWC": cl.EWC(labels="true")}, "progress": False, "together": together, "executor": pool}
        found = cl.sweep(network(name), a, b, strengths=STRENGTHS, **settings, **options)
        return [found["EWC", strength, 0].weights for strength in STRENGTHS]

    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(time.sleep, [1, 1]))
        ways: dict[str, Callable[[], list[dict[str, torch.Tensor]]]] = {
            BASE: lambda: single(1),
            "single runs, 2 threads": lambda: single(2),
            "sweep, 1 thread": lambda: swept(1),
            "sweep, 2 threads": lambda: swept(2),
            "sweep, 1 thread, together=4": lambda: swept(1, 4),
            "sweep, 1 thread, together=16": lambda: swept(1, 16),
            "sweep, 2 processes": lambda: swept(1, 8, pool),
            "sweep, 2 processes, together=1": lambda: swept(1, 1, pool),
        }
        ways = {way: do for way, do in ways.items() if way == BASE or re.search(only, way)}
        times: dict[str, list[float]] = {way: [] for way in ways}
        cores: dict[str, list[float]] = {way: [] for way in ways}
        errors = {}
        reference = single(1)
        for _ in range(rounds):
            for way, do in ways.items():
                start, used = time.perf_counter(), time.process_time()
                found = do()
                times[way].append(time.perf_counter() - start)
                cores[way].append(time.process_time() - used)
                errors[way] = distance(found, reference)
    print(f"\n{name}, {epochs} epochs of 10,000 samples, {rounds} rounds; load {os.getloadavg()[0]:.1f}")
    print("| way | seconds | times faster | core seconds here | largest difference |")
    print("| --- | --- | --- | --- | --- |")
    for way in ways:
        faster = statistics.median(s / t for s, t in zip(times[BASE], times[way], strict=True))
        seconds, core = statistics.median(times[way]), statistics.median(cores[way])
        print(f"| {way} | {seconds:.2f} | {faster:.2f} | {core:.2f} | {errors[way]:.1e} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--only", default="", help="a regular expression of the ways to take, besides single runs")
    parser.add_argument("--networks", nargs="+", default=["100", "400-400", "cnn"])
    asked = parser.parse_args()
    print(f"Python {platform.python_version()}, torch {torch.__version__}, {os.cpu_count()} cores")
    for each in asked.networks:
        measure(each, asked.rounds, asked.epochs, asked.only)
