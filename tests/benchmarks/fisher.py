"""What the Fisher information and an EWC step cost, here and elsewhere: one process, methods in turn, medians and ratios.

    python tests/benchmarks/fisher.py                    prints the tables
    python tests/benchmarks/fisher.py --write README.md  also puts them between the two marker comments of that file

The other tools come with ``pip install -e '.[bench]'``; one that is not there, or fails, is named with the reason and left
out. Times are over that of a plain forward and backward epoch (batches of 128) in the same round. The error is that of the
first samples' result relative to per-sample autograd in float64, in norm.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

import cl_teach as cl

START, END = "<!-- benchmark: start -->", "<!-- benchmark: end -->"
TOOLS = ("torch", "backpack-for-pytorch", "asdl", "laplace-torch", "nngeometry", "avalanche-lib")
BATCH = 256
Method = Callable[[nn.Module, Tensor, Tensor], Tensor]  # model, x, y -> the diagonal, flat, a mean over samples


def flat(named: dict[str, Tensor]) -> Tensor:
    return torch.cat([t.detach().flatten() for t in named.values()])


def batches(x: Tensor, y: Tensor) -> zip[tuple[Tensor, Tensor]]:
    return zip(x.split(BATCH), y.split(BATCH), strict=True)


def ours(labels: str) -> Method:
    return lambda model, x, y: flat(cl.diagonal_fisher(model, cl.Split(x, y), labels))


def one_by_one(labels: str) -> Method:
    """The loop as public code has it: one sample, one label, one backward pass, and the squares added up by name."""

    def method(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
        for sample, label in zip(x.split(1), y.split(1), strict=True):
            logits = model(sample)
            p = logits.detach().softmax(1)[0]
            for c in range(len(p)) if labels == "exact" else [None]:
                model.zero_grad()
                target = label if c is None else torch.tensor([c])
                cross_entropy(logits, target).backward(retain_graph=c is not None)
                for name, parameter in model.named_parameters():
                    square = parameter.grad.detach() ** 2  # type: ignore[union-attr]
                    total[name] += square if c is None else p[c] * square
        model.zero_grad()
        return flat(total) / len(x)

    return method


def torch_func(labels: str) -> Method:
    def method(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        theta = {name: p.detach() for name, p in model.named_parameters()}

        def loss(theta: dict[str, Tensor], sample: Tensor, label: Tensor) -> Tensor:
            return cross_entropy(functional_call(model, theta, (sample[None],)), label[None])

        per_sample = vmap(grad(loss), (None, 0, 0))
        total = torch.zeros(sum(p.numel() for p in theta.values()), dtype=x.dtype)
        for a, b in zip(x.split(32), y.split(32), strict=True):
            p = model(a).detach().softmax(1)
            for c in range(p.shape[1]) if labels == "exact" else [0]:
                label, weight = (
                    (torch.full_like(b, c), p[:, c]) if labels == "exact" else (b, torch.ones(len(b), dtype=x.dtype))
                )
                squares = per_sample(theta, a, label)
                total += torch.cat([torch.tensordot(weight, g.square(), 1).flatten() for g in squares.values()])
        return total / len(x)

    return method


def without_dropout(model: nn.Module) -> nn.Module:
    """A copy without dropout layers, which do nothing here (eval mode) and are not all known to BackPACK."""
    kept = [copy.deepcopy(m) for m in model.children() if not isinstance(m, (nn.Dropout, nn.Dropout2d))]
    return nn.Sequential(*kept).eval()


def backpack(labels: str) -> Method:
    from backpack import backpack as context
    from backpack import extend
    from backpack.extensions import DiagGGNExact, SumGradSquared

    extension, attribute = (DiagGGNExact(), "diag_ggn_exact") if labels == "exact" else (SumGradSquared(), "sum_grad_squared")

    def method(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        model, lossfunc = extend(without_dropout(model)), extend(nn.CrossEntropyLoss(reduction="sum"))
        total: Tensor | float = 0.0
        for a, b in batches(x, y):
            model.zero_grad()
            with context(extension):
                lossfunc(model(a), b).backward()
            total = total + torch.cat([getattr(p, attribute).flatten() for p in model.parameters()])
        return total / len(x)

    return method


def laplace(labels: str) -> Method:
    from laplace.curvature import BackPackEF, BackPackGGN

    def method(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        backend = (BackPackGGN if labels == "exact" else BackPackEF)(without_dropout(model), "classification")
        total: Tensor | float = 0.0
        for a, b in batches(x, y):
            total = total + backend.diag(a, b)[1].detach()
        return total / len(x)

    return method


def asdl(labels: str) -> Method:
    from asdl import FISHER_EMP, FISHER_EXACT, LOSS_CROSS_ENTROPY, SHAPE_DIAG, FisherConfig, get_fisher_maker

    def method(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        model = copy.deepcopy(model)
        kind = FISHER_EXACT if labels == "exact" else FISHER_EMP
        maker = get_fisher_maker(model, FisherConfig(kind, [SHAPE_DIAG], loss_type=LOSS_CROSS_ENTROPY, data_size=len(x)))
        for i, (a, b) in enumerate(batches(x, y)):
            dummy = maker.setup_model_call(model, a)
            maker.setup_loss_call(cross_entropy, dummy, b, reduction="sum")
            maker.forward_and_backward(accumulate=i > 0)
        found = []
        for module in model.modules():
            if any(True for _ in module.parameters(recurse=False)):
                found += [getattr(module.fisher.diag, kind) for kind, _ in module.named_parameters(recurse=False)]
        return torch.cat([f.flatten() for f in found])

    return method


def nngeometry(labels: str) -> Method:
    if labels != "exact":
        raise NotImplementedError("it has no Fisher with true labels")
    from nngeometry.metrics import FIM
    from nngeometry.object import PMatDiag

    def method(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        loader = DataLoader(TensorDataset(x, y), batch_size=BATCH)
        options = {"representation": PMatDiag, "variant": "classif_logits", "device": "cpu"}
        return FIM(copy.deepcopy(model), loader, **options).get_diag()

    return method


def avalanche(labels: str) -> Method:
    if labels == "exact":
        raise NotImplementedError("it has true labels only")
    from avalanche.training.plugins import EWCPlugin

    class WithTask(TensorDataset):
        collate_fn = None

    def method(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        plugin, model = EWCPlugin(1.0), copy.deepcopy(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        data = WithTask(x, y, torch.zeros_like(y))
        found = plugin.compute_importances(model, nn.CrossEntropyLoss(), optimizer, data, "cpu", 128, 0)
        return torch.cat([f.data.flatten() for f in found.values()])

    return method


MAKERS: dict[str, Callable[[str], Method]] = {
    "cl_teach": ours,
    "BackPACK": backpack,
    "asdl": asdl,
    "laplace-torch": laplace,
    "nngeometry": nngeometry,
    "Avalanche": avalanche,
    "torch.func": torch_func,
    "batch size 1": one_by_one,
}
SLOW = {"torch.func": 256, "batch size 1": 64}  # timed on so many samples, and scaled


def plain_epoch(model: nn.Module, x: Tensor, y: Tensor) -> None:
    for a, b in zip(x.split(128), y.split(128), strict=True):
        model.zero_grad()
        cross_entropy(model(a), b).backward()


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def fisher_table(samples: int, rounds: int) -> list[str]:
    task = cl.mnist(n_train=samples, n_test=10)
    x, y = task.train.x, task.train.y
    lines = ["| network | labels | method | time / plain epoch | time / cl_teach | error |", "|---|---|---|---|---|---|"]
    for network, make in (("MLP 784-400-400-10", lambda: cl.mlp((400, 400), device="cpu")),
                          ("article's CNN", lambda: cl.article_cnn(device="cpu"))):  # fmt: skip
        model = make()
        cl.train(model, task, epochs=1, progress=False)
        model.eval()
        few = min(64, samples)
        for labels in ("true", "exact"):
            wanted = one_by_one(labels)(copy.deepcopy(model).double(), x[:few].double(), y[:few])
            methods, errors = {}, {}
            for name, maker in MAKERS.items():
                try:
                    method = maker(labels)
                    found = method(model, x[:few], y[:few])
                    errors[name] = float((found.double() - wanted).norm() / wanted.norm())
                    methods[name] = method
                except Exception as reason:  # a competitor's failure is a line of the report, not the end of it
                    print(f"left out: {name}, {labels} labels, {network}: {type(reason).__name__}: {str(reason)[:120]}")
            times: dict[str, list[float]] = {name: [] for name in methods}
            for _ in range(rounds):
                model.train()
                plain = seconds(lambda model=model: plain_epoch(model, x, y))
                model.zero_grad()
                model.eval()
                for name, method in methods.items():
                    size = min(SLOW.get(name, samples), samples)
                    took = seconds(lambda method=method, model=model, size=size: method(model, x[:size], y[:size]))
                    times[name].append(took * samples / size / plain)
            for name, found in times.items():
                ratio = statistics.median(a / b for a, b in zip(found, times["cl_teach"], strict=True))
                lines.append(
                    f"| {network} | {labels} | {name} | {statistics.median(found):.3g} | {ratio:.3g} | {errors[name]:.1e} |"
                )
                print(lines[-1], flush=True)
    return lines


def many_classes(n_classes: int, samples: int) -> cl.Split:
    """Digits in 10, 100 or 1,000 classes: which digit, turned by which of ten angles, shifted by which of ten steps."""
    images, digit = cl.mnist(n_train=samples, n_test=10).train.x, cl.mnist(n_train=samples, n_test=10).train.y
    generator = torch.Generator().manual_seed(0)
    angle, shift = torch.randint(0, 10 if n_classes > 10 else 1, (2, samples), generator=generator)
    data = cl.Split(images, digit)
    turned = [turn.train.x for turn in cl.rotated(cl.Task("", data, data, tuple(range(10))), [36.0 * a for a in range(10)])]
    x = torch.stack([turned[int(a)][i] for i, a in enumerate(angle)])
    if n_classes <= 100:
        return cl.Split(x, digit if n_classes == 10 else 10 * digit + angle)
    shift = torch.randint(0, 10, (samples,), generator=generator)
    x = torch.stack([image.roll(2 * int(s) - 9, dims=2) for image, s in zip(x, shift, strict=True)])
    return cl.Split(x, 100 * digit + 10 * angle + shift)


def classes_table(samples: int, rounds: int, counts: Sequence[int]) -> list[str]:
    """What each choice of labels costs and how far it is from the exact Fisher, for a network with more and more outputs.

    Five draws are five calls here; what they need is the five backward passes of "stratified, 4 + 1".
    """
    lines = ["| classes | the 4 likeliest hold | labels | time / plain epoch | error |", "|---|---|---|---|---|"]
    for n_classes in counts:
        data = many_classes(n_classes, samples)
        model = cl.mlp((400, 400), n_classes=n_classes, device="cpu")
        cl.train(model, data, epochs=5, progress=False)
        few = data.first(min(1024, samples))
        exact = flat(cl.diagonal_fisher(model, few))
        with torch.no_grad():
            held = float(model.eval()(few.x).softmax(1).topk(4, dim=1).values.sum(1).mean())

        def drawn(seed: int, model: nn.Module = model, few: cl.Split = few) -> Tensor:  # five passes, as 4 + 1
            return sum(flat(cl.diagonal_fisher(model, few, "sample", seed=5 * seed + i)) for i in range(5)) / 5  # type: ignore[return-value]

        def stratified(seed: int, model: nn.Module = model, few: cl.Split = few) -> Tensor:
            return flat(cl.diagonal_fisher(model, few, "stratified", seed=seed))

        def once(labels: str, model: nn.Module = model, few: cl.Split = few) -> Callable[[int], Tensor]:
            return lambda draw: flat(cl.diagonal_fisher(model, few, labels, seed=draw))

        makers = {
            "exact": once("exact"),
            "stratified, 4 + 1": stratified,
            "sample, mean of 5 draws": drawn,
            "sample": once("sample"),
            "true": once("true"),
        }
        for name, make in makers.items():
            ratios = []
            for seed in range(rounds):
                model.train()
                plain = seconds(lambda model=model, few=few: plain_epoch(model, few.x, few.y))
                model.zero_grad()
                model.eval()
                ratios.append(seconds(lambda make=make, seed=seed: make(seed)) / plain)
            seeds = 1 if name in ("exact", "true") else 5
            error = statistics.mean(float((make(seed) - exact).norm() / exact.norm()) for seed in range(seeds))
            lines.append(f"| {n_classes} | {100 * held:.0f} % | {name} | {statistics.median(ratios):.3g} | {error:.2g} |")
            print(lines[-1], flush=True)
    return lines


def step_table(rounds: int) -> list[str]:
    """One training step (batch 128) of the MLP: plain SGD against EWC after 1 and after 50 tasks."""
    task = cl.mnist(n_train=128, n_test=10)
    x, y = task.train.x, task.train.y
    model = cl.mlp((400, 400), device="cpu")
    penalties = {1: cl.EWC(n=8), 50: cl.EWC(n=8)}
    for tasks, penalty in penalties.items():
        for _ in range(tasks):
            penalty.consolidate(model, task)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step(penalty: cl.Penalty | None, how: str) -> None:
        optimizer.zero_grad()
        cross_entropy(model(x), y).backward()
        if penalty is not None and how == "gradient":
            penalty.add_gradient(model, 1.0)
        optimizer.step()
        if penalty is not None and how == "proximal":
            penalty.proximal_step(model, 0.1)

    cases = [(tasks, how) for how in ("proximal", "gradient") for tasks in penalties]
    ratios: dict[tuple[int, str], list[float]] = {case: [] for case in cases}
    for _ in range(rounds * 20):
        plain = seconds(lambda: step(None, ""))
        for case in cases:
            ratios[case].append(seconds(lambda case=case: step(penalties[case[0]], case[1])) / plain)
    lines = ["| EWC step, batch 128 | tasks before | time / plain SGD step |", "|---|---|---|"]
    lines += [f"| {how} | {tasks} | {statistics.median(found):.3f} |" for (tasks, how), found in ratios.items()]
    print("\n".join(lines[2:]), flush=True)
    return lines


def peak_memory() -> int:
    """Of this process, in KiB, as Linux counts it."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def memory_line(samples: int) -> str:
    """Peak memory of the exact Fisher of the CNN, above what was there with the data."""
    data = cl.mnist(n_train=samples, n_test=10).train
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from what is in use now
    before = peak_memory()
    cl.diagonal_fisher(cl.article_cnn(device="cpu"), data)
    above = (peak_memory() - before) / 1024
    return f"Exact Fisher of the CNN on {samples} images: peak memory {above:.0f} MiB above the process with its data."


