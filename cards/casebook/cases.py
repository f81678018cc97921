"""Short cases of a rule (their form: docs/rules/README.md), run and compared; and which of them a rule needs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import count
from typing import Any, Final

from cards.casebook.patients import bundle_of, draft_of, drafts_of, record_of
from cards.compose.orders import OrderOutcome, check_orders
from cards.rules.engine.rule_book import RuleBook, whole_book

Case = dict[str, Any]

AS_OF: Final = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
"""The instant of every short case: it says how many days ago things were."""

_JUDGED: Final = ["MedicationRequest/draft-1", "ServiceRequest/draft-1"]
_KINDS: Final = ("fires", "silent", "missing")


def faults_of_case(rule: str, case: Case) -> list[str]:
    """What is not as the case says, in sentences; none where everything is."""
    outcome = _outcome(rule, case)
    found = [
        (finding.rule, finding.band, card.indicator)
        for card in outcome.cards
        for finding in card.own_extension.findings
    ]
    also = set(case.get("also", ()))
    found = [one for one in found if f"{one[0]}/{one[1]}" not in also]
    reasons = [silence.reason for silence in outcome.silences]
    if "silent" in case:
        faults = [f"{name}/{band} spoke" for name, band, _ in found]
        return faults if case["silent"] in reasons else [*faults, f"no silence for the reason {case['silent']}"]
    expected = (rule, case["band"], case["indicator"])
    if found != [expected]:
        return [f"expected {'/'.join(expected)}, found {', '.join(map('/'.join, found)) or 'nothing'}"]
    return list(_text_faults(case, outcome))


def missing_cases(rule: str, cases: Sequence[Case]) -> list[str]:
    """The cases that this rule still needs: of each band one of each kind, of each reason for silence one."""
    declared = next(one.declared for one in whole_book().rules if one.id == rule)
    if declared.template is not None:
        return []  # its bands are those of a table; what each row says is tested over the table
    kinds = {(case["about"], case["kind"]) for case in cases}
    lacking = [
        f"no {kind} case of {band.id}"
        for band in declared.bands
        # A band that is silence on purpose cannot fire.
        for kind in (_KINDS if band.indicator != "silent" else ("silent",))
        if (band.id, kind) not in kinds
    ]
    quiet = {case["quiet"] for case in cases if "quiet" in case}
    return lacking + [f"no case of the silence {one.code}" for one in declared.silent_when if one.code not in quiet]


def _outcome(rule: str, case: Case) -> OrderOutcome:
    bundle = bundle_of(case["patient"], AS_OF)
    beside = (draft_of(one, f"beside-{position}") for position, one in enumerate(case.get("beside", ())))
    drafts = drafts_of(draft_of(case["draft"]), *beside)
    originals = {f"{one['resourceType']}/{one.get('id')}": one for one in _resources(bundle)}
    record = record_of(case["patient"], AS_OF)
    signing = case.get("hook") != "order-select"
    return check_orders(record, drafts, _JUDGED, _names(), _family_book(rule), originals.get, signing=signing)


def _resources(bundle: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return (entry["resource"] for entry in bundle["entry"])


@cache
def _family_book(rule: str) -> RuleBook:
    """The rules of one rule's family: what a case says is not changed by a rule of another family."""
    family = next(one.family.name for one in whole_book().rules if one.id == rule)
    return RuleBook(one for one in whole_book().rules if one.family.name == family)


def _names() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"uuid-{next(numbers)}"


def _text_faults(case: Case, outcome: OrderOutcome) -> Iterator[str]:
    said = "\n".join(f"{card.summary}\n{card.detail}" for card in outcome.cards).lower()
    for words in (*case.get("says", ()), *case.get("notes", ())):
        if words.lower() not in said:
            yield f"the card does not say {words!r}"
    offers = [f"{'* ' if one.is_recommended else ''}{one.label}" for one in outcome.cards[0].suggestions]
    if "offers" in case and offers != case["offers"]:
        yield f"offers {offers}, not {case['offers']}"
    withheld = [one.text for one in outcome.silences if one.reason == "suggestion-withheld"]
    for label in case.get("withheld", ()):
        if not any(text.startswith(label) for text in withheld):
            yield f"{label!r} is not withheld"
