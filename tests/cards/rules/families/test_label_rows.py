"""Rules from tables of label facts: each row fires for each of its drugs, else it is silent."""

import math
from datetime import datetime
from typing import Any

import pytest

from cards.casebook.patients import bundle_of
from cards.rules.engine.rule_book import rule_book
from cards.rules.language.rule import Rule
from fhir.terminology.conditions import condition_groups_of
from fhir.terminology.medications import CLASS_MEMBERS, INGREDIENTS, table_rows
from tests.cards.rules.cases import check, family_book, findings
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.each import for_each

Json = dict[str, Any]
CODED = {row["group"] for row in table_rows("condition_groups.csv") if row["icd10"]} | {
    row["group"] for row in table_rows("condition_codes.csv")
}
RULES = {rule.id: rule.declared for rule in rule_book().rules}


# What is asked follows from the row itself: a tenth of the rows is enough to judge the family.
EVERY = pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.slow)])


def _of_template(template: str, every: int = 1) -> list[tuple[str, tuple[Rule]]]:
    rows = [(rule_id, (rule,)) for rule_id, rule in RULES.items() if rule.template == template]
    assert rows
    return rows[::every]


def _names(selectors: Any) -> list[str]:
    """One name for each ingredient, and for each class one of its members."""
    selected = [drug.name for selector in selectors for drug in selector.ingredients]
    return selected + [INGREDIENTS[min(CLASS_MEMBERS[name])].name for one in selectors for name in one.classes]


def _found(rule: Rule, patient: Json, draft: Json, as_of: datetime) -> list[str]:
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(draft)), book=family_book(rule.id))
    return [band for found, band, _ in findings(outcome) if found == rule.id]


def _plainest(group: str, as_of: datetime) -> Json:
    """The coding of the plainest code of a group."""
    coding: Json = bundle_of({"conditions": [group]}, as_of)["entry"][-1]["resource"]["code"]["coding"][0]
    return coding


def _is_one_of(group: str, parts: list[Json], as_of: datetime) -> bool:
    """Whether the plainest code of a group is of a group without which the row holds."""
    coding = _plainest(group, as_of)
    left_out = {name for part in parts if "not" in part for name in part["not"].get("condition_any", ())}
    return not left_out.isdisjoint(condition_groups_of(coding["system"], coding["code"]))


