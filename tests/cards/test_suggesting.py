"""What each kind of suggestion does, action by action, and why it is withheld: templates that are made up for it.

No rule judges the orders here unless a test says so: `test_suggest.py` and the cases of the rules do that.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

import pytest
from msgspec.structs import replace

from cards.card import Action, Suggestion
from cards.rules.engine.compile import CompiledOrder, CompiledSuggestion
from cards.rules.engine.finding import Finding, OfferedSuggestion
from cards.rules.engine.rule_book import RuleBook
from cards.rules.language.rule import NewOrder, OrderChange, Product, Sig, SuggestionTemplate
from cards.rules.patient.orders import CurrentMedication, DraftMedication, DraftOrder, read_drafts
from cards.rules.patient.session import PatientSession
from cards.suggest import EvaluationBudget, SuggestionContext, suggestions_for
from tests.cards.rules.cases import originals
from tests.cards.rules.engine.made_rules import band, rule_of
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import medication_statement

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
METFORMIN, IBUPROFEN, INSULIN = "metformin 500 MG Oral Tablet", "ibuprofen 400 MG Oral Tablet", "insulin glargine"
ORDER = draft_of({"drug": METFORMIN, "dose": "1 tablet", "times": 2})
NO_RULES = RuleBook([])
UNNAMED = {name: value for name, value in ORDER.items() if name != "id"}
ONCE_DAILY = OrderChange(sig=Sig("500 mg once daily", 500, times_per_day=1))
LINAGLIPTIN = NewOrder(
    Product("1100702", "linagliptin 5 MG Oral Tablet", 5), Sig("5 mg once daily", 5, times_per_day=1)
)
ACETAMINOPHEN = NewOrder(Product("161", "acetaminophen"), Sig("as needed"))


def _finding(offers: tuple[OfferedSuggestion, ...], partners: tuple[CurrentMedication, ...], indicator: Any) -> Finding:
    return Finding(
        "the-rule", "band", indicator, True, "", "", 0, (), notes=(), suggestions=offers, partners=partners,
        evidence=(), override_reasons=(),
    )  # fmt: skip


class Case:
    """A draft and those beside it, with what is active in the chart."""

    def __init__(self, *drafts: Json | DraftOrder, is_active: bool = False, **patient: Any) -> None:
        read = [one if isinstance(one, DraftOrder) else drafts_of(one)[0] for one in drafts]
        self.session = PatientSession(record_of(patient, AS_OF), read, signing=True, active_orders=is_active)
        self.original = originals(bundle_of(patient, AS_OF))

    @property
    def drafted(self) -> DraftMedication:
        return (*self.session.drafted, *self.session.studies)[0]

    def other(self, words: str) -> CurrentMedication:
        """What stands beside the draft and has these words."""
        everything = (*self.session.active, *map(CurrentMedication.of_draft, self.session.drafted[1:]))
        return next(one for one in everything if words in one.medication.words)

    def offer(
        self, *offers: OfferedSuggestion, partners: tuple[CurrentMedication, ...] = (), indicator: str = "warning",
        book: RuleBook = NO_RULES, original: Callable[[str], Json | None] | None = None, most: int = 500,
        asks: Any = "end",
    ) -> tuple[list[Suggestion], list[str]]:  # fmt: skip
        """The suggestions, and the sentences on those that are withheld."""
        numbers = count(1)
        context = SuggestionContext(
            session=self.session,
            drafted=self.drafted,
            evaluated=lambda drafted: book.evaluate(self.session, drafted),
            original=original or self.original,
            book=book,
            new_uuid=lambda: f"uuid-{next(numbers)}",
            allowance=EvaluationBudget(most),
        )
        found, withheld = suggestions_for(replace(_finding(offers, partners, indicator), asks=asks), context)
        assert {(one.subject, one.reason) for one in withheld} <= {("the-rule", "suggestion-withheld")}
        return found, [one.text for one in withheld]

    def actions(self, *offers: OfferedSuggestion, **more: Any) -> tuple[Action, ...]:
        """The actions of the only suggestion."""
        (suggestion,), withheld = self.offer(*offers, **more)
        assert withheld == []
        return suggestion.actions

    def why_not(self, *offers: OfferedSuggestion, **more: Any) -> str:
        """Why the only suggestion is withheld."""
        found, (text,) = self.offer(*offers, **more)
        assert found == []
        return text.removeprefix("label: not offered, ").removesuffix(".")


def offer(*, is_recommended: bool = False, tests: tuple[int, ...] = (), **fields: Any) -> OfferedSuggestion:
    """A suggestion of a template with these fields; `tests` are the positions of those that are not ordered yet."""
    declared = SuggestionTemplate(**{"label": "label"} | fields)
    compiled = tuple(CompiledOrder(order, None, frozenset()) for order in declared.orders)
    made = CompiledSuggestion(declared, None, cast(Any, None), compiled)
    return OfferedSuggestion(made, is_recommended, tests, declared.change)


# The draft itself


@for_rows(
    ("indicator", "is_active", "drug", "fields", "is_offered"),
    [
        ("warning", True, INSULIN, {}, False),
        ("critical", True, INSULIN, {}, True),
        ("warning", False, INSULIN, {}, True),
        ("warning", True, METFORMIN, {}, True),
        ("warning", True, INSULIN, {"create": (LINAGLIPTIN,)}, True),
    ],
)
def test_what_a_patient_must_not_be_without_is_not_ended_for_a_warning(
    indicator: str, is_active: bool, drug: str, fields: Json, is_offered: bool
) -> None:
    found, withheld = Case(draft_of({"drug": drug}), is_active=is_active).offer(
        offer(cancel=True, active_label="label", **fields), indicator=indicator
    )
    assert len(found) == is_offered
    assert withheld == ([] if is_offered else ["label: not offered, nothing would stand in its place."])


def test_a_draft_is_corrected_in_place_or_by_a_new_order() -> None:
    change = offer(change=ONCE_DAILY)
    (update,) = Case(ORDER).actions(change)
    assert (update.type, update.description) == ("update", f"label: {METFORMIN}")
    assert update.resource is not None
    repeat = {"frequency": 1, "period": 1, "periodUnit": "d"}
    assert update.resource == ORDER | {
        "dosageInstruction": [ORDER["dosageInstruction"][0] | {"timing": {"repeat": repeat}}]
    }
    (by_url,) = read_drafts([{"fullUrl": "urn:uuid:7", "resource": UNNAMED}])
    assert Case(by_url).actions(change) == (
        Action(type="create", description=f"label: {METFORMIN}", resource=update.resource | {"id": "uuid-1"}),
        Action(type="delete", description=f"Remove the drafted {METFORMIN}", resource_id="MedicationRequest/7"),
    )


# Studies and tests


# Another drug


@pytest.mark.parametrize(
    ("patient", "beside", "why"),
    [
        ({"allergies": ["linagliptin"]}, (), "an allergy to linagliptin or its class is on the list"),
        ({"active": ["linagliptin 5 MG Oral Tablet"]}, (), "linagliptin is on the list already"),
        ({}, (draft_of({"drug": "linagliptin 5 MG Oral Tablet"}, "d2"),), "linagliptin is on the list already"),
    ],
)
def test_another_drug_is_withheld_and_the_next_one_is_taken(patient: Json, beside: tuple[Json, ...], why: str) -> None:
    case = Case(ORDER, *beside, **patient)
    assert case.why_not(offer(cancel=True, create=(LINAGLIPTIN,))) == why
    # Where none can be offered the reason against the first one is given.
    assert case.why_not(offer(cancel=True, create=(LINAGLIPTIN, NewOrder(Product("0", "unknown"), Sig("x"))))) == why
    create = case.actions(offer(cancel=True, create=(LINAGLIPTIN, ACETAMINOPHEN)))[0]
    assert create.description == "Order acetaminophen, as needed"


# The order on the other side of a pair

STOP, HOLD_OTHER = offer(stop_partner="stopped"), offer(stop_partner="on-hold")
CHANGE_OTHER = offer(change_partner=OrderChange(sig=Sig("400 mg once daily", 400, times_per_day=1)))


def test_the_other_order_is_stopped_or_held_with_every_other_of_its_drug() -> None:
    # A gel, a mixture and what is only stated are none of them.
    others = ["aspirin 81 mg tablet", "ibuprofen 5 % topical gel", "hydrocodone 5 mg / ibuprofen 200 mg tablet"]
    stated = medication_statement(IBUPROFEN, patient="case", id="stated", effectiveDateTime="2026-11-01")
    case = Case(ORDER, active=[IBUPROFEN, "ibuprofen 200 MG Oral Tablet", *others], more=[stated])
    partners = (case.other("ibuprofen 400"),)
    for offered, status, verb in ((STOP, "stopped", "Stop"), (HOLD_OTHER, "on-hold", "Hold")):
        assert case.actions(offered, partners=partners) == tuple(
            Action(
                type="update",
                description=f"{verb} the active {words}",
                resource=(case.original(f"MedicationRequest/active-{number}") or {}) | {"status": status},
            )
            for number, words in enumerate((IBUPROFEN, "ibuprofen 200 MG Oral Tablet"))
        )


def test_the_other_order_is_not_changed_to_more_a_day() -> None:
    case = Case(ORDER, active=[{"drug": IBUPROFEN, "dose": "1 tablet", "times": 3}])
    change = OrderChange(sig=Sig("400 mg four times daily", 400, times_per_day=4))
    why = case.why_not(offer(change_partner=change), partners=(case.other("ibuprofen"),))
    assert why == "it would give more a day than was ordered"


# Several suggestions, and their budgets


def test_what_was_not_judged_is_not_offered() -> None:
    change, words = offer(change=ONCE_DAILY), "too many drafts came together to judge it beside all of them"
    assert Case(ORDER).why_not(change, most=0) == words
    found, withheld = Case(ORDER).offer(change, change, most=1)
    assert (len(found), withheld) == (1, [f"label: not offered, {words}."])


# Judged by rules as if it had been accepted: made-up rules about one drug each

CODES = {"metformin": "6809", "linagliptin": "1100699", "warfarin": "11289", "ibuprofen": "5640"}
ALWAYS: Json = {"always": True}


def _drug(name: str) -> Json:
    return {"ingredients": [{"rxcui": CODES[name], "name": name}]}


def book(name: str, when: Json, indicator: str = "warning", rule: str = "other-rule") -> RuleBook:
    """One rule about a drug ("any" for every drug), which finds something by this condition."""
    selector: Json = {"any_drug": True} if name == "any" else _drug(name)
    return RuleBook([rule_of(band("x", when, indicator), id=rule, trigger={"draft": [selector]})])


SHOWN = "other-rule would show a card about it (x)"
INSTEAD = offer(cancel=True, create=(LINAGLIPTIN,))


def test_another_draft_must_not_be_worse_off_with_another_drug_beside_it() -> None:
    warfarin = draft_of({"drug": "warfarin 5 MG Oral Tablet"}, "d2")
    with_linagliptin: Json = {"active": _drug("linagliptin")}
    assert Case(ORDER, warfarin).why_not(INSTEAD, book=book("warfarin", with_linagliptin)) == SHOWN
    assert Case(ORDER).actions(INSTEAD, book=book("warfarin", with_linagliptin))
    # What is found about it already is nothing new.
    assert Case(ORDER, warfarin).actions(INSTEAD, book=book("warfarin", ALWAYS))


def _a_day(more_than: float) -> Json:
    return {"daily_dose_mg": {"gt": more_than}}


@for_rows(("when", "is_offered"), [(_a_day(300), False), (_a_day(400), True), (_a_day(1000), True), (ALWAYS, True)])
def test_the_other_order_is_no_worse_off_by_its_change(when: Json, is_offered: bool) -> None:
    """1,200 mg of ibuprofen a day before, 400 mg after."""
    drug = {"drug": IBUPROFEN, "dose": "1 tablet", "times": 3}
    for case in (Case(ORDER, active=[drug]), Case(ORDER, draft_of(drug, "active-0"))):
        found, withheld = case.offer(CHANGE_OTHER, partners=(case.other("ibuprofen"),), book=book("ibuprofen", when))
        assert (len(found), withheld) == ((1, []) if is_offered else (0, [f"label: not offered, {SHOWN}."]))
