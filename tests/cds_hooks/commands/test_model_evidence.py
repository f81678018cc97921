"""What the gates of a model are judged by: what is there and what is not, with its reason, and how it is computed."""

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from email.message import Message
from importlib import metadata
from pathlib import Path
from time import thread_time
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from cds_hooks.commands.model import evidence
from models_onnx.artifact.folder import MANIFEST
from models_onnx.errors import TrainingRefused
from models_onnx.workbench.training.commands import PREDICTIONS_AGREE

SUBJECT: Any = SimpleNamespace(id="m", manifest="manifest", folder=Path("own/m"), evaluation={"all": 1})
IMPORTED: Any = SimpleNamespace(id="m", manifest=None, folder=Path("own/m"), evaluation={"all": 1})
TABLE = evidence.FromTable(
    people=cast("Any", "people"), retrained=cast("Any", "retrained"), audits=cast("Any", ("first", "second", "third")),
    paired=cast("Any", "paired"), figures={"figures": 1}, inputs=cast("Any", "inputs"),
)  # fmt: skip
NO_TABLE = "Not without the training table: no table m.csv."
NO_CARD = "No service of this server shows m on a card, so there is no card to read."


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What there is, to be changed, and with what each piece was asked for."""
    there: dict[str, Any] = {"table": TABLE, "service": None, "cards": "cards", "asked": []}

    def from_table(*given: Any) -> Any:
        there["asked"].append(given)
        if isinstance(there["table"], Exception):
            raise there["table"]
        return there["table"]

    def served(*given: Any) -> str:
        there["asked"].append(given)
        return "served"

    monkeypatch.setattr(evidence, "_in_use", lambda *_: "active")
    monkeypatch.setattr(evidence, "_from_table", from_table)
    monkeypatch.setattr(evidence, "own_service", lambda _: there["service"])
    monkeypatch.setattr(evidence, "composer", lambda *given: given[1:] if there["cards"] == "words" else there["cards"])
    monkeypatch.setattr(evidence, "service_sentences", lambda model: f"sentences of {model}")
    monkeypatch.setattr(evidence, "_other_cards", lambda _: "other cards")
    monkeypatch.setattr(evidence, "served_inputs", served)
    monkeypatch.setattr(evidence, "_index", lambda *given: f"index of {given}")
    monkeypatch.setattr(evidence, "today", lambda: date(2026, 11, 20))
    rows = SimpleNamespace(people="given people", audit="given audit", library="library")
    monkeypatch.setattr(evidence, "read_rows", lambda *_: rows)
    return there


def _gathered(subject: Any, rows: Path | None = None, charts: Path | None = None) -> dict[str, Any]:
    """The evidence by name, without what does not depend on what is there."""
    found = evidence.gather(subject, {}, Path("tables"), cast("Any", print), Path("specs"), rows, charts)
    always = {
        "as_of": date(2026, 11, 20), "timer": thread_time, "active": "active", "other_cards": "other cards",
        "installed": evidence._installed,
    }  # fmt: skip
    members = {name: getattr(found, name) for name in found.__dataclass_fields__}
    assert {name: members.pop(name) for name in always} == always
    assert members.pop("waiver_fault").args == (subject,)
    return members


FROM_TABLE = {
    "people": "people", "retrained": "retrained", "audit": "first", "further_audits": ("second", "third"),
    "library": None, "figures": {"figures": 1}, "inputs": "inputs", "served": None, "cards": "cards",
    "sentences": "sentences of m", "paired": "paired", "absent": {},
}  # fmt: skip
NOTHING = FROM_TABLE | dict.fromkeys(("people", "retrained", "audit", "figures", "inputs", "paired"))
NOTHING["further_audits"] = ()


def test_the_training_table_gives_people_figures_audits_and_pairs(pieces: dict[str, Any]) -> None:
    assert _gathered(SUBJECT) == FROM_TABLE
    assert pieces["asked"] == [(SUBJECT, "active", Path("tables"), print, Path("specs"))]
    pieces["table"] = replace(TABLE, audits=(), figures=None)
    other = "The file is not the model that its specification and table give, so no figure is of it."
    expected = {"audit": None, "further_audits": (), "figures": None, "absent": {"figures": other}}
    assert _gathered(SUBJECT) == FROM_TABLE | expected


@pytest.mark.parametrize("problem", [TrainingRefused("no table m.csv"), ModuleNotFoundError("no table m.csv")])
def test_without_the_training_table_each_piece_of_it_has_its_reason(pieces: dict[str, Any], problem: Exception) -> None:
    pieces["table"] = problem
    names = ("retrained", "audit", "people", "figures")
    assert _gathered(SUBJECT) == NOTHING | {"absent": dict.fromkeys(names, NO_TABLE)}


def test_rows_that_are_given_stand_for_the_table(pieces: dict[str, Any]) -> None:
    given = {"people": "given people", "audit": "given audit", "library": "library", "figures": {"all": 1}}
    for subject in (SUBJECT, IMPORTED):
        assert _gathered(subject, rows=Path("rows.csv")) == NOTHING | given
    assert _gathered(IMPORTED) == NOTHING
    assert pieces["asked"] == []


def test_charts_give_what_is_missing_when_the_model_is_asked(pieces: dict[str, Any]) -> None:
    charts = Path("charts")
    assert _gathered(SUBJECT, charts=charts)["served"] == "served"
    assert _gathered(IMPORTED, charts=charts)["served"] is None
    service = SimpleNamespace(is_at_discharge=True, lines=lambda path: f"lines of {path}")
    pieces["service"] = (service, SimpleNamespace(path=Path("talk.service.toml")))
    pieces["cards"] = "words"
    found = _gathered(SUBJECT, charts=charts)
    assert (found["sentences"], found["cards"]) == ("lines of talk.service.toml", (pieces["service"],))
    indices = [given[2] for given in pieces["asked"] if len(given) == 3]
    specs = Path("specs")
    assert indices == [f"index of {('m', specs, None)}", f"index of {('m', specs, True)}"]
    assert [given[:2] for given in pieces["asked"] if len(given) == 3] == [("manifest", charts)] * 2


def test_a_model_that_no_service_shows_has_no_card(pieces: dict[str, Any]) -> None:
    pieces["cards"] = None
    assert _gathered(SUBJECT) == FROM_TABLE | {"cards": None, "absent": {"cards": NO_CARD}}


@pytest.mark.parametrize(
    ("declared", "at_discharge", "index"),
    [
        ("third-day", None, "third-day"),
        ("discharge", None, "discharge"),
        ("third-day", True, "discharge"),
        ("third-day", False, "visit"),
        (None, None, "visit"),
        (None, True, "discharge"),
        (None, False, "visit"),
    ],
)
def test_a_model_is_asked_when_its_service_is_called_or_as_it_is_declared(
    declared: str | None, at_discharge: bool | None, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    charts = SimpleNamespace(index=declared) if declared is not None else None
    monkeypatch.setattr("models_onnx.spec.get_spec", lambda *_: SimpleNamespace(charts=charts))
    assert evidence._index("m", None, at_discharge) == index


def test_a_waiver_counts_behind_a_trust_file_where_two_people_have_signed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    configured = SimpleNamespace(trust_file=None, as_of=datetime(2026, 11, 20, tzinfo=UTC))
    asked: list[Any] = []

    def why_not(*given: Any) -> str:
        asked.append(given)
        return "it is not signed"

    book = SimpleNamespace(why_not_approved=why_not)
    monkeypatch.setattr(evidence, "settings", lambda: configured)
    monkeypatch.setattr(evidence, "today", lambda: date(2026, 11, 20))
    monkeypatch.setattr(evidence, "site_approvals", lambda: book)
    subject: Any = SimpleNamespace(id="m", about=SimpleNamespace(version="2.0.0"))
    assert (evidence._waiver_fault(subject, {"gate": "G9"}), asked) == (None, [])
    configured.trust_file = Path("trust.toml")
    assert evidence._waiver_fault(subject, {"gate": "G9"}) == "it is not signed"
    assert asked == [("waiver", {"model": "m", "version": "2.0.0", "gate": "G9"}, date(2026, 11, 20))]


@pytest.mark.parametrize(
    ("content", "is_twin"),
    [
        ('{"twin": {"id": "m"}}', True),
        ('{"twin": {"id": "n"}}', False),
        ('{"twin": "m"}', False),
        ("{}", False),
        ("{", False),
        (None, False),
    ],
)
def test_a_twin_names_the_model_that_it_takes_over_for(content: str | None, is_twin: bool, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / MANIFEST).write_text(content)
    assert evidence._is_twin_of(tmp_path / "card.json", "m") is is_twin


@pytest.mark.parametrize(
    ("fields", "classifiers", "licence"),
    [
        ({"License-Expression": "BSD-3-Clause", "License": "other"}, ["License :: OSI Approved :: MIT License"],
         "BSD-3-Clause"),
        ({"License": "MIT"}, [], "MIT"),
        ({"License": "x" * 60}, ["License :: OSI Approved :: MIT License"], "x" * 60),
        ({"License": "x" * 61}, ["License :: OSI Approved :: MIT License", "Topic :: A", "License :: Public Domain"],
         "MIT License, Public Domain"),
        ({"License": "x" * 61}, [], "x" * 60),
        ({}, ["License :: OSI Approved :: MIT License"], "MIT License"),
        ({}, [], ""),
    ],
)  # fmt: skip
def test_a_licence_is_what_the_package_says_in_few_words(
    fields: dict[str, str], classifiers: list[str], licence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = Message()
    for name, value in {"Version": "1.2", **fields}.items():
        described[name] = value
    for classifier in classifiers:
        described["Classifier"] = classifier
    monkeypatch.setattr(metadata, "metadata", lambda _: described)
    assert evidence._installed("a-package") == ("1.2", licence)


# From the training table


class _Training:
    """A table of so many people, a file trained from it, and how far its probabilities are from the signed file's."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, people: int, gap: float) -> None:
        self.asked: list[Any] = []
        self.cohort = SimpleNamespace(X=np.arange(people, dtype=float).reshape(-1, 1), features=["a"])
        data = SimpleNamespace(sha256="d" * 64)
        self.manifest = SimpleNamespace(seed=7, data=data, evaluation={"all": {"auroc": {"value": 0.80}}})
        self.trained = SimpleNamespace(
            content=b"trained", manifest=SimpleNamespace(data=data, evaluation={"all": {"auroc": {"value": 0.79}}})
        )
        self.subject: Any = SimpleNamespace(
            id="m", about=SimpleNamespace(version="2.0.0"), manifest=self.manifest, content=b"signed",
            answers=lambda rows: SimpleNamespace(probability=np.full(len(rows), 0.5)),
        )  # fmt: skip
        probability = np.full(people, 0.5)
        probability[0], probability[-1] = 0.5 - gap, np.nan
        self.answers = lambda rows: SimpleNamespace(probability=probability[: len(rows)])
        runner = SimpleNamespace(answers=self.answers)
        pipeline, cohort = "models_onnx.workbench.training.pipeline", "models_onnx.workbench.training.data.cohort"
        monkeypatch.setattr("models_onnx.spec.get_spec", self._noted("spec", "the spec"))
        monkeypatch.setattr(f"{cohort}.read_table", self._noted("table", SimpleNamespace(rows="rows")))
        monkeypatch.setattr(f"{cohort}.build_cohort", self._noted("cohort", self.cohort))
        monkeypatch.setattr(f"{pipeline}.train", self._noted("train", self.trained))
        monkeypatch.setattr(f"{pipeline}.differences", lambda *given: [f"{len(given)} differ"])
        monkeypatch.setattr("models_onnx.model_card.embed.core_digest", bytes.decode)
        monkeypatch.setattr("models_onnx.workbench.gates.subject.Runner", lambda *_: runner)
        monkeypatch.setattr(evidence, "_audits", lambda *_: iter(["audit"]))
        monkeypatch.setattr(evidence, "_paired", lambda *_: "paired")
        monkeypatch.setattr(evidence, "_input_evidence", lambda *_: "inputs")

    def _noted(self, name: str, answer: Any) -> Any:
        def call(*given: Any) -> Any:
            self.asked.append((name, *given))
            return answer

        return call

    def gathered(self) -> Any:
        return evidence._from_table(self.subject, None, Path("tables"), cast("Any", print), Path("specs"))


