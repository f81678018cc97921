"""G3: does the file say what the trained model says. G16: does training again give the same model."""

import numpy as np

from models_onnx.gates.gate import Gate
from models_onnx.gates.result import NotRun, Verdict
from models_onnx.gates.rows import all_kinds
from models_onnx.gates.subject import Evidence, Library, Subject

LIMIT = 1e-5
LEAST_ROWS = 1000
AUROC_AGREES = 0.002


def check_parity(subject: Subject, evidence: Evidence) -> Verdict:
    """Against the model trained again or the library's own numbers, else the stored comparison of the compiler."""
    if evidence.retrained is not None:
        return _against_retrained(subject, evidence)
    if evidence.library is not None:
        return _against_library(subject, evidence.library)
    stored = subject.parity
    if not stored:
        raise NotRun("There is no comparison with the library that trained it, neither stored nor made now.")
    largest = max(float(stored.get(name, 0.0)) for name in ("probability", "contribution"))
    faults = []
    if stored.get("rows", 0) < LEAST_ROWS or not stored.get("rows_with_missing"):
        faults.append(f"compared over {stored.get('rows', 0)} rows; {LEAST_ROWS} are needed, some with missing values")
    if not largest <= LIMIT:
        faults.append(f"probability or contributions differ from the library by {largest:.1e} (limit {LIMIT:g})")
    return Verdict(
        f"Stored: largest difference from the library {largest:.1e} over {stored.get('rows', 0):,} rows.",
        tuple(faults),
        figures={"where": "stored by the compiler", "largest": largest, **stored},
    )


def _against_retrained(subject: Subject, evidence: Evidence) -> Verdict:
    assert evidence.retrained is not None  # noqa: S101 - told to mypy; the caller looked
    rows = all_kinds(subject.features, subject.always)
    mine, theirs = subject.answers(rows), evidence.retrained.answers(rows)
    difference = np.abs(mine.probability - theirs.probability)
    differs_in_kind = np.isnan(mine.probability) != np.isnan(theirs.probability)
    largest = float(np.nanmax(difference, initial=0.0))
    faults = []
    if len(rows) < LEAST_ROWS:
        faults.append(f"only {len(rows)} rows were compared")
    if differs_in_kind.any() or not largest <= LIMIT:
        faults.append(f"it differs by {largest:.1e} from the model the library gives when trained again (limit 1e-05)")
    return Verdict(
        f"Trained again with the library and compared over {len(rows):,} rows, with missing values, ±infinity and "
        f"every edge: largest difference {largest:.1e}.",
        tuple(faults),
        figures={"where": "trained again now", "rows": len(rows), "largest": largest, "stored": subject.parity},
    )


def _against_library(subject: Subject, library: Library) -> Verdict:
    largest = float(np.abs(subject.answers(library.rows).probability - library.probability).max())
    count, missing = len(library.rows), int(np.isnan(library.rows).any(axis=1).sum())
    faults = []
    if count < LEAST_ROWS:
        faults.append(f"only {count} rows were compared; {LEAST_ROWS} are needed")
    if not largest <= LIMIT:
        faults.append(f"it differs by {largest:.1e} from what the library says for the same rows (limit 1e-05)")
    said = f"Against the library's own numbers over {count:,} rows, {missing:,} with missing values: {largest:.1e}."
    return Verdict(said, tuple(faults), {"where": "numbers given", "rows": count, "largest": largest})


def check_reproducible(_subject: Subject, evidence: Evidence) -> Verdict:
    """The same file from the same data and seed, or an AUROC within 0.002 on another processor."""
    again = evidence.retrained
    if again is None:
        raise NotRun(
            evidence.why_absent("retrained", "It was not trained again: the table it was trained from is not here.")
        )
    figures = {"same_file": again.same_file, "auroc_difference": again.auroc_difference, "trained": again.trained}
    if not again.same_data:
        return Verdict("", ("the table is not the one it was trained from (sha256)",), figures)
    if again.same_file:
        return Verdict("Training again gives the same file to the bit.", figures=figures)
    if again.auroc_difference < AUROC_AGREES:
        return Verdict(f"Another file, the same model: AUROC differs by {again.auroc_difference:.4f}.", figures=figures)
    fault = f"training again gives another model: AUROC differs by {again.auroc_difference:.4f} (limit {AUROC_AGREES})"
    return Verdict("", (fault,), figures)


GATES = (
    Gate("G3", "Parity with the library", "Does the file say what the trained model says?", check_parity),
    Gate("G16", "Reproducible", "Does training again give the same model?", check_reproducible),
)
