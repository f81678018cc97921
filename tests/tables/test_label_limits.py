"""Limits by route, weight and unit (label_limits.csv): each is found just over it and not on it."""

import csv
import math
import re
from datetime import datetime
from pathlib import Path

import pytest

from cards.rules.engine.rule_book import whole_book
from cards.rules.families.dose.knowledge import LEADS
from cards.rules.families.pairs.family import PAIRS
from cards.rules.language.rule import Evidence
from cards.rules.language.sources import class_of, is_lead, label_evidence, may_be_critical
from fhir.terminology.medications import INGREDIENTS
from maintenance.quotes import Citation, Label, citations, faults_of, read_labels
from maintenance.sources import drugs_of_band
from tests.cards.rules.cases import check, silence_of
from tests.cards.rules.patients import draft_of, drafts_of, record_of
from tests.conftest import ROOT
from tests.each import for_rows, some_of

FOLDER = ROOT / "cards" / "rules" / "families" / "dose"
AMOUNTS = (
    *("max_single", "max_daily", "max_weekly", "max_single_kg", "max_daily_kg"),
    *("max_hourly", "max_single_m2"),
)
UNITS = {name: name for name in ("mg", "mmol", "patch", "drop", "g")}
UNITS |= {"unit": "units", "meq": "mEq", "actuation": "puff"}


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader((FOLDER / name).read_text("utf-8").splitlines()))


ROWS = _rows("label_limits.csv")
LABEL_QUOTES = list(
    csv.DictReader((ROOT / "cards" / "rules" / "language" / "label_quotes.csv").read_text("utf-8").splitlines())
)
"""The labels that were read for rules whose own sources are leads."""


def _found(row: dict[str, str], times: float, as_of: datetime) -> list[str]:
    """The amounts that dose-max finds for so many times the limit of the row, given once a day."""
    column = next(name for name in AMOUNTS if row[name])
    age = int(row["age_from"] or 0) or (min(8, int(row["age_to"])) if row["age_to"] else 40)
    weight = float(row["weight_to_kg"] or row["weight_from_kg"] or 70.0)
    amount = float(row[column]) * times * (weight if column.endswith("_kg") else 1.0) / (7 if "weekly" in column else 1)
    form = {"slow": " extended release tablet", "immediate": " tablet"}.get(row["form"], "")
    draft: dict[str, object] = {"drug": row["drug"] + form, "dose": f"{amount:.6f} {UNITS[row['unit']]}", "times": 1}
    if row["route"] == "injected":
        settings = {"monthly": " monthly", "maintena": " Maintena", "over two days": " for 72 h", "pca": " PCA"}
        said = settings.get(row["setting"], "")
        draft["drug"] = f"{row['drug']} {'depot ' if row['form'] == 'slow' else ''}injection{said}"
    if row["route"] in ("intrathecal", "flush", "nasal", "patch"):
        draft["drug"] = f"{row['drug']} {row['route']}"
    if row["route"] in ("aerosol", "nebulised", "local"):
        local = "eye drops" if row["unit"] == "drop" else "nasal" if row["unit"] == "actuation" else "cream"
        form = {"aerosol": "inhaler", "nebulised": "nebulizer solution"}.get(row["route"], f"{local} {row['setting']}")
        draft["drug"] = f"{row['drug']} {form}"
    if row["route"] == "any" and (row["unit"] == "actuation" or "percent" in row["setting"]):
        draft["drug"] = f"{row['drug']} gel {row['setting'].replace(' percent', ' %')}"
    labs = [["body_weight", weight], ["body_height", 185]]
    if column == "max_single_m2":
        amount *= math.sqrt(185 * weight / 3600)
        draft["dose"] = f"{amount:.6f} {UNITS[row['unit']]}"
    if column == "max_hourly":
        how = "nebulized" if row["route"] == "nebulised" else "IV continuous"
        rate = f"{amount * 1000} milliunits" if row["setting"] else f"{amount:.6f} {UNITS[row['unit']]}"
        draft["more"] = {"dosageInstruction": [{"text": f"{rate}/h {how}"}]}
    ways = {
        "intrathecal": "intrathecally",
        "intravenous": "IV",
        "intravenous push": "IV push",
        "intramuscular": "into the muscle",
        "subcutaneous": "under the skin",
    }
    if row["population"] == "one dose" or row["route"] in ways:
        way = ways.get(row["route"], "IV")
        routed = {"route": {"text": row["route"]}} if row["route"] in ("intramuscular", "subcutaneous") else {}
        draft["more"] = {"dosageInstruction": [{"text": f"{amount:g} {UNITS[row['unit']]} {way} once", **routed}]}
    patient: dict[str, object] = {"age": age, "labs": labs}
    if row["condition"]:
        patient["conditions"] = [row["condition"]]
    if row["condition"] == "pregnancy":
        patient |= {"sex": "female", "age": 30}
    return _bands(patient, draft, as_of)