@pytest.mark.parametrize("gap", [PREDICTIONS_AGREE * 0.99, PREDICTIONS_AGREE * 1.01])
def test_figures_are_of_the_file_where_its_table_gives_the_same_estimates(
    gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = _Training(monkeypatch, 3, gap)
    found = training.gathered()
    figures = training.trained.manifest.evaluation if gap < PREDICTIONS_AGREE else None
    assert (found.people.tolist(), found.figures) == ([[0.0], [1.0], [2.0]], figures)
    assert (found.audits, found.paired, found.inputs) == (("audit",), "paired", "inputs")
    assert asdict(found.retrained) == {
        "same_file": False, "same_data": True, "auroc_difference": pytest.approx(0.01), "answers": training.answers,
        "trained": "trained", "differences": ("2 differ",),
    }  # fmt: skip
    assert training.asked == [
        ("spec", "m@2.0.0", Path("specs")),
        ("table", "the spec", Path("tables")),
        ("cohort", "the spec", "rows"),
        ("train", "the spec", SimpleNamespace(rows="rows"), 7, 200, print),
    ]


def test_of_many_people_four_hundred_are_taken_from_the_first_to_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    training = _Training(monkeypatch, 799, 0.0)
    training.subject.content = b"trained"
    training.trained.manifest.data = SimpleNamespace(sha256="e" * 64)
    found = training.gathered()
    assert found.people[:, 0].tolist() == list(range(0, 799, 2))
    assert (found.retrained.same_file, found.retrained.same_data) == (True, False)


def test_an_imported_file_has_no_table() -> None:
    assert evidence._from_table(IMPORTED, None, None, cast("Any", print), None) is None


@pytest.mark.parametrize("threshold", [0.25, None])
def test_what_each_input_tells_is_found_on_the_rows_of_the_table(
    threshold: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = "models_onnx.workbench.training"
    rows = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan], [4.0, np.nan]])
    cohort = SimpleNamespace(X=rows, features=["a", "b"])
    traced = SimpleNamespace(leaks=("leak",), smuggled=("smuggled",), unnamed=("unnamed",))
    monkeypatch.setattr(f"{training}.data.tracing.trace", lambda *_: traced)
    monkeypatch.setattr(f"{training}.data.leaks.alone", lambda _: {"alone": 0.7})
    monkeypatch.setattr(f"{training}.data.leaks.after_horizon", lambda *_: {"after": 0.6})
    monkeypatch.setattr(f"{training}.data.leaks.shuffled_losses", lambda answers, _: {"lost": answers(rows)[0]})
    monkeypatch.setattr(f"{training}.merged.figures_within_groups", lambda *given: (given[2].tolist(), given[3]))
    monkeypatch.setattr(f"{training}.merged.hidden_groups", lambda *_: ("hidden",))
    default = SimpleNamespace(default=SimpleNamespace(probability=threshold))
    subject: Any = SimpleNamespace(
        manifest=SimpleNamespace(thresholds=default) if threshold is not None else None,
        answers=lambda given: SimpleNamespace(probability=np.arange(len(given)) + 10),
    )
    found = evidence._input_evidence(subject, None, cohort)
    assert json.loads(json.dumps({name: getattr(found, name) for name in found.__dataclass_fields__}, default=int)) == {
        "alone": {"alone": 0.7}, "after": {"after": 0.6}, "losses": {"lost": 10}, "leaks": ["leak"],
        "smuggled": ["smuggled"], "unnamed": ["unnamed"], "merged": [[10, 11, 12, 13], threshold or 0.5],
        "hidden": ["hidden"], "missing": {"a": 0.25, "b": 0.75},
    }  # fmt: skip
