"""A table of seconds: two columns, three methods, tiny networks; a log of the units that were begun, and time to kill one."""

import os
import time
from dataclasses import replace
from pathlib import Path

import torch

from cl_teach import EWC, L2, Split, Task
from cl_teach.reproduce.protocol import Protocol
from cl_teach.reproduce.table import Published, Table

PROTOCOL = Protocol(n_inputs=6, hidden=(5,), n_outputs=4, batch_size=8, steps=12, lr=0.01)


def tasks(column: str, seed: int, n_train: int | None) -> list[Task]:
    if log := os.environ.get("SMALL_TABLE_LOG"):
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {column} {seed}\n")
    time.sleep(float(os.environ.get("SMALL_TABLE_WAIT", "0")))
    generator = torch.Generator().manual_seed(seed + (column == "late"))
    found = []
    for i in range(3):
        x = torch.randn(2 * (n_train or 40), 6, generator=generator)
        y = 2 * (i % 2) + (x[:, i] > 0).long()
        train, test = Split(x[::2], y[::2]), Split(x[1::2], y[1::2])
        found.append(Task(f"task {i}", train, test, (0, 1) if i % 2 == 0 else (2, 3)))
    return found


def penalty(column: str, method: str, seed: int):
    return {"none": None, "EWC": EWC(), "L2": L2()}[method]


TABLE = Table(
    name="small",
    title="A small table",
    published={
        ("early", "none"): Published(0.5, 0.01, 10),
        ("early", "EWC"): Published(0.6, 0.01, 10),
        ("late", "L2"): Published(0.7, 0.01, 10),
    },
    strengths={("early", "none"): (0.0,), ("early", "EWC"): (1.0, 100.0, 1e13), ("late", "L2"): (0.02, 0.1)},
    protocols={"early": PROTOCOL, "late": replace(PROTOCOL, steps=None, epochs=2, drop_last=True)},
    tasks=tasks,
    penalty=penalty,
    seeds=(1, 2),
)
