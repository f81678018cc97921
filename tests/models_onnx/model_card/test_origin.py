"""On whom a model was fitted, what it was made with and what a missing input counts as, sentence by sentence."""

from types import SimpleNamespace
from typing import Any, cast

from msgspec import UNSET

from models_onnx.artifact.manifest import Lineage, Manifest, MissingInputs, Provenance
from models_onnx.model_card.origin import absence_words, lineage_rows, provenance_of, provenance_rows


def _manifest(**facts: Any) -> Manifest:
    whole = {
        "provenance": UNSET, "lineage": UNSET, "missing_inputs": UNSET,
        "cohort": SimpleNamespace(n=12345, words="adults of a study"),
        "period": SimpleNamespace(training="1999-2018", recalibration="2003-2014"),
        "required": SimpleNamespace(always=("age_years",)),
    }  # fmt: skip
    return cast(Manifest, SimpleNamespace(**{**whole, **facts}))


PROVENANCE = Provenance("10 people of A", "20 people of B", "30 people of C")


def test_on_whom_a_model_was_fitted_evaluated_and_recalibrated() -> None:
    people = "12,345 adults of a study, 1999-2018"
    alike = SimpleNamespace(training="1999-2018", recalibration="1999-2018")
    assert provenance_of(_manifest()) == Provenance(
        people, "the same people, each by a model that was fitted without them", "2003-2014"
    )
    assert provenance_of(_manifest(period=alike)).recalibrated_on == ""
    fitted = Lineage(code="abc", fitted_sha256="f0")
    assert provenance_of(_manifest(lineage=fitted)) == Provenance("", people, "2003-2014")
    assert provenance_of(_manifest(provenance=PROVENANCE, lineage=fitted)) is PROVENANCE
    assert provenance_rows(_manifest(lineage=fitted, period=alike)) == [
        ("Fitted on", "not known"),
        ("Evaluated on", people),
        ("Recalibrated on", "nobody: it was not recalibrated"),
    ]
    assert [words for _, words in provenance_rows(_manifest(provenance=PROVENANCE))] == [
        "10 people of A", "20 people of B", "30 people of C",
    ]  # fmt: skip


def test_what_a_model_was_made_with() -> None:
    assert lineage_rows(_manifest()) == [("code, lock and packages", "not recorded")]
    assert lineage_rows(_manifest(lineage=Lineage(code="abc"))) == [
        ("code", "abc"),
        ("declaration, SHA-256", "not recorded"),
        ("development lock, SHA-256", "no lock: not a checkout"),
        ("the 0 installed packages, SHA-256", "not recorded"),
    ]
    whole = Lineage(
        code="abc", declaration_sha256="d", fitted_sha256="f", lock_sha256="l", packages_sha256="p", packages=91
    )
    assert lineage_rows(_manifest(lineage=whole)) == [
        ("code", "abc"),
        ("declaration, SHA-256", "d"),
        ("fitted model, SHA-256", "f"),
        ("development lock, SHA-256", "l"),
        ("the 91 installed packages, SHA-256", "p"),
    ]


def test_what_a_missing_input_counts_as() -> None:
    average = "A missing input is named and contributes 0: it counts as the average of the reference cohort."
    assert absence_words(_manifest()) == average
    assert absence_words(_manifest(missing_inputs=MissingInputs(kind="average"))) == average
    imputed = MissingInputs(kind="imputed", values={"age_years": 50.0, "bun_mg_dl": 14.56789, "inr": 1.0})
    assert absence_words(_manifest(missing_inputs=imputed)) == (
        "A missing input is named and counts as a value that is put in its place: `bun_mg_dl` 14.57, `inr` 1."
    )
    assert absence_words(_manifest(missing_inputs=MissingInputs(kind="learned"))) == (
        "A missing input is named, and its absence raises or lowers the estimate by itself, as was learned from "
        "people in whom it was missing: where such values are asked for from other people, this may not hold."
    )
