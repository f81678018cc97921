"""Rules about two drugs: which drugs are a pair, whose card it stands on, and what is done about the other order."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from cards.compose.orders import OrderOutcome, check_orders
from cards.rules.engine.compile import CompiledRule
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.trigger import Selector
from cards.rules.patient.session import PatientSession
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS
from tests.cards.rules.cases import Case, all_cases, check, check_case, every_case, findings, originals, uuids
from tests.cards.rules.patients import bundle_of, draft_of, drafts_of, record_of

Json = dict[str, Any]

WARFARIN: Json = {"drug": "855332", "dose": "1 tablet", "times": 1}
IBUPROFEN: Json = {"drug": "197806", "dose": "1 tablet", "times": 3}
PHENELZINE: Json = {"drug": "312347", "dose": "1 tablet", "times": 3}


def _both(first: Json, second: Json, as_of: datetime, patient: Json | None = None) -> OrderOutcome:
    drafts = drafts_of(draft_of(first, "one"), draft_of(second, "two"))
    return check(record_of(patient or {}, as_of), drafts)


def test_what_only_one_of_two_cards_knows_is_not_lost(as_of: datetime) -> None:
    # Naproxen is on the list: warfarin's own finding names both NSAIDs, that of the drafted one only itself.
    outcome = _both(WARFARIN, IBUPROFEN, as_of, {"age": 60, "active": ["198014"]})
    said = " ".join(f"{card.summary} {card.detail}" for card in outcome.cards).lower()
    assert "ibuprofen" in said
    assert "naproxen" in said


def test_a_drug_is_never_its_own_partner(as_of: datetime) -> None:
    outcome = _both(PHENELZINE, PHENELZINE, as_of, {"active": ["312347"]})
    assert "ddi-maoi-serotonergic" not in {rule for rule, _, _ in findings(outcome)}


def test_each_partner_is_looked_at_by_itself(as_of: datetime) -> None:
    """A harmless partner must not hide a contraindicated one: linezolid is a warning, phenelzine is critical."""
    patient = {"active": ["linezolid 600 MG Oral Tablet", "312347"]}
    draft = {"drug": "pseudoephedrine 30 MG Oral Tablet", "dose": "1 tablet", "times": 3}
    (card,) = check(record_of(patient, as_of), drafts_of(draft_of(draft))).cards
    assert card.indicator == "critical"
    assert "phenelzine" in card.summary
    assert "milder: linezolid" in (card.detail or "")


def test_a_stopped_order_among_the_drafts_is_no_partner(as_of: datetime) -> None:
    record = record_of({"active": ["855332"]}, as_of)
    stopped = draft_of({**WARFARIN, "more": {"status": "stopped"}}, "active-0")
    outcome = check(record, drafts_of(draft_of(IBUPROFEN), stopped))
    assert "ddi-warfarin-nsaid" not in {rule for rule, _, _ in findings(outcome)}


def test_an_id_that_is_used_twice_hides_no_other_drug(as_of: datetime) -> None:
    record = record_of({"age": 70, "active": ["855332"]}, as_of)
    outcome = check(record, drafts_of(draft_of(IBUPROFEN, "active-0")))
    assert "ddi-warfarin-nsaid" in {rule for rule, _, _ in findings(outcome)}


def test_every_order_of_the_other_drug_is_stopped(as_of: datetime) -> None:
    """A finding names one of two orders of ibuprofen; to stop one would leave the hazard as it is."""
    patient: Json = {"age": 70, "active": ["197806", {"drug": "ibuprofen 200 MG Oral Tablet"}]}
    bundle, record, drafts = bundle_of(patient, as_of), record_of(patient, as_of), drafts_of(draft_of(WARFARIN))
    whole = check_orders(record, drafts, None, uuids(), original=originals(bundle))
    stop = next(one for one in whole.cards[0].suggestions if one.label.startswith("Stop the NSAID"))
    updated = [action.resource for action in stop.actions if action.type == "update" and action.resource is not None]
    assert {resource["id"]: resource["status"] for resource in updated} == dict.fromkeys(
        ("active-0", "active-1"), "stopped"
    )


def test_many_drafts_of_one_drug_cost_a_bounded_number_of_judgements(as_of: datetime) -> None:
    drafts = drafts_of(*(draft_of(IBUPROFEN, f"d{number}") for number in range(60)))
    outcome = check(record_of({"age": 70, "active": ["855332"]}, as_of), drafts)
    assert len(outcome.cards) == 60
    assert any("too many drafts came together" in one.text for one in outcome.silences)


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

# Single cases of which that is so, by rule and id.
NO_PAIR_CASES = {
    "dup-dose-jump/prednisone 4 to 40 mg": "a tenth of the dose is a taper",
    "dup-dose-jump/prednisone 4 to 40 mg against a flare": "a tenth of the dose is a taper",
    "dup-dose-jump/prednisone 5 to 40 mg for five days": "an eighth of the dose is a taper",
    "dup-dose-jump/prednisone 5 to 40 mg for a month": "an eighth of the dose is a taper",
    "dup-class/two opioids that act for hours": "the full dose is a warning of morphine equivalents, which goes before",
}


def _entry(active: Any) -> Json:
    """The active order of a case as an object."""
    if isinstance(active, dict):
        return dict(active)
    return {"drug": active if isinstance(active, str) else active[0]}


def _as_draft(active: Json) -> Json:
    """The active order as it would be drafted; without a dose two tablets twice a day, a full one."""
    drafted = {name: value for name, value in active.items() if name not in ("days_ago", "status", "ended", "undated")}
    return drafted if {"dose", "more"} & set(drafted) else {**drafted, "dose": "2 tablet", "times": 2}


def _partners(outcome: OrderOutcome) -> Iterator[str]:
    """The active orders that a card names."""
    for card in outcome.cards:
        for fact in card.own_extension.facts:
            if fact.name == "medication" and (fact.source or "").startswith("MedicationRequest/active-"):
                yield fact.source or ""


def _turned(case: Case, position: int) -> tuple[Json, Json]:
    """Patient and draft with the draft active and this active order drafted."""
    active = list(case["patient"]["active"])
    drafted = _as_draft(_entry(active[position]))
    active[position] = case["draft"]
    return {**case["patient"], "active": active}, drafted


@every_case("fires")
def test_a_pair_of_a_case_speaks_when_the_other_drug_is_drafted(rule: str, case: Case, as_of: datetime) -> None:
    if "beside" in case or f"{rule}/{case['band']}" in NO_PAIR or f"{rule}/{case['id']}" in NO_PAIR_CASES:
        return
    for source in dict.fromkeys(_partners(check_case(case, as_of))):
        position = int(source.rsplit("-", 1)[1])
        entry = _entry(case["patient"]["active"][position])
        if entry.get("status", "active") != "active" or "ended" in entry or _is_renewal(case):
            continue
        patient, drafted = _turned(case, position)
        signing = case.get("hook") != "order-select"
        outcome = check(record_of(patient, as_of), drafts_of(draft_of(drafted)), signing=signing)
        assert source in set(_partners(outcome)), f"{drafted['drug']} on {case['draft']['drug']}: {findings(outcome)}"


def _is_renewal(case: Case) -> bool:
    """The drafted drug is taken already: turned round it would be taken twice."""
    words = case["draft"]["drug"].split()[0].lower()
    return any(
        _entry(one)["drug"].lower() in (case["draft"]["drug"].lower(), words) for one in case["patient"]["active"]
    )


def test_what_is_no_pair_is_in_the_tables() -> None:
    known = {f"{rule.id}/{band.declared.id}" for rule in rule_book().rules for band in rule.bands}
    assert set(NO_PAIR) <= known
    assert set(NO_PAIR_CASES) <= {f"{rule}/{case['id']}" for rule, case in all_cases()}


# Every drug of either side


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
    return {position for position in (0, 1) if rule.trigger.is_on(position, drafted.medication)}


def _is_found(rule: str, patient: Json, drug: str, as_of: datetime) -> bool:
    draft = {"drug": drug, "dose": "2 tablet", "times": 2}
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(draft)))
    return "MedicationRequest/active-0" in set(_partners(outcome))


@pytest.mark.parametrize("every", [24, pytest.param(2, marks=pytest.mark.slow)])
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
                for name in _each_so_many(_names(compiled.trigger.sides[side]), every, number):
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
