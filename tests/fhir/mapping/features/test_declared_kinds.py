"""Features that a site declares as data: what each kind reads of a chart, how it is told, and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from cds_hooks.kit.samples import list_samples, load_patient
from cds_hooks.kit.simulator.chart import resources_of
from fhir.mapping.features import declared
from fhir.mapping.features.catalog import FEATURES, data_dictionary
from fhir.mapping.features.declared import FILE, add_declared_features
from fhir.mapping.features.feature import Feature, FeatureFault, FeatureValue, Missing, map_features
from fhir.record.record import PatientRecord
from tests.fhir.builders import encounter, medication_order, observation, problem, procedure, record_of

NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
HEAD = 'words = "A feature"\nevidence = "a test"\n'


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    features, entries = dict(FEATURES), dict(declared._DECLARED)
    yield
    for now, before in ((FEATURES, features), (declared._DECLARED, entries)):
        now.clear()
        now.update(before)  # type: ignore[arg-type]  # the two have other values


def declare(folder: Path, *entries: str) -> list[Feature]:
    """The features of these entries; each is named f0, f1 and so on."""
    texts = [f'[[feature]]\nname = "f{number}"\n{HEAD}{entry}\n' for number, entry in enumerate(entries)]
    (folder / FILE).write_text("\n".join(texts))
    return [FEATURES[name] for name in add_declared_features(folder)]


def read(folder: Path, record: PatientRecord, *entries: str) -> FeatureValue | Missing:
    """What the last of these features is in this chart."""
    feature = declare(folder, *entries)[-1]
    return feature.read(record)


def creatinine(days_ago: float, value: float) -> dict[str, Any]:
    return observation("2160-0", value, "mg/dL", (NOW - timedelta(days=days_ago)).isoformat(), id=f"c{days_ago:g}")


def stay(first: float, last: float, code: str = "IMP") -> dict[str, Any]:
    begin, end = ((NOW - timedelta(days=days)).isoformat() for days in (first, last))
    class_ = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": code}
    return encounter(class_, "finished", id=f"e{code}{first:g}", period={"start": begin, "end": end})


CREATININES = [creatinine(4, 1.1), creatinine(2, 1.3), creatinine(0.01, 1.9), creatinine(40, 0.9), creatinine(-1, 7.0)]


@pytest.mark.parametrize(
    ("statistic", "value", "words"),
    [
        ("newest", 1.9, "1.9 mg/dL on 2026-11-20"),
        ("first", 1.1, "1.1 mg/dL on 2026-11-16"),
        ("minimum", 1.1, "1.1 mg/dL on 2026-11-16"),
        ("maximum", 1.9, "1.9 mg/dL on 2026-11-20"),
        ("mean", 4.3 / 3, "1.43 mg/dL, mean of 3 values of 1.1 to 1.9 mg/dL (2026-11-16 to 2026-11-20)"),
        ("median", 1.3, "1.3 mg/dL, median of 3 values"),
        ("slope", 0.2003, "rose from 1.1 to 1.9 mg/dL in 4 days (2026-11-16 to 2026-11-20)"),
        ("variability", 0.41633, "standard deviation of 3 values"),
        ("days_since", 0.01, "0 days (since 2026-11-20)"),
        ("number", 3, "3 values in 7 days"),
    ],
)
def test_a_statistic_of_the_values_of_a_window_with_the_dates_that_made_it(
    tmp_path: Path, statistic: str, value: float, words: str
) -> None:
    entry = f'analyte = "creatinine"\nwindow_days = 7\nstatistic = "{statistic}"\nwhere = "anywhere"'
    found = read(tmp_path, record_of(*CREATININES, as_of=NOW), entry)
    assert isinstance(found, FeatureValue)
    assert found.value == pytest.approx(value, abs=1e-3)
    assert words in found.feature.show(found)


@pytest.mark.parametrize(("where", "value"), [("in_stays", 2.6), ("outside_stays", 1.0), ("anywhere", 1.8)])
def test_values_of_stays_and_others_are_told_apart(tmp_path: Path, where: str, value: float) -> None:
    chart = [stay(10, 5), creatinine(7, 2.6), creatinine(20, 1.0)]
    entry = f'analyte = "creatinine"\nwindow_days = 60\nstatistic = "mean"\nwhere = "{where}"'
    found = read(tmp_path, record_of(*chart, as_of=NOW), entry)
    assert isinstance(found, FeatureValue)
    assert found.value == pytest.approx(value)


def test_of_the_last_values_and_of_too_few(tmp_path: Path) -> None:
    record = record_of(*CREATININES, as_of=NOW)
    last_two = read(tmp_path, record, 'analyte = "creatinine"\nwindow_days = 90\nstatistic = "mean"\nlast = 2')
    assert isinstance(last_two, FeatureValue)
    assert last_two.value == pytest.approx(1.6)
    trend = map_features(record_of(creatinine(3, 1.0), as_of=NOW), (_slope(tmp_path),)).missing[0]
    assert "is the only value" in trend.text
    assert map_features(record_of(as_of=NOW), (_slope(tmp_path),)).missing[0].reason == "absent"


def _slope(folder: Path) -> Feature:
    FEATURES.pop("f0", None)
    return declare(folder, 'analyte = "creatinine"\nwindow_days = 90\nstatistic = "slope"')[0]


def condition(code: str, words: str = "", **more: Any) -> dict[str, Any]:
    coding = [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": code}] if code else []
    return problem({"coding": coding, "text": words}, id="x", recordedDate="2026-10-01") | more


PAST: Any = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
DOUBT: Any = {"verificationStatus": {"coding": [{"code": "provisional"}]}}


@pytest.mark.parametrize(
    ("entry", "resource", "is_yes"),
    [
        ('condition_codes = ["icd10|E11*"]', condition("E11.9"), True),
        ('condition_codes = ["icd10|E11.9"]', condition("E11.9"), True),
        ('condition_codes = ["icd10|E11"]', condition("E11.9"), False),
        ('condition_codes = ["snomed|E11*"]', condition("E11.9"), False),
        ('condition_codes = ["icd10|E11*"]', condition("E11.9", **PAST), False),
        ('condition_codes = ["icd10|E11*"]', condition("E11.9", **DOUBT), False),
        ('condition_codes = ["icd10|E11*"]\nwindow_days = 90', condition("E11.9", **PAST), True),
        ('condition_codes = ["icd10|E11*"]\nwindow_days = 30', condition("E11.9"), False),
        ('condition_phrases = ["long covid"]', condition("", "Long COVID since spring"), True),
        ('condition_phrases = ["long covid"]', condition("", "No long covid"), False),
        ('condition_phrases = ["long covid"]', condition("", "Mother has long covid"), False),
        ('condition_phrases = ["covid"]', condition("", "anticovid vaccination"), False),
        ('condition_groups = ["diabetes"]', condition("E11.9"), True),
    ],
)
def test_conditions_by_code_phrase_and_group(tmp_path: Path, entry: str, resource: Any, is_yes: bool) -> None:
    found = read(tmp_path, record_of(resource, as_of=NOW), entry)
    assert isinstance(found, FeatureValue)
    assert (found.value == 1.0) is is_yes
    assert found.is_found is is_yes


def test_procedures_medicines_and_visits(tmp_path: Path) -> None:
    bypass = procedure("Bypass", "232717009", when="2026-06-01", id="b")
    statin = medication_order("atorvastatin 20 mg", id="m", authoredOn="2026-10-01")
    entries = (
        'procedure_codes = ["snomed|232717009"]\nwindow_days = 365',
        'procedure_codes = ["snomed|232717009"]\nwindow_days = 30',
        'medication_classes = ["statin"]',
        'visits = "inpatient"\nwindow_days = 90',
        'visits = "emergency"\nwindow_days = 90',
        'visits = "outpatient"\nwindow_days = 29',
        'visits = "outpatient"\nwindow_days = 30',
    )
    visits = [stay(10, 8), stay(80, 79), stay(100, 99), stay(3, 3, "EMER"), stay(30.9, 30.8, "AMB")]
    features = tuple(declare(tmp_path, *entries))
    assert map_features(record_of(bypass, statin, *visits, as_of=NOW), features).values.tolist() == [
        1, 0, 1, 2, 1, 0, 1,
    ]  # fmt: skip


def test_what_is_computed_from_other_features_says_its_values(tmp_path: Path) -> None:
    entries = (
        'analyte = "creatinine"\nwindow_days = 30', 'band_of = "f0"\nlimits = [1.0, 1.5]', 'missing_of = "f0"',
        'formula = "max(f0, 1) * 2 - log(f0) / 4"\nunit = "1"\nlow = 0\nhigh = 100', 'condition_groups = ["diabetes"]',
        'condition_groups = ["hypertension"]', 'first_of = ["f4", "f5"]',
    )  # fmt: skip
    features = tuple(declare(tmp_path, *entries))
    vector = map_features(record_of(creatinine(1, 1.9), condition("I10"), as_of=NOW), features)
    assert vector.values.tolist() == pytest.approx([1.9, 2, 0, 3.8 - 0.16046, 0, 1, 2], abs=1e-4)
    assert [feature.show(value) for feature, value in zip(features, vector.evidence, strict=True) if value][1:4] == [
        "1.5 and over (1.9 mg/dL)",
        "no",
        "3.64 (A feature 1.9 mg/dL)",
    ]
    without = map_features(record_of(as_of=NOW), features)
    assert without.values[2] == 1
    assert isnan(without.values[1])
    assert isnan(without.values[3])


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("", "it says nothing of the chart"),
        ('analyte = "creatinine"', "window_days is missing"),
        ('analyte = "creatinine"\nwindow_days = 5\nstatistic = "mode"', "Invalid enum value 'mode'"),
        ('analyte = "creatinine"\nwindow_days = 5\nvisits = "inpatient"', "is not for a feature with"),
        ('visits = "inpatient"\nwindow_days = 5\nlast = 3', "last is not for a feature with visits"),
        ('visits = "inpatient"', "window_days is missing"),
        ('medication_classes = ["statin"]\nwindow_days = 5', "window_days is not for such a feature"),
        ('medication_classes = ["statine"]', "class 'statine' is not in tables/medication_classes.csv"),
        ('condition_groups = ["diabets"]', "condition group 'diabets' is not in tables/condition_groups.csv"),
        ('condition_codes = ["E11"]', "'E11' is no code; write SYSTEM|CODE"),
        ('condition_codes = ["icd11|E11"]', "is no code"),
        ('band_of = "age_years"', "a band needs band_of and limits, which rise"),
        ('band_of = "age_years"\nlimits = [50, 40]', "which rise"),
        ('missing_of = "nothing"', "there is no feature 'nothing'"),
        ('first_of = ["age_years"]', "first_of names features that are yes or no"),
        ('formula = "age_years"', "a formula needs unit, low and high"),
        ('formula = "age_years ** 9"\nunit = "1"\nlow = 0\nhigh = 1', "it has Pow"),
        ('formula = "open(1)"\nunit = "1"\nlow = 0\nhigh = 1', "it has open() with 1 values"),
        ('formula = "age_years.real"\nunit = "1"\nlow = 0\nhigh = 1', "it has Attribute"),
        ('formula = "1 +"\nunit = "1"\nlow = 0\nhigh = 1', "is no formula"),
        ('formula = "other / 2"\nunit = "1"\nlow = 0\nhigh = 1', "there is no feature 'other'"),
    ],
)
def test_a_wrong_declaration_is_one_sentence(tmp_path: Path, entry: str, fault: str) -> None:
    with pytest.raises(FeatureFault, match=FILE) as raised:
        declare(tmp_path, entry)
    assert fault in str(raised.value)


EVERY_KIND = (
    *(
        f'analyte = "{analyte}"\nwindow_days = 400\nstatistic = "{statistic}"\nwhere = "{where}"'
        for analyte in ("creatinine", "sbp")
        for statistic in ("newest", "first", "mean", "slope", "variability", "days_since", "number")
        for where in ("anywhere", "in_stays", "outside_stays")
    ),
    'condition_codes = ["icd10|E11*", "snomed|44054006"]',
    'condition_phrases = ["diabetes"]',
    'procedure_phrases = ["colonoscopy"]\nwindow_days = 3650',
    'medication_classes = ["statin"]',
    'visits = "outpatient"\nwindow_days = 400',
    'band_of = "age_years"\nlimits = [18, 65]',
    'missing_of = "f0"',
    'formula = "f0 / age_years"\nunit = "1"\nlow = 0\nhigh = 100',
)


def test_every_kind_is_the_same_in_the_hook_and_in_scores_and_sees_nothing_that_came_later(tmp_path: Path) -> None:
    from tests.cds_hooks.batch.test_features_as_in_hook import hook_values, panel_record

    features = tuple(declare(tmp_path, *EVERY_KIND))
    assert data_dictionary(features).count("\n") == len(features) + 2
    for sample in list_samples()[::3]:
        resources = resources_of(load_patient(sample.id, NOW))
        of_panel = map_features(panel_record(resources, NOW), features)
        assert hook_values(resources, NOW, features).tolist() == pytest.approx(of_panel.values.tolist(), nan_ok=True)
        later = [creatinine(-3, 9.0), stay(-2, -4), condition("E11.9", recordedDate="2026-12-01")]
        patient = next(item["id"] for item in resources if item["resourceType"] == "Patient")
        moved = [{**item, "subject": {"reference": f"Patient/{patient}"}} for item in later]
        with_later = map_features(panel_record([*resources, *moved], NOW), features)
        assert with_later.values.tolist() == pytest.approx(of_panel.values.tolist(), nan_ok=True)
