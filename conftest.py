"""Settings for every test, made before torch is first imported; notebook kernels inherit the environment."""

import os

os.environ.update(
    OMP_NUM_THREADS="1",  # as the stored outputs were made; several threads are no faster for networks this small
    TQDM_DISABLE="1",  # a progress bar is no output to compare
    PYDEVD_DISABLE_FILE_VALIDATION="1",  # or each kernel starts with a warning
)

from collections.abc import Iterator

import pytest
import torch
from hypothesis import settings

from cl_teach import _checks

torch.set_num_threads(1)
settings.register_profile("cl_teach", deadline=None, derandomize=True, database=None)
settings.load_profile("cl_teach")


@pytest.fixture
def float64() -> None:
    """For tests that compare to rounding: the default type and a fixed random state."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def usual_type() -> Iterator[None]:
    """What lessons set for themselves does not reach the next test."""
    yield
    torch.set_default_dtype(torch.float32)
    _checks.of_the_lesson = None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What tests measured and do not judge."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "latency":
                terminalreporter.write_line(value)
