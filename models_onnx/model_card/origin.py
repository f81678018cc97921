"""Where a model comes from, on whom it was fitted, evaluated and recalibrated, and what a missing input counts as."""

from msgspec import UnsetType

from models_onnx.artifact.manifest import Manifest, MissingInputs, Provenance

NOT_RECORDED = "not recorded"


def is_adopted(manifest: Manifest) -> bool:
    """Return whether the model was fitted elsewhere; False too for a manifest without lineage, which cannot say it."""
    if isinstance(manifest.provenance, Provenance):
        return True
    return not isinstance(manifest.lineage, UnsetType) and bool(manifest.lineage.fitted_sha256)


def provenance_of(manifest: Manifest) -> Provenance:
    """Return on whom the model was fitted, evaluated and recalibrated.

    Without these facts in its manifest, what was trained here was fitted and evaluated, out of fold, on its cohort; of
    what was adopted nobody knows on whom it was fitted.
    """
    if isinstance(manifest.provenance, Provenance):
        return manifest.provenance
    cohort, period = manifest.cohort, manifest.period
    people = f"{cohort.n:,} {cohort.words}, {period.training}"
    recalibrated = period.recalibration if period.recalibration != period.training else ""
    if is_adopted(manifest):
        return Provenance("", people, recalibrated)
    return Provenance(people, "the same people, each by a model that was fitted without them", recalibrated)


def provenance_rows(manifest: Manifest) -> list[tuple[str, str]]:
    """Return the three facts for a page; what nobody knows is said to be unknown."""
    facts = provenance_of(manifest)
    return [
        ("Fitted on", facts.fitted_on or "not known"),
        ("Evaluated on", facts.evaluated_on),
        ("Recalibrated on", facts.recalibrated_on or "nobody: it was not recalibrated"),
    ]


def lineage_rows(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what the model was made with: each thing and its value; what was not written down is "not recorded"."""
    lineage = manifest.lineage
    if isinstance(lineage, UnsetType):
        return [("code", NOT_RECORDED)]
    rows = [
        ("code", lineage.code),
        ("declaration, SHA-256", lineage.declaration_sha256 or NOT_RECORDED),
    ]
    if lineage.fitted_sha256:
        rows.append(("fitted model, SHA-256", lineage.fitted_sha256))
    return rows


def absence_words(manifest: Manifest) -> str:
    """Return what a missing input counts as, in one sentence or two."""
    missing = manifest.missing_inputs
    if isinstance(missing, MissingInputs) and missing.kind == "imputed":
        listed = ", ".join(
            f"`{name}` {value:.4g}" for name, value in missing.values.items() if name not in manifest.required.always
        )
        return f"A missing input is named and counts as a value that is put in its place: {listed}."
    if isinstance(missing, MissingInputs) and missing.kind == "learned":
        return (
            "A missing input is named, and its absence raises or lowers the estimate by itself, as was learned from "
            "people in whom it was missing: where such values are asked for from other people, this may not hold."
        )
    return "A missing input is named and contributes 0: it counts as the average of the reference cohort."
