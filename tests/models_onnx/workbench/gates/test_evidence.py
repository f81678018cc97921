"""What the gates of a model are judged by: what is there and what is not, with its reason, and how it is computed."""

import json
from collections.abc import Callable
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
from models_onnx.workbench.gates import evidence, rows
from models_onnx.workbench.gates.checks import figures
from models_onnx.workbench.gates.gate import Insufficient, NotRun, Verdict
from models_onnx.workbench.gates.subject import Evidence, InputEvidence, Paired, Subject
from models_onnx.workbench.training.commands import PREDICTIONS_AGREE
from models_onnx.workbench.training.data.leaks import Loss
from tests.each import for_rows
from tests.models_onnx.workbench.gates.formula import NO_BINS, item

Json = dict[str, Any]
NONE = Evidence(as_of=date(2026, 11, 20), timer=float)
MANIFEST_OF_M: Any = SimpleNamespace(id="m")
SUBJECT: Any = SimpleNamespace(id="m", manifest=MANIFEST_OF_M, folder=Path("own/m"))
TABLE: dict[str, Any] = {
    "people": "people", "retrained": "retrained", "audit": "first", "further_audits": ("second", "third"),
    "paired": "paired", "figures": {"figures": 1}, "inputs": "inputs",
}  # fmt: skip
SITE = replace(NONE, cards=cast("Any", "cards"), sentences=())


def _subject(**product: Any) -> Subject:
    return cast(Subject, SimpleNamespace(product=product, manifest=SimpleNamespace(reference=NO_BINS)))


def _says(check: Callable[[Subject, Evidence], Verdict], subject: Subject, evidence: Evidence) -> Any:
    """The sentence and the faults; the reason where there is no verdict."""
    try:
        verdict = check(subject, evidence)
    except (Insufficient, NotRun) as reason:
        return f"{type(reason).__name__}: {reason}"
    return verdict.faults or verdict.sentence


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
    return there


def _gathered(subject: Any, site: Evidence = SITE) -> Any:
    return evidence.gather(subject, {}, site, Path("tables"), cast("Any", print), None)


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
    traced = ("smuggled",), ("unnamed",)
    monkeypatch.setattr(f"{training}.data.reads.Reads.of", lambda *_: "reads")
    monkeypatch.setattr(f"{training}.data.leaks.leaks_in_table", lambda *given: (given[2],))
    monkeypatch.setattr(evidence, "traced_groups", lambda *_: traced)
    monkeypatch.setattr(f"{training}.data.leaks.uneven_fold", lambda *_: "uneven")
    monkeypatch.setattr(f"{training}.data.leaks.alone", lambda _: {"alone": 0.7})
    monkeypatch.setattr(f"{training}.data.leaks.after_horizon", lambda *_: {"after": 0.6})
    monkeypatch.setattr(f"{training}.data.leaks.losses_without", lambda answers, _: {"lost": answers(rows)[0]})
    subject: Any = SimpleNamespace(
        answers=lambda given: SimpleNamespace(probability=np.arange(len(given)) + 10),
    )
    found = evidence._input_evidence(subject, None, cohort)
    assert json.loads(json.dumps({name: getattr(found, name) for name in found.__dataclass_fields__}, default=int)) == {
        "alone": {"alone": 0.7}, "after": {"after": 0.6}, "losses": {"lost": 10}, "leaks": ["reads"],
        "uneven": "uneven", "smuggled": ["smuggled"], "unnamed": ["unnamed"],
        "undated": {"a": 0.25, "b": 0.5},
    }  # fmt: skip


# What gates G7, G8 and G18 say at their limits, on figures that are written by hand.
def _figures(floor: Any = 0.7, inputs: InputEvidence | None = None, **members: Any) -> tuple[Subject, Evidence]:
    return _subject(auroc_floor=floor), Evidence(as_of=date(2026, 11, 20), timer=float, figures=members, inputs=inputs)


def _auroc(value: float = 0.8, low: float | None = 0.75, events: int = 100, **more: Any) -> Json:
    return {"events": events, "n": 1000, "auroc": {"value": value, "low": low, "high": 0.85}, **more}


