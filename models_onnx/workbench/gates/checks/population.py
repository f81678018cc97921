"""G12: do people outside the intended population get no score, and is the training population still relevant?"""

import numpy as np

from models_onnx.artifact.manifest import Manifest
from models_onnx.serving.eligibility import may_be_scored, not_in_population, not_scored
from models_onnx.serving.runtime import Prediction
from models_onnx.workbench.gates.gate import Verdict
from models_onnx.workbench.gates.rows import ordinary
from models_onnx.workbench.gates.subject import Evidence, Subject

# Our own limits, because none is published; docs/models/gates.md gives the reasons.
OLDEST_YEARS = 20
# The hooks of this server are planned contacts; its records do not show who is acutely ill in hospital.
SETTINGS = frozenset({"outpatient", "discharge", "population"})


def check_population(subject: Subject, evidence: Evidence) -> Verdict:
    """Check that age, required inputs and ranges exclude people, and that setting and age of the data fit."""
    faults = _data_faults(subject, evidence)
    manifest = subject.manifest
    faults += _age_faults(manifest)
    faults += _required_faults(subject, manifest)
    faults += _range_faults(subject, manifest)
    last = subject.product.get("data_last_year")
    sentence = "Too young, of unknown age, too few inputs, outside the range: no score, and the reason is said. "
    return Verdict(
        f"{sentence}Data until {last}.", tuple(faults), {"setting": subject.product.get("setting"), "last": last}
    )


def _data_faults(subject: Subject, evidence: Evidence) -> list[str]:
    faults = []
    last, setting = subject.product.get("data_last_year"), subject.product.get("setting")
    if not isinstance(last, int):
        faults.append("the card does not say from which year the newest data are")
    elif evidence.as_of.year - last > OLDEST_YEARS:
        faults.append(
            f"its newest data are of {last}, {evidence.as_of.year - last} years ago (limit {OLDEST_YEARS}): "
            "the people and the care it knows are not those of today"
        )
    if setting not in SETTINGS:
        faults.append(
            f"its population is {setting or 'not said'}; this server's hooks are of planned contacts and cannot tell "
            "such patients from others, so nobody would be kept out. A model for the end of a stay has the setting "
            "discharge, one for visits outpatient, one for lists population (product.setting of its card)"
        )
    return faults


def _age_faults(manifest: Manifest) -> list[str]:
    low = manifest.population.age_low
    tried: list[tuple[float | None, str]] = [(None, "of unknown age"), (float("nan"), "whose age is not a number")]
    if low > 0:
        tried.append((low - 1.0, f"of {low - 1}"))
    return [
        f"a person {words} gets a score; it is for {manifest.population.words}"
        for age, words in tried
        if not_in_population(manifest, age) is None
    ]


def _required_faults(subject: Subject, manifest: Manifest) -> list[str]:
    person = ordinary(subject.features, 1)[0]
    places = {item.name: position for position, item in enumerate(subject.features)}
    faults = []
    for name in manifest.required.always:
        without_input = person.copy()
        without_input[places[name]] = np.nan
        if not_scored(manifest, without_input) is None:
            faults.append(f"without {name}, which must be there, a person gets a score")
    for group in manifest.required.groups:
        without_input = person.copy()
        without_input[[places[name] for name in group.members[: len(group.members) - group.at_least + 1]]] = np.nan
        if not_scored(manifest, without_input) is None:
            faults.append(f"with fewer than {group.at_least} of the {group.words} a person gets a score")
    return faults


def _range_faults(subject: Subject, manifest: Manifest) -> list[str]:
    """Return inputs just outside their training range that the file does not mark or the rule does not refuse."""
    person = ordinary(subject.features, 1)[0]
    faults = []
    for position, item in enumerate(subject.features):
        beyond = [item.trained_low - max(0.01, 0.01 * abs(item.trained_low))]
        if item.clip_high is None:
            beyond.append(item.trained_high + max(0.01, 0.01 * abs(item.trained_high)))
        for value in beyond:
            row = person.copy()
            row[position] = value
            if not_scored(manifest, row) is None or _file_lets_through(subject, manifest, row):
                faults.append(f"{item.name} {value:g} is outside what it was built on, and is scored")
    return faults


def _file_lets_through(subject: Subject, manifest: Manifest, row: np.ndarray) -> bool:
    answers = subject.answers(row.reshape(1, -1))
    if answers.missing is None or answers.out_of_range is None or answers.contributions is None:
        return True
    nothing = Prediction(
        float(answers.probability[0]), 0.0, 0.0, answers.contributions[0], answers.missing[0], answers.out_of_range[0],
        0.0, 0.0, 0.0, 0.0, 0,
    )  # fmt: skip
    return may_be_scored(manifest, nothing)
