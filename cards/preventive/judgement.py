"""The answer for one recommendation, what it is made from, and the rule of intervals that most of them follow."""

from collections.abc import Callable
from datetime import date
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from cards.extension import Fact
from cards.preventive.chart import Done, done, years_after
from cards.preventive.knowledge import Order, PreventiveKnowledge, PreventiveService, ScreeningTest
from cards.text import plain
from fhir.mapping.tobacco import SmokingHistory, smoking_history
from fhir.record.record import PatientRecord
from models_onnx.equations.calculate import RecordInputs, inputs_from_record
from models_onnx.equations.declaration import get_equation

State: TypeAlias = Literal["due", "not due", "not known"]
PREVENT: Final = get_equation("prevent_base")


class Judgement(Struct, frozen=True, kw_only=True):
    """The answer for one recommendation.

    `because` is its reason as a code, `text` the same as a phrase that follows the name; `last` is the newest test that
    counts and `next_due` the day from which it is due again. `order` is what a suggestion drafts.
    """

    service: PreventiveService
    state: State
    because: str
    text: str
    last: Done | None = None
    next_due: date | None = None
    order: Order | None = None
    facts: tuple[Fact, ...] = ()


class JudgedChart(Struct, frozen=True):
    """What every recommendation is judged from: the record and its day.

    `age` and `sex` are those of the record, which all recommendations ask first.
    """

    record: PatientRecord
    today: date
    knowledge: PreventiveKnowledge
    age: int | None
    sex: Literal["male", "female"] | None

    @property
    def smoking(self) -> SmokingHistory:
        """The smoking history; abnormal results never ask for it."""
        return self.record.derive(smoking_history)

    @property
    def risk(self) -> RecordInputs:
        """The inputs of PREVENT; abnormal results never ask for them."""
        return self.record.derive(prevent_inputs)

    def test(self, name: str) -> ScreeningTest:
        """The test of this name."""
        return self.knowledge.tests[name]

    def done(self, name: str) -> list[Done]:
        """Every time that it was done, newest first."""
        return done(self.record, name)

    def bmi(self) -> float | None:
        """Return the body mass index as PREVENT reads it, in kg/m2."""
        value = self.risk.evidence.get("bmi")
        return float(value.value) if value is not None else None


def prevent_inputs(record: PatientRecord) -> RecordInputs:
    """Return what PREVENT's equation is given."""
    return inputs_from_record(PREVENT, record)


def judge(service: PreventiveService, state: State, because: str, text: str, **more: Any) -> Judgement:
    """Return the answer; where it is due, with the order of the recommendation as its suggestion."""
    order = service.order if state == "due" else None
    return Judgement(service=service, state=state, because=because, text=text, **{"order": order, **more})


def by_interval(service: PreventiveService, chart: JudgedChart) -> Judgement:
    """Due where none of its tests was done within its interval."""
    return newest_that_counts(service, chart, lambda _: True)


def newest_that_counts(service: PreventiveService, chart: JudgedChart, counts: Callable[[Done], bool]) -> Judgement:
    """Due where no test that `counts` was done within its interval; a test without a date leaves it not known."""
    over: list[tuple[date, Done]] = []
    undated: Done | None = None
    for interval in service.tests:
        for test in filter(counts, chart.done(interval.test)):
            if interval.years is None:
                return _done(service, chart, test, None)
            if test.day is None:
                undated = test
                continue
            due = years_after(test.day, interval.years)
            if chart.today < due:
                return _done(service, chart, test, due)
            over.append((due, test))
    if undated is not None:
        text = f"{chart.test(undated.test).words} on record without a date"
        return judge(service, "not known", "not-charted", text, last=undated)
    if not over:
        return judge(service, "due", "never-seen", "no test on record here")
    due, last = max(over, key=lambda interval_end: interval_end[0])
    text = f"last {chart.test(last.test).words} {last.when}, due since {due}"
    return judge(service, "due", "interval-over", text, last=last, next_due=due, facts=(fact_of(last),))


def _done(service: PreventiveService, chart: JudgedChart, test: Done, due: date | None) -> Judgement:
    words = chart.test(test.test).words
    when = f" {test.when}" if test.when else ", no date"
    next_time = f"; it is due again {due}" if due is not None else ""
    return judge(
        service, "not due", "done", f"{words}{when}{next_time}", last=test, next_due=due, facts=(fact_of(test),)
    )


def fact_of(test: Done) -> Fact:
    """Return a test that was done as a fact of the card."""
    effective = test.time.text if test.time is not None else None
    return Fact(name=test.test, text=plain(test.words, 80), effective=effective, source=test.source)
