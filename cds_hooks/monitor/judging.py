"""What the monitor says of a window: the figures of calls, of predictions that are mature, and of rules."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Final

from msgspec import Struct

from cds_hooks.monitor.book import CountBook
from cds_hooks.monitor.catalogue import rule_ids, rules_without_findings
from cds_hooks.monitor.label_reading import label_windows
from cds_hooks.outcomes.labels import Labels
from models_onnx.monitoring.figure import Figure
from models_onnx.monitoring.judging import Compared
from models_onnx.monitoring.label_judging import LabelWindow

_STATES: Final = ("act", "watch", "good", "insufficient")


class Window(Struct, frozen=True):
    """The days that are judged: up to `last`, against those before, and how many of mature predictions."""

    last: date
    days: int
    before: int
    label_days: int
    at: datetime | None = None
    """The instant up to which the last day has been counted; None where it is over."""


class Judged(Struct, frozen=True):
    """The figures of each client and service, and those that are of none."""

    comparisons: Sequence[tuple[Compared | LabelWindow, list[Figure]]]
    of_none: list[Figure]

    def narrowed(self, client: str | None, service: str | None) -> tuple[list[Compared | LabelWindow], list[Figure]]:
        """Return what was compared of this client and service, and its figures, the most urgent first."""
        shown = [
            (comparison, figures)
            for comparison, figures in self.comparisons
            if client in (None, comparison.client) and service in (None, comparison.service)
        ]
        others = [figure for figure in self.of_none if client in (None, figure.client) and service is None]
        figures = [*(figure for _, of_one in shown for figure in of_one), *others]
        return [comparison for comparison, _ in shown], sorted(figures, key=lambda figure: figure.order)


def judge(book: CountBook, labels: Labels, window: Window) -> Judged:
    """Judges what the book has counted in the window.

    Raises:
        RecordUnavailable: The counts cannot be read.
    """
    compared = [
        replace(comparison, at=window.at) for comparison in book.compared(window.last, window.days, window.before)
    ]
    mature = label_windows(book, labels, window.last, window.label_days)
    judged: list[Compared | LabelWindow] = [*compared, *mature]
    silent = rules_without_findings(compared, rule_ids(book))
    comparisons = [(comparison, list(comparison.figures())) for comparison in judged]
    return Judged(comparisons, silent)


def summary(figures: list[Figure]) -> str:
    """How many figures have which state, in a sentence; where there is none, what it takes."""
    if not figures:
        return (
            "0 figures: no calls were recorded in these days and the days before, and no outcomes were reported of "
            "estimates whose horizon and label lag have passed (cds-hooks outcomes import; --label-days looks further "
            "back, --until at other days)."
        )
    number = {state: sum(figure.state == state for figure in figures) for state in _STATES}
    return (
        f"{len(figures):,} figures: {number['act']:,} to act on, {number['watch']:,} to watch, "
        f"{number['good']:,} good, {number['insufficient']:,} insufficient (too few were counted to know)."
    )
