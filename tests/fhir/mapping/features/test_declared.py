"""Features that a site declares in features.toml: what each kind reads of a chart, and what is refused."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from cds_hooks.call.prefetch.needs import Needs, templates_for
from cds_hooks.samples import list_samples, load_patient
from cds_hooks.tools.kit.simulator.chart import resources_of
from fhir.mapping.features import declared as declared_module
from fhir.mapping.features.catalog import FEATURES, data_dictionary
from fhir.mapping.features.declared import FILE, add_declared_features, declared_for
from fhir.mapping.features.feature import Feature, FeatureFault, FeatureValue, Missing, map_features
from fhir.record.record import PatientRecord, read_record
from fhir.record.resources import decoder
from tests.each import each_row
from tests.fhir import builders
from tests.fhir.builders import encounter, observation, problem, record_of

PROCALCITONIN = """
[[feature]]
name = "procalcitonin_ng_ml"
words = "Procalcitonin"
evidence = "an input of a model of this guide"
loinc = ["33959-8", "75241-0"]
unit = "ng/mL"
also_in = { "ug/L" = 1.0 }
low = 0.01
high = 1000.0
window_days = 2
"""
POTASSIUM = """
[[feature]]
name = "potassium_2d"
words = "Potassium of two days"
evidence = "an input of a model of this guide"
analyte = "potassium"
window_days = 2
"""


pytestmark = pytest.mark.usefixtures("declared_features_are_forgotten")


def declared(folder: Path, text: str) -> tuple[str, ...]:
    """The names that the file declares."""
    (folder / "features.toml").write_text(text, encoding="utf-8")
    return add_declared_features(folder)


def value_of(name: str, value: float, unit: str, as_of: datetime, when: str = "2026-11-19") -> FeatureValue | Missing:
    """The feature as it is read from a chart with one result."""
    observation = builders.observation(
        "33959-8", when=when, patient="p", id="o", valueQuantity={"value": value, "unit": unit}
    )
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": observation}]}
    patient = {"resourceType": "Patient", "id": "p"}
    chart = {"patient": decoder.decode(orjson.dumps(patient)), "labs": decoder.decode(orjson.dumps(bundle))}
    return FEATURES[name].read(read_record(chart, "p", as_of))


def test_a_quantity_of_its_own_is_read_converted_and_asked_for(tmp_path: Path, as_of: datetime) -> None:
    assert declared(tmp_path, PROCALCITONIN) == ("procalcitonin_ng_ml",)
    assert [fault for feature in FEATURES.values() for fault in feature.lint()] == []
    found = value_of("procalcitonin_ng_ml", 4.2, "NG/ML", as_of)
    assert isinstance(found, FeatureValue)
    assert (found.value, found.effective, found.source) == (4.2, "2026-11-19", "Observation/o")
    converted = value_of("procalcitonin_ng_ml", 3.9, "ug/L", as_of)
    assert isinstance(converted, FeatureValue)
    assert converted.value == 3.9
    (labs,) = [each for each in templates_for(Needs.of([FEATURES["procalcitonin_ng_ml"]])) if each.key == "labs"]
    assert "33959-8" in labs.query


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"procalcitonin_ng_ml"', '"creatinine_mg_dl"', "creatinine_mg_dl: there is another feature of this name"),
        ('"procalcitonin_ng_ml"', '"Procalcitonin"', "name"),
        ('loinc = ["33959-8", "75241-0"]', "", "loinc is missing"),
        ("33959-8", "pct", "'pct' is no LOINC code"),
        ("33959-8", "2823-3", "LOINC 2823-3 is the analyte potassium of the tables: write analyte = 'potassium'"),
        ('unit = "ng/mL"', "", "unit is missing"),
        ("high = 1000.0", "high = 0.01", "the plausible range 0.01 to 0.01 is empty"),
        ("= 1.0", "= -1.0", "the factor of ug/L is not a number above 0"),
        ("= 1.0", "= inf", "the factor of ug/L is not a number above 0"),
        ("= 1.0", "= nan", "the factor of ug/L is not a number above 0"),
        ("= 1.0", "= 1e-320", "the factor of ug/L is not a number above 0"),
        ('"ug/L" =', '" " =', "also_in is blank"),
        ('unit = "ng/mL"', 'unit = " "', "unit is blank"),
        ('words = "P', 'words = "\\u202eP', "words is blank, or has a character that cannot be seen"),
        ("high = 1000.0", "high = inf", "low and high are numbers"),
        ("low = 0.01", "low = nan", "low and high are numbers"),
        ("window_days = 2", "window_days = 0", "window_days"),
        ("window_days = 2", "windows = 2", "windows"),
        ("window_days = 2", 'window_days = 2\nanalyte = "potassium"', "loinc is that of the analyte potassium"),
        ("window_days = 2", 'window_days = 2\nanalyte = "potasium"', "there is no analyte 'potasium'"),
        ("[[feature]]", "[[feature]", "features.toml is not valid TOML"),
        ("window_days = 2", "window_days = " + "[" * 5_000, "features.toml is not valid TOML"),
        ("window_days = 2", "window_days = " + "9" * 5_000, "features.toml is not valid TOML"),
    ],
)
def test_a_mistake_is_one_sentence(old: str, new: str, said: str, tmp_path: Path) -> None:
    assert old in PROCALCITONIN
    with pytest.raises(FeatureFault) as refused:
        declared(tmp_path, PROCALCITONIN.replace(old, new, 1))
    assert said in str(refused.value)
    assert str(refused.value).startswith("features.toml")


BAND = """
[[feature]]
name = "age_band"
words = "Age band"
evidence = "an input of a model of this guide"
band_of = "age_years"
limits = [65.0, 80.0]
"""
STEPS = POTASSIUM.replace("window_days = 2", "steps = 2\nstep_hours = 6.0")


def test_people_approve_of_a_feature_what_is_declared_of_it_and_of_those_it_is_computed_from(tmp_path: Path) -> None:
    declared(tmp_path, PROCALCITONIN + BAND.replace("age_years", "procalcitonin_ng_ml") + STEPS)
    read = declared_for(["age_years", "age_band", "potassium_2d_1", "potassium_2d_2"])
    assert [each.name for each in read] == ["age_band", "potassium_2d", "procalcitonin_ng_ml"]


def test_a_series_is_a_feature_for_each_step_the_oldest_first(tmp_path: Path) -> None:
    assert declared(tmp_path, STEPS + BAND) == ("potassium_2d_1", "potassium_2d_2", "age_band")
    first, second = FEATURES["potassium_2d_1"], FEATURES["potassium_2d_2"]
    assert (first.words, first.window_days) == ("Potassium of two days, 12 to 6 hours before", 1)
    assert first.source_words.endswith("; newest value 12 to 6 hours before")
    assert second.source_words.endswith("; newest value 6 to 0 hours before")
    assert (FEATURES["age_band"].plausible_low, FEATURES["age_band"].plausible_high) == (0.0, 2.0)


NOW = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
HEAD = 'words = "A feature"\nevidence = "a test"\n'


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    features, entries = dict(FEATURES), dict(declared_module.DECLARED)
    yield
    for now, before in ((FEATURES, features), (declared_module.DECLARED, entries)):
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


@each_row(("statistic", "value", "words"))
def test_a_statistic_of_the_values_of_a_window_with_the_dates_that_made_it(
    tmp_path: Path, statistic: str, value: float, words: str
) -> None:
    entry = f'analyte = "creatinine"\nwindow_days = 7\nstatistic = "{statistic}"\nwhere = "anywhere"'
    found = read(tmp_path, record_of(*CREATININES, as_of=NOW), entry)
    assert isinstance(found, FeatureValue)
    assert found.value == pytest.approx(value, abs=1e-3)
    assert words in found.feature.show(found)


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
    from tests.cds_hooks.tools.batch.test_features_as_in_hook import hook_values, panel_record

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
