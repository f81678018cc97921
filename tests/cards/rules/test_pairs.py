"""Rules about two drugs: which drugs are a pair, whose card it stands on, and what is done about the other order."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from cards.orders import OrderOutcome, check_orders
from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.rule_book import rule_book
from cards.rules.families.pairs.family import PAIRS
from cards.rules.language.trigger import Selector
from cards.rules.patient.session import PatientSession
from cards.text import is_action
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS
from fhir.terminology.package_tables import package_rows
from tests.cards.rules.cases import Case, all_cases, check, findings, originals, uuids
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of
from tests.cards.sentences import LONGEST_HEADLINE, faults

Json = dict[str, Any]

WARFARIN: Json = {"drug": "855332", "dose": "1 tablet", "times": 1}
IBUPROFEN: Json = {"drug": "197806", "dose": "1 tablet", "times": 3}


def test_the_advice_about_a_pair_says_what_to_do_and_its_danger_is_a_plain_phrase() -> None:
    for row in package_rows("cards.rules.families.pairs", "pairs.csv"):
        assert is_action(row["advice"]), row["advice"]
        assert faults(f"{row['danger']}. {row['advice']}.".format(a="that", b="that")) == []
    for keys, pairs in PAIRS.items():
        names = " with ".join(INGREDIENTS[key].name if key in INGREDIENTS else key for key in keys)
        # What is in brackets, and an instruction behind it, go below where they have no room.
        dangers = [pair.says.partition(" (")[0].partition(". ")[0] for pair in pairs]
        assert [danger for danger in dangers if len(names) + len(danger) > LONGEST_HEADLINE] == []


def test_no_two_rows_name_the_same_pair_with_the_same_exception() -> None:
    twice = []
    for keys, pairs in PAIRS.items():
        exceptions = [pair.unless for pair in pairs]
        twice += [sorted(keys) for exception in exceptions if exceptions.count(exception) > 1]
    assert twice == []


def test_an_id_that_is_used_twice_hides_no_other_drug(as_of: datetime) -> None:
    record = record_of({"age": 70, "active": ["855332"]}, as_of)
    outcome = check(record, drafts_of(draft_of(IBUPROFEN, "active-0")))
    assert "ddi-warfarin-nsaid" in {rule for rule, _, _ in findings(outcome)}


def test_every_order_of_the_other_drug_is_stopped(as_of: datetime) -> None:
    """A finding names one of two orders of ibuprofen; to stop one would leave the hazard as it is."""
    patient: Json = {"age": 70, "active": ["197806", {"drug": "ibuprofen 200 MG Oral Tablet"}]}
    bundle, record, drafts = bundle_of(patient, as_of), record_of(patient, as_of), drafts_of(draft_of(WARFARIN))
    whole = check_orders(record, drafts, None, uuids(), original=originals(bundle))
    stop = next(one for one in whole.cards[0].suggestions if one.label.startswith("Stop ibuprofen"))
    updated = [action.resource for action in stop.actions if action.type == "update" and action.resource is not None]
    assert {resource["id"]: resource["status"] for resource in updated} == dict.fromkeys(
        ("active-0", "active-1"), "stopped"
    )


@pytest.mark.parametrize("condition", ["mechanical_valve", "antiphospholipid"])
@pytest.mark.parametrize("doac", ["apixaban 5 MG Oral Tablet", "dabigatran etexilate 150 MG Oral Capsule"])
def test_no_button_stops_the_warfarin_that_the_card_tells_to_use(doac: str, condition: str, as_of: datetime) -> None:
    dose: Json = {"drug": doac, "dose": "1 unit", "times": 2}
    for draft, active in ((dose, "855332"), (WARFARIN, doac)):
        patient: Json = {"age": 70, "active": [active], "conditions": [condition]}
        outcome = check_orders(
            record_of(patient, as_of),
            drafts_of(draft_of(draft)),
            None,
            uuids(),
            original=originals(bundle_of(patient, as_of)),
        )
        actions = [action for card in outcome.cards for one in card.suggestions for action in one.actions]
        ended = {action.type for action in actions} - {"create"}
        assert ended == ({"delete"} if draft is dose else {"update"})


@pytest.mark.parametrize(("days", "later", "asks"), [(1500, [], True), (700, [], False), (1500, [100], False)])
def test_a_drug_of_years_ago_is_asked_for_first(days: int, later: list[int], asks: bool, as_of: datetime) -> None:
    naproxen = [{"drug": "naproxen 500 MG Oral Tablet", "days_ago": ago} for ago in (days, *later)]
    outcome = check(record_of({"age": 70, "active": naproxen}, as_of), drafts_of(draft_of(WARFARIN)))
    assert any("ask whether it is taken" in (card.detail or "") for card in outcome.cards) is asks


def test_each_of_two_drugs_has_its_own_danger(as_of: datetime) -> None:
    """Tamsulosin beside fluticasone causes no Cushing syndrome."""
    draft: Json = {"drug": "clarithromycin 500 MG Oral Tablet", "dose": "1 tablet", "times": 2}
    outcome = check(record_of({"active": ["Advair Diskus", "Flomax"]}, as_of), drafts_of(draft_of(draft)))
    assert all("more: Cushing" not in card.summary for card in outcome.cards)
    assert any("With tamsulosin:" in (card.detail or "") for card in outcome.cards)


def test_a_headline_that_forbids_a_pair_has_no_advice_how_to_give_it() -> None:
    ways = ("otherwise", " dose", "levels", "watch", "monitor", "lowest")
    forbidding = [pair for pairs in PAIRS.values() for pair in pairs if pair.says.endswith("Avoid the pair.")]
    assert [pair.advice for pair in forbidding if any(way in pair.advice for way in ways)] == []


def test_a_sentence_names_no_inhibitor_that_the_patient_does_not_take(as_of: datetime) -> None:
    others = ("omeprazole", "cimetidine", "dronedarone", "quinidine", "cyclosporine", "gemfibrozil")
    active = ["citalopram 40 MG Oral Tablet", "digoxin 0.125 MG Oral Tablet", "simvastatin 20 MG Oral Tablet"]
    for drug in ("fluconazole 200 MG Oral Tablet", "clarithromycin 500 MG Oral Tablet", "verapamil 80 MG Oral Tablet"):
        draft: Json = {"drug": drug, "dose": "1 tablet", "times": 1}
        outcome = check(record_of({"age": 50, "active": active}, as_of), drafts_of(draft_of(draft)))
        assert outcome.cards
        assert [name for card in outcome.cards for name in others if name in (card.detail or "")] == []


# Every pair speaks whichever of its two drugs is drafted, also a pair that stands inside a rule about one drug.
# Rule and band whose partner is no other half of a pair: why drafting it is not judged by it.
NO_PAIR = {
    "age-prilocaine-infant/beside": "the age is a limit of the cream",
    "ddi-double-anticoagulant/prophylaxis": "who goes from prophylaxis to treatment orders the other drug first",
    "vaccine-live-immunodeficiency/steroid_long": "a steroid may follow a live vaccine",
    "age-nsaid-gi/high_risk": "what raises the risk of the NSAID is a reason against it, not the other way round",
    "ddi-digoxin-cyclosporine/risk_factor": "the loop diuretic stands for a potassium that nobody has measured",
    "ddi-qt-pair/risk": "the loop diuretic gives one of Tisdale's points",
    "ddi-warfarin-nsaid/risk_factor": "the corticosteroid is a risk factor of the pair",
    "ddi-warfarin-nsaid/gastroprotected": "the PPI protects",
    "disease-nsaid-heart/hf": "the loop diuretic says how severe the heart failure is",
    "dz-opioid-laxative/no_laxative": "the laxative is what is asked for",
    "dup-same-ingredient/same": "one drug in two orders: which of them is the new one matters",
    "img-metformin-contrast/lt30": "a study is ordered for a day; metformin is taken for years",
    "img-metformin-contrast/30to60_label": "a study is ordered for a day; metformin is taken for years",
    "vaccine-live-immunodeficiency/steroid": "a vaccine is one dose: it has been given or not",
}


def _partners(outcome: OrderOutcome) -> Iterator[str]:
    """The active orders that a card names."""
    for card in outcome.cards:
        for fact in card.own_extension.facts:
            if fact.name == "medication" and (fact.source or "").startswith("MedicationRequest/active-"):
                yield fact.source or ""


# Every drug of either side


_ONE_WAY = {
    row["a"]
    for row in package_rows("cards.rules.families.pairs", "pairs.csv")
    if row["unless"] in ("draft_buprenorphine", "opioid_up_to_7_days")
}
"""Drugs of rows that are about one direction only: buprenorphine on methadone, alvimopan after a week of opioids."""


def _names(side: tuple[Selector, ...]) -> list[str]:
    """The ingredients that the selectors mean, by name."""
    codes = {code for one in side for code in one.ingredients}
    for one in side:
        for name in one.classes:
            codes |= {code for code in CLASS_MEMBERS[name] if not _is_left_out(code, one)}
    return sorted(INGREDIENTS[code].name for code in codes)


def _is_left_out(code: str, selector: Selector) -> bool:
    return any(code in CLASS_MEMBERS[name] for name in selector.exclude_classes)


def _pairs() -> list[CompiledRule]:
    return [one for one in rule_book().rules if one.trigger.sides]


def _bare(case: Case) -> Case | None:
    """A case with one partner and no renewal; None for any other."""
    active = case["patient"].get("active", ())
    is_plain = case["kind"] == "fires" and "beside" not in case and len(active) == 1
    return case if is_plain and isinstance(active[0], str) else None


def _side_of(rule: CompiledRule, drug: str, as_of: datetime) -> set[int]:
    (drafted,) = PatientSession(record_of({}, as_of), drafts_of(draft_of({"drug": drug}))).drafted
    return {position for position in (0, 1) if rule.trigger.members(position, drafted.medication)}


def _is_found(rule: str, patient: Json, drug: str, as_of: datetime) -> bool:
    draft = {"drug": drug, "dose": "2 tablet", "times": 2}
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(draft)))
    return "MedicationRequest/active-0" in set(_partners(outcome))


@pytest.mark.parametrize("every", [60, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rule", [one.id for one in _pairs()])
def test_every_drug_of_a_pair_speaks_in_both_directions(rule: str, every: int, as_of: datetime) -> None:
    """The patient of a firing case, each drug of one side with the other drug of the case, and turned round."""
    compiled = next(one for one in _pairs() if one.id == rule)
    silent = []
    asked = 0
    for number, case in enumerate(_one_for_each_band(rule)):
        first, second = case["draft"]["drug"], case["patient"]["active"][0]
        for own, other in ((first, second), (second, first)):
            for side in _side_of(compiled, own, as_of):
                for name in set(_each_so_many(_names(compiled.trigger.sides[side]), every, number)) - _ONE_WAY:
                    there = {**case["patient"], "active": [other]}
                    back = {**case["patient"], "active": [name]}
                    asked += 1
                    if _is_found(rule, there, name, as_of) and not _is_found(rule, back, other, as_of):
                        silent.append(f"{case['band']}: {other} on {name}")
    assert asked or not any(_bare(case) for name, case in all_cases() if name == rule)
    assert silent == []


def _each_so_many(names: list[str], every: int, first: int) -> list[str]:
    """Every sixth or second name, but one at least; cases of other bands begin at other names."""
    return names[first % min(every, len(names)) :: every] if names else []


def _one_for_each_band(rule: str) -> list[Case]:
    chosen: dict[str, Case] = {}
    for name, case in all_cases():
        if name == rule and _bare(case) is not None and f"{rule}/{case['band']}" not in NO_PAIR:
            chosen.setdefault(case["band"], case)
    return list(chosen.values())
