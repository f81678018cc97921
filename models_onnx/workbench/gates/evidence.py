"""Gathers what the gates of a model are judged by: its rows, its answers, the version in use."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from fhir.mapping.features.patient import Age, Sex
from models_onnx.artifact.keys import Keys
from models_onnx.artifact.release_file import parse_release
from models_onnx.errors import ModelError
from models_onnx.serving.registry import versions
from models_onnx.serving.runtime import Model
from models_onnx.spec import ModelSpec, get_spec
from models_onnx.spec.renewal import read_renewal
from models_onnx.workbench.gates.subject import (
    Audit,
    Evidence,
    InputEvidence,
    Paired,
    Retrained,
    Subject,
    read_subject,
)
from models_onnx.workbench.metrics import logit
from models_onnx.workbench.release.embed import core_digest
from models_onnx.workbench.release.publishing import VALIDATED
from models_onnx.workbench.training.data.cohort import Cohort
from models_onnx.workbench.training.data.leaks import Reads, is_outcome

Array = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

_PEOPLE = 400
# Samples for the intervals of figures that are computed for a verdict.
_REPLICATES = 200


def gather(
    subject: Subject, keys: Keys, site: Evidence, data: Path, progress: Progress, specs: Path | None = None
) -> Evidence:
    """Everything that is available, beside what only the site knows; what is not there is left out with its reason."""
    active = _in_use(subject, keys)
    absent: dict[str, str] = {}
    table: dict[str, Any] = {}
    try:
        table = _from_table(subject, active, data, progress, specs)
    except (ModelError, ModuleNotFoundError) as problem:
        names = ("retrained", "audit", "people", "figures")
        absent = dict.fromkeys(names, f"Not without the training table: {problem}.")
    if why := table.pop("why_no_audit", ""):
        absent["audit"] = why
    if table and table["figures"] is None:
        absent["figures"] = "The file is not the model that its specification and table give, so no figure is of it."
    before = _audited_before(subject, active, specs)
    return replace(site, **table, active=active, absent=absent, audited_before=before)


def _audited_before(subject: Subject, active: Subject | None, specs: Path | None) -> str:
    """Return the version whose audit of the label is that of this one too: of a renewal the version in use."""
    if active is None or not _is_of_record(subject, specs):
        return ""
    with suppress(ModelError):
        gates = parse_release(active.folder).gates
        if gates is not None and "fairness" in (*gates.green, *gates.waived):
            return active.manifest.version
    return ""


def _in_use(subject: Subject, keys: Keys) -> Subject | None:
    """Return the newest version beside this one that may show cards."""
    for version in versions(subject.id, subject.folder.parent):
        if version.folder != subject.folder and version.state == VALIDATED:
            return read_subject(version.folder, keys)
    return None


def _from_table(
    subject: Subject, active: Subject | None, data: Path, progress: Progress, specs: Path | None
) -> dict[str, Any]:
    """Return the evidence that only the training table gives, by its name."""
    # imported here: without the training extra the other gates run all the same
    from models_onnx.workbench.training.commands import PREDICTIONS_AGREE
    from models_onnx.workbench.training.data.cohort import build_cohort, read_table
    from models_onnx.workbench.training.pipeline import differences, train

    manifest = subject.manifest
    spec = get_spec(f"{subject.id}@{manifest.version}", specs)
    table = read_table(spec, data)
    cohort = build_cohort(spec, table.rows)
    trained = train(spec, table, manifest.seed, _REPLICATES, progress)
    retrained_auroc = trained.manifest.evaluation["all"]["auroc"]["value"]
    answers = Model(trained).predict_rows
    gap = np.abs(answers(cohort.X).probability - subject.answers(cohort.X).probability)
    retrained = Retrained(
        same_file=core_digest(trained.content) == core_digest(subject.content),
        same_data=trained.manifest.data.sha256 == manifest.data.sha256,
        auroc_difference=abs(float(retrained_auroc) - float(manifest.evaluation["all"]["auroc"]["value"])),
        answers=answers,
        trained=core_digest(trained.content),
        differences=tuple(differences(manifest, trained.manifest)),
    )
    some = np.linspace(0, len(cohort.X) - 1, min(_PEOPLE, len(cohort.X))).astype(int)
    not_audited = why_no_audit(subject.product.get("label", {}).get("audit"), spec, cohort)
    return {
        "why_no_audit": not_audited,
        "people": cohort.X[some],
        "retrained": retrained,
        "audits": () if not_audited else tuple(_audits(subject, spec, cohort)),
        "paired": _paired(subject, active, cohort),
        "figures": trained.manifest.evaluation if float(np.nanmax(gap)) <= PREDICTIONS_AGREE else None,
        "inputs": _input_evidence(spec, cohort, _is_of_record(subject, specs)),
    }


def _is_of_record(subject: Subject, specs: Path | None) -> bool:
    """Return whether this version is a renewal from the table that `data --followed` makes of the record."""
    return specs is not None and read_renewal(f"{subject.id}@{subject.manifest.version}", specs) is not None


def _input_evidence(spec: Any, cohort: Any, is_of_record: bool) -> InputEvidence:
    from models_onnx.workbench.training.data.chart_table import undated_shares
    from models_onnx.workbench.training.data.leaks import Reads, leaks_of

    reads = Reads.of(spec, cohort.rows)
    smuggled, unnamed = traced_groups(cohort.rows, reads)
    return InputEvidence(
        leaks=leaks_of(spec, cohort, reads),
        smuggled=smuggled,
        unnamed=unnamed,
        undated=undated_shares(cohort.rows, cohort.features),
        is_of_record=is_of_record,
    )


def why_no_audit(declared: Mapping[str, Any] | None, spec: ModelSpec, cohort: Cohort) -> str:
    """Return why the label cannot be audited by what the card names, in a sentence; '' where it can."""
    if declared is None:
        return "Not judged: the card names no audit of the label (product.label.audit)."
    need, axis = declared["need"], declared["axis"]
    if need not in spec.needs and need not in cohort.rows:
        return (
            f"Not judged: product.label.audit.need is {repr(need) if need else 'empty'}. Name a column of the table or "
            "of the declaration's needs that says what people need, such as their number of conditions"
        )
    if need == spec.outcome.column or _is_label(_need(need, spec, cohort), cohort.y):
        return (
            f"Not judged: the need {need} is the label itself, and a label compared with itself is always fair: name "
            "a column of need that the model does not predict (product.label.audit.need)"
        )
    if not any(name.startswith(axis) for name in spec.subgroups):
        axes = ", ".join(spec.subgroups)
        return f"Not judged: the audit's axis {axis!r} is none of the declaration's subgroups ({axes})"
    return ""


def _is_label(need: Array, y: NDArray[np.int64]) -> bool:
    """Return whether need is the label, or is there exactly where the label is, as its cost or its days."""
    return np.array_equal(need > 0, y == 1) or is_outcome(need, y)


def _need(need: str, spec: ModelSpec, cohort: Cohort) -> Array:
    column = spec.needs[need](cohort.rows) if need in spec.needs else cohort.rows[need]
    return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)


def _audits(subject: Subject, spec: ModelSpec, cohort: Cohort) -> Iterator[Audit]:
    """Yield the audit by the axis that the card names, then those by every axis of race and ethnicity."""
    declared = subject.product["label"]["audit"]
    axis_of_card = [name for name in spec.subgroups if name.startswith(declared["axis"])][:1]
    column = _need(declared["need"], spec, cohort)
    score = subject.answers(cohort.X).probability
    races = [name for name in spec.subgroups if name.lower().startswith(("race", "ethnic"))]
    for axis in dict.fromkeys([*axis_of_card, *races]):
        yield Audit(
            score=score,
            # not to_numpy(dtype=str): of a column with blanks it leaves the first letter of each text
            group=np.array(
                list(map(str, pd.Series(spec.subgroups[axis](cohort.rows)).astype(object).fillna("not recorded")))
            ),
            need=column,
            words=declared["words"],
            weight=np.asarray(cohort.weight, dtype=np.float64),
            axis=axis,
        )


def _paired(subject: Subject, active: Subject | None, cohort: Any) -> Paired | None:
    if active is None:
        return None
    if [(item.name, item.unit) for item in active.features] != [(item.name, item.unit) for item in subject.features]:
        return None
    is_followed = cohort.weight > 0  # who was not followed to the horizon says nothing here
    mine, theirs = subject.answers(cohort.X[is_followed]), active.answers(cohort.X[is_followed])
    # as log odds of both: the margins of two versions may lie on two scales
    return Paired(
        margin=logit(mine.probability),
        active_margin=logit(theirs.probability),
        y=np.asarray(cohort.y[is_followed], dtype=np.int64),
        threshold=float(logit(np.array(subject.manifest.thresholds.default.probability))),
    )


# Columns that may be behind no input, whatever the specification calls them (45 CFR 92.210; README of the tables).
PROTECTED = re.compile(r"race|ethnic|language|religio|payer|insur|income|poverty|education", re.IGNORECASE)
# Columns whose groups are judged under these names of axes: an axis of another name would be judged by less.
_AXES = {
    "race": re.compile("race|ethnic", re.IGNORECASE),
    "sex": re.compile(r"(?:^|_)(?:sex|gender)(?:_|$)", re.IGNORECASE),
    "age": re.compile(r"(?:^|_)age(?:_|$)", re.IGNORECASE),
}


def traced_groups(rows: pd.DataFrame, reads: Reads) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what an axis does not say: sentences on inputs that are read from a protected group, and columns.

    The columns are those of race, sex or age for which the specification has no axis of fairness of that name.
    """
    return tuple(_smuggled(reads)), tuple(_unnamed(reads.axes, rows))


