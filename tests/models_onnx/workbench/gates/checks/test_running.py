"""The gate fairness over people drawn by chance: how often it fails who treats all alike, and finds who does not."""

from models_onnx.workbench.gates.checks import fairness
from tests.models_onnx.workbench.gates.drawn_groups import DESIGNS, share_failed


def test_groups_alike_fail_by_chance_in_at_most_one_of_twenty_models() -> None:
    for design in DESIGNS[:4]:
        assert share_failed(design, 150) <= fairness.BY_CHANCE + 0.03, design.words


def test_harm_to_one_group_or_to_every_small_one_is_found() -> None:
    for design in DESIGNS[4:]:
        assert share_failed(design, 40) >= 0.9, design.words
