"""What this project adds to CDS Hooks, on a card and on a response: one typed struct for each, under one key.

A client that knows nothing of the extension loses nothing. Whatever a later step of the server needs of a card is read
from the struct, never from its JSON.
"""

import re
from typing import Any, Final

from msgspec import Struct

from cards.finding import Finding
from cards.text import capitalized, escape
from fhir.terminology.conditions import CONDITION_GROUPS, ConditionGroup

EXTENSION_KEY: Final = "org.cds-hooks-onnx"
"""The member of `extension` that is this project's."""


class Fact(Struct, frozen=True, omit_defaults=True, gc=False):
    """One fact that a finding is based on, with where it stands in the patient's record.

    `name` says what it is: "egfr", "crcl", "creatinine", "body_weight", "age", "medication", a condition key …; `text`
    is what a clinician reads, empty where another fact says it already; `effective` an ISO date or dateTime; `source`
    a reference such as 'Observation/1'.
    """

    name: str
    text: str = ""
    value: float | str | None = None
    unit: str | None = None
    effective: str | None = None
    source: str | None = None

    @property
    def is_always_shown(self) -> bool:
        """Whether it is shown with its date, whatever else the card says of it: a pregnancy is."""
        return self.name == "pregnancy"

    def dated_text(self, limit: int) -> str:
        """Return its text in at most `limit` characters, with its date."""
        text = escape(self.text, limit)
        return f"{text} ({self.effective[:10]})" if self.effective and self.effective[:10] not in self.text else text

    def explained_text(self, limit: int) -> str:
        """Return its dated text behind what it was read as, where the chart's words do not show that.

        A brand, a code or another language: "lorazepam: Tavor 1 mg (2026-11-02)".
        """
        if self.name in _OF_ORDER:
            return f"ordered {'for ' if self.name == 'duration' else ''}{self.dated_text(limit)}"
        meaning = self.hidden_meaning
        is_old_name = meaning.casefold() in self.text.casefold().replace("potassemia", "kalemia")
        return self.dated_text(limit) if is_old_name else f"{meaning}: {self.dated_text(limit)}"

    @property
    def hidden_meaning(self) -> str:
        """What it was read as, where the chart's words do not show that; "" where they do."""
        group = CONDITION_GROUPS.get(self.name)
        meaning = str(self.value or "") if self.name == "medication" else _group_words(group) if group else ""
        words, text = meaning.casefold(), self.text.casefold()
        is_shown = text.replace(" ", "_") in CONDITION_GROUPS or any(
            word[:_STEM] in text for word in _MEANINGFUL.findall(words)
        )
        return "" if is_shown else meaning


_OF_ORDER: Final = frozenset({"daily_dose", "weekly_dose", "times_per_day", "times_per_week", "duration"})
_STEM: Final = 5
_MEANINGFUL: Final = re.compile(r"\b(?!(?:and|any|disease|for|not|other|severe|the|with)\b)[a-z]{3,}")


def _group_words(group: ConditionGroup) -> str:
    return capitalized(re.split(r" \(|,", group.meaning)[0].removeprefix("Current ").removeprefix("Other "))


MOST_FACTS: Final = 12
"""A finding has so many facts of one name, and a fact `more_<name>` with the number of the others."""


class FindingReference(Struct, frozen=True, gc=False):
    """Which rule has a finding on the card, and which of its bands."""

    rule: str
    band: str = ""


class Factor(Struct, frozen=True, gc=False):
    """One input with its evidence and what it adds to the estimate on the model's additive scale."""

    feature: str
    value: float | str
    unit: str
    effective: str
    source: str
    contribution: float


class ObservedRate(Struct, frozen=True, gc=False):
    """How often the outcome was seen among people with similar estimates: rate and 95 % interval (0 to 1), people."""

    rate: float
    low: float
    high: float
    count: int


