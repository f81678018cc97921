"""The number, the facts and the words of a new version, from a manifest and a table that are a few lines long."""

import gzip
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from models_onnx.artifact.manifest import Manifest, Provenance
from models_onnx.errors import TrainingRefused
from models_onnx.serving.registry import Version
from models_onnx.spec import ModelSpec
from models_onnx.spec.renewal import Renewal
from models_onnx.workbench.training import renewing


def _version(number: str) -> Version:
    return cast(Version, SimpleNamespace(id="toy", version=number))


@pytest.mark.parametrize(
    ("earlier", "there", "following"),
    [
        ("1.0.0", [], "1.1.0"),
        ("1.2.3", ["1.10.0", "1.9.0"], "1.11.0"),
        ("2.0.0", ["1.9.0"], "2.1.0"),
        ("0.1.0+site", ["draft"], "0.2.0"),
        ("7", ["1.4"], "1.5.0"),
    ],
)
def test_the_next_number_follows_the_highest(
    earlier: str, there: list[str], following: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewing, "versions", lambda _name, _out: tuple(map(_version, there)))
    assert renewing._next_number(_version(earlier), Path()) == following


def test_a_version_without_a_number_has_none_that_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewing, "versions", lambda _name, _out: ())
    with pytest.raises(TrainingRefused) as refusal:
        renewing._next_number(_version("7"), Path())
    assert str(refusal.value) == "toy 7 has no number that can be counted on: give --version"


def _manifest(provenance: Any = msgspec.UNSET, missing: Any = msgspec.UNSET, kind: str = "average") -> Manifest:
    facts: dict[str, Any] = {
        "id": "toy", "version": "1.0.0", "outcome": SimpleNamespace(column="event"),
        "cohort": SimpleNamespace(n=1234, words="adults"), "period": SimpleNamespace(training="2019"),
        "provenance": provenance, "missing_inputs": missing, "missing_kind": kind,
    }  # fmt: skip
    return cast(Manifest, SimpleNamespace(**facts))


HEADER = "row,patient,fold,year,event,estimated_by,race,ethnicity\n"


def _table(folder: Path, text: str) -> Path:
    (folder / "outcomes.csv").write_text(text)
    return folder / "outcomes.csv"


def test_a_table_of_outcomes_has_its_years_and_its_groups(tmp_path: Path) -> None:
    table = _table(tmp_path, HEADER + "a,p,0,2026,1,1.0.0,,\nb,q,1,2024,0,1.0.0,White,\n")
    assert renewing._renewal(_manifest(), table, "all", "1.1.0") == Renewal(
        version="1.1.0", fit="all", table="outcomes.csv", years="2024-2026", is_of_outcomes=True, groups=("race",)
    )
    single = _table(tmp_path, HEADER + "a,p,0,2026,1,1.0.0,,Hispanic\n")
    renewal = renewing._renewal(_manifest(), single, "all", "1.1.0")
    assert (renewal.years, renewal.groups) == ("2026", ("ethnicity",))


def test_a_recalibration_says_where_it_comes_from_and_what_a_missing_input_counts_as(tmp_path: Path) -> None:
    table = _table(tmp_path, HEADER + "a,p,0,2026,1,1.0.0,,\n")
    renewal = renewing._renewal(_manifest(), table, "slope", "1.1.0")
    assert (renewal.source, renewal.trained_on, renewal.missing, renewal.imputed) == (
        "toy@1.0.0.onnx", "1,234 adults, 2019", "average", {},
    )  # fmt: skip
    adopted = _manifest(Provenance("stays of 2012", "people here", ""), SimpleNamespace(values={"a": 1.5}), "imputed")
    renewal = renewing._renewal(adopted, table, "intercept", "1.1.0")
    assert (renewal.trained_on, renewal.missing, renewal.imputed) == ("stays of 2012", "imputed", {"a": 1.5})
    unknown = _manifest(Provenance("", "people here", ""), SimpleNamespace(values=None), "learned")
    renewal = renewing._renewal(unknown, table, "intercept", "1.1.0")
    assert (renewal.trained_on, renewal.missing, renewal.imputed) == ("1,234 adults, 2019", "learned", {})


def test_a_table_of_another_kind_says_no_years_and_has_no_groups(tmp_path: Path) -> None:
    renewal = renewing._renewal(_manifest(), _table(tmp_path, "row,race,event\na,White,1\n"), "all", "1.1.0")
    assert (renewal.years, renewal.is_of_outcomes, renewal.groups) == (
        "outcomes.csv, years not recorded", False, (),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("row,patient,estimated_by,year\na,p,1,2026\n", (
            "outcomes.csv lacks event, fold; cds-hooks outcomes dataset toy --out FILE writes it"
        )),
        (HEADER, "outcomes.csv has no rows"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used(text: str, refusal: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingRefused) as problem:
        renewing._renewal(_manifest(), _table(tmp_path, text), "all", "1.1.0")
    assert str(problem.value) == refusal


def test_a_packed_table_is_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write("a,b\n1,é\n")
    assert renewing._rows(tmp_path / "t.csv.gz") == [{"a": "1", "b": "é"}]


WORDS: dict[str, Any] = {
    "attributes": {"details.funding": "A grant."},
    "product": {
        "fairness_axes": {"sex": "all", "region": "all"},
        "waivers": [{"gate": "G9"}],
        "label": {"words": "event", "audit": {"axis": "region", "need": "x"}},
        "data_last_year": 2014,
    },
}


def _words(monkeypatch: pytest.MonkeyPatch, words: dict[str, Any], is_of_outcomes: bool, *axes: str) -> dict[str, Any]:
    shelf = {"toy": words, "base": {"attributes": {"details.developer": "We."}, "product": {"x": 1}}}
    monkeypatch.setattr(renewing, "declared_words", lambda name, _folder: (Path(), shelf[name]))
    renewal = Renewal(version="1.1.0", fit="all", table="t.csv", years="2024-2026", is_of_outcomes=is_of_outcomes,
                      groups=("race",) if "race" in axes else ())  # fmt: skip
    spec = cast(ModelSpec, SimpleNamespace(id="toy"))
    renewed = cast(ModelSpec, SimpleNamespace(subgroups=dict.fromkeys(axes)))
    return renewing._words(spec, renewed, renewal, Path())


def test_the_words_of_a_new_version_have_its_groups_its_year_and_no_old_waiver(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _words(monkeypatch, WORDS, True, "sex", "race") == {
        "attributes": {"details.funding": "A grant."},
        "product": {
            "fairness_axes": {"sex": "all", "race": "all"},
            "waivers": [],
            "label": {"words": "event", "audit": {"axis": "sex", "need": "x"}},
            "data_last_year": 2026,
        },
    }
    kept = _words(monkeypatch, WORDS, False, "sex", "region of birth")["product"]
    assert (kept["data_last_year"], kept["label"]["audit"]["axis"]) == (2014, "region")
    assert kept["fairness_axes"] == {"sex": "all"}


def test_the_words_of_a_twin_are_over_those_of_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _words(monkeypatch, {"extends": "base", "attributes": {"details.funding": "A grant."}}, False, "sex") == {
        "attributes": {"details.developer": "We.", "details.funding": "A grant."},
        "product": {"x": 1, "fairness_axes": {}, "waivers": []},
    }
