"""The rows of the proof hold what breaks converters: knots, their float32 neighbours, nothing at all."""

import numpy as np

from models_onnx.workbench.compiler.parity import boundary_rows


def test_every_edge_comes_with_both_float32_neighbours() -> None:
    rows = boundary_rows(np.array([1.0, 2.0]), [(0.1, 7.15), (3.0,)])
    first = set(rows[:, 0].tolist())
    for edge in (0.1, 7.15):
        exact = np.float32(edge)
        around = {exact, np.nextafter(exact, np.float32(-np.inf)), np.nextafter(exact, np.float32(np.inf))}
        assert {float(x) for x in around} <= first
    assert np.isinf(rows).any()


def test_each_input_is_missing_once_alone_and_all_are_missing_together() -> None:
    missing = np.isnan(boundary_rows(np.array([1.0, 2.0, 3.0]), [(0.0,), (0.0,), (0.0,)]))
    assert sorted(missing.sum(axis=1)[missing.any(axis=1)].tolist()) == [1, 1, 1, 3]
    assert missing.sum(axis=0).tolist() == [2, 2, 2]
