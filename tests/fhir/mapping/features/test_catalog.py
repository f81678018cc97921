"""The linter refuses a feature that a card could not explain."""

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from fhir.mapping import features
from fhir.mapping.features import catalog
from fhir.mapping.features.catalog import FEATURES, collect, data_dictionary, features_named, find_features
from fhir.mapping.features.feature import Feature, FeatureFault
from tests.each import for_rows

ALBUMIN = FEATURES["albumin_g_dl"]


def test_every_declared_feature_passes() -> None:
    assert [fault for feature in FEATURES.values() for fault in feature.lint()] == []
    assert find_features().items() <= FEATURES.items()


@for_rows(
    ("faulty", "complaint"),
    [
        (replace(ALBUMIN, words=" "), "clinician's words"),
        (replace(ALBUMIN, unit=""), "unit"),
        (replace(ALBUMIN, evidence=""), "evidence"),
        (replace(ALBUMIN, analyte="unobtainium"), "no code"),
        (replace(ALBUMIN, analyte=""), "no code"),
        (replace(ALBUMIN, unit="g/L"), "is not the analyte's"),
        (replace(ALBUMIN, plausible_low=9.0), "is empty"),
        (replace(ALBUMIN, plausible_high=70.0), "wider than"),
        (replace(ALBUMIN, window_days=None), "window"),
        (replace(ALBUMIN, window_days="365"), "whole number of days"),  # type: ignore[arg-type]
        (replace(ALBUMIN, name="albumin g/dL"), "lower-case letters"),
    ],
)
def test_a_feature_without_code_unit_range_or_words_is_refused(faulty: Feature, complaint: str) -> None:
    assert any(complaint in fault for fault in faulty.lint())


def _module(name: str, *features: Feature) -> ModuleType:
    module = ModuleType(f"fhir.mapping.features.{name}")
    module.__file__ = __file__
    module.FEATURES = features  # type: ignore[attr-defined]
    return module


def test_two_features_of_one_name_are_refused_with_both_files() -> None:
    with pytest.raises(FeatureFault, match=r"^\S+/two\.py, line \d+: .* in \S+/one\.py, line \d+$"):
        collect([_module("one", ALBUMIN), _module("two", ALBUMIN)])


def test_a_feature_that_is_declared_wrongly_is_refused_where_the_features_are_collected() -> None:
    with pytest.raises(FeatureFault, match=r"^fhir/mapping/features/one\.py, line \d+: albumin_g_dl: has no evidence$"):
        collect([_module("one", replace(ALBUMIN, evidence=""))])


def test_a_module_without_features_is_refused() -> None:
    for module in (ModuleType("fhir.mapping.features.one"), _module("one", "albumin_g_dl")):  # type: ignore[arg-type]
        with pytest.raises(FeatureFault, match=r"one\.py, line 1: the file must assign a tuple of Feature objects"):
            collect([module])


def test_the_data_dictionary_says_how_old_a_value_may_be() -> None:
    in_stay = replace(ALBUMIN, name="a", words="A", window_days=None, only_in_stay=True)
    table = data_dictionary([ALBUMIN, in_stay, FEATURES["has_diabetes"]])
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[2:]] == [
        ["`albumin_g_dl`", "Albumin", "g/dL", "1751-7, 61151-7, 61152-5, 54347-0", "365", "0.5 to 7", ALBUMIN.evidence],
        ["`a`", "A", "g/dL", "1751-7, 61151-7, 61152-5, 54347-0", "the stay", "0.5 to 7", ALBUMIN.evidence],
        ["`has_diabetes`", "Diabetes", "1", "Condition.code; condition groups diabetes", "at the call", "0 to 1",
         FEATURES["has_diabetes"].evidence],
    ]  # fmt: skip


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    assert features_named(("has_diabetes", "albumin_g_dl")) == (FEATURES["has_diabetes"], ALBUMIN)
    with pytest.raises(KeyError, match="no feature x, y; there are: admissions_12m, "):
        features_named(("x", "albumin_g_dl", "y"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("FEATURES = (\n", "line 1: '(' was never closed"),
        ("\n\nraise ValueError('no such analyte')\n", "line 3: no such analyte"),
        ("\nFEATURES = (1 / 0,)\n", "line 2: ZeroDivisionError: division by zero"),
        ("\nexec(compile('\\n\\n1 / 0', 'other.py', 'exec'))\n", "line 2: ZeroDivisionError: division by zero"),
        ("def f():\n    raise KeyError('x')\n\nFEATURES = f()\n", "line 4: KeyError: 'x'"),
        ("FEATURES = 1\n", "line 1: the file must assign a tuple of Feature objects to the name FEATURES"),
    ],
)
def test_a_file_that_cannot_be_imported_is_named_with_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, fault: str
) -> None:
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.setattr(catalog, "__file__", str(tmp_path / "catalog.py"))
    monkeypatch.setattr(features, "__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "fhir.mapping.features.broken", raising=False)
    with pytest.raises(FeatureFault) as refused:
        find_features()
    sys.modules.pop("fhir.mapping.features.broken", None)
    assert str(refused.value) == f"fhir/mapping/features/broken.py, {fault}"


def test_the_lines_that_are_named_are_those_of_the_names(tmp_path: Path) -> None:
    one, two = _module("one", ALBUMIN), _module("two", ALBUMIN)
    for module, text in ((one, '# the first\nx = "albumin_g_dl"\n"albumin_g_dl"\n'), (two, '\n\n"albumin_g_dl"\n"x"')):
        path = tmp_path / module.__name__
        path.write_text(text)
        module.__file__ = str(path)
    with pytest.raises(FeatureFault) as refused:
        collect([one, two])
    assert str(refused.value) == (
        "fhir/mapping/features/two.py, line 3: albumin_g_dl: already declared in fhir/mapping/features/one.py, line 2"
    )
    path.write_text("name = '_'.join(parts)\n")
    with pytest.raises(FeatureFault, match=r"two\.py, line 1: "):
        collect([one, two])