def test_discrimination() -> None:
    cases: list[Any] = [
        (0.7, {"all": _auroc()}),
        (0.75, {"all": _auroc()}),
        (0.751, {"all": _auroc()}),
        (0.5, {"all": _auroc(0.65, 0.599)}),
        (0.5, {"all": _auroc(0.65, 0.6)}),
        (1, {"all": _auroc()}),
        (0.7, {"all": _auroc(low=None)}),
        (0.7, {"all": _auroc(events=99)}),
        (None, {"all": _auroc()}),
        (0.7, {}),
        (0.7, {"all": _auroc(), "simple": {"inputs": ["age", "sex"], "gain": {"value": 0.05, "low": 0.01}}}),
        (0.7, {"all": _auroc(), "simple": {"inputs": ["age"], "gain": {"value": 0.05, "low": 0.0}}}),
        (0.7, {"all": _auroc(ppv={"value": 0.15, "high": 0.199})}),
        (0.7, {"all": _auroc(ppv={"value": 0.15, "high": 0.2})}),
    ]
    verdicts = tuple(_says(figures.check_discrimination, *_figures(floor, **members)) for floor, members in cases)
    assert verdicts == (
        "AUROC 0.800 (0.750 to 0.850), floor 0.7.",
        "AUROC 0.800 (0.750 to 0.850), floor 0.75.",
        ("AUROC 0.800, its interval begins at 0.750, below the floor 0.751",),
        ("AUROC 0.650, its interval begins at 0.599, below the floor 0.6",),
        "AUROC 0.650 (0.600 to 0.850), floor 0.6.",
        ("AUROC 0.800, its interval begins at 0.750, below the floor 1",),
        ("AUROC 0.800, its interval begins at nan, below the floor 0.7",),
        "Insufficient: 99 events; 100 are needed for a verdict.",
        ("NotRun: No floor is declared (product.auroc_floor of the card), so nothing can be held against it."),
        "NotRun: There is no evaluation on people it was not trained on.",
        "AUROC 0.800 (0.750 to 0.850), floor 0.7; +0.050 over age and sex alone.",
        ("it is not better than age alone (gain 0.050)",),
        ("of its alerts 15 in 100 have the outcome, fewer than 20",),
        "AUROC 0.800 (0.750 to 0.850), floor 0.7.",
    )


def _ratio(value: float, low: float | None, high: float | None) -> Json:
    return {"value": value, "low": low, "high": high}


def _block(ratio: Json, events: int = 50, **more: Any) -> Json:
    return {"events": events, "n": 1000, "observed_expected": ratio, **more}


@for_rows(
    ("alone", "after", "loss", "words"),
    [
        (0.849, None, (0.0, 0.0), None),
        (0.85, None, (0.0, 0.0), "alone reaches an AUROC of 0.85: it knows the outcome"),
        (0.75, 0.601, (0.0, 0.0), None),
        (0.75, 0.5, (0.0, 0.0), "for events within the horizon and 0.50 for those after it"),
        (0.6, None, (0.149, 0.2), None),
        (0.6, None, (0.2, 0.049), None),
        (0.6, None, (0.15, 0.05), "without creatinine_mg_dl the model loses 0.15"),
    ],
)
def test_an_input_that_knows_the_outcome(
    alone: float, after: float | None, loss: tuple[float, float], words: str | None
) -> None:
    name = "creatinine_mg_dl"
    inputs = InputEvidence(
        alone={name: alone}, after={} if after is None else {name: after}, losses={name: Loss(*loss)}
    )
    verdict = figures.check_discrimination(*_figures(inputs=inputs, all=_auroc()))
    assert len(verdict.faults) == (words is not None)
    assert words is None or words in verdict.faults[0]