class VaccineForecast(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """The forecast of one vaccine group: its status, the series behind it, and the next dose with its ISO dates."""

    group: str
    type: str
    status: str
    series: tuple[str, ...]
    dose: int | None = None
    earliest: str | None = None
    recommended: str | None = None
    past_due: str | None = None


class VaccineForecasts(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Every forecast of a person on a day (`as_of`), by one release of CDC's supporting data."""

    release: str
    released: str
    as_of: str
    forecasts: tuple[VaccineForecast, ...]


class PreventiveState(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One recommendation: its grade and year, whether it is due, why, and the newest test that counts.

    `state` is "due", "not due" or "not known", `because` the reason as a code, `text` the same in words; `last` and
    `next_due` are ISO dates, `source` is where the test stands.
    """

    service: str
    grade: str
    year: int
    state: str
    because: str
    text: str
    last: str | None = None
    source: str | None = None
    next_due: str | None = None


class PreventiveStates(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Every recommendation for a person on a day (`as_of`), by the knowledge of a day (`knowledge`)."""

    knowledge: str
    as_of: str
    services: tuple[PreventiveState, ...]


class ResultToFollow(Struct, frozen=True, gc=False):
    """An abnormal result that waits for what follows it: its row, its ISO date, and by when the source wants it."""

    result: str
    date: str
    due_by: str


class CardExtension(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The extension of one card.

    Of a card of the medication rules: `findings` and `facts`. Of a model or an equation: `model` (its id, version and
    digest), the estimate as `probability` (0 to 1) or `value`, and `contributions`; `base` and their sum are `link` of
    the estimate. `missing` names the inputs without a usable value, `not_found` those that count as no. Of the card of
    vaccines due: `vaccines`; of that of preventive services: `preventive`; of that of abnormal results
    without a follow-up: `results`. `finding` is what the card says about the patient as a whole, and so what it is
    compared by when it would be shown again; a card about drafted orders has none.
    """

    finding: Finding | None = None
    findings: tuple[FindingReference, ...] = ()
    facts: tuple[Fact, ...] = ()
    model: dict[str, str] | None = None
    output: str | None = None
    probability: float | None = None
    value: float | str | None = None
    link: str | None = None
    base: float | None = None
    contributions: tuple[Factor, ...] | None = None
    percentile: float | None = None
    observed: ObservedRate | None = None
    missing: tuple[str, ...] = ()
    missing_contribution: float | None = None
    """What the inputs in `missing` contribute together, where absence does not count as the average."""
    reference: str | None = None
    band: dict[str, str] | None = None
    not_found: tuple[str, ...] = ()
    beside: tuple["CardExtension", ...] = ()
    """The results of other equations that the card names too."""
    vaccines: VaccineForecasts | None = None
    preventive: PreventiveStates | None = None
    results: tuple[ResultToFollow, ...] = ()


NO_EXTENSION: Final = CardExtension()


class WorklistEntry(Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """A test that would be offered at another moment: its name and LOINC code, and what it is for.

    Of vaccines that are due it names the vaccines, and has no code.

    `because` is "measure" (a quality measure counts it as not done), "no-visit", "offered-before" (the patient was
    offered a test in the last 90 days, or reminded of something else on this day), "from-event": an event made the
    server compute it, or "shown": its card was shown at `since`, nobody answered, and it is suppressed until `until`
    (both ISO).
    """

    test: str
    code: str = ""
    purpose: str
    because: str
    since: str = ""
    until: str = ""


VERSION: Final = 2
"""The version of the extension of a response that a client is sent; version 1 is sent to one that asks for it."""


class ResponseExtension(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The extension of a response: the id of the decision on record, what was looked at, and what was not judged.

    In version 2 `looked` says what was looked at, and `silence` lists what could not be judged or is held back; the
    rules that looked and found nothing are on the page of the decision. Version 1 has neither `version` nor `looked`:
    its `silence` lists them all. `worklist` are tests and findings for another moment.
    `timings` are milliseconds by stage, where the request asked for them.
    """

    decision: str
    version: int = 1
    looked: str = ""
    silence: tuple[Any, ...] = ()
    worklist: tuple[WorklistEntry, ...] = ()
    timings: dict[str, float] | None = None
