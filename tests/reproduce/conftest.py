"""Tables are compared with plain loops on the CPU; that another device gives the same is in tests/test_devices.py."""

import pytest
import torch

from cl_teach import _checks


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert _checks.device() == torch.device("cpu")