def _bands(patient: dict[str, object], draft: dict[str, object], as_of: datetime) -> list[str]:
    outcome = check(record_of(patient, as_of), drafts_of(draft_of(draft)))
    findings = [finding for card in outcome.cards for finding in card.own_extension.findings]
    return [finding.band for finding in findings if finding.rule in ("dose-max", "dose-plausible")]


# A row that rests on a page only is a lead: it is an alarm at ten times a usual dose and says nothing below it.
FIRM = [
    row for row in ROWS if row["source"] not in LEADS and row["country"] in ("", "US") and row["is_firm"] != "alarm"
]


@pytest.mark.sampled
@for_rows("row", some_of(FIRM, 3))
def test_a_dose_far_over_the_limit_is_found(row: dict[str, str], as_of: datetime) -> None:
    assert _found(row, 3.1, as_of)


def test_a_tenfold_dose_of_units_or_milliequivalents_is_critical(as_of: datetime) -> None:
    for row in ROWS:
        if row["unit"] != "mg" and row["population"] != "first order":
            assert "ten_fold" in _found(row, 10.0, as_of), row
        if row["is_firm"] == "alarm":  # a usual dose: ten times that alone is told
            assert ["ten_fold" in _found(row, times, as_of) for times in (9.0, 10.0)] == [False, True], row


@for_rows(("drug", "dose", "times"))
def test_usual_doses_stay_silent(drug: str, dose: str, times: int, as_of: datetime) -> None:
    patient: dict[str, object] = {"age": 60, "labs": [["body_weight", 80]]}
    assert _bands(patient, {"drug": drug, "dose": dose, "times": times}, as_of) == []


@for_rows(("drug", "words", "bands"))
def test_rates_and_doses_by_body_surface(drug: str, words: str, bands: list[str], as_of: datetime) -> None:
    patient: dict[str, object] = {"age": 60, "labs": [["body_weight", 70], ["body_height", 175]]}
    draft: dict[str, object] = {"drug": drug, "more": {"dosageInstruction": [{"text": words}]}}
    assert _bands(patient, draft, as_of) == bands


@for_rows(("drug", "words", "bands"))
def test_an_adult_without_a_weight_is_measured_at_the_largest(
    drug: str, words: str, bands: list[str], as_of: datetime
) -> None:
    draft: dict[str, object] = {"drug": drug, "more": {"dosageInstruction": [{"text": words}]}}
    assert _bands({"age": 60}, draft, as_of) == bands


@for_rows(("words", "bands"), [("continuous infusion", ["ten_fold"]), ("rhythm monitored continuously", [])])
def test_a_bag_with_a_rate_that_runs_on_is_measured_by_the_rate(words: str, bands: list[str], as_of: datetime) -> None:
    given = {"doseQuantity": {"value": 450, "unit": "mg"}, "rateQuantity": {"value": 10, "unit": "mg/min"}}
    draft: dict[str, object] = {
        "drug": "amiodarone 450 mg/250 mL injection",
        "more": {"dosageInstruction": [{"text": words, "doseAndRate": [given]}]},
    }
    assert _bands({"age": 60}, draft, as_of) == bands


@for_rows("words", ["0.2 mg/kg/h IV continuous", "start at 0.2 mg/kg/h, titrate"])
def test_a_drip_whose_rate_was_read_is_not_called_unknown(words: str, as_of: datetime) -> None:
    draft = {"drug": "ketamine injection", "more": {"dosageInstruction": [{"text": words}]}}
    outcome = check(record_of({"age": 60, "labs": [["body_weight", 80]]}, as_of), drafts_of(draft_of(draft)))
    silence = silence_of("dose-max", outcome)
    assert silence is not None
    assert silence.reason == "within-limits"


@for_rows(("drug", "words", "bands"))
def test_the_rates_of_labels_hold_for_a_child(drug: str, words: str, bands: list[str], as_of: datetime) -> None:
    """Its own by weight, and the adult's: no child is given more in an hour."""
    patient: dict[str, object] = {"age": 4, "labs": [["body_weight", 15]]}
    assert _bands(patient, {"drug": drug, "more": {"dosageInstruction": [{"text": words}]}}, as_of) == bands


MOST_WORDS = 25
TIMES_A_DAY = (1, 2, 3, 4, 6)
UNITS_OF_LABELS = (1, 1000, 0.001, 1.44, 24, 0.024, 1440, 60, 0.06)
"""A label writes grams, milligrams or micrograms, an hour or a minute; a day may stand as one dose and its times."""


def _holds(quote: str, amount: float) -> bool:
    """Whether the quote has the amount, or one dose of it with so many times a day, or every other day."""
    quote = quote.replace("one ", "1 ").replace("Four ", "4 ")
    written = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", quote)]
    return any(
        math.isclose(number * times * unit, amount)
        for number in written
        for times in (*TIMES_A_DAY, 7, 0.5)
        for unit in UNITS_OF_LABELS
    )


def _quoted_rows() -> list[dict[str, str]]:
    return [row for name in ("label_limits.csv", "limits.csv") for row in _rows(name) if row["quote"]]


