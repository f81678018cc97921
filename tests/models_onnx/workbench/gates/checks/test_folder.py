"""G1, G14 and G17 by hand: what may lie in a release, what is inside it, whose card it is and when it was reviewed."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from models_onnx.artifact.folder import read_manifest
from models_onnx.artifact.manifest import Provenance
from models_onnx.model_card.attributes import PREDICTIVE
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.gates.checks import folder
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.subject import Subject
from models_onnx.workbench.release.card import OF_THE_MAKER, computed_attributes
from tests.each import for_rows
from tests.models_onnx.workbench.gates.formula import NOTHING
from tests.models_onnx.workshop import core, evidence, subject

Json = dict[str, Any]


def _subject(**members: Any) -> Subject:
    return cast(Subject, SimpleNamespace(**members))


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (b"harmless 12-34-5678 a@example.org", []),
        (b"-----BEGIN RSA PRIVATE KEY-----", ["a private key"]),
        (b"ghp_" + b"a" * 30, ["an access token"]),
        (b"ghp_" + b"a" * 29, []),
        (b"AKIA" + b"A" * 16, ["an access token"]),
        (b"id 123-45-6789.", ["a social security number"]),
        (b"Ann.Other+x@clinic.net", ["an e-mail address of a person"]),
        (b"/" + b"home/ann/model", ["a path of somebody's machine"]),
        (b"csklearn.linear_model", ["pickled Python"]),
        (b"/" + b"Users/ann 123-45-6789", ["a social security number", "a path of somebody's machine"]),
    ],
)
def test_what_may_not_be_inside_a_file(content: bytes, kinds: list[str], tmp_path: Path) -> None:
    for name in ("model.onnx", "card.json"):
        (tmp_path / name).write_bytes(content)
    for name in ("gates.json", "notes.txt"):  # a report quotes what it found; a text is refused for its name
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.json").mkdir()
    assert folder._found_inside(tmp_path) == [
        f"{name} holds {kind}" for name in ("card.json", "model.onnx") for kind in kinds
    ]


def test_the_bill_of_materials() -> None:
    data = SimpleNamespace(name="t.csv", sha256="0123456789abcdef")
    about = SimpleNamespace(version="1.0.0", data=data, software={"numpy": "2.0", "copyleft": "1", "gone": "3"})
    licences = {"numpy": ("2.1", "BSD-3-Clause"), "copyleft": ("1", "AGPL-3.0")}
    evidence = replace(NOTHING, installed=licences.get)
    rows, faults = folder._bill(_subject(id="m", manifest=about), evidence)
    assert rows == [
        {"component": "m", "kind": "machine-learning model", "version": "1.0.0", "licence": ""},
        {"component": "t.csv", "kind": "data", "version": "0123456789ab", "licence": ""},
        {"component": "copyleft", "kind": "library", "version": "1", "licence": "AGPL-3.0"},
        {"component": "gone", "kind": "library", "version": "3", "licence": ""},
        {"component": "numpy", "kind": "library", "version": "2.0", "licence": "BSD-3-Clause"},
    ]
    assert faults == ["copyleft is under AGPL-3.0, which is kept out"]
    with pytest.raises(NotRun, match=r"^Nobody looked up the libraries it was made with\.$"):
        folder.check_contents(_subject(), NOTHING)


@for_rows(
    ("licence", "is_out"),
    [("GPL-3.0", True), ("AGPL", True), ("BUSL-1.1", True), ("Business Source License", True), ("BSL-1.1", True),
     ("LGPL-2.1", False), ("BSL-1.0", False), ("MIT", False)],
)  # fmt: skip
def test_licences_that_are_kept_out(licence: str, is_out: bool) -> None:
    assert bool(folder._LICENCES_OUT.search(licence)) is is_out


@for_rows(
    ("reviewed", "is_fault"), [("2026-11-20", False), ("2025-11-19", False), ("2025-11-18", True), ("2026-11-21", True)]
)
def test_risks_are_reviewed_within_a_leap_year_and_not_in_the_future(reviewed: str, is_fault: bool) -> None:
    made = _subject(product={"irm": {"reviewed": reviewed}}, card={"kind": "predictive"})
    fault = f"its risks were last reviewed on {reviewed}; at most 12 months may pass"
    assert folder._review(made, date(2026, 11, 20)) == [fault] * is_fault


def test_a_card_without_a_review() -> None:
    assert folder._review(_subject(product={}, card={"kind": "predictive"}), date(2026, 11, 20)) == [
        "no review of its risks is on the card (irm)"
    ]
    assert folder._review(_subject(product={}, card={"kind": "evidence-based"}), date(2026, 11, 20)) == []


def _adopted(fitted: str, evaluated: str, recalibrated: str, period: str = "2019") -> Subject:
    manifest = SimpleNamespace(
        provenance=Provenance(fitted, evaluated, recalibrated),
        period=SimpleNamespace(recalibration=period, training="2019"),
        cohort=SimpleNamespace(words="Adults of here."),
    )
    return _subject(manifest=manifest)


SAME = (
    "it was fitted elsewhere, and fitted on and evaluated on name the same people ({}): say whom it was fitted on, or "
    "leave trained_on empty where nobody knows"
)


@for_rows(
    ("made", "faults"),
    [
        (_adopted("stays", "people", ""), []),
        (_adopted("", "", ""), []),
        (_adopted("Our  people", "our people.", ""), [SAME.format("Our  people")]),
        (_adopted("adults of here", "others", ""), [SAME.format("adults of here")]),
        (_adopted("stays", "people", "people", "2020"), []),
        (_adopted("stays", "people", "people"), ["it was not recalibrated here, and recalibrated on says people"]),
        (_adopted("stays", "people", "", "2020"), ["it was recalibrated here, and recalibrated on says nobody"]),
    ],
)
def test_whom_an_adopted_model_was_fitted_and_recalibrated_on(made: Subject, faults: list[str]) -> None:
    assert folder._mixed_people(made) == faults


def _card(*words: str) -> Json:
    """A card with these words in the first attributes that a maker writes."""
    card: Json = {}
    computed = computed_attributes(read_manifest(ARTIFACTS / "mortality_5y"))
    own = [attribute.path for attribute in PREDICTIVE if attribute.path not in {*OF_THE_MAKER, *computed}]
    for path, text in zip(own, words, strict=False):
        part, name = path.split(".")
        card.setdefault(part, {})[name] = {"words": text}
    return card


LONG = "This text has exactly as many letters as a copied text needs"


@pytest.mark.parametrize(
    ("mine", "theirs", "is_copy"),
    [
        ((LONG, LONG), (LONG, LONG), True),
        ((LONG, LONG[:-1]), (LONG, LONG[:-1]), False),
        ((LONG, LONG, "x"), (LONG, LONG + "!", "x"), False),
        ((LONG + "?", LONG, LONG), (LONG + "?", "", LONG), True),
    ],
)
def test_a_card_with_two_long_texts_of_another_models_card(
    mine: tuple[str, ...], theirs: tuple[str, ...], is_copy: bool, good: Subject
) -> None:
    assert len(LONG) == folder.LEAST_COPIED == 60
    made = _subject(manifest=good.manifest, card=_card(*mine))
    faults = folder._copied(made, {"theirs": _card(*theirs), "nobody": {}})
    assert [fault.partition(": ")[0] for fault in faults] == [
        "the card repeats that of theirs, another model"
    ] * is_copy


# G1, G14 and G17 on a release of its own


def test_the_verdict_on_a_file_is_who_signed_it_and_what_goes_in_and_out(tmp_path: Path) -> None:
    made = subject(tmp_path)
    verdict = folder.check_file(made, NOTHING)
    size = len(made.content)
    assert verdict == Verdict(
        f"Signed by the tests; {size:,} bytes, standard operators only; it loads and runs.",
        (),
        {**verdict.figures, "bytes": size, "inputs": ["features"]},
    )
    assert len(verdict.figures["digest"]) == 64
    assert {"probability", "contributions"} < set(verdict.figures["outputs"])


@pytest.mark.parametrize("name", ["release.json", "manifest.json", "model.onnx"])
def test_a_file_of_a_release_that_is_changed_or_gone_is_a_fault(name: str, tmp_path: Path) -> None:
    made = subject(tmp_path)
    (made.folder / name).write_bytes(b"{}")
    verdict = folder.check_file(made, NOTHING)
    assert (verdict.sentence, len(verdict.faults), verdict.figures) == ("", 1, {})
    (made.folder / name).unlink()
    assert len(folder.check_file(made, NOTHING).faults) == 1


def test_the_verdict_on_what_is_in_a_release(tmp_path: Path) -> None:
    made = subject(tmp_path, manifest=lambda document: document.update(software={"numpy": "2.0"}))
    known = replace(evidence(), installed=lambda _: ("2.0", "BSD-3-Clause"))
    verdict = folder.check_contents(made, known)
    assert verdict == Verdict(
        "3 components, none under a licence that is kept out; no secret, person or program in the files.",
        (),
        {"components": 3},
        verdict.rows,
    )
    assert [row["component"] for row in verdict.rows][::2] == ["mortality_5y", "numpy"]
    (made.folder / "notes.txt").write_text("")
    (made.folder / "release.json").write_text("of 123-45-6789")
    assert folder.check_contents(made, replace(known, installed=lambda _: ("2.0", "AGPL-3.0"))).faults == (
        "notes.txt is no part of a release",
        "release.json holds a social security number",
        "numpy is under AGPL-3.0, which is kept out",
    )
    with pytest.raises(NotRun, match=r"^No network here\.$"):
        folder.check_contents(made, evidence(absent={"installed": "No network here."}))


WHOLE = "All 31 attributes; the same card is in the file; risks reviewed."


def test_a_whole_card_is_no_fault(good: Subject) -> None:
    assert folder.check_card(good, evidence()) == Verdict(WHOLE)


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (lambda card: card["model"].update(title="Other"), ("card.json is not the card inside the model file",)),
        (
            lambda card: card["model"].update(id="other"),
            ("card.json is not the card inside the model file", "the card is of other 1.2"),
        ),
        (
            lambda card: card["model"].update(version="9.9"),
            ("card.json is not the card inside the model file", "the card is of mortality_5y 9.9"),
        ),
        (
            lambda card: card["model"].update(core_sha256="0" * 64),
            (
                "card.json is not the card inside the model file",
                "the card was written for another model file (core_sha256)",
            ),
        ),
    ],
)
def test_a_card_beside_the_file_that_is_another_one(
    change: Callable[[Json], None], faults: tuple[str, ...], good: Subject
) -> None:
    other = copy.deepcopy(good.card)
    change(other)
    other_subject = replace(good, card=other)
    version = good.manifest.version
    assert folder._drift(other_subject) == [fault.replace("1.2", version) for fault in faults]
    assert folder._drift(good) == []


def test_a_file_without_a_card_inside_is_a_fault(tmp_path: Path, good: Subject) -> None:
    bare = Subject(folder=tmp_path, keys=good.keys, content=core(), manifest=good.manifest, card=good.card)
    (fault,) = folder._drift(bare)
    assert fault
    assert folder.check_card(bare, evidence()).faults == (fault,)


def test_a_card_that_says_other_things_than_the_manifest_names_them(tmp_path: Path, good: Subject) -> None:
    def change(card: Json) -> None:
        card["purpose"]["users"]["words"] = "Anybody."
        card["cautions"]["known_risks"]["words"] = "None."

    assert folder._other_figures(good) == []
    assert folder._other_figures(subject(tmp_path, card=change)) == [
        "the card does not say what the manifest gives: purpose.users, cautions.known_risks"
    ]
    changed = subject(tmp_path / "again", card=change)
    evidence_based = {**changed.card, "kind": "evidence-based"}
    other = replace(good, card=evidence_based)
    assert folder._other_figures(other) == []


def test_an_adopted_model_without_provenance_is_a_fault() -> None:
    manifest = SimpleNamespace(provenance=None, lineage=SimpleNamespace(fitted_sha256="a" * 64))
    assert folder._mixed_people(_subject(manifest=manifest)) == [
        "on whom it was fitted, evaluated and recalibrated is not told apart (provenance): adopt it again"
    ]
