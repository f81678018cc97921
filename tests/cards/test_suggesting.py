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
from cards.rules.language import site
from cards.rules.language.rule import LabOrder, NewOrder, OrderChange, Product, Sig, SuggestionTemplate
from cards.rules.patient.orders import CurrentMedication, DraftMedication, DraftOrder, read_drafts
from cards.rules.patient.session import PatientSession
from cards.suggest import EvaluationBudget, NamingBudget, SuggestionContext, SuggestionWithheld, suggestions_for
from tests.cards.rules.cases import originals
from tests.cards.rules.engine.made_rules import band, rule_of
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of
from tests.each import for_rows
from tests.fhir.builders import medication_statement

Json = dict[str, Any]
AS_OF = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
METFORMIN, IBUPROFEN, INSULIN = "metformin 500 MG Oral Tablet", "ibuprofen 400 MG Oral Tablet", "insulin glargine"
CT = "CT abdomen with IV contrast"
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


CANCEL, HOLD = offer(cancel=True), offer(hold=True)


# The draft itself


def test_an_active_order_is_given_back_stopped_or_revoked() -> None:
    stop = Action(type="update", description=f"Stop {METFORMIN}", resource=ORDER | {"status": "stopped"})
    assert Case(ORDER, is_active=True).actions(CANCEL) == (stop,)
    study = draft_of({"drug": CT, "test": ""})
    revoke = Action(type="update", description=f"Revoke {CT}", resource=study | {"status": "revoked"})
    assert Case(study, is_active=True).actions(CANCEL) == (revoke,)


def test_an_order_whose_json_did_not_come_is_not_given_back() -> None:
    draft = replace(drafts_of(ORDER)[0], resource={})
    no_json = "the order has no id by which its own JSON is found, so it cannot be given back corrected"
    for offered in (offer(cancel=True, active_label="label"), HOLD, offer(change=ONCE_DAILY)):
        assert Case(draft, is_active=True).why_not(offered) == no_json
    assert Case(draft).actions(CANCEL)[0].type == "delete"


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


def test_what_is_taken_is_not_ended_where_a_warning_asks_for_a_change() -> None:
    taken = Case(ORDER, is_active=True)
    why = taken.why_not(offer(cancel=True, active_label="label"), asks="change")
    assert why == "the finding asks for a change and not for an end"
    assert taken.actions(CANCEL, asks="change", indicator="critical")


def test_a_draft_is_held_in_place_or_as_a_new_order() -> None:
    held = ORDER | {"status": "on-hold"}
    assert Case(ORDER).actions(HOLD) == (Action(type="update", description=f"Hold {METFORMIN}", resource=held),)
    (by_url,) = read_drafts([{"fullUrl": "urn:uuid:7", "resource": UNNAMED}])
    assert Case(by_url).actions(HOLD) == (
        Action(
            type="create", description=f"Hold {METFORMIN}", resource=UNNAMED | {"status": "on-hold", "id": "uuid-1"}
        ),
        Action(type="delete", description=f"Remove the drafted {METFORMIN}", resource_id="MedicationRequest/7"),
    )


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


@pytest.mark.parametrize(("times", "raises", "is_offered"), [(2, False, True), (3, False, False), (3, True, True)])
def test_a_correction_gives_no_more_a_day_unless_it_is_meant_to(times: int, raises: bool, is_offered: bool) -> None:
    sig = Sig(f"500 mg {times} times daily", 500, times_per_day=times)
    found, withheld = Case(ORDER).offer(offer(change=OrderChange(sig=sig, raises=raises)))
    assert len(found) == is_offered
    assert withheld == ([] if is_offered else ["label: not offered, it would give more a day than was ordered."])


def test_a_label_that_was_worked_out_goes_before_that_of_the_rule() -> None:
    change = OrderChange(sig=ONCE_DAILY.sig, label="Give it once")
    assert [one.label for one in Case(ORDER).offer(offer(change=change))[0]] == ["Give it once"]
    active = offer(cancel=True, active_label="End it")
    assert [one.label for one in Case(ORDER, is_active=True).offer(active)[0]] == ["End it"]


# Studies and tests

STUDY = draft_of({"drug": CT, "test": "79103-8", "more": {"occurrenceDateTime": "2026-11-21"}})


def test_a_study_is_ordered_as_another_one_or_for_another_day() -> None:
    without_contrast = LabOrder("30799-1", "CT Head WO contrast")
    coding = {"system": "http://loinc.org", "code": "30799-1", "display": "CT Head WO contrast"}
    code = {"coding": [coding], "text": "CT Head WO contrast"}
    assert Case(STUDY).actions(offer(change=OrderChange(test=without_contrast))) == (
        Action(type="update", description="label: CT Head WO contrast", resource=STUDY | {"code": code}),
    )
    later = {"occurrenceDateTime": "2026-12-01"}
    assert Case(STUDY).actions(offer(change=OrderChange(occurrence="2026-12-01"))) == (
        Action(type="update", description=f"label: {CT}", resource=STUDY | later),
    )