def _unnamed(axes: Mapping[str, frozenset[str]], rows: pd.DataFrame) -> Iterator[str]:
    """Columns of race, sex or age that no axis of that name is read from, whatever other axes are called.

    A column of race or ethnicity in which nothing is recorded makes no groups.
    """
    for kind, pattern in _AXES.items():
        prefixes = ("race", "ethnic") if kind == "race" else (kind,)
        covered = {column for axis, columns in axes.items() if axis.lower().startswith(prefixes) for column in columns}
        there = [name for name in map(str, rows.columns) if pattern.search(name)]
        if kind == "race":
            yield from (name for name in there if name not in covered and _is_recorded(rows[name]))
        elif there and not covered & set(there):
            yield there[0]


def _is_recorded(column: pd.Series) -> bool:
    return bool((column.dropna().astype(str).str.strip() != "").any())


def _smuggled(reads: Reads) -> Iterator[str]:
    behind = {column: axis for axis, columns in reads.axes.items() for column in columns}
    for column, read in reads.inputs.items():
        axis = behind.get(column, "")
        if not PROTECTED.search(column) and not PROTECTED.search(axis):
            read = [name for name in read if _may_not_read(name, axis)]
        if read:
            yield f"{', '.join(read)} is read from {column}{f', which makes the axis {axis}' if axis else ''}"


def _may_not_read(name: str, axis: str) -> bool:
    """Return whether an input of another kind reads the column of sex or age; other axes are no protected group."""
    feature = FEATURES.get(name)
    if axis.startswith("sex"):
        return not isinstance(feature, Sex)
    return axis.startswith("age") and not isinstance(feature, Age)
