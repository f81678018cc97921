"""Do the file's inputs and the feature dictionary agree, and what happens when inputs are missing?"""

from typing import Any

import numpy as np

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.manifest import ModelInput
from models_onnx.workbench.gates.checks.fairness import RATIO_ACT
from models_onnx.workbench.gates.gate import NotRun, Verdict, is_outside
from models_onnx.workbench.gates.rows import ordinary
from models_onnx.workbench.gates.subject import Evidence, Subject


def check_dictionary(subject: Subject, _evidence: Evidence) -> Verdict:
    """Check that every input has a range and is a feature in its unit; that the file has the same, `file` has seen."""
    faults = [fault for item in subject.features for fault in _faults_of(item)]
    names = [item.name for item in subject.features]
    if len(set(names)) < len(names):
        faults.append("an input is described twice")
    rows = [
        {"input": item.name, "unit": item.unit, "low": item.trained_low, "high": item.trained_high, "from": item.fhir}
        for item in subject.features
    ]
    sentence = f"{len(names)} inputs, in the file's order, each with unit, source and trained range."
    return Verdict(sentence, tuple(faults), rows=rows)


def _faults_of(item: ModelInput) -> list[str]:
    faults = []
    if not item.trained_low < item.trained_high:
        faults.append(f"{item.name} has no range: {item.trained_low:g} to {item.trained_high:g}")
    elif not item.trained_low <= item.reference_value <= item.trained_high:
        faults.append(f"{item.name}: the reference value {item.reference_value:g} lies outside its range")
    feature = FEATURES.get(item.name)
    if feature is None:
        faults.append(f"{item.name} is not a feature of fhir/mapping/features/catalog.py, so no record can fill it")
    elif feature.unit != item.unit:
        faults.append(f"{item.name} is in {item.unit} here and in {feature.unit} in fhir/mapping/features/catalog.py")
    return faults


_PEOPLE = 400
# The largest bound that a card may declare: without one input an estimate moves by no more than a quarter.
MOST = 0.25
# responsible-ai.md 5.2, data quality: so many points (0 to 1) call for action.
MORE_UNDATED = 0.10


def check_missing(subject: Subject, evidence: Evidence) -> Verdict:
    """Remove each input in turn: outputs stay finite, and the change is limited.

    Panels stay calibrated without it.
    """
    bound = subject.product.get("stress_move_at_most")
    if not isinstance(bound, float | int):
        raise NotRun("No bound is declared (product.stress_move_at_most of the card).")
    declared, bound = bound, min(bound, MOST)
    people = evidence.people if evidence.people is not None else ordinary(subject.features, _PEOPLE)
    people = people[:_PEOPLE]
    before = subject.answers(people).probability
    faults: list[str] = []
    if declared > MOST:
        faults.append(f"its card declares a bound of {declared:g}; at most {MOST:g} is allowed")
    rows: list[dict[str, Any]] = []
    for position, item in enumerate(subject.features):
        if item.name in subject.always:
            continue
        without_input = people.copy()
        without_input[:, position] = np.nan
        answers = subject.answers(without_input)
        move = float(np.quantile(np.abs(answers.probability - before), 0.95)) if len(people) else 0.0
        rows.append({"input": item.name, "moves_95_in_100_by_at_most": round(move, 4)})
        if not np.isfinite(answers.probability).all():
            faults.append(f"without {item.name} there is no number any more")
        elif move > bound:
            faults.append(
                f"without {item.name} the estimate moves by {move:.2f} (95 in 100 people), declared {bound:g}"
            )
    faults += _panel_faults((evidence.figures or {}).get("panels", []))
    undated = evidence.inputs.undated if evidence.inputs is not None else {}
    faults += [
        f"{name} rests on a state without a date in {100 * share:.0f} in 100 rows, which training reads as still there "
        "and a call as it is written"
        for name, share in undated.items()
        if share >= MORE_UNDATED
    ]
    largest = max((row["moves_95_in_100_by_at_most"] for row in rows), default=0.0)
    sentence = (
        f"Taking away one input moves the estimate by at most {largest:.2f} (95 in 100 people; declared {bound:g})."
    )
    if undated:
        sentence += f" {max(undated.values()):.1%} of the rows rest on a state without a date."
    return Verdict(sentence, tuple(faults), {"bound": bound, "people": len(people)}, rows)


def _panel_faults(panels: list[dict[str, Any]]) -> list[str]:
    """Panels that are scored although they are incomplete must stay calibrated, as far as a group must."""
    return [
        f"{panel['words']} it is still scored, and observed/expected is {ratio['value']:.2f} "
        f"({ratio['low']:.2f} to {ratio['high']:.2f})"
        for panel in panels
        if panel.get("scored", True) and is_outside(ratio := panel["observed_expected"], RATIO_ACT)
    ]