def test_calibration() -> None:
    cases: list[Any] = [
        {"all": _block(_ratio(1.0, 0.9, 1.1))},
        {"latest": _block(_ratio(1.0, 0.95, 1.05)), "all": _block(_ratio(2, 2, 2))},
        {"all": _block(_ratio(1.0, 0.9, 1.1), events=49)},
        {"all": _block(_ratio(0.8, 0.7, 0.899))},
        {"all": _block(_ratio(0.8, 0.7, 0.9))},
        {"all": _block(_ratio(1.2, 1.101, 1.3))},
        {"all": _block(_ratio(1.2, 1.1, 1.3))},
        {"all": _block(_ratio(1.0, 0.85, 1.2))},
        {"all": _block(_ratio(1.098, 0.95, 1.25))},
        {"all": _block(_ratio(1.0, None, None))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(0.9, 0.8, 1.0))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(0.7, 0.6, 0.799))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(0.7, 0.6, 0.8))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(1.3, 1.201, 1.4))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope=_ratio(1.3, 1.2, 1.4))},
        {"all": _block(_ratio(1.0, 0.95, 1.05), calibration_slope={"value": None})},
        {
            "all": _block(_ratio(1.0, 0.95, 1.05)),
            "newest": {"words": "2025", "observed_expected": _ratio(1.2, 1.1, 1.3)},
        },
        {
            "all": _block(_ratio(1.0, 0.95, 1.05)),
            "horizons": {
                "rows": [
                    {"years": 1, "events": 50, "observed_expected": _ratio(0.8, 0.7, 0.899)},
                    {"years": 2, "events": 49, "observed_expected": _ratio(0.8, 0.7, 0.899)},
                    {"years": 3, "events": 50, "observed_expected": _ratio(0.8, 0.7, 0.9)},
                    {"years": 4, "events": 50, "observed_expected": _ratio(1.2, 1.101, 1.3)},
                ]
            },
        },
    ]
    verdicts = tuple(_says(figures.check_calibration, *_figures(**members)) for members in cases)
    assert verdicts == (
        "Observed/expected 1.000 (0.900 to 1.100).",
        "Observed/expected 1.000 (0.950 to 1.050).",
        "Insufficient: 49 events; 50 are needed for a verdict.",
        ("observed/expected 0.800, interval 0.700 to 0.899, not within 0.9 to 1.1",),
        (
            "Insufficient: observed/expected 0.800, interval 0.700 to 0.900: neither within 0.9 to 1.1 nor "
            "wholly outside. About 1,139 people would be needed for a verdict; there are 1,000 with 50 "
            "events."
        ),
        ("observed/expected 1.200, interval 1.101 to 1.300, not within 0.9 to 1.1",),
        (
            "Insufficient: observed/expected 1.200, interval 1.100 to 1.300: neither within 0.9 to 1.1 nor "
            "wholly outside. About 922 people would be needed for a verdict; there are 1,000 with 50 events."
        ),
        (
            "Insufficient: observed/expected 1.000, interval 0.850 to 1.200: neither within 0.9 to 1.1 nor "
            "wholly outside. About 3,273 people would be needed for a verdict; there are 1,000 with 50 "
            "events."
        ),
        (
            "Insufficient: observed/expected 1.098, interval 0.950 to 1.250: neither within 0.9 to 1.1 nor "
            "wholly outside. It is so close to 1.1 that no number of people near 1,000 would decide it."
        ),
        ("observed/expected 1.000, interval nan to nan, not within 0.9 to 1.1",),
        "Observed/expected 1.000 (0.950 to 1.050), slope 0.900.",
        ("calibration slope 0.700, its interval lies outside 0.8 to 1.2",),
        "Observed/expected 1.000 (0.950 to 1.050), slope 0.700.",
        ("calibration slope 1.300, its interval lies outside 0.8 to 1.2",),
        "Observed/expected 1.000 (0.950 to 1.050), slope 1.300.",
        ("no calibration slope can be computed: the estimates do not follow the outcome",),
        (
            "Observed/expected 1.000 (0.950 to 1.050). Beside it 2025, the latest followed to the horizon: "
            "1.200 (1.100 to 1.300)."
        ),
        ("at 1 years observed/expected 0.800 (0.700 to 0.899)", "at 4 years observed/expected 1.200 (1.101 to 1.300)"),
    )


def test_the_limit_that_is_nearer_decides_how_many_people_are_needed() -> None:
    """(half the logarithm of the interval / that of the way to the limit)^2 times the people; not nearer than 0.005."""
    block = {"n": 1000, "events": 1234}
    assert figures._needed(block, 1.0, 0.8, 1.25) == (
        "About 5,482 people would be needed for a verdict; there are 1,000 with 1,234 events."
    )
    assert figures._needed(block, 0.95, 0.8, 1.25).startswith("About 17,034 people ")
    near = "It is so close to 1.1 that no number of people near 1,000 would decide it."
    assert figures._needed(block, 1.1 * float(np.exp(-0.00499)), 0.8, 1.25) == near
    assert figures._needed(block, 1.1 * float(np.exp(-0.00501)), 0.8, 1.25) != near


def _version(evaluation: Json, sha256: str = "a") -> Subject:
    data = SimpleNamespace(sha256=sha256)
    return cast(
        Subject,
        SimpleNamespace(product={}, manifest=SimpleNamespace(data=data, version="1.2", evaluation=evaluation)),
    )


