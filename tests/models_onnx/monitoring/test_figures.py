"""Every figure of monitoring for windows with and without changes, whole."""

from tests.models_onnx.monitoring import figures


def test_the_figures_of_windows_with_and_without_changes_are_those_that_were_reviewed() -> None:
    """Where they differ on purpose: python -m tests.models_onnx.monitoring.figures --write, and review the text."""
    assert figures.text().splitlines() == figures.PINNED.read_text(encoding="utf-8").splitlines()
