"""Layers that treat each number alone and hold no weights: they take the numbers of many networks at once as they are."""

from torch import nn

POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Tanh, nn.Sigmoid, nn.Identity)