def test_another_day_takes_the_place_of_a_period_and_a_draft_without_an_id_of_its_own_is_replaced() -> None:
    period = {name: value for name, value in STUDY.items() if name not in ("id", "occurrenceDateTime")}
    draft = period | {"occurrencePeriod": {"start": "2026-11-21"}}
    (by_url,) = read_drafts([{"fullUrl": "urn:uuid:7", "resource": draft}])
    assert Case(by_url).actions(offer(change=OrderChange(occurrence="2026-12-01"))) == (
        Action(type="create", description=f"label: {CT}",
               resource=period | {"occurrenceDateTime": "2026-12-01", "id": "uuid-1"}),
        Action(type="delete", description=f"Remove the drafted {CT}", resource_id="ServiceRequest/7"),
    )  # fmt: skip


TESTS = (LabOrder("51990-0", "BMP", in_days=90), LabOrder("57698-3", "Lipid panel"))


def test_tests_are_ordered_now_or_for_their_day_where_they_are_not_ordered_already() -> None:
    def lab(identity: str, code: str, name: str, **more: Any) -> Json:
        coding = {"system": "http://loinc.org", "code": code, "display": name}
        kept = {name: ORDER[name] for name in ("subject", "requester", "authoredOn")}
        made = {"resourceType": "ServiceRequest", "id": identity, "status": "draft", "intent": "order"}
        return made | {"code": {"coding": [coding], "text": name}} | kept | more

    later = lab("uuid-1", "51990-0", "BMP", occurrenceDateTime="2027-02-18")
    assert Case(ORDER).actions(_tests(0, 1)) == (
        Action(type="create", description="Order BMP in 90 days", resource=later),
        Action(type="create", description="Order Lipid panel", resource=lab("uuid-2", "57698-3", "Lipid panel")),
    )
    assert [one.description for one in Case(ORDER).actions(_tests(1))] == ["Order Lipid panel"]
    assert Case(ORDER).why_not(_tests()) == "the test is ordered already"


def _tests(*positions: int) -> OfferedSuggestion:
    return offer(orders=TESTS, tests=positions)


# Another drug


def test_another_drug_is_ordered_in_place_of_the_draft() -> None:
    create, remove = Case(ORDER).actions(offer(cancel=True, create=(LINAGLIPTIN,)))
    assert (remove.type, remove.resource_id) == ("delete", "MedicationRequest/draft-1")
    assert (create.type, create.description) == ("create", "Order linagliptin 5 MG Oral Tablet, 5 mg once daily")
    # What runs of the drug is stopped where another drug takes its place: neither beside it nor where it is only ended.
    running = Case(ORDER, active=[METFORMIN])
    for fields, types in (
        ({"cancel": True, "create": (LINAGLIPTIN,)}, ["create", "update", "delete"]),
        ({"create": (LINAGLIPTIN,)}, ["create"]),
        ({"cancel": True}, ["delete"]),
    ):
        assert [action.type for action in running.actions(offer(**fields))] == types
    assert create.resource is not None
    assert create.resource["id"] == "uuid-1"


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


def test_what_the_hospital_does_not_have_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "absent_drugs", lambda: {"1100699": ""})
    case = Case(ORDER)
    assert case.why_not(offer(cancel=True, create=(LINAGLIPTIN,))) == "linagliptin is not in use here"
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


def test_the_other_order_is_removed_where_it_is_a_draft() -> None:
    case = Case(ORDER, draft_of({"drug": IBUPROFEN}, "d2"))
    remove = Action(type="delete", description=f"Remove the drafted {IBUPROFEN}", resource_id="MedicationRequest/d2")
    assert case.actions(STOP, partners=(case.other("ibuprofen"),)) == (remove,)


def test_the_other_order_is_not_changed_to_more_a_day() -> None:
    case = Case(ORDER, active=[{"drug": IBUPROFEN, "dose": "1 tablet", "times": 3}])
    change = OrderChange(sig=Sig("400 mg four times daily", 400, times_per_day=4))
    why = case.why_not(offer(change_partner=change), partners=(case.other("ibuprofen"),))
    assert why == "it would give more a day than was ordered"


def test_the_other_order_that_has_ended_or_did_not_come_is_left_alone() -> None:
    ended = Case(ORDER, active=[IBUPROFEN])
    partner = ended.other("ibuprofen")
    for nothing in (None, {"resourceType": "MedicationStatement"}):
        why = ended.why_not(STOP, partners=(partner,), original=lambda _, found=nothing: found)
        assert why == "the other order did not come whole with this call"
    unreadable = {"resourceType": "MedicationRequest", "dosageInstruction": 7}
    why = ended.why_not(CHANGE_OTHER, partners=(partner,), original=lambda _: unreadable)
    assert why == "the other order cannot be read"


# Several suggestions, and their budgets


