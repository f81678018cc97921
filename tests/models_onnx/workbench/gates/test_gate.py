"""One gate's result: passed, failed with all faults, not run, too few data; and which gates of a report run at all."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from msgspec import structs
from onnx import NodeProto, TensorProto, helper, numpy_helper

from models_onnx.errors import ManifestRefused, UnsafeModel
from models_onnx.workbench.gates import run
from models_onnx.workbench.gates.checks.inputs import check_dictionary
from models_onnx.workbench.gates.gate import Gate, GateResult, Insufficient, NotRun, Verdict, figures_of
from models_onnx.workbench.gates.run import GATES, GateReport, _run, encode, run_gates
from models_onnx.workbench.gates.subject import Evidence, Runner, Subject, read_subject
from tests.each import for_rows
from tests.models_onnx.workbench.gates.formula import INPUTS, NOTHING, item
from tests.models_onnx.workbench.gates.obermeyer import Panel
from tests.models_onnx.workbench.gates.test_file_gates import audit, panel
from tests.models_onnx.workshop import KEYS, build, evidence, figured, good_card, good_manifest

FIGURES, ROWS = {"n": 5}, [{"axis": "sex"}]


def _gate(result: Verdict | Exception, name: str = "G5", opens: bool = True) -> Gate:
    def check(_subject: Subject, _evidence: Evidence) -> Verdict:
        if isinstance(result, Exception):
            raise result
        return result

    return Gate(name, "Title", check, "Do it.", opens)


@pytest.mark.parametrize(
    ("result", "status", "why", "kept"),
    [
        (Verdict("Fine.", (), FIGURES, ROWS), "passed", "Fine.", {"figures": FIGURES, "rows": ROWS}),
        (
            Verdict("Fine.", ("one", "two"), FIGURES, ROWS),
            "failed",
            "one; two",
            {"faults": ("one", "two"), "figures": FIGURES, "rows": ROWS},
        ),
        (NotRun("No rows."), "not run", "No rows.", {}),
        (Insufficient("Few rows."), "insufficient", "Few rows.", {}),
        (KeyError("x" * 400), "failed", "The check broke off: KeyError: '" + "x" * 299, {}),
    ],
)
def test_the_result_of_a_gate(
    result: Verdict | Exception, status: Any, why: str, kept: dict[str, Any], good: Subject
) -> None:
    told = run._run(_gate(result), good, evidence())
    clears = "" if status == "passed" else "Do it."
    assert told == GateResult(gate="G5", title="Title", status=status, why=why, clears=clears, **kept)
    assert told.green is (status == "passed")


@pytest.mark.parametrize(
    ("first", "only", "opened"),
    [
        (Verdict("Fine."), None, True),
        (Verdict("", ("not signed",)), None, False),
        (NotRun("No key."), None, False),
        (Verdict("", ("not signed",)), frozenset({"G1", "G2", "G14"}), False),
        (Verdict("", ("not signed",)), frozenset({"G2", "G14"}), True),
    ],
)
def test_gates_that_open_the_file_do_not_run_where_it_is_not_safe(
    first: Verdict | Exception,
    only: frozenset[str] | None,
    opened: bool,
    good: Subject,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gates = (_gate(first, "G1", False), _gate(Verdict("Opened."), "G2"), _gate(Verdict("Read."), "G14", False))
    monkeypatch.setattr(run, "GATES", gates)
    seen: list[tuple[str, int, int]] = []
    report = run.run_gates(good, evidence(), lambda *step: seen.append(step), only)
    asked = only is None or "G1" in only
    assert [result.why for result in report.results] == [
        ("Fine." if opened else report.results[0].why) if asked else "It was not asked for.",
        "Opened." if opened else "The file is not opened, because G1 failed.",
        "Read.",
    ]
    assert seen == [("gates", 0, 3), ("gates", 1, 3), ("gates", 2, 3), ("gates", 3, 3)]
    assert (report.id, report.version, report.title) == (good.id, good.manifest.version, good.manifest.title)
    assert (report.format, report.as_of) == ("cds-hooks-onnx/gates/1", "2026-11-21")
    assert report.sha256 == hashlib.sha256(good.content).hexdigest()


def _report(*statuses: str) -> GateReport:
    results = tuple(
        GateResult(gate=f"G{number}", title="", status=cast("Any", status), why="")
        for number, status in enumerate(statuses, start=1)
    )
    return GateReport(format="", id="", version="", title="", sha256="", as_of="", results=results)


@for_rows(
    ("statuses", "headline", "green"),
    [
        (("passed", "passed"), "Every gate is green.", True),
        (("passed", "waived"), "Green with 1 waiver.", True),
        (("waived", "waived", "passed"), "Green with 2 waivers.", True),
        (("passed", "insufficient"), "1 of 2 gates are not green.", False),
        (("failed", "not run", "waived"), "2 of 3 gates are not green.", False),
    ],
)
def test_the_headline_of_a_report(statuses: tuple[str, ...], headline: str, green: bool) -> None:
    report = _report(*statuses)
    assert (report.headline, report.green) == (headline, green)
    summary = report.summary
    assert (len(summary.green), len(summary.waived), len(summary.red)) == (
        statuses.count("passed"),
        statuses.count("waived"),
        len(statuses) - statuses.count("passed") - statuses.count("waived"),
    )


def test_figures_are_those_that_were_computed_now() -> None:
    assert figures_of(evidence(figures=FIGURES)) == FIGURES
    with pytest.raises(NotRun) as reason:
        figures_of(NOTHING)
    assert str(reason.value) == ("There are no rows to compute the figures from: give the training table with --data.")
    with pytest.raises(NotRun, match=r"^The table is of another model\.$"):
        figures_of(evidence(absent={"figures": "The table is of another model."}))


def test_the_file_is_opened_by_the_gates_that_run_it_and_by_no_other() -> None:
    """G1 itself, contents and papers (G14, G15, G17), and what is judged by figures and labels (G7 to G10, G18)."""
    closed = [found.id for found in GATES if not found.opens]
    assert closed == ["G1", "G7", "G8", "G9", "G10", "G14", "G15", "G17", "G18"]


# The report: all eighteen gates, red for what did not run, and its headline.
__all__ = ["panel"]


@pytest.fixture(scope="session")
def report(good: Subject, panel: object) -> GateReport:
    """All gates on the committed model, with what a clone without data has, and an audit."""
    assert isinstance(panel, Panel)
    return run_gates(good, figured(audit=audit(panel, panel.cost).audit))


def test_the_headline_says_with_how_many_waivers_a_model_is_green(report: GateReport) -> None:
    def all_green(waived: int) -> GateReport:
        results = [
            structs.replace(result, status="waived" if number < waived else "passed")
            for number, result in enumerate(report.results)
        ]
        return structs.replace(report, results=tuple(results))

    assert all_green(0).headline == "Every gate is green."
    assert all_green(1).headline == "Green with 1 waiver."
    assert all_green(2).headline == "Green with 2 waivers."
    assert report.headline.endswith("gates are not green.")


def test_there_are_eighteen_gates_each_with_a_question_and_what_would_clear_it() -> None:
    assert [gate.id for gate in GATES] == [f"G{number}" for number in range(1, 19)]
    assert all(gate.clears for gate in GATES)


def test_what_did_not_run_is_red(report: GateReport) -> None:
    results = {result.gate: result for result in report.results}
    assert results["G16"].status == "not run"
    assert "G16" in report.summary.red
    assert not report.green


def test_a_gate_that_breaks_has_failed_and_the_others_go_on(good: Subject) -> None:
    def breaks(_subject: Subject, _evidence: Evidence) -> Verdict:
        raise ZeroDivisionError("of all things")

    result = _run(Gate("G5", "t", breaks), good, evidence())
    assert (result.status, result.why) == ("failed", "The check broke off: ZeroDivisionError: of all things")


def test_the_json_holds_every_gate_with_its_reason(report: GateReport) -> None:
    document = json.loads(encode(report))
    assert [each["gate"] for each in document["results"]] == [gate.id for gate in GATES]
    assert all(each["why"] for each in document["results"])


SUBJECT_ROWS = np.array([[0.5, 0.25], [1.0, 0.0]], dtype=np.float32)


def _file(
    *nodes: NodeProto, outputs: tuple[str, ...] = ("probability",), width: Any = 2, kind: int = TensorProto.FLOAT,
    rank: int = 2, feed: str = "features", **metadata: str,
) -> bytes:  # fmt: skip
    """A file of these nodes; `zero` and `three` are constants of it."""
    shape = ["N", width, 1][:rank]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info(feed, kind, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [
            numpy_helper.from_array(np.array([[value]], np.float32), name)
            for name, value in (("zero", 0.0), ("one", 1.0))
        ]
        + [numpy_helper.from_array(np.array([3], np.int64), "three")],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    helper.set_model_props(model, metadata)
    content: bytes = model.SerializeToString()
    return content


def _same(output: str, feed: str = "features") -> NodeProto:
    return helper.make_node("Identity", [feed], [output])


def _subject(content: bytes, features: Any = INPUTS, **card: Any) -> Subject:
    manifest: Any = SimpleNamespace(features=features, groups=msgspec.UNSET)
    return Subject(folder=Path("nowhere"), keys={}, content=content, manifest=manifest, card=card)


def test_a_file_that_explains_nothing_gives_its_probability() -> None:
    nodes = [helper.make_node("ReduceMax", ["features", "row"], ["probability"], keepdims=1)]
    row = helper.make_node("Constant", [], ["row"], value=numpy_helper.from_array(np.array([1])))
    answers = Runner(_file(row, *nodes)).answers(SUBJECT_ROWS)
    assert answers.probability.tolist() == [0.5, 1.0]
    assert (answers.margin, answers.contributions, answers.missing, answers.out_of_range) == (None,) * 4
    assert (answers.base, answers.link, answers.explains) == (None, "logit", False)


def _marked(output: str) -> NodeProto:
    return helper.make_node("Greater", ["features", "zero"], [output])


@pytest.mark.parametrize(("base", "value"), [("2", 2.0), ("-0.5", -0.5), ("much", None)])
def test_a_base_is_a_number_or_none(base: str, value: float | None) -> None:
    assert Runner(_file(_same("probability"), base=base)).answers(SUBJECT_ROWS).base == value


def test_a_file_that_cannot_be_run_says_on_which_rows() -> None:
    runner = Runner(_file(helper.make_node("Reshape", ["features", "three"], ["probability"])))
    with pytest.raises(UnsafeModel, match=r"^the model cannot be run on \(2, 2\) values: ") as refused:
        runner.answers(SUBJECT_ROWS)
    assert len(str(refused.value)) <= len("the model cannot be run on (2, 2) values: ") + 160


# The folder


def test_a_candidate_is_what_lies_in_its_folder(tmp_path: Path) -> None:
    home = build(tmp_path)
    subject = read_subject(home, KEYS)
    assert (subject.id, subject.groups) == ("mortality_5y", ())
    assert [item.name for item in subject.features] == [item["name"] for item in good_manifest()["features"]]
    assert subject.manifest.evaluation == good_manifest()["evaluation"]
    assert subject.manifest.parity == good_manifest()["parity"]
    assert subject.product == good_card()["product"]
    assert subject.content == (home / "model.onnx").read_bytes()
    assert subject.always == frozenset(good_manifest()["required"]["always"])
    (home / "release.json").unlink()
    (home / "card.json").write_text('["no object"]')
    unsigned = read_subject(home, KEYS)
    assert (unsigned.card, unsigned.product) == ({}, {})
    for content in (b"{", b"\xff\xff"):
        (home / "card.json").write_bytes(content)
        assert read_subject(home, KEYS).card == {}
    (home / "card.json").unlink()
    assert read_subject(home, KEYS).card == {}
    (home / "model.onnx").unlink()
    with pytest.raises(ManifestRefused, match=r"^mortality_5y contains no model that the gates can examine: "):
        read_subject(home, KEYS)


def test_a_folder_without_a_manifest_of_ours_is_no_candidate(tmp_path: Path) -> None:
    assert _subject(b"", product=["x"]).product == {}
    (tmp_path / "manifest.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(ManifestRefused, match=f"^{tmp_path.name} contains no model"):
        read_subject(tmp_path, KEYS)


def test_a_file_says_of_itself_what_its_metadata_hold() -> None:
    subject = _subject(_file(_same("probability"), coalitions="16"), INPUTS[:2])
    assert subject.metadata["coalitions"] == "16"
    assert subject.groups == ()


# G2: inputs in the file and in the manifest


AGE = item("age_years", 20.0, 90.0, 55.0)
SODIUM = item("stay_sodium_mmol_l", 120.0, 160.0, 140.0, "mmol/L")


def _dictionary(content: bytes, features: Any = (AGE, SODIUM)) -> Verdict:
    return check_dictionary(_subject(content, features), NOTHING)


NOT_MISSING = "the file does not mark the missing input as missing"
UNMARKED = [
    f"the file does not mark as out of range {side}: age_years, stay_sodium_mmol_l" for side in ("below", "above")
]
SENTENCE = "2 inputs, in the file's order, each with unit, source and trained range."
ROWS_OF_TWO = [
    {"input": "age_years", "unit": "a", "low": 20.0, "high": 90.0, "from": "Observation"},
    {"input": "stay_sodium_mmol_l", "unit": "mmol/L", "low": 120.0, "high": 160.0, "from": "Observation"},
]


@for_rows(
    ("content", "faults"),
    [
        (_file(_same("probability")), (*UNMARKED, NOT_MISSING)),
        (_file(_same("probability"), width="F"), (*UNMARKED, NOT_MISSING)),
        (_file(_same("probability"), width=3), ("the file takes 3 values and 2 inputs are described",)),
        (
            _file(_same("probability", "rows"), feed="rows"),
            ("the file has no input 'features'; it has rows",),
        ),
        (
            _file(_same("probability"), kind=TensorProto.DOUBLE),
            ("features is tensor(double) ['N', 2]; it must be float32 rows",),
        ),
        (
            _file(_same("probability"), rank=3),
            ("features is tensor(float) ['N', 2, 1]; it must be float32 rows",),
        ),
        (
            _file(_same("risk"), _same("class"), outputs=("risk", "class")),
            ("the file has no output 'probability'; it has class, risk",),
        ),
        (
            _file(_same("probability"), features='["stay_sodium_mmol_l", "age_years"]'),
            ("the file names its inputs in another order than the manifest",),
        ),
        (
            _file(_same("probability"), _marked("missing"), outputs=("probability", "missing")),
            (*UNMARKED, NOT_MISSING),
        ),
    ],
)
def test_the_inputs_of_the_file_are_those_that_are_described(content: bytes, faults: tuple[str, ...]) -> None:
    assert _dictionary(content) == Verdict(SENTENCE, faults, rows=ROWS_OF_TWO)


def test_an_input_is_described_once() -> None:
    twice = _dictionary(_file(_same("probability")), features=(AGE, AGE))
    assert twice.faults == ("an input is described twice",)
    # marks are tried only where names and shapes hold
    content = _file(_same("probability"), _marked("missing"), outputs=("probability", "missing"), width=3)
    assert _dictionary(content).faults == ("the file takes 3 values and 2 inputs are described",)