def write(path: Path, text: str) -> None:
    content = path.read_text(encoding="utf-8")
    if content.count(START) != 1 or content.count(END) != 1:
        raise SystemExit(f"{path} must hold each of {START} and {END} once")
    head, rest = content.split(START)
    path.write_text(f"{head}{START}\n{text}\n{END}{rest.split(END)[1]}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="file with the two marker comments, such as README.md")
    parser.add_argument("--samples", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-samples", type=int, default=60_000)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100, 1000])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    memory = (
        memory_line(options.memory_samples) if sys.platform == "linux" else ""
    )  # first: the peak is of the process's whole life
    versions = [f"Python {platform.python_version()}"]
    for tool in TOOLS:
        try:
            versions.append(f"{tool} {metadata.version(tool)}")
        except metadata.PackageNotFoundError:
            versions.append(f"{tool} not installed")
    text = "\n".join([
        f"{', '.join(versions)}; {options.threads} thread(s), {options.samples} images, medians of {options.rounds} rounds.",
        "", *fisher_table(options.samples, options.rounds), "",
        *classes_table(options.samples, options.rounds, options.classes), "", *step_table(options.rounds), "", memory,
    ])  # fmt: skip
    print("\n" + text)
    if options.write:
        write(options.write, text)


if __name__ == "__main__":
    main()
