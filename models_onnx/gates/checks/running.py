"""G4: the same answer for the same row, always. G5: fast enough to be asked in a visit."""

import numpy as np

from models_onnx.gates.gate import Gate
from models_onnx.gates.result import Verdict
from models_onnx.gates.rows import all_kinds, ordinary
from models_onnx.gates.subject import Evidence, Subject

RUNS = 3
BATCHES = (1, 7, 64)
ROWS = 256
LIMIT_SECONDS = 1e-3
CALLS = 1000
# A machine that is busy with something else is not the model's fault: the quietest of a few measurements counts.
ATTEMPTS = 5


def check_determinism(subject: Subject, _evidence: Evidence) -> Verdict:
    """Bit-equal over three runs, and for a row whether it comes alone or with others."""
    rows = all_kinds(subject.features, subject.always)[:ROWS]
    first = subject.answers(rows).raw()
    faults = [
        f"run {number} of the same rows gave other {name}"
        for number in range(2, RUNS + 1)
        for name, value in subject.answers(rows).raw().items()
        if value != first[name]
    ]
    for size in BATCHES:
        parts = [subject.answers(rows[start : start + size]).raw() for start in range(0, len(rows), size)]
        for name, value in first.items():
            if b"".join(part[name] for part in parts) != value:
                faults.append(f"in batches of {size} the {name} differ from those of one batch")
    return Verdict(
        f"Bit-equal over {RUNS} runs and in batches of {', '.join(map(str, BATCHES))} and {len(rows)}.",
        tuple(faults),
    )


def check_latency(subject: Subject, evidence: Evidence) -> Verdict:
    """p99 of one row with score and explanation, on one thread, at most 1 ms."""
    rows = ordinary(subject.features, CALLS).astype(np.float32)
    best: tuple[float, float] | None = None
    for _ in range(ATTEMPTS):
        taken = np.sort([_time(subject, evidence, rows[number : number + 1]) for number in range(CALLS)])
        p50, p99 = float(taken[CALLS // 2]), float(taken[int(CALLS * 0.99)])
        best = (p50, p99) if best is None or p99 < best[1] else best
        if best[1] <= LIMIT_SECONDS / 4:
            break
    p50, p99 = best or (float("inf"), float("inf"))
    figures = {"p50_microseconds": round(p50 * 1e6, 1), "p99_microseconds": round(p99 * 1e6, 1)}
    said = f"p50 {p50 * 1e6:.0f} µs, p99 {p99 * 1e6:.0f} µs for one row with everything it answers."
    faults = () if p99 <= LIMIT_SECONDS else (f"p99 is {p99 * 1e3:.2f} ms, the limit is 1 ms",)
    return Verdict(said, faults, figures)


def _time(subject: Subject, evidence: Evidence, row: np.ndarray) -> float:
    start = evidence.timer()
    subject.answers(row)
    return evidence.timer() - start


GATES = (
    Gate("G4", "Determinism", "Does the same row always get the same answer?", check_determinism),
    Gate("G5", "Latency", "Is one answer there within a millisecond?", check_latency),
)
