"""The contents of small tables, by hand."""

from __future__ import annotations

from hwmodels.units import tables


def test_small_tables() -> None:
    """Two, three and four segments with 4 fraction bits."""
    assert tables.exp2_negative(2, 4) == (16, 11, 8)  # 16, 11.31, 8
    assert tables.reciprocal(2, 4) == (16, 11, 8)  # 16, 10.67, 8
    assert tables.reciprocal_root(3, 4) == (16, 11, 9, 8)  # 16, 11.31, 9.24, 8
    assert tables.gelu(4, 2, 4) == (-1, -3, 0, 13, 31)  # -0.73, -2.54, 0, 13.46, 31.27
    assert tables.gelu_tanh(4, 2, 4) == (-1, -3, 0, 13, 31)  # -0.73, -2.54, 0, 13.46, 31.27
    assert tables.gelu_tanh(4, 4, 12) == (0, -186, 0, 8006, 16384)  # -0.29, -185.97, 0, 8006.03, 16383.71
    assert tables.silu(4, 2, 4) == (-4, -4, 0, 12, 28)  # -3.81, -4.30, 0, 11.70, 28.19
    assert {"gelu": tables.gelu, "gelu_tanh": tables.gelu_tanh, "silu": tables.silu} == tables.FUNCTIONS
