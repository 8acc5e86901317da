"""Products by oneDNN are products."""

import pytest
import torch

from cl_teach.fast import products


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("transposed", [False, True])
def test_it_is_a_product(dtype, transposed):
    torch.manual_seed(0)
    a, b, bias = torch.randn(7, 5, dtype=dtype), torch.randn(3, 5, dtype=dtype), torch.randn(3, dtype=dtype)
    if transposed:
        a, b = a.t().contiguous().t(), b.t().contiguous().t()
    times = products.quick_product(a)
    torch.testing.assert_close(times(a, b, bias), a @ b.T + bias)
    torch.testing.assert_close(times(a, b, None), a @ b.T)
    torch.testing.assert_close(products.product(a, b, bias), a @ b.T + bias)


def test_the_quick_one_is_for_single_precision_alone():
    assert products.quick_product(torch.zeros(1, dtype=torch.float64)) is products.product
    assert products.quick_product(torch.zeros(1, device="meta")) is products.product
    if torch.backends.mkldnn.is_available():
        state = torch.get_rng_state()
        assert products.quick_product(torch.zeros(1)) is not products.product
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("strange", [None, lambda *given: torch.zeros(3, 2), lambda *given: 1 / 0])
def test_a_torch_without_it_takes_the_usual_one(strange, monkeypatch):
    class Operators:
        _linear_pointwise = staticmethod(strange) if strange else None

    monkeypatch.setattr(torch.ops, "mkldnn", Operators)
    assert products.quick_product(torch.zeros(1)) is products.product
