"""Parts of the page of operations that compare with the weeks before: incidents, and whether the data are as before.

The figures and their states are those of `cds-hooks monitor`.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

from cds_hooks.monitor.book import CountBook
from cds_hooks.one_run import OneRun
from cds_hooks.pages.operations.counts import Span
from cds_hooks.pages.operations.figures import MOST_ROWS, Cell, Part, Row, number
from cds_hooks.storage.decision import RecordUnavailable
from models_onnx.monitoring.figure import Figure, Incident

_BEFORE: Final = 28
_AGAIN_SECONDS: Final = 60.0
_MOST_SPANS: Final = 8
_LEAST_SEEN: Final = 5
NEEDS: Final = "What needs a person?"
DATA: Final = "Are the data as they were?"
_STATES: Final = {
    "act": ("critical", "act now"),
    "watch": ("warning", "watch"),
    "insufficient": ("none", "not enough data"),
    "good": ("good", "as before"),
}
_DATA: Final = ("units", "missing", "input drift", "age of values", "score drift")


def data_part(figures: Sequence[Figure], span: Span) -> Part:
    """Return whether inputs and scores are as they were in the weeks before."""
    data_figures = [figure for figure in figures if figure.family in _DATA]
    judged_figures = [figure for figure in data_figures if figure.state != "insufficient"]
    odd = sum(figure.state in ("act", "watch") for figure in judged_figures)
    answer = f"{odd} of {len(judged_figures)} figures differ." if judged_figures else "Not enough data to tell."
    rows = [
        Row(
            f"{figure.subject}, {figure.family}",
            (Cell(figure.client), number(figure.n), number(figure.minimum), Cell(figure.text), _state(figure)),
            None,
            span.behind(client=figure.client, service=figure.service),
        )
        for figure in data_figures[:MOST_ROWS]
    ]
    more = f" The first {MOST_ROWS} of {len(data_figures):,}." if len(data_figures) > MOST_ROWS else ""
    return Part(
        "data",
        DATA,
        answer,
        f"Inputs and scores against the 28 days before, those to look at first.{more}",
        ("Input and figure", "Client", "Counted", "Needed", "What was found", "State"),
        tuple(rows),
        "No input or score was counted in these days.",
        unfolded=max(odd, _LEAST_SEEN),
    )


def incidents_part(incidents: Sequence[Incident], sent_notices: Iterable[tuple[str, str]], span: Span) -> Part:
    """Return what somebody has to look at now."""
    noticed = set(sent_notices)
    rows = [
        Row(
            incident.text,
            (Cell(incident.family), Cell("yes" if (incident.client, incident.family) in noticed else "not yet"), _ACT),
            None,
            span.behind(client=incident.client, service=incident.causes[0].service),
        )
        for incident in incidents
    ]
    count = len(rows)
    answer = "Nothing." if not count else "One thing." if count == 1 else f"{count} things."
    return Part(
        "incidents",
        NEEDS,
        answer,
        "Incidents: one for each cause, against the 28 days before",
        ("What", "Kind", "Others were told", "State"),
        tuple(rows),
        "No incident: nothing that was counted is far from what it was, as far as there was enough to tell.",
    )


_ACT: Final = Cell("act now", sign="critical")


def _state(figure: Figure) -> Cell:
    sign, words = _STATES[figure.state]
    return Cell(words, figure.state, sign)


class Judged:
    """The figures of the spans that were asked for last: judging takes longer than a page may.

    It is done beside the page, again where something was counted since and the last time is a minute ago.
    """

    def __init__(self) -> None:
        self._done: dict[Span, tuple[float, int, list[Figure]]] = {}
        self._running: dict[Span, OneRun] = {}

    def figures(self, book: CountBook, span: Span, wait_seconds: float | None) -> list[Figure] | None:
        """Return every figure of the span, those to look at first; None where they are not ready after so long.

        Raises:
            RecordUnavailable: the book cannot be read.
        """
        done, counted_to = self._done.get(span), book.counted_to()
        if done is not None and (done[1] == counted_to or monotonic() - done[0] < _AGAIN_SECONDS):
            return done[2]
        running = self._running.get(span)
        if running is None:
            running = OneRun("judging")
            self._running = {span: running}
        running.begin(lambda: self._judge(book, span, counted_to)).join(wait_seconds)
        done = self._done.get(span)
        return done[2] if done is not None else None

    def _judge(self, book: CountBook, span: Span, counted_to: int) -> None:
        with suppress(RecordUnavailable):  # the page reads the book, too, and says so
            compared = book.compared(span.last, span.days, _BEFORE)
            wanted = [
                window
                for window in compared
                if span.client in ("", window.client) and span.service in ("", window.service)
            ]
            figures = sorted(
                (figure for window in wanted for figure in window.figures()), key=lambda figure: figure.order
            )
            if len(self._done) >= _MOST_SPANS:
                self._done.clear()
            self._done[span] = (monotonic(), counted_to, figures)


def waiting_part(part_id: str, question: str) -> Part:
    """Return what stands in the place of a part while its figures are worked out."""
    return Part(part_id, question, "Being worked out.", "", (), (), "Load this page again in a moment.")
