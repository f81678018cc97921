"""Does the file agree with the model trained again, and does it answer fast and always the same?"""

import msgspec
import numpy as np
from numpy.typing import NDArray

from models_onnx.serving.runtime import Predictions
from models_onnx.workbench.gates.gate import NotRun, Verdict
from models_onnx.workbench.gates.rows import all_kinds, ordinary
from models_onnx.workbench.gates.subject import Evidence, Subject

LIMITS = {"probability": 1e-5, "contributions": 1e-4}
"""Of contributions, in log odds, as much as changes a probability of 0.1 by 1e-5."""
LEAST_ROWS = 1000
AUROC_AGREES = 0.002
_NOT_AGAIN = "It was not trained again: the table it was trained from is not here."


def check_parity(subject: Subject, evidence: Evidence) -> Verdict:
    """Compare every output with the model trained again; what the compiler wrote down of it is no verdict."""
    if evidence.retrained is None:
        raise NotRun(evidence.why_absent("retrained", _NOT_AGAIN))
    rows = all_kinds(subject.features, subject.always)
    mine, theirs = subject.answers(rows), evidence.retrained.answers(rows)
    faults = []
    if len(rows) < LEAST_ROWS:
        faults.append(f"only {len(rows)} rows were compared")
    apart = {name: _apart(getattr(mine, name), getattr(theirs, name)) for name in LIMITS}
    faults += [
        f"its {name} differ by {value:.1e} from the model the library gives when trained again (limit {LIMITS[name]:g})"
        for name, value in apart.items()
        if not value <= LIMITS[name]
    ]
    faults += [
        f"it marks other inputs as {name.replace('_', ' ')} than the model trained again"
        for name in ("missing", "out_of_range")
        if not np.array_equal(getattr(mine, name), getattr(theirs, name))
    ]
    largest = max(apart.values())
    return Verdict(
        f"Trained again with the library and compared over {len(rows):,} rows, with missing values, ±infinity and "
        f"every edge: largest difference {largest:.1e}.",
        tuple(faults),
        figures={"rows": len(rows), "largest": largest},
    )


def _apart(mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> float:
    """Return the largest difference, relative beyond 1; infinite where one has more inputs, or a number alone."""
    if mine.shape != theirs.shape or not np.array_equal(np.isnan(mine), np.isnan(theirs)):
        return float("inf")
    return float(np.nanmax(np.abs(mine - theirs) / np.maximum(1.0, np.abs(theirs)), initial=0.0))


def check_reproducible(_subject: Subject, evidence: Evidence) -> Verdict:
    """Check for the same file from the same data and seed, or an AUROC within 0.002 on another processor."""
    retrained = evidence.retrained
    if retrained is None:
        raise NotRun(evidence.why_absent("retrained", _NOT_AGAIN))
    figures = {
        "same_file": retrained.same_file,
        "auroc_difference": retrained.auroc_difference,
        "trained": retrained.trained,
    }
    if retrained.differences:
        sentence = f"the manifest does not say what training gives: {'; '.join(retrained.differences)}"
        return Verdict("", (sentence,), figures)
    if not retrained.same_data:
        return Verdict("", ("the table is not the one it was trained from (sha256)",), figures)
    if retrained.same_file:
        return Verdict("Training again gives the same file to the bit.", figures=figures)
    if retrained.auroc_difference < AUROC_AGREES:
        return Verdict(
            f"Another file, the same model: AUROC differs by {retrained.auroc_difference:.4f}.", figures=figures
        )
    fault = (
        f"training again gives another model: AUROC differs by {retrained.auroc_difference:.4f} (limit {AUROC_AGREES})"
    )
    return Verdict("", (fault,), figures)


RUNS = 3
BATCHES = (1, 7, 64)
ROWS = 256
LIMIT_SECONDS = 1e-3
# A file that asks a network once for each coalition of its groups.
LIMIT_SECONDS_OF_GROUPS = 25e-3
CALLS = 1000
FEWEST = 50
LONGEST_SECONDS = 0.1
# Other load on the machine must not count: processor time is measured, and the best of a few measurements is used.
ATTEMPTS = 5


def check_determinism(subject: Subject, _evidence: Evidence) -> Verdict:
    """Check that outputs are equal bit by bit over three runs, and for a row alone and in a batch."""
    rows = all_kinds(subject.features, subject.always)[:ROWS]
    first = _bytes_of(subject.answers(rows))
    faults = [
        f"run {number} of the same rows gave other {name}"
        for number in range(2, RUNS + 1)
        for name, value in _bytes_of(subject.answers(rows)).items()
        if value != first[name]
    ]
    for size in BATCHES:
        parts = [_bytes_of(subject.answers(rows[start : start + size])) for start in range(0, len(rows), size)]
        for name, value in first.items():
            if b"".join(part[name] for part in parts) != value:
                faults.append(f"in batches of {size} the {name} differ from those of one batch")
    return Verdict(
        f"Bit-equal over {RUNS} runs and in batches of {', '.join(map(str, BATCHES))} and {len(rows)}.",
        tuple(faults),
    )


def _bytes_of(answers: Predictions) -> dict[str, bytes]:
    return {name: np.ascontiguousarray(value).tobytes() for name, value in msgspec.structs.asdict(answers).items()}


def check_latency(subject: Subject, evidence: Evidence) -> Verdict:
    """Check that p99 of one row with score and explanation, on one thread, is at most 1 ms, of a network 25 ms."""
    limit = LIMIT_SECONDS_OF_GROUPS if "coalitions" in subject.model.metadata else LIMIT_SECONDS
    rows = ordinary(subject.features, CALLS).astype(np.float32)
    subject.answers(rows[:1])
    p50, p99 = _measure(subject, evidence, rows)
    for _ in range(ATTEMPTS - 1):
        if p99 <= limit / 2 or p50 > limit:
            break
        p50, p99 = min((p50, p99), _measure(subject, evidence, rows), key=lambda percentiles: percentiles[1])
    figures = {"p50_microseconds": round(p50 * 1e6, 1), "p99_microseconds": round(p99 * 1e6, 1)}
    sentence = f"p50 {p50 * 1e6:.0f} µs, p99 {p99 * 1e6:.0f} µs for one row with everything it answers."
    faults = () if p99 <= limit else (f"p99 is {p99 * 1e3:.2f} ms, the limit is {limit * 1e3:g} ms",)
    return Verdict(sentence, faults, figures)


def _measure(subject: Subject, evidence: Evidence, rows: NDArray[np.float32]) -> tuple[float, float]:
    """p50 and p99 in seconds; a model that takes milliseconds has shown it after fifty calls."""
    seconds: list[float] = []
    for number in range(len(rows)):
        start = evidence.timer()
        subject.answers(rows[number : number + 1])
        seconds.append(evidence.timer() - start)
        if sum(seconds[-FEWEST:]) > LONGEST_SECONDS and len(seconds) >= FEWEST:
            break
    ranked = np.sort(seconds)
    return float(ranked[len(ranked) // 2]), float(ranked[int(len(ranked) * 0.99)])
