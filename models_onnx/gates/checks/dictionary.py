"""G2: do the file's inputs and the feature dictionary say the same: names, order, units, ranges."""

import json

import numpy as np

from fhir.mapping.features import FEATURES
from models_onnx.gates.answers import Runner
from models_onnx.gates.gate import Gate
from models_onnx.gates.result import Verdict
from models_onnx.gates.rows import ordinary
from models_onnx.gates.subject import Evidence, Subject
from models_onnx.imported import Imported
from models_onnx.manifest import Feature
from models_onnx.wiring import Wiring


def check_dictionary(subject: Subject, _evidence: Evidence) -> Verdict:
    """Every input is described, ranged and known to the record, and the file takes them in this order."""
    faults = [fault for item in subject.features for fault in _faults_of(item, isinstance(subject.about, Imported))]
    names = [item.name for item in subject.features]
    if len(set(names)) < len(names):
        faults.append("an input is described twice")
    faults += _tensor_faults(subject)
    faults += _mask_faults(subject) if not faults else []
    rows = [
        {"input": item.name, "unit": item.unit, "low": item.trained_low, "high": item.trained_high, "from": item.fhir}
        for item in subject.features
    ]
    said = f"{len(names)} inputs, in the file's order, each with unit, source and trained range."
    return Verdict(said, tuple(faults), rows=rows)


def _faults_of(item: Feature, imported: bool) -> list[str]:
    faults = []
    if not item.words or not item.unit or not (item.fhir or item.loinc):
        faults.append(f"{item.name} has no words, unit or source in the record")
    if not item.trained_low < item.trained_high:
        faults.append(f"{item.name} has no range: {item.trained_low:g} to {item.trained_high:g}")
    elif not item.trained_low <= item.reference_value <= item.trained_high:
        faults.append(f"{item.name}: the reference value {item.reference_value:g} lies outside its range")
    known = FEATURES.get(item.name)
    if known is None and not imported:
        faults.append(f"{item.name} is not a feature of fhir/mapping/features.py, so no record can fill it")
    if known is not None and known.unit != item.unit:
        faults.append(f"{item.name} is in {item.unit} here and in {known.unit} in fhir/mapping/features.py")
    return faults


def _tensor_faults(subject: Subject) -> list[str]:
    wiring = subject.about.wiring if isinstance(subject.about, Imported) else Wiring()
    runner = Runner(subject.content, wiring)
    if wiring.input not in runner.inputs:
        return [f"the file has no input {wiring.input!r}; it has {', '.join(runner.inputs)}"]
    kind, shape = runner.inputs[wiring.input]
    width = shape[1] if len(shape) == 2 else None
    faults = []
    if kind != "tensor(float)" or len(shape) != 2:
        faults.append(f"{wiring.input} is {kind} {shape}; it must be float32 rows")
    if isinstance(width, int) and width != len(subject.features):
        faults.append(f"the file takes {width} values and {len(subject.features)} inputs are described")
    if wiring.probability not in runner.outputs:
        faults.append(f"the file has no output {wiring.probability!r}; it has {', '.join(sorted(runner.outputs))}")
    said = runner.metadata.get("features")
    if said is not None and not isinstance(subject.about, Imported):
        order = json.loads(said)
        if order != [item.name for item in subject.features]:
            faults.append("the file names its inputs in another order than the manifest")
    return faults


def _mask_faults(subject: Subject) -> list[str]:
    """Below its range an input is marked as outside it, and a missing one as missing, in its own column."""
    count = len(subject.features)
    person = ordinary(subject.features, 1)
    low = np.repeat(person, count, axis=0)
    gone = low.copy()
    for place, item in enumerate(subject.features):
        low[place, place] = item.trained_low - max(1.0, abs(item.trained_low))
        gone[place, place] = np.nan
    below, absent = subject.answers(low), subject.answers(gone)
    faults = []
    if below.out_of_range is not None and not np.array_equal(below.out_of_range, np.eye(count, dtype=bool)):
        wrong = [item.name for place, item in enumerate(subject.features) if not below.out_of_range[place, place]]
        faults.append(f"the file does not mark as out of range: {', '.join(wrong) or 'the right input alone'}")
    if absent.missing is not None and not np.array_equal(absent.missing, np.eye(count, dtype=bool)):
        faults.append("the file does not mark the missing input as missing")
    return faults


GATES = (Gate("G2", "Inputs and dictionary agree", "Does the file take what is described?", check_dictionary),)
