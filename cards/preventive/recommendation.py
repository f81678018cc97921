"""What the knowledge recommends for one chart, and the rule of intervals that most recommendations follow."""

from collections.abc import Callable
from datetime import date
from functools import cached_property
from typing import Final, Generic, Literal, TypeAlias, TypeVar

from msgspec import Struct

from cards.extension import Fact
from cards.preventive.chart import done, years_after
from cards.preventive.entries import Done
from cards.preventive.knowledge import PREVENTIVE, Order, PreventiveService
from cards.text import plain
from fhir.record.record import PatientRecord

State: TypeAlias = Literal["due", "not due", "not known"]
Row = TypeVar("Row")
ABNORMAL_RESULT: Final = "abnormal-result"
"""Why a screening is not due whose last result waits for what follows it: its own card tells it."""
FOR_CHECK_UP: Final = "check-up"
"""Why a service that is due waits for a check-up: it makes no card of another visit, and is named on one with room."""
FOLLOW_UP: Final = "follow-up"
"""Why what an abnormal result asks for is due: nothing on record has followed it."""
_TO_ORDER: Final = frozenset({"never-seen", "interval-over", "smokes", "at-risk"})
_DUE: Final = _TO_ORDER | {"not-asked", FOR_CHECK_UP, FOLLOW_UP}
_NOT_KNOWN: Final = frozenset({"not-charted", "not-sent"})


class Recommendation(Struct, Generic[Row], frozen=True, dict=True):
    """What a row of the knowledge recommends for this patient: a preventive service, or what an abnormal result needs.

    `because` says as a code why it is due, not due or not known, `text` the same as a phrase that follows the name.
    `facts` are the tests that it is based on, of a service the newest that counts; `next_due` is the day from which it
    is due again, of a result the last day for what follows. `order` is what a suggestion drafts, `when` the date of a
    result.
    """

    row: Row
    name: str
    because: str
    text: str
    facts: tuple[Fact, ...] = ()
    next_due: date | None = None
    order: Order | None = None
    when: str = ""

    @cached_property
    def state(self) -> State:
        """Whether it is due."""
        return "due" if self.because in _DUE else "not known" if self.because in _NOT_KNOWN else "not due"


ServiceAnswer: TypeAlias = Recommendation[PreventiveService]


def judge(
    service: PreventiveService, because: str, text: str, *facts: Fact, next_due: date | None = None
) -> ServiceAnswer:
    """Return the answer for a service; where something can be ordered for it now, with its order."""
    order = service.order if because in _TO_ORDER else None
    return Recommendation(service, service.name, because, text, facts, next_due, order)


def by_interval(service: PreventiveService, record: PatientRecord) -> ServiceAnswer:
    """Due where none of its tests was done within its interval."""
    return newest_that_counts(service, record, lambda _: True)


def newest_that_counts(
    service: PreventiveService, record: PatientRecord, counts: Callable[[Done], bool]
) -> ServiceAnswer:
    """Due where no test that `counts` was done within its interval; a test without a date leaves it not known."""
    over: list[tuple[date, Done]] = []
    undated: Done | None = None
    for interval in service.tests:
        for test in filter(counts, done(record, interval.test)):
            if interval.years is None:
                return _done(service, test, None)
            if test.day is None:
                undated = test
                continue
            due = years_after(test.day, interval.years)
            if record.as_of.date() < due:
                return _done(service, test, due)
            over.append((due, test))
    if undated is not None:
        return judge(service, "not-charted", f"{words_of(undated)} on record without a date", fact_of(undated))
    if not over:
        return judge(service, "never-seen", "no test on record here")
    due, last = max(over, key=lambda interval_end: interval_end[0])
    text = f"last {words_of(last)} {last.when}, due since {due}"
    return judge(service, "interval-over", text, fact_of(last), next_due=due)


def _done(service: PreventiveService, test: Done, due: date | None) -> ServiceAnswer:
    when = f" {test.when}" if test.when else ", no date"
    next_time = f"; it is due again {due}" if due is not None else ""
    return judge(service, "done", f"{words_of(test)}{when}{next_time}", fact_of(test), next_due=due)


def words_of(test: Done) -> str:
    """Return what the knowledge calls a test, else what the chart does."""
    return PREVENTIVE.tests[test.test].words if test.test in PREVENTIVE.tests else test.words


def fact_of(test: Done) -> Fact:
    """Return a test that was done as a fact of the card."""
    effective = test.time.text if test.time is not None else None
    return Fact(name=test.test, text=plain(test.words, 80), effective=effective, source=test.source)
