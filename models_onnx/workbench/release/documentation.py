"""A model's page in docs/models, written from its manifest alone, so that the two cannot say different things."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from models_onnx.artifact.folder import CARD
from models_onnx.artifact.manifest import Manifest, ModelInput, RequiredInputs
from models_onnx.model_card.evaluation_file import LaterEvaluation, rates_at_equal_ages
from models_onnx.model_card.origin import absence_words, lineage_rows
from models_onnx.model_card.plots import BAR, net_benefit_of_everybody, net_benefits
from models_onnx.serving.registry import ARTIFACTS
from models_onnx.workbench.release.evaluation_sections import (
    adjusted_section,
    capitalised,
    families_section,
    figures_section,
    groups_section,
    has_latest,
    markdown_table,
    missing_section,
)


def model_page(
    manifest: Manifest,
    comparison: dict[str, Any] | None = None,
    waivers: Sequence[dict[str, Any]] = (),
    later: LaterEvaluation | None = None,
) -> str:
    """The page as Markdown, with a final newline; with the report of `cds-hooks model compare` where there is one.

    `waivers` are those of the model's card, `later` is what was evaluated after it was signed.
    """
    rates = rates_at_equal_ages(manifest, None)
    used = later if not rates else None
    rates = rates or rates_at_equal_ages(manifest, later)
    sections = (
        _head(manifest),
        _use(manifest),
        _data(manifest),
        _inputs(manifest),
        figures_section(manifest),
        *([families_section(comparison)] if comparison is not None else []),
        groups_section(manifest),
        *([adjusted_section(rates, used)] if rates else []),
        *([_waivers(waivers)] if waivers else []),
        missing_section(manifest),
        _bins(manifest),
        _thresholds(manifest),
        _file(manifest),
    )
    return "\n\n".join(sections) + "\n"


def _head(manifest: Manifest) -> str:
    source = f"models_onnx/artifacts/{manifest.id}/manifest.json"
    return (
        f"# {manifest.title}\n\n"
        f"<!-- Written from {source}: cds-hooks model page {manifest.id}. Do not edit. -->\n\n"
        f"`{manifest.id}` version {manifest.version}. The estimate says how many of 100 {manifest.row_words} like "
        f"this {manifest.outcome.words}.{_twin(manifest)}"
    )


def _twin(manifest: Manifest) -> str:
    if manifest.twin is None:
        return ""
    return f" Its twin [`{manifest.twin.id}`]({manifest.twin.id}.md) {manifest.twin.words}."


def _use(manifest: Manifest) -> str:
    return "\n".join(
        (
            "## What it is for, and for whom",
            "",
            f"{manifest.intended_use} It {manifest.decision_role}; the clinician decides.",
            "",
            f"- **Users**: {manifest.users}.",
            f"- **Patients**: {manifest.population.words}.",
            *(f"- **Not for** {use}." for use in manifest.not_for),
            "",
            "Known limits:",
            "",
            *(f"- {caution}" for caution in manifest.cautions),
        )
    )


def _data(manifest: Manifest) -> str:
    cohort, left = manifest.cohort, manifest.cohort.table_rows
    rows = []
    for step in cohort.exclusions:
        left -= step.count
        rows.append((step.words, f"{step.count:,}", f"{left:,}"))
    return (
        f"## What it was built from\n\n{cohort.words[0].upper()}{cohort.words[1:]} (`{manifest.data.name}`, "
        f"{cohort.table_rows:,} {manifest.row_words}, {manifest.period.training}).\n\n"
        + markdown_table(("Left out", manifest.row_words, "remain"), rows)
        + f"\n\n**{cohort.n:,} {manifest.row_words}, {cohort.events:,} of whom {manifest.outcome.words}.** "
        f"{capitalised(manifest.estimator)}{_recalibrated(manifest)}. "
        f"The reference cohort, with which a card compares: {manifest.reference.words} "
        f"({manifest.reference.n:,} {manifest.row_words}, {manifest.reference.events:,} events)."
    )


def _recalibrated(manifest: Manifest) -> str:
    if not has_latest(manifest):
        return ""
    return f", then intercept and slope re-estimated, out of fold, on {manifest.period.recalibration}"


def _inputs(manifest: Manifest) -> str:
    rows = [
        (item.words, "code" if item.choices else item.unit, _range(item), _reference(item), _source(item))
        for item in manifest.features
    ]
    return (
        "## Inputs\n\n"
        + markdown_table(("Input", "unit (UCUM)", "trained range", "reference mean", "read from"), rows)
        + f"\n\n{_required(manifest.required)} {absence_words(manifest)} Outside the trained range "
        "there is no score, and the reason is said."
    )


def _reference(item: ModelInput) -> str:
    return "" if item.choices else f"{item.reference_value:g}"


def _range(item: ModelInput) -> str:
    if item.choices:
        return "; ".join(f"{place} {words}" for place, words in enumerate(item.choices))
    beyond = "" if item.clip_high is None else f" (higher is scored as {item.clip_high:g})"
    return f"{item.trained_low:g} to {item.trained_high:g}{beyond}"


def _source(item: ModelInput) -> str:
    return "LOINC " + ", ".join(item.loinc) if item.loinc else item.fhir


def _required(required: RequiredInputs) -> str:
    always = ", ".join(f"`{name}`" for name in required.always)
    groups = [f"at least {g.at_least} of the {len(g.members)} {g.words}" for g in required.groups]
    return f"Needed for a score: {'; '.join([always, *groups])}."


def read_comparison(name: str, folder: Path = ARTIFACTS) -> dict[str, Any] | None:
    """The report of the comparison that lies beside the artifact; None where there is none."""
    path = folder / name / "comparison.json"
    if not path.is_file():
        return None
    found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return found


def _waivers(waivers: Sequence[dict[str, Any]]) -> str:
    lines = [
        f"- **{waiver['gate']}** until {waiver['expires']} (from {waiver['granted']}), by {waiver['by']}; for "
        f"{' and '.join(waiver['covers'])}, gaps of at most {waiver['at_most']:g}. {waiver['reason']}"
        for waiver in waivers
    ]
    return "## Waivers\n\nFaults of a gate that are accepted for a time ([gates](gates.md)).\n\n" + "\n".join(lines)


def read_waivers(name: str, folder: Path = ARTIFACTS) -> list[dict[str, Any]]:
    """The waivers on the card of the artifact; none where there is no card."""
    path = folder / name / CARD
    if not path.is_file():
        return []
    product = msgspec.json.decode(path.read_bytes()).get("product", {})
    return [waiver for waiver in product.get("waivers", []) if isinstance(waiver, dict)]


def _bins(manifest: Manifest) -> str:
    rows = [
        (
            f"{100 * item.probability_low:.1f} %",
            f"{item.percentile_low:g}",
            f"{item.count:,} ({item.events})",
            f"{100 * item.predicted:.1f} %",
            f"{100 * item.rate:.1f} % ({100 * item.low:.1f} to {100 * item.high:.1f})",
        )
        for item in manifest.reference.bins
    ]
    return (
        "## Predicted and observed\n\nThe reference cohort, each predicted without having been trained on; the range "
        "is the Jeffreys interval that the card shows.\n\n"
        + markdown_table(
            ("estimate from", "percentile from", f"{manifest.row_words} (events)", "mean estimate", "observed"), rows
        )
    )


def _thresholds(manifest: Manifest) -> str:
    rows = [
        (
            f"{100 * item.capacity:g} %" + (" (default)" if item.capacity == manifest.thresholds.capacity else ""),
            f"{100 * item.probability:.1f} %",
            f"{100 * item.alert_rate:.1f} %",
            f"{100 * item.ppv:.1f} %",
            f"{100 * item.sensitivity:.1f} %",
            f"{item.number_needed_to_alert:.1f}",
            f"{100 * benefit:.2f}",
        )
        for item, benefit in zip(manifest.thresholds.table, net_benefits(manifest), strict=True)
    ]
    header = ("top share of the reference cohort", "estimate from", "alert rate", "PPV", "sensitivity",
              "alerts per event", "net benefit in 100")  # fmt: skip
    return (
        "## Thresholds by capacity\n\n" + markdown_table(header, rows) + _net_benefit(manifest) + _age_bands(manifest)
    )


def _net_benefit(manifest: Manifest) -> str:
    declared = manifest.thresholds.alerts_per_event
    alerts = declared or BAR
    chosen = (
        "The default is the share of the greatest net benefit up to the capacity declared."
        if declared is not None
        else "The default is the capacity declared; the net benefit follows from the figures of the row."
    )
    return (
        f"\n\nNet benefit: true alerts less false ones per 100 {manifest.row_words}, where one event found is "
        f"worth {alerts:g} alerts (PPV {1 / alerts:g}, the bar for a new card). Alerting about nobody gives 0, about "
        f"everybody {100 * net_benefit_of_everybody(manifest):.2f}. {chosen}"
    )


def _age_bands(manifest: Manifest) -> str:
    if not manifest.thresholds.age_bands:
        return ""
    rows = [
        (
            band.words,
            *(
                "" if share is None else f"{100 * share:.1f} %"
                for share in (band.probability, band.alert_rate, band.ppv, band.sensitivity)
            ),
        )
        for band in manifest.thresholds.age_bands
    ]
    return (
        "\n\nAs an option, the same share within each age band: alerts then say who is ill for their age, and find "
        "more of the younger and fewer of the older.\n\n"
        + markdown_table(("age", "estimate from", "alert rate", "PPV", "sensitivity"), rows)
    )


def _file(manifest: Manifest) -> str:
    parity = manifest.parity
    software = ", ".join(f"{name} {version}" for name, version in sorted(manifest.software.items()))
    return (
        "## The file\n\n"
        f"`model.onnx`, {manifest.file.bytes:,} bytes, sha256 `{manifest.file.sha256}`; trained from data with sha256 "
        f"`{manifest.data.sha256}`, seed {manifest.seed}, with {software}.\n\n**Lineage**: "
        + "; ".join(f"{what} {value}" for what, value in lineage_rows(manifest))
        + ".\n\n"
        f"Largest difference from what fitted it over {parity['rows']:,} rows ({parity['rows_with_missing']:,} with "
        "missing values, and every knot and range edge with its float32 neighbours): "
        f"probability {parity['probability']:.1e}, contributions {parity['contribution']:.1e}; "
        f"base + contributions miss the margin by at most {parity['additivity']:.1e}{_second(parity)}. "
        "Limit for each: 1e-05."
    )


def _second(parity: dict[str, Any]) -> str:
    return f"; skl2onnx's conversion differs by {parity['skl2onnx']:.1e}" if "skl2onnx" in parity else ""
