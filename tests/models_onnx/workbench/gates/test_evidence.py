"""What the gates of a model are judged by: what is there and what is not, with its reason, and how it is computed."""

import json
from dataclasses import asdict, replace
from datetime import date
from email.message import Message
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models_onnx.artifact.folder import MANIFEST
from models_onnx.errors import TrainingRefused
from models_onnx.workbench.gates import evidence
from models_onnx.workbench.gates.evidence import SiteEvidence
from models_onnx.workbench.training.commands import PREDICTIONS_AGREE

MANIFEST_OF_M: Any = SimpleNamespace(id="m")
SUBJECT: Any = SimpleNamespace(id="m", manifest=MANIFEST_OF_M, folder=Path("own/m"))
TABLE: dict[str, Any] = {
    "people": "people", "retrained": "retrained", "audit": "first", "further_audits": ("second", "third"),
    "paired": "paired", "figures": {"figures": 1}, "inputs": "inputs",
}  # fmt: skip
SITE = SiteEvidence(as_of=date(2026, 11, 20), data=Path("tables"), cards=cast("Any", "cards"), sentences=())


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the training table gives, to be changed: evidence, or an error."""
    there: list[Any] = [TABLE]

    def from_table(*_: Any) -> Any:
        if isinstance(there[0], Exception):
            raise there[0]
        return there[0]

    monkeypatch.setattr(evidence, "_from_table", from_table)
    monkeypatch.setattr(evidence, "_in_use", lambda *_: None)
    monkeypatch.setattr(evidence, "_other_cards", lambda _: {})
    monkeypatch.setattr(evidence, "served_inputs", lambda *given: given)
    return there


def _gathered(subject: Any, site: SiteEvidence = SITE, charts: Path | None = None) -> Any:
    return evidence.gather(subject, {}, site, cast("Any", print), None, charts)


def _facts(gathered: Any) -> tuple[Any, ...]:
    names = ("people", "retrained", "audit", "further_audits", "figures", "inputs", "paired")
    return tuple(getattr(gathered, name) for name in names)


NOTHING = (None, None, None, (), None, None, None)


def test_the_training_table_gives_people_figures_audits_and_pairs(table: list[Any]) -> None:
    gathered = _gathered(SUBJECT)
    assert _facts(gathered) == (
        "people", "retrained", "first", ("second", "third"), {"figures": 1}, "inputs", "paired",
    )  # fmt: skip
    assert (gathered.cards, gathered.absent) == ("cards", {})
    table[0] = TABLE | {"figures": None}
    other = _gathered(SUBJECT)
    assert other.figures is None
    assert other.absent == {
        "figures": "The file is not the model that its specification and table give, so no figure is of it."
    }


@pytest.mark.parametrize("problem", [TrainingRefused("no table m.csv"), ModuleNotFoundError("no table m.csv")])
def test_without_the_training_table_each_piece_of_it_has_its_reason(table: list[Any], problem: Exception) -> None:
    table[0] = problem
    gathered = _gathered(SUBJECT)
    assert _facts(gathered) == NOTHING
    names = ("retrained", "audit", "people", "figures")
    assert gathered.absent == dict.fromkeys(names, "Not without the training table: no table m.csv.")


@pytest.mark.usefixtures("table")
def test_a_model_that_no_service_shows_has_no_card() -> None:
    gathered = _gathered(SUBJECT, replace(SITE, cards=None))
    assert gathered.absent == {"cards": "No service of this server shows m on a card, so there is no card to read."}


@pytest.mark.parametrize(("at_discharge", "index"), [(None, "visit"), (True, "discharge"), (False, "visit")])
@pytest.mark.usefixtures("table")
def test_charts_are_asked_when_the_service_is_called(at_discharge: bool | None, index: str) -> None:
    site = replace(SITE, at_discharge=at_discharge)
    assert _gathered(SUBJECT, site, charts=Path("charts")).served == (MANIFEST_OF_M, Path("charts"), index)
    assert _gathered(SUBJECT, site).served is None


def test_the_audit_keeps_the_whole_name_of_a_group_where_some_people_have_none() -> None:
    cohort = SimpleNamespace(
        rows=pd.DataFrame({"race": ["Black", "Biracial", None]}), y=[0, 1, 0], X=None, weight=[1] * 3
    )
    outcome = SimpleNamespace(column="event")
    spec = SimpleNamespace(subgroups={"race": lambda rows: rows["race"]}, outcome=outcome)
    product = {"label": {"audit": {"axis": "race", "need": "event", "words": "events"}}}
    subject = SimpleNamespace(product=product, answers=lambda _: SimpleNamespace(probability=np.zeros(3)))
    (audit,) = evidence._audits(cast(Any, subject), spec, cohort)
    assert audit.group.tolist() == ["Black", "Biracial", "not recorded"]


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
        self.manifest: Any = SimpleNamespace(
            version="2.0.0", seed=7, data=data, evaluation={"all": {"auroc": {"value": 0.80}}}
        )
        self.trained = SimpleNamespace(
            content=b"trained", manifest=SimpleNamespace(data=data, evaluation={"all": {"auroc": {"value": 0.79}}})
        )
        self.subject: Any = SimpleNamespace(
            id="m", manifest=self.manifest, content=b"signed",
            answers=lambda rows: SimpleNamespace(probability=np.full(len(rows), 0.5)),
        )  # fmt: skip
        probability = np.full(people, 0.5)
        probability[0], probability[-1] = 0.5 - gap, np.nan
        self.answers = lambda rows: SimpleNamespace(probability=probability[: len(rows)])
        runner = SimpleNamespace(answers=self.answers)
        pipeline, cohort = "models_onnx.workbench.training.pipeline", "models_onnx.workbench.training.data.cohort"
        monkeypatch.setattr(evidence, "get_spec", self._noted("spec", "the spec"))
        monkeypatch.setattr(f"{cohort}.read_table", self._noted("table", SimpleNamespace(rows="rows")))
        monkeypatch.setattr(f"{cohort}.build_cohort", self._noted("cohort", self.cohort))
        monkeypatch.setattr(f"{pipeline}.train", self._noted("train", self.trained))
        monkeypatch.setattr(f"{pipeline}.differences", lambda *given: [f"{len(given)} differ"])
        monkeypatch.setattr(evidence, "core_digest", bytes.decode)
        monkeypatch.setattr(evidence, "Runner", lambda *_: runner)
        monkeypatch.setattr(evidence, "_audits", lambda *_: iter(["first", "second"]))
        monkeypatch.setattr(evidence, "_paired", lambda *_: "paired")
        monkeypatch.setattr(evidence, "_input_evidence", lambda *_: "inputs")

    def _noted(self, name: str, answer: Any) -> Any:
        def call(*given: Any) -> Any:
            self.asked.append((name, *given))
            return answer

        return call

    def gathered(self) -> Any:
        tables, specs = Path("tables"), Path("specs")
        return evidence._from_table(self.subject, None, tables, cast("Any", print), specs)


@pytest.mark.parametrize("gap", [PREDICTIONS_AGREE * 0.99, PREDICTIONS_AGREE * 1.01])
def test_figures_are_of_the_file_where_its_table_gives_the_same_estimates(
    gap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = _Training(monkeypatch, 3, gap)
    found = training.gathered()
    figures = training.trained.manifest.evaluation if gap < PREDICTIONS_AGREE else None
    assert (found["people"].tolist(), found["figures"]) == ([[0.0], [1.0], [2.0]], figures)
    names = ("audit", "further_audits", "paired", "inputs")
    assert [found[name] for name in names] == ["first", ("second",), "paired", "inputs"]
    assert asdict(found["retrained"]) == {
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
    assert found["people"][:, 0].tolist() == list(range(0, 799, 2))
    assert (found["retrained"].same_file, found["retrained"].same_data) == (True, False)


def test_what_each_input_tells_is_found_on_the_rows_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    training = "models_onnx.workbench.training"
    rows = np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan], [4.0, np.nan]])
    undated = pd.DataFrame({"undated_inputs": ["b", "", "a b", "other"]})
    cohort = SimpleNamespace(X=rows, features=["a", "b"], rows=undated)
    traced = SimpleNamespace(smuggled=("smuggled",), unnamed=("unnamed",), unjudged=("ward",))
    monkeypatch.setattr(f"{training}.data.reads.Reads.of", lambda *_: "reads")
    monkeypatch.setattr(f"{training}.data.leaks.leaks_in_table", lambda *given: (given[2],))
    monkeypatch.setattr(f"{training}.groups.traced_groups", lambda *_: traced)
    monkeypatch.setattr(f"{training}.data.leaks.uneven_fold", lambda *_: "uneven")
    monkeypatch.setattr(f"{training}.data.leaks.alone", lambda _: {"alone": 0.7})
    monkeypatch.setattr(f"{training}.data.leaks.after_horizon", lambda *_: {"after": 0.6})
    monkeypatch.setattr(f"{training}.data.leaks.losses_without", lambda answers, _: {"lost": answers(rows)[0]})
    monkeypatch.setattr(f"{training}.groups.figures_within_groups", lambda *given: (given[2].tolist(), given[3]))
    monkeypatch.setattr(f"{training}.groups.hidden_groups", lambda *_: ("hidden",))
    default = SimpleNamespace(default=SimpleNamespace(probability=0.25))
    subject: Any = SimpleNamespace(
        manifest=SimpleNamespace(thresholds=default),
        answers=lambda given: SimpleNamespace(probability=np.arange(len(given)) + 10),
    )
    found = evidence._input_evidence(subject, None, cohort)
    assert json.loads(json.dumps({name: getattr(found, name) for name in found.__dataclass_fields__}, default=int)) == {
        "alone": {"alone": 0.7}, "after": {"after": 0.6}, "losses": {"lost": 10}, "leaks": ["reads"],
        "uneven": "uneven", "smuggled": ["smuggled"], "unnamed": ["unnamed"], "unjudged": ["ward"],
        "merged": [[10, 11, 12, 13], 0.25],
        "hidden": ["hidden"], "missing": {"a": 0.25, "b": 0.75},
        "undated": {"a": 0.25, "b": 0.5},
    }  # fmt: skip