def test_one_suggestion_at_most_is_recommended() -> None:
    yes, no = offer(cancel=True, is_recommended=True), offer(cancel=True)
    found, _ = Case(ORDER).offer(no, yes, yes)
    assert [one.is_recommended for one in found] == [False, True, False]
    assert [one.uuid for one in found] == ["uuid-1", "uuid-2", "uuid-3"]


def test_a_suggestion_that_is_withheld_leaves_the_others() -> None:
    found, withheld = Case(ORDER).offer(_tests(), CANCEL)
    assert [one.actions[0].type for one in found] == ["delete"]
    assert withheld == ["label: not offered, the test is ordered already."]


def test_what_was_not_judged_is_not_offered() -> None:
    change, words = offer(change=ONCE_DAILY), "too many drafts came together to judge it beside all of them"
    assert Case(ORDER).why_not(change, most=0) == words
    found, withheld = Case(ORDER).offer(change, change, most=1)
    assert (len(found), withheld) == (1, [f"label: not offered, {words}."])


def test_the_budgets_end_after_their_number() -> None:
    allowance = EvaluationBudget(2)
    names = NamingBudget(lambda: "name", 2)
    for _ in range(2):
        allowance.take()
        assert names() == "name"
    with pytest.raises(SuggestionWithheld, match="too many drafts came together to judge it beside all of them"):
        allowance.take()
    with pytest.raises(SuggestionWithheld, match="too many drafts came together to offer more"):
        names()
    default, of_names = EvaluationBudget(), NamingBudget(lambda: "name")
    for number in range(1000):
        of_names()
        if number < 500:
            default.take()
    for spent in (default.take, of_names):
        with pytest.raises(SuggestionWithheld):
            spent()


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


def test_another_drug_is_not_offered_where_a_rule_would_speak_about_it() -> None:
    assert Case(ORDER).why_not(INSTEAD, book=book("linagliptin", ALWAYS)) == SHOWN
    assert Case(ORDER).actions(INSTEAD, book=book("linagliptin", {"never": True}))
    two = offer(cancel=True, create=(LINAGLIPTIN, ACETAMINOPHEN))
    create = Case(ORDER).actions(two, book=book("linagliptin", ALWAYS))[0]
    assert create.description == "Order acetaminophen, as needed"


def test_another_draft_must_not_be_worse_off_with_another_drug_beside_it() -> None:
    warfarin = draft_of({"drug": "warfarin 5 MG Oral Tablet"}, "d2")
    with_linagliptin: Json = {"active": _drug("linagliptin")}
    assert Case(ORDER, warfarin).why_not(INSTEAD, book=book("warfarin", with_linagliptin)) == SHOWN
    assert Case(ORDER).actions(INSTEAD, book=book("warfarin", with_linagliptin))
    # What is found about it already is nothing new.
    assert Case(ORDER, warfarin).actions(INSTEAD, book=book("warfarin", ALWAYS))


def _a_day(more_than: float) -> Json:
    return {"daily_dose_mg": {"gt": more_than}}


def test_what_the_rule_itself_found_must_be_gone() -> None:
    own = book("metformin", _a_day(400), "info", rule="the-rule")
    assert Case(ORDER).why_not(offer(change=ONCE_DAILY), book=own) == "the-rule would show a card about it (x)"
    assert Case(ORDER).actions(offer(change=ONCE_DAILY), book=book("metformin", _a_day(600), rule="the-rule"))


@for_rows(("when", "is_offered"), [(_a_day(300), False), (_a_day(400), True), (_a_day(1000), True), (ALWAYS, True)])
def test_the_other_order_is_no_worse_off_by_its_change(when: Json, is_offered: bool) -> None:
    """1,200 mg of ibuprofen a day before, 400 mg after."""
    drug = {"drug": IBUPROFEN, "dose": "1 tablet", "times": 3}
    for case in (Case(ORDER, active=[drug]), Case(ORDER, draft_of(drug, "active-0"))):
        found, withheld = case.offer(CHANGE_OTHER, partners=(case.other("ibuprofen"),), book=book("ibuprofen", when))
        assert (len(found), withheld) == ((1, []) if is_offered else (0, [f"label: not offered, {SHOWN}."]))


@pytest.mark.parametrize("offered", [STOP, HOLD_OTHER])
def test_the_draft_must_be_no_worse_off_without_the_other_drug(offered: OfferedSuggestion) -> None:
    without: Json = {"not": {"active": _drug("ibuprofen")}}
    for case in (Case(ORDER, active=[IBUPROFEN]), Case(ORDER, draft_of({"drug": IBUPROFEN}, "d2"))):
        partners = (case.other("ibuprofen"),)
        assert case.why_not(offered, partners=partners, book=book("metformin", without)) == SHOWN
        assert case.actions(offered, partners=partners, book=book("metformin", ALWAYS))
        # A draft that is changed along with it is judged as changed.
        change = replace(offered, change=ONCE_DAILY)
        assert case.actions(change, partners=partners, book=book("metformin", {"all": [without, _a_day(600)]}))
        held = offer(hold=True, stop_partner="stopped")
        assert len(case.actions(held, partners=partners, book=book("metformin", without))) == 2
