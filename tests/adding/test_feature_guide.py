"""docs/adding/feature.md, step by step in a copy of the project, with the mistakes that the page names."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.each import each_row

PAGE = (ROOT / "docs" / "adding" / "feature.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^( *)```python\n(.*?)^ *```", PAGE, re.MULTILINE | re.DOTALL)
ENTRY, MODULE = ("\n".join(line.removeprefix(space) for line in text.splitlines()) for space, text in BLOCKS)
ENTRY = next(line.strip() for line in ENTRY.splitlines() if "measured(" in line)
MESSAGES = dict(re.findall(r"^\| ([^|`]+) \| `([^|]+)` \|$", PAGE, re.MULTILINE))
FEATURES = Path("fhir") / "mapping" / "features"
LOAD = "from fhir.mapping.features.catalog import FEATURES; print(len(FEATURES) > 90)"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The folder `fhir` by itself: it needs no other."""
    shutil.copytree(ROOT / "fhir", tmp_path / "fhir", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def _run(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )


def _python(folder: Path, code: str) -> str:
    answer = _run(folder, code)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def _fault(folder: Path, module: str) -> str:
    """What is said of the features, without file and line, which must be those of the module."""
    answer = _run(folder, LOAD)
    assert answer.returncode != 0
    said = re.search(rf"FeatureFault: fhir/mapping/features/{module}\.py, line \d+: (.*)", answer.stderr)
    assert said, answer.stderr
    return said[1]


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def _declare(folder: Path, module: str, entry: str) -> None:
    """The entry at the beginning of the module's FEATURES."""
    head = "FEATURES: tuple[Feature, ...] = (\n"
    _replace(folder / FEATURES / f"{module}.py", head, f"{head}    {entry.strip()}\n")


def _declare_kind(folder: Path, text: str = MODULE) -> None:
    (folder / FEATURES / "allergies.py").write_text(text, encoding="utf-8")


@pytest.mark.slow
def test_a_measured_feature_is_one_entry_and_has_its_unit_range_codes_and_row(copy: Path) -> None:
    _declare(copy, "measured", ENTRY)
    code = (
        "from fhir.mapping.features.catalog import FEATURES, data_dictionary; one = FEATURES['potassium_mmol_l'];"
        "print(one.unit, one.window_days, '2823-3' in one.codes, '`potassium_mmol_l`' in data_dictionary([one]))"
    )
    assert _python(copy, code) == "mmol/L 365 True True\n"


@pytest.mark.slow
def test_a_new_kind_is_one_module_and_is_read_like_the_others(copy: Path) -> None:
    _declare_kind(copy)
    code = (
        "from datetime import UTC, datetime\n"
        "from fhir.mapping.features.catalog import features_named\n"
        "from fhir.mapping.features.feature import map_features\n"
        "from fhir.record.record import read_record\n"
        "feature, = features_named(('drug_allergies',))\n"
        "record = read_record({}, 'p1', datetime(2026, 11, 20, tzinfo=UTC))\n"
        "print(map_features(record, (feature,)).values.tolist(), sorted(feature.resources))\n"
        "other = record.with_requested(frozenset())\n"
        "print(map_features(other, (feature,)).missing[0].reason)\n"
    )
    assert _python(copy, code) == "[0.0] ['AllergyIntolerance']\nunknown\n"


@pytest.mark.slow
def test_an_analyte_that_is_not_in_the_table_is_named(copy: Path) -> None:
    _declare(copy, "measured", ENTRY.replace('"potassium"', '"potasium"'))
    assert _fault(copy, "measured") == MESSAGES["an analyte that the table does not have"]


@pytest.mark.slow
def test_a_name_that_is_taken_is_said_with_both_places(copy: Path) -> None:
    _declare(copy, "measured", ENTRY.replace("potassium_mmol_l", "creatinine_mg_dl"))
    assert _fault(copy, "measured").startswith(MESSAGES["a name that is taken"])


@pytest.mark.slow
def test_a_name_that_no_column_should_have_is_refused(copy: Path) -> None:
    _declare(copy, "measured", ENTRY.replace("potassium_mmol_l", "Potassium"))
    assert _fault(copy, "measured") == MESSAGES["a name that no column should have"]


@pytest.mark.slow
@each_row(("module", "entry", "mistake"))
def test_a_key_that_is_not_in_its_table_is_named(copy: Path, module: str, entry: str, mistake: str) -> None:
    _declare(copy, module, entry)
    assert _fault(copy, module) == MESSAGES[mistake]


@pytest.mark.slow
def test_a_feature_without_evidence_is_named(copy: Path) -> None:
    _declare_kind(copy, MODULE.replace('"an input of ... (first author, year)"', '""'))
    assert _fault(copy, "allergies") == MESSAGES["no evidence"]


def test_the_page_names_every_module_of_features() -> None:
    modules = {path.name for path in (ROOT / FEATURES).glob("*.py")}
    named = set(re.findall(r"^\| `(\w+\.py)` \|", PAGE, re.MULTILINE))
    assert named == modules - {"__init__.py", "feature.py", "catalog.py"}