def test_every_quote_is_short_and_holds_the_number_and_says_where_it_was_read() -> None:
    faults = []
    for row in _quoted_rows():
        amount = float(next(value for name, value in row.items() if name.startswith("max_") and value))
        if len(row["quote"].replace("…", "").split()) > MOST_WORDS:
            faults.append(f"{row['drug']}: the quote has more than {MOST_WORDS} words: {row['quote']}")
        if not _holds(row["quote"].replace(" million", "000000"), amount):
            faults.append(f"{row['drug']}: the quote does not hold {amount:g}: {row['quote']}")
        if not (row["set_id"] or row["page"]):
            faults.append(f"{row['drug']}: neither a set id nor the page of a copy: {row['quote']}")
    assert faults == []


@pytest.mark.slow
def test_every_quote_stands_in_the_section_of_the_label_of_its_drug(data_folder: Path) -> None:
    labels = read_labels(data_folder)
    rows = [row for row in citations() if row.set_id in labels]
    assert len(rows) > 4000
    assert [fault for row in rows for fault in faults_of(row, labels[row.set_id])] == []
    wrong_section = Citation("", "", "", "", "", "4 Contraindications", ("bleeding",), is_firm=False)
    label = Label("", frozenset(), {"contraindications": "4 CONTRAINDICATIONS Allergy.", "warnings": "Bleeding."})
    assert len(list(faults_of(wrong_section, label))) == 1


def test_every_label_that_was_read_for_a_rule_is_quoted_in_short_and_is_of_a_drug_of_the_rule() -> None:
    bands = {f"{rule.id}/{band.declared.id}" for rule in whole_book().rules for band in rule.bands}
    faults = []
    for row in LABEL_QUOTES:
        if len(row["quote"].replace("…", "").split()) > MOST_WORDS:
            faults.append(f"{row['rule']}, {row['drug']}: more than {MOST_WORDS} words")
        if not (row["set_id"] or row["page"]):
            faults.append(f"{row['rule']}, {row['drug']}: neither a set id nor the page of a copy")
        if not any(re.fullmatch(rf"{row['rule'].replace('*', '.+')}(/.+)?", band) for band in bands):
            faults.append(f"{row['rule']}: no rule of this name is in force")
    assert faults == []


def _sources_of(*indicators: str) -> dict[str, tuple[Evidence, ...]]:
    """What each band and pair in force of these levels rests on."""
    bands = [(rule.declared, band.declared) for rule in whole_book().rules for band in rule.bands]
    rows = {
        f"{rule.id}/{band.id}": tuple(rule.evidence[position] for position in band.cites) or rule.evidence
        for rule, band in bands
        if band.indicator in indicators
    }
    pairs = [(keys, pair) for keys, of_keys in PAIRS.items() for pair in of_keys]
    return rows | {f"pairs {sorted(keys)}": (pair.evidence,) for keys, pair in pairs if pair.severity in indicators}


def test_no_finding_that_warns_rests_on_a_quotation_a_page_a_compendium_or_memory_alone() -> None:
    """What would (classes D and E) waits on the page of what is to be read."""
    rows = _sources_of("warning", "start", "critical")
    assert len(rows) > 2000
    assert [name for name, sources in rows.items() if is_lead(sources)] == []


def test_every_label_that_a_card_can_cite_says_when_it_was_read() -> None:
    cited = {source for sources in _sources_of("critical", "warning", "start", "info").values() for source in sources}
    labels = {source.label for source in cited if source.basis == "label"}
    undated = {label for label in labels if not re.search(r"read (?:in a copy )?20", label)}
    assert [label for label in undated if len(label) <= 103] == []


def test_a_copy_of_a_label_is_of_class_a_only_with_the_number_of_the_label() -> None:
    named = {"drug": "vericiguat", "section": "4", "quote": "Pregnancy", "read": "2026-11-29", "page": "example.org"}
    numbers = ("", "NDC 0006-5028", "NDA 208745", "set f1f26a1", "102f96a0-6e3a-4fc1-b204-34d604683af6")
    assert [class_of(label_evidence(**named, set_id=number)) for number in numbers] == ["B", *"AAAA"]


def test_no_critical_finding_rests_on_a_guideline_criteria_a_study_or_copies_without_a_number_alone() -> None:
    """Also not for one drug of a class: the label of a sister does not carry what a guideline says of it."""
    rows = _sources_of("critical")
    assert len(rows) > 500
    assert [name for name, sources in rows.items() if not may_be_critical(sources)] == []
    faults = []
    bands = [(compiled.declared, band.declared) for compiled in whole_book().rules for band in compiled.bands]
    for rule, band in bands:
        sources = rows.get(f"{rule.id}/{band.id}", ()) if band.indicator == "critical" else ()
        of_class = [source for source in sources if source.rxcui is None]
        if not sources or may_be_critical(of_class) or "label" in {source.basis for source in of_class}:
            continue
        unread = drugs_of_band(rule, band) - {source.rxcui for source in sources}
        faults += [f"{rule.id}/{band.id}: {INGREDIENTS[key].name}" for key in unread if key in INGREDIENTS]
    assert faults == []