@EVERY
def test_a_disease_fires_for_each_drug_and_each_group_and_is_silent_without(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # one of a slow form stands before it
        parts = band.when["all"]
        (groups, *also) = [part["condition_any"] for part in parts if "condition_any" in part]
        without = [part["not"]["condition_any"][0] for part in parts if "not" in part]
        groups = [group for group in groups if group in CODED and not _is_one_of(group, parts, as_of)]
        if not groups:  # known by its words only
            return
        beside = [also[0][0]] if also else []
        days = next((part["within_days"] for part in parts if "within_days" in part), None)
        patient = {"conditions": [[groups[0], days] if days else groups[0], *beside]} | (
            {"sex": "female", "age": 30} if "pregnancy" in beside else {}
        )
        if _plainest(groups[0], as_of)["code"].startswith("P"):  # of a newborn: later it says what was
            patient |= {"age": 0, "days_older": 9}
        over, most = _over_and_most(parts)
        over |= {"route": route} if (route := rule.trigger.draft[0].route) else {}
        for drug in _names(rule.trigger.draft):
            assert _found(rule, patient, {"drug": drug} | over, as_of) == [band.id], drug
            assert not most or _found(rule, patient, {"drug": drug} | most, as_of) == [], drug
        name = _names(rule.trigger.draft)[0]
        unrelated = "osteoarthritis" if "gout" in groups else "gout"
        assert _found(rule, {"conditions": [unrelated]}, {"drug": name}, as_of) == []
        if days:
            for age, bands in ((days, [band.id]), (days + 1, [])):
                assert _found(rule, {"conditions": [[groups[0], age]]}, {"drug": name}, as_of) == bands, age
        if without:
            assert _found(rule, {"conditions": [groups[0], *beside, *without]}, {"drug": name}, as_of) == []

    templates = ("dz-label", "dz-recent", "dz-liver")
    for_each([row for name in templates for row in _of_template(name, every)], fires)


@EVERY
def test_a_value_fires_for_each_drug_beyond_its_limit_and_is_silent_at_it(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # one of a slow form stands before it
        (lab,) = (part for part in band.when.get("all", [band.when]) if "lab" in part)
        limit = lab.get("lt", lab.get("gt", lab.get("ge")))
        beyond = limit * (0.97 if "lt" in lab else 1.03)
        beyond, limit = (limit, limit * 0.97) if "ge" in lab else (beyond, limit)
        route = rule.trigger.draft[0].route
        for drug in _names(rule.trigger.draft):
            for value, bands in ((beyond, [band.id]), (limit, [])):
                patient = {"labs": [[lab["lab"], round(value, 3), 0]]}
                draft = {"drug": drug, "route": route} if route else {"drug": drug}
                assert _found(rule, patient, draft, as_of) == bands, (drug, value)

    for_each(_of_template("dz-value", every), fires)


def _over_and_most(parts: list[Json]) -> tuple[Json, Json]:
    """A dose just over what a kidney row allows, at 70 kg, and the highest that it allows; empty where it has none."""
    limits = {
        word: limit["gt"]
        for part in parts
        if "derived" not in part and "lab" not in part
        for word, limit in part.items()
        if isinstance(limit, dict) and "gt" in limit
    }
    from_mg = next((part["daily_dose_mg"]["ge"] for part in parts if "ge" in part.get("daily_dose_mg", {})), None)
    if from_mg is not None:
        return {"dose": f"{from_mg} mg", "times": 1}, {"dose": f"{from_mg - 1} mg", "times": 1}
    if "times_per_week" in limits:
        return {"dose": "10 mg", "times": 2}, {"dose": "10 mg", "times": limits["times_per_week"] / 7}
    most = limits.get("daily_dose_mg") or limits.get("first_daily_mg") or 70 * limits.get("dose_mg_per_kg_per_day", 0)
    return ({"dose": f"{most + 1} mg", "times": 1}, {"dose": f"{most} mg", "times": 1}) if most else ({}, {})


@EVERY
def test_a_kidney_row_is_sharp(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # one of a slow form stands before it
        (drug,) = _names(rule.trigger.draft)
        parts = band.when.get("all", [band.when])
        if any("mg_m2" in word for part in parts for word in part):
            return  # by body surface: carboplatin in test_drafted.py
        part = next(part for part in parts if "derived" in part or "lab" in part)
        levels = {5: 5, 10: 4.5, 15: 3.2, 20: 2.2, 21: 2, 25: 2, 30: 2, 40: 1.5, 50: 1.2}
        creatinine = levels[part["ge"]] if "ge" in part else 20
        creatinine = part["gt"] + 0.1 if "lab" in part else creatinine
        low = {"labs": [["creatinine", creatinine, 3], ["body_weight", 70, 5], ["body_height", 170, 5]]}
        normal = {"labs": [["creatinine", 0.7, 3], ["body_weight", 90, 5], ["body_height", 190, 5]], "age": 30}
        over, most = _over_and_most(parts)
        slow = " 100 mg ER" if any("slow_release" in part for part in parts) else ""
        brand = "".join(f" {form}" for form in rule.trigger.draft[0].dose_form_any[:1])
        draft = {"drug": f"{drug}{brand}{slow}"} | (
            {"route": "IV"} if rule.trigger.draft[0].route not in (None, "oral", "not injected") else {}
        )
        assert _found(rule, low, draft | over, as_of) == [band.id]
        assert _found(rule, normal, draft | over, as_of) == []
        if most:
            assert _found(rule, low, draft | most, as_of) == []

    for_each(_of_template("renal-label", every), fires)


@EVERY
def test_pregnancy_and_feeding_rows_are_silent_for_a_man(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # one of a slow form stands before it
        (drug, *others) = _names(rule.trigger.draft)
        when = band.when["all"][1] if "all" in band.when else band.when
        state = when["condition_any"]
        woman, man = ({"age": 30, "sex": sex, "conditions": state} for sex in ("female", "male"))
        for name in (drug, *others):
            assert _found(rule, woman, {"drug": name}, as_of) == [band.id], name
        assert _found(rule, man, {"drug": drug}, as_of) == []
        assert _found(rule, {"age": 30, "sex": "female"}, {"drug": drug}, as_of) == []

    for_each([*_of_template("preg-label", every), *_of_template("preg-label-feeding", every)], fires)


ROUTES = {
    "intravenous": "IV", "pushed": "IV push", "subcutaneous": "subcutaneously", "intrathecal": "intrathecally",
    "intramuscular": "IM", "sublingual": "sublingually", "epidural": "epidurally",
}  # fmt: skip


# What the words of the drug have to say where not every form of it is meant.
FORMS = {"depot": " benzathine", "one_mg_per_ml": " 1 mg/mL", "strong_contrast": " 350"}


def _ordered(drug: str, words: str) -> Json:
    millilitres = 1000 if "water" in drug else 1  # a little of it dilutes a drug
    text = f"{millilitres} mL {words} once"
    return {"drug": f"{drug} injection", "more": {"dosageInstruction": [{"text": text}]}}


@EVERY
def test_a_route_fires_for_each_drug_and_is_silent_by_any_other(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # one of a slow form stands before it
        (route,) = {str(selector.route) for selector in rule.trigger.draft}
        form = next((words for word, words in FORMS.items() if word in band.when), "")
        within = {route, "pushed"} if route == "intravenous" else {route}
        for drug in _names(rule.trigger.draft):
            for name, words in [*ROUTES.items(), ("mouth", "by mouth")]:
                found = _found(rule, {}, _ordered(drug + form, words), as_of)
                assert found == ([band.id] if name in within else []), (drug, words)
            if form:
                assert _found(rule, {}, _ordered(drug, ROUTES[route]), as_of) == [], drug

    for_each(_of_template("dose-route", every), fires)


@EVERY
def test_a_course_is_sharp_and_an_order_without_an_end_is_not_known(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # one of a slow form stands before it
        days = int(band.when["duration_days"]["gt"])

        def bands(length: str) -> list[str]:
            for_days = {"dosageInstruction": [{"text": f"1 tablet twice a day{length}"}]}
            return _found(rule, {}, {"drug": f"{_names(rule.trigger.draft)[0]} 10 mg tablet", "more": for_days}, as_of)

        assert bands(f" for {days + 1} days") == [band.id]
        assert bands(f" for {days} days") == []
        assert bands("") == []

    for_each(_of_template("dose-course", every), fires)


def _interval_order(rule: Rule, drug: str) -> Json:
    """An order of the drug in the form, by the route and with at least the mass that the rule is about."""
    selector = rule.trigger.draft[0]
    parts = rule.bands[0].when["all"]
    mass: Json = next((part["dose_mg"] for part in parts if "dose_mg" in part), {})
    least, usual = mass.get("ge"), mass.get("lt", 151) - 1
    form = selector.dose_form_any[0] if selector.dose_form_any else ""
    depot = "decanoate injection" if any("depot" in part for part in parts) else ""
    words = " ".join(filter(None, [drug, depot, "transdermal patch" if form == "patch" else form]))
    route = {"": "intramuscular", "ring": "vaginal"}.get(form, "transdermal")
    if least is not None and str(selector.route) != "injected":
        route = "oral"
    return {"drug": words, "dose": f"{max(least or 0, usual)} mg", "route": route}


@EVERY
def test_an_interval_is_silent_as_usual_and_far_over_it_a_warning(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        limits = {
            band.id: part["times_per_week"]["gt"]
            for band in rule.bands
            for part in band.when["all"]
            if "times_per_week" in part
        }
        assert list(limits) in (["far_too_often", "too_often"], ["far_too_often"])
        times = 1 if min(limits.values()) < 7 and limits["far_too_often"] != 6 else 4
        for drug in _names(rule.trigger.draft):
            order = _interval_order(rule, drug)
            often = _found(rule, {}, {**order, "times": times}, as_of)
            assert often == ["far_too_often" if limits["far_too_often"] < 7 * times else "too_often"], drug
            usual = draft_of(order)
            usual["dosageInstruction"][0]["timing"] = {"repeat": {"frequency": 1, "period": 14, "periodUnit": "wk"}}
            outcome = check(record_of({}, as_of), drafts_of(usual), book=family_book(rule.id))
            assert [band for found, band, _ in findings(outcome) if found == rule.id] == [], drug

    for_each(_of_template("dose-interval", every), fires)


def _aged(months: float, as_of: datetime, *, days_short: int = 0) -> Json:
    """A patient who completed so many months (under one: days) today, or does so in some days."""
    if months < 1:
        return {"age": 0, "days_older": math.ceil(months * 30.4375) - days_short}
    years, months = divmod(as_of.year * 12 + as_of.month - 1 - int(months), 12)
    born = as_of.date().replace(year=years, month=months + 1)
    return {"age": 0, "days_older": (as_of.date() - born).days - days_short}


@EVERY
def test_an_age_row_is_sharp(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # a graver one before it asks for more of the chart
        (word, limit) = next(
            (word, part[word])
            for part in band.when.get("all", [band.when])
            for word in part
            if word in ("age_years", "age_months")
        )
        if word == "age_years":
            inside, outside = dict[str, Any](age=int(limit["ge"])), dict[str, Any](age=int(limit["ge"]) - 1)
        else:
            inside, outside = (_aged(limit["lt"], as_of, days_short=short) for short in (1, 0))
        if any("condition_any" in part for part in band.when.get("all", [])):  # a row of those born preterm
            inside = {**inside, "conditions": ["preterm_birth"]}
        (selector,) = rule.trigger.draft
        local = (selector.dose_form_any or (["cream"] if selector.systemic is False else [""]))[0]
        local += " eye drops" if local[:1].isdigit() else ""
        form = "injection" if str(selector.route) == "injected" else local
        for drug in _names([selector]):
            order = {"drug": f"{drug} {form}".strip()}
            if str(selector.route) == "pushed":
                order = _ordered(drug, ROUTES["pushed"])
            # a drug whose name says a form that acts where it is given has the row's twin
            twin = RULES.get(rule.id.replace("age-label", "age-local"), rule)
            assert [band.id] in [_found(one, inside, order, as_of) for one in (rule, twin)], drug
            assert _found(rule, outside, order, as_of) == _found(twin, outside, order, as_of) == []
            if "ge" in limit and word == "age_months":
                assert _found(rule, _aged(int(limit["ge"]), as_of, days_short=1), order, as_of) == []
        meant = [silent.when["indication"]["words"] for silent in rule.silent_when if silent.when]
        for words in meant[0] if meant else ():
            assert _found(rule, inside, {**order, "more": {"reasonCode": [{"text": words}]}}, as_of) == [], words

    for_each([*_of_template("age-label", every), *_of_template("age-label-local", every)], fires)


@EVERY
def test_an_indication_that_a_drug_cannot_treat_fires_where_the_order_names_it(every: int, as_of: datetime) -> None:
    def fires(rule: Rule) -> None:
        *_, band = rule.bands  # one of a slow form stands before it
        (drug,) = _names(rule.trigger.draft)
        words, disease = band.when.get("all", [band.when, {}])
        patient = {"conditions": disease.get("condition_any", [])[:1]}
        for word in words["indication"]["words"]:
            draft = {"drug": drug, "more": {"reasonCode": [{"text": f"{word}, culture pending"}]}}
            assert _found(rule, patient, draft, as_of) == [band.id], word
            assert not (disease and _found(rule, {}, draft, as_of)), word
            denied = {"drug": drug, "more": {"reasonCode": [{"text": f"no {word}"}]}}
            assert _found(rule, patient, denied, as_of) == [], word
        assert _found(rule, {}, {"drug": drug, "more": {"reasonCode": [{"text": "cystitis, diarrhea"}]}}, as_of) == []
        assert _found(rule, patient, {"drug": drug}, as_of) == []

    for_each(_of_template("dz-indication", every), fires)


@pytest.mark.parametrize(
    ("calcium", "albumin", "bands"),
    [
        (8.3, None, ["low_calcium"]),
        (8.5, None, []),
        (8.2, 3.9, ["low_calcium"]),
        (8.1, 3.5, []),
        (6.2, 1.8, ["low_calcium"]),
        (8.3, 4.6, ["low_calcium"]),
    ],
)
def test_calcium_is_judged_after_its_correction_for_a_low_albumin(
    calcium: float, albumin: float | None, bands: list[str], as_of: datetime
) -> None:
    labs = [["calcium", calcium, 2], *([["albumin", albumin, 2]] if albumin is not None else [])]
    rule = RULES["dz-value-calcium-denosumab"]
    assert _found(rule, {"labs": labs}, {"drug": "denosumab"}, as_of) == bands
