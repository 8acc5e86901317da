"""Beside the tests, so that those in folders can import the helpers here, such as ``small_networks``."""
