"""What a loss surface costs: the grid at once against the naive loop (set the weights, evaluate), point by point.

    python tests/benchmarks/landscapes.py                    prints the table
    python tests/benchmarks/landscapes.py --rounds 1 --points 11

One process; the two in turn within each round; medians of the ratios of wall time. The plane goes through three trained
networks; the data are 2,000 test images. The error is the largest difference of loss between the two, in nats.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

import cl_teach as cl
from cl_teach.landscapes import Plane, loss_surface, plane_through


def naive(model: nn.Module, plane: Plane, data: cl.Split, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    model = copy.deepcopy(model)
    parameters = dict(model.named_parameters())
    loss, accuracy = torch.zeros(2, len(ys), len(xs), dtype=torch.float64)
    for i, y in enumerate(ys.tolist()):
        for j, x in enumerate(xs.tolist()):
            with torch.no_grad():
                for name, value in plane.point(x, y).items():
                    parameters[name].copy_(value)
            found = cl.evaluate(model, data)
            loss[i, j], accuracy[i, j] = found.loss, found.accuracy
    return loss, accuracy


def solutions(make: Callable[[], nn.Module], tasks: list[cl.Task]) -> list[nn.Module]:
    """After the first task; after the second; after the second with EWC."""
    model, penalty = make(), cl.EWC(n=500)
    cl.train(model, tasks[0], epochs=1, progress=False)
    penalty.consolidate(model, tasks[0])
    free, held = copy.deepcopy(model), copy.deepcopy(model)
    cl.train(free, tasks[1], epochs=1, progress=False)
    cl.train(held, tasks[1], penalty=penalty, strength=100.0, epochs=1, progress=False)
    return [model, free, held]


def row(name: str, make: Callable[[], nn.Module], tasks: list[cl.Task], points: int, rounds: int) -> str:
    models = solutions(make, tasks)
    plane, data = plane_through(*models), tasks[0].test
    far = plane.project(models[1]).x
    xs, ys = torch.linspace(-0.4 * far, 1.4 * far, points), torch.linspace(-0.9 * far, 0.9 * far, points)
    times: list[tuple[float, float]] = []
    for _ in range(rounds):
        start = time.perf_counter()
        loss, accuracy = naive(models[0], plane, data, xs, ys)
        middle = time.perf_counter()
        surface = loss_surface(models[0], plane, data, xs, ys, progress=False)
        times.append((middle - start, time.perf_counter() - middle))
    error = float((surface.loss["data"] - loss).abs().max())
    other = float((surface.accuracy["data"] - accuracy).abs().max()) * len(data)
    slow, quick = (statistics.median(column) for column in zip(*times, strict=True))
    ratio = statistics.median(a / b for a, b in times)
    return f"| {name} | {points} x {points} | {slow:.1f} | {quick:.2f} | {ratio:.1f} | {error:.1e} | {other:.0f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=41, help="grid points a side for the MLP (the CNN: 7 at most)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    tasks = cl.permuted_mnist(2, n_train=2_000, n_test=2_000)
    version = f"Python {platform.python_version()}, torch {torch.__version__}, {options.threads} thread(s)"
    print(f"{version}; 2,000 images, medians of {options.rounds} rounds.\n")
    print("| network | grid | naive, s | cl_teach, s | naive / cl_teach | error of the loss | samples judged otherwise |")
    print("|---|---|---|---|---|---|---|")
    for name, make, points in (
        ("MLP 784-100-10", lambda: cl.mlp(device="cpu"), options.points),
        ("MLP 784-100-100-10", lambda: cl.mlp((100, 100), device="cpu"), min(21, options.points)),
        ("article's CNN", lambda: cl.article_cnn(device="cpu"), min(7, options.points)),
    ):
        print(row(name, make, tasks, points, options.rounds), flush=True)


if __name__ == "__main__":
    main()
