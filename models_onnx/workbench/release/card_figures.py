"""The computed attributes of a card: cohort flow, representativeness, validity, fairness; as figures and in words."""

from typing import Any

from models_onnx.artifact.manifest import Manifest, Provenance
from models_onnx.model_card.formats import VALIDITY
from models_onnx.model_card.origin import provenance_rows

_FAIRNESS = ("auroc", "observed_expected", "sensitivity", "false_positive_rate", "ppv", "alert_rate")
_PERIODS = {"all": "all years", "latest": "latest years", "newest": "newest years followed to the horizon"}

Figures = dict[str, Any]


def cohort(manifest: Manifest) -> Figures:
    """Rows of the table, who was left out in which step, and who remained."""
    flow = manifest.cohort
    return {
        "table": manifest.data.name,
        "rows": flow.table_rows,
        "left_out": [{"words": step.words, "count": step.count} for step in flow.exclusions],
        "people": flow.n,
        "events": flow.events,
    }


def cohort_in_words(manifest: Manifest) -> str:
    """Return the same as a paragraph."""
    flow = manifest.cohort
    steps = "; ".join(f"{step.words}: {step.count:,}" for step in flow.exclusions)
    people = (
        f"{flow.words[:1].upper()}{flow.words[1:]}, {manifest.table_period}: {flow.table_rows:,} rows. "
        f"Left out in this order: {steps}. Remaining {flow.n:,}, of whom {flow.events:,} {manifest.outcome.words}. "
    )
    if isinstance(manifest.provenance, Provenance):
        return people + " ".join(f"{fact}: {words}." for fact, words in provenance_rows(manifest))
    return f"{people}Recalibrated on {manifest.period.recalibration}."


def representation(manifest: Manifest) -> Figures:
    """People, events and share of the cohort in each group of every axis; those of unknown group by subtraction."""
    groups: Figures = {}
    for block in manifest.evaluation.get("subgroups", []):
        axis = groups.setdefault(block["axis"], {})
        share = round(100 * block["n"] / manifest.cohort.n, 1)
        axis[block["group"]] = {"people": block["n"], "events": block["events"], "percent": share}
    for axis in groups.values():
        unknown = manifest.cohort.n - sum(group["people"] for group in axis.values())
        axis["not recorded"] = {"people": unknown, "percent": round(100 * unknown / manifest.cohort.n, 1)}
    return groups


def representation_in_words(manifest: Manifest) -> str:
    """Return the same, one sentence for each axis."""
    shares = representation(manifest)
    if not shares:
        return ""
    axes = [
        f"By {axis}: " + ", ".join(f"{group} {figure['percent']:g} %" for group, figure in groups.items()) + "."
        for axis, groups in shares.items()
    ]
    return f"Of {manifest.cohort.n:,} people. {' '.join(axes)}"


def validity(manifest: Manifest) -> Figures:
    """Give the figures of discrimination, calibration and threshold with their intervals, over all and latest years."""
    evaluation = manifest.evaluation
    return {
        "how": evaluation.get("how", ""),
        **{
            period: {
                "people": block["n"],
                "events": block["events"],
                **{name: block[name] for name in VALIDITY if name in block},
            }
            for period in _PERIODS
            if (block := evaluation.get(period))
        },
        **({"gain_over_simple": evaluation["simple"]} if "simple" in evaluation else {}),
    }


def validity_in_words(manifest: Manifest) -> str:
    """Return the same in sentences."""
    evaluation, parts = manifest.evaluation, []
    for period, words in _PERIODS.items():
        if not (block := evaluation.get(period)):
            continue
        figures = [f"{label} {interval(block[name])}" for name, label in VALIDITY.items() if name in block]
        parts.append(f"{words.capitalize()}, {block['n']:,} people, {block['events']:,} events: {', '.join(figures)}.")
    if not parts:
        return ""
    if simple := evaluation.get("simple"):
        parts.append(f"{' and '.join(simple['inputs'])} alone: AUROC {interval(simple['auroc'])}.")
    return f"{evaluation.get('how', '')} {' '.join(parts)}".strip()


def fairness(manifest: Manifest) -> list[Figures]:
    """One row per group: people, events, figures with intervals, and whether there are enough events to judge."""
    return [
        {
            "axis": block["axis"],
            "group": block["group"],
            "people": block["n"],
            "events": block["events"],
            "sufficient": block["sufficient"],
            **{name: block[name] for name in _FAIRNESS if name in block},
        }
        for block in manifest.evaluation.get("subgroups", [])
    ]


def fairness_in_words(manifest: Manifest) -> str:
    """Return the same in sentences; a group with too few events says so and gives no figure."""
    rows = fairness(manifest)
    if not rows:
        return ""
    sentences = [
        f"{row['axis']}, {row['group']}: {row['people']:,} people, {row['events']:,} events, "
        + (
            f"AUROC {interval(row['auroc'])}, observed/expected {interval(row['observed_expected'])}"
            if row["sufficient"]
            else "too few to judge"
        )
        for row in rows
    ]
    if not any(str(row["axis"]).lower().startswith(("race", "ethnic")) for row in rows):
        sentences.append("race and ethnicity: not judged, no figures are by them")
    return "; ".join(sentences) + "."


def interval(figure: dict[str, float | None], digits: int = 3) -> str:
    """Return a figure with its 95 % interval, or that it cannot be computed."""
    value, low, high = (figure.get(end) for end in ("value", "low", "high"))
    if value is None:
        return "not computable"
    point = f"{value:.{digits}f}"
    return point if low is None or high is None else f"{point} ({low:.{digits}f} to {high:.{digits}f})"