def test_no_worse_than_the_version_in_use() -> None:
    def says(mine: float, theirs: Json, sha256: str = "a", n: int = 1000) -> Any:
        block = {"n": n, "events": 100, "auroc": {"value": mine}}
        evidence = replace(NONE, active=_version(theirs, sha256), figures={"all": block})
        return _says(figures.check_not_worse, _version({}), evidence)

    theirs = {"all": {"n": 1000, "events": 100, "auroc": {"value": 0.8}}}
    assert (
        _says(figures.check_not_worse, _version({}), NONE)
        == "No other version of it is in use: there is nothing it could be worse than."
    )
    assert says(0.795, theirs) == "AUROC -0.0050 against 1.2, evaluated on the same table."
    assert says(0.789, theirs) == ("AUROC is 0.011 lower than that of 1.2, which is in use",)
    assert says(0.82, theirs) == "AUROC +0.0200 against 1.2, evaluated on the same table."
    assert says(0.8, {}) == "NotRun: Version 1.2 in use has no stored evaluation to compare with."
    assert says(0.8, theirs, "b") == (
        "NotRun: The two versions were evaluated on different people; give the data folder to compare them."
    )
    assert says(0.8, theirs, n=999) == (
        "NotRun: The two versions were evaluated on different people; give the data folder to compare them."
    )


def test_the_bins_of_the_reference_are_the_rows_of_the_calibration() -> None:
    row = SimpleNamespace(predicted=0.1, rate=0.2, low=0.15, high=0.25, count=40)
    reference = SimpleNamespace(bins=[row])
    ours = cast(Subject, SimpleNamespace(manifest=SimpleNamespace(reference=reference)))
    assert figures._bins(ours) == [{"expected": 0.1, "observed": 0.2, "low": 0.15, "high": 0.25, "people": 40}]


def test_no_worse_on_the_same_people() -> None:
    draw = np.random.default_rng(1)
    y = (draw.random(400) < 0.3).astype(np.int64)
    margin = draw.normal(size=400) + 2.0 * y

    def says(mine: Any, theirs: Any, threshold: float = 0.0) -> Any:
        pair = Paired(margin=mine, active_margin=theirs, y=y, threshold=threshold)
        return _says(figures.check_not_worse, _version({}), replace(NONE, active=_version({}), paired=pair))

    assert says(margin, margin) == (
        "AUROC +0.0000 (+0.0000 to +0.0000), net benefit +0.0000 against 1.2, on the same 400 people."
    )
    assert says(margin, margin + 2.0 * y) == (
        ("AUROC -0.0691 (-0.0934 to -0.0479) against 1.2 on the same people: more than 0.01 worse cannot be ruled out"),
        "net benefit at the threshold is 0.0075 lower than that of 1.2",
    )
    assert says(margin - 1.0, margin) == (
        "AUROC +0.0000 (+0.0000 to +0.0000), net benefit +0.1925 against 1.2, on the same 400 people."
    )
    assert says(margin, margin - 1.0, -1.0) == ("net benefit at the threshold is 0.0670 lower than that of 1.2",)


AGE, YES = item("age", 20.0, 90.0, 50.0), item("smoker", 0.0, 1.0, 0.25)


def test_ordinary_people_lie_around_the_middle_within_the_nearer_ends_distance() -> None:
    """The nearer end is 30 years off: a third of it is the spread; hardly anybody lies farther than that end."""
    people = rows.ordinary((AGE, YES, item("same", 5.0, 5.0, 5.0), item("low", 0.0, 9.0, 0.0)), 4000)
    assert people.shape == (4000, 4)
    assert people[:, 0].mean() == pytest.approx(50.0, abs=0.6)
    assert people[:, 0].std() == pytest.approx(10.0, abs=0.4)
    assert 20.0 <= people[:, 0].min() < people[:, 0].max() <= 90.0
    assert set(people[:, 1].tolist()) == {0.0, 1.0}
    assert people[:, 1].mean() == pytest.approx(0.25, abs=0.025)
    assert set(people[:, 2].tolist()) == {5.0}
    # a middle at an end has no nearer end: the whole range counts, 9 / 3, and half of the people lie on the end
    assert (people[:, 3] == 0.0).mean() == pytest.approx(0.5, abs=0.03)
    assert people[people[:, 3] > 0.0, 3].mean() == pytest.approx(3.0 * (2.0 / np.pi) ** 0.5, abs=0.1)
    assert np.array_equal(
        people, rows.ordinary((AGE, YES, item("same", 5.0, 5.0, 5.0), item("low", 0.0, 9.0, 0.0)), 4000)
    )
    assert not np.array_equal(rows.ordinary((AGE,), 50), rows.ordinary((AGE,), 50, 1))


def test_a_yes_or_no_has_the_range_from_nothing_to_one() -> None:
    ranges = [(0.0, 1.0), (0.0, 2.0), (-1.0, 1.0)]
    assert [rows.is_binary(item("a", low, high, 0.5)) for low, high in ranges] == [True, False, False]
