"""Features that a site declares in features.toml: read like any other, and refused in one sentence."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from cds_hooks.prefetch.needs import Needs, templates_for
from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.declared import add_declared_features
from fhir.mapping.features.feature import FeatureFault, FeatureValue, Missing
from fhir.record.facts import ANALYTE_POSITION
from fhir.record.measurement import KEY_BY_LOINC
from fhir.record.record import read_record
from fhir.record.resources import decoder
from fhir.terminology.analytes import ANALYTE_BY_LOINC, ANALYTES
from tests.fhir import builders

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


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    """What a test declares is known to its process from then on: forgotten at its end."""
    tables: list[dict[str, Any]] = [
        cast(dict[str, Any], table) for table in (FEATURES, ANALYTES, ANALYTE_BY_LOINC, KEY_BY_LOINC, ANALYTE_POSITION)
    ]
    before = [dict(table) for table in tables]
    yield
    for table, were in zip(tables, before, strict=True):
        table.clear()
        table.update(were)


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
    ("value", "unit", "when", "reason"),
    [
        (4000.0, "ng/mL", "2026-11-19", "refused"),
        (4.2, "furlong", "2026-11-19", "refused"),
        (4.2, "ng/mL", "2026-10-01", "stale"),
    ],
)
def test_what_cannot_be_used_is_refused_as_for_any_feature(
    value: float, unit: str, when: str, reason: str, tmp_path: Path, as_of: datetime
) -> None:
    declared(tmp_path, PROCALCITONIN)
    missing = value_of("procalcitonin_ng_ml", value, unit, as_of, when)
    assert isinstance(missing, Missing)
    assert missing.reason == reason


def test_a_known_quantity_has_another_window(tmp_path: Path) -> None:
    declared(tmp_path, POTASSIUM)
    assert FEATURES["potassium_2d"].analyte == "potassium"
    assert FEATURES["potassium_2d"].window_days == 2


def test_the_same_file_may_be_read_again(tmp_path: Path) -> None:
    assert declared(tmp_path, PROCALCITONIN + POTASSIUM) == declared(tmp_path, PROCALCITONIN + POTASSIUM)


def test_without_the_file_nothing_is_declared(tmp_path: Path) -> None:
    assert add_declared_features(tmp_path) == ()


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


def test_a_feature_is_declared_once(tmp_path: Path) -> None:
    with pytest.raises(FeatureFault, match="procalcitonin_ng_ml: it is declared twice"):
        declared(tmp_path, PROCALCITONIN + PROCALCITONIN)
    with pytest.raises(FeatureFault, match=r"^features.toml: Expected str \| null, got int"):
        declared(tmp_path, PROCALCITONIN.replace('"ng/mL"', "3"))


BAND = """
[[feature]]
name = "age_band"
words = "Age band"
evidence = "an input of a model of this guide"
band_of = "age_years"
limits = [65.0, 80.0]
"""
STEPS = POTASSIUM.replace("window_days = 2", "steps = 2\nstep_hours = 6.0")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (POTASSIUM.replace('analyte = "potassium"\nwindow_days = 2\n', ""),
         "potassium_2d: it says nothing of the chart: docs/adding/hospital-model.md lists what a feature can be"),
        (STEPS.replace("steps = 2\n", ""),
         "potassium_2d: a series has steps and step_hours, and no statistic, last or where"),
        (STEPS.replace("step_hours = 6.0", ""),
         "potassium_2d: a series has steps and step_hours, and no statistic, last or where"),
        (STEPS + 'statistic = "minimum"\n',
         "potassium_2d: a series has steps and step_hours, and no statistic, last or where"),
        (STEPS + "window_days = 2\n", "potassium_2d: window_days is not for such a feature"),
        (BAND.replace("[65.0, 80.0]", "[80.0, 65.0]"), "age_band: a band needs band_of and limits, which rise"),
        (BAND.replace("[65.0, 80.0]", "[65.0, 65.0]"), "age_band: a band needs band_of and limits, which rise"),
        (BAND.replace("[65.0, 80.0]", "[]"), "age_band: a band needs band_of and limits, which rise"),
        (BAND.replace('"age_years"', '"shoe_size"'), "age_band: there is no feature 'shoe_size'; it must be one of"
         " docs/features.md or declared before this one"),
        (BAND + POTASSIUM + BAND, "age_band: it is declared twice"),
    ],
)  # fmt: skip
def test_a_kind_of_feature_has_what_it_needs_and_nothing_else(text: str, fault: str, tmp_path: Path) -> None:
    with pytest.raises(FeatureFault) as refused:
        declared(tmp_path, text)
    assert str(refused.value) == f"features.toml: {fault}"


def test_a_series_is_a_feature_for_each_step_the_oldest_first(tmp_path: Path) -> None:
    assert declared(tmp_path, STEPS + BAND) == ("potassium_2d_1", "potassium_2d_2", "age_band")
    first, second = FEATURES["potassium_2d_1"], FEATURES["potassium_2d_2"]
    assert (first.words, first.window_days) == ("Potassium of two days, 12 to 6 hours before", 1)
    assert first.source_words.endswith("; newest value 12 to 6 hours before")
    assert second.source_words.endswith("; newest value 6 to 0 hours before")
    assert (FEATURES["age_band"].plausible_low, FEATURES["age_band"].plausible_high) == (0.0, 2.0)
