"""What is written beside and into the file: manifest, model card essentials, feature dictionary."""

import hashlib
import json
import platform
from importlib.metadata import version
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from fhir.mapping.features.catalog import FEATURES
from models_onnx.artifact.folder import MODEL
from models_onnx.artifact.manifest import Manifest
from models_onnx.spec import Fitted, ModelSpec, OutcomeSpec
from models_onnx.workbench.compiler.families.grouped import GroupedModel
from models_onnx.workbench.compiler.link import FittedModel
from models_onnx.workbench.compiler.parity import Agreement
from models_onnx.workbench.compiler.reference import Reference
from models_onnx.workbench.metrics import net_benefit
from models_onnx.workbench.training.crossvalidate import OutOfFold
from models_onnx.workbench.training.data.chart_table import undated_in_words, undated_shares
from models_onnx.workbench.training.data.cohort import Cohort, Table
from models_onnx.workbench.training.fitting.additive import significant

FORMAT = "cds-hooks-onnx/manifest/1"
_SOFTWARE = ("scikit-learn", "numpy", "pandas", "onnx", "onnxruntime", "skl2onnx")

_FEW_VALUES = 10

Document = dict[str, Any]
Mask = NDArray[np.bool_]


def describe(
    spec: ModelSpec, cohort: Cohort, table: Table, model: FittedModel, reference: Reference, predicted: OutOfFold
) -> Document:
    """Everything about the model that does not depend on resampling; manifest and metadata are made from it."""
    return {
        "id": spec.id,
        "version": spec.version,
        "title": spec.title,
        "data": {"name": table.name, "sha256": table.sha256, "rows": cohort.table_rows},
        "outcome": {
            "column": spec.outcome.column,
            "words": spec.outcome.words,
            "horizon_years": spec.outcome.horizon_years,
            "horizon_days": spec.outcome.horizon_days,
            **_label(spec.outcome),
        },
        "intended_use": spec.intended_use,
        "users": spec.users,
        "decision_role": spec.decision_role,
        "not_for": list(spec.not_for),
        "cautions": [*spec.cautions, *undated_in_words(undated_shares(cohort.rows, spec.feature_names))],
        "population": msgspec.to_builtins(spec.population),
        "period": {
            "training": spec.period,
            "recalibration": spec.recalibration.words if spec.recalibration else spec.period,
        },
        **_provenance(spec, cohort),
        "cohort": _cohort(spec, cohort),
        "reference": _reference(spec, cohort, reference, model),
        "features": _features(spec, cohort, model),
        "required": {
            "always": list(spec.always_required),
            "groups": msgspec.to_builtins(spec.required_groups),
        },
        "link": model.link.name,
        "base": model.base,
        "thresholds": _thresholds(spec, cohort, reference, predicted, model),
        "estimator": spec.estimator.words,
        "row_words": spec.row_words,
        "twin": {"id": spec.twin, "words": spec.twin_words} if spec.twin else None,
    }


def metadata(spec: ModelSpec, described: Document) -> dict[str, str]:
    """metadata_props: the feature dictionary and the order of the inputs; publishing puts the model card in."""
    return {
        "model_id": spec.id,
        "model_version": spec.version,
        "features": json.dumps(list(spec.feature_names)),
        "feature_dictionary": json.dumps(described["features"], ensure_ascii=False, separators=(",", ":")),
    }


def manifest(
    described: Document, content: bytes, seed: int, evaluation: Document, parity: Document, cohort: Cohort
) -> Manifest:
    """Return the manifest of the file with these bytes."""
    document = {
        **described,
        "distributions": _distributions(cohort),
        "format": FORMAT,
        "file": {"name": MODEL, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
        "software": {"python": platform.python_version(), **{name: version(name) for name in _SOFTWARE}},
        "seed": seed,
        "evaluation": evaluation,
        "parity": parity,
    }
    return msgspec.convert(document, Manifest)


def parity(agreement: Agreement) -> Document:
    """Largest differences, to two digits: what lies below is noise of the machine."""
    figures = {name: significant(getattr(agreement, name), 2) for name in ("probability", "contribution", "additivity")}
    return {"rows": agreement.rows, "rows_with_missing": agreement.rows_with_missing, "limit": 1e-5, **figures}


def threshold_margin(reference: Reference, capacity: float) -> float:
    """Return the margin that the top `capacity` of the reference cohort reaches: one of the file's own quantiles."""
    return reference.quantiles[round((1.0 - capacity) * (len(reference.quantiles) + 1)) - 1]


def _label(outcome: OutcomeSpec) -> Document:
    """Return what is declared of the labels; a model that declares nothing has the same files as before."""
    declared = {"event": outcome.event, "label_lag_days": outcome.label_lag_days}
    return {name: value for name, value in declared.items() if value is not None}


def _provenance(spec: ModelSpec, cohort: Cohort) -> Document:
    """Return on whom a model of others was fitted, and on whom it was evaluated here; of ours the cohort says both."""
    if not isinstance(spec.estimator, Fitted):
        return {}
    recalibrated = f"{int(cohort.recent.sum()):,} of them, {spec.recalibration.words}" if spec.recalibration else ""
    facts = {
        "fitted_on": spec.estimator.trained_on.strip(),
        "evaluated_on": f"{len(cohort):,} {spec.cohort_words}, {spec.period}",
        "recalibrated_on": recalibrated,
    }
    return {"provenance": facts}


def _cohort(spec: ModelSpec, cohort: Cohort) -> Document:
    return {
        "words": spec.cohort_words,
        "table_rows": cohort.table_rows,
        "exclusions": msgspec.to_builtins(cohort.left_out),
        "n": len(cohort),
        "events": int(cohort.y.sum()),
    }


def _reference(spec: ModelSpec, cohort: Cohort, reference: Reference, model: FittedModel) -> Document:
    def probability(margin: float) -> float:
        return float(model.link.probability(np.array([margin]))[0])

    return {
        "words": spec.reference_words,
        "n": int(cohort.recent.sum()),
        "events": int(cohort.y[cohort.recent].sum()),
        "bins": [
            {
                "probability_low": round(probability(reference.margin_low(b)), 6),
                "percentile_low": round(b.quantile * reference.step, 1),
                "predicted": b.predicted,
                "count": b.count,
                "events": b.events,
                "rate": b.rate,
                "low": b.low,
                "high": b.high,
            }
            for b in reference.bins
        ],
    }


def _features(spec: ModelSpec, cohort: Cohort, model: FittedModel) -> list[Document]:
    groups = {member: group.name for group in spec.required_groups for member in group.members}
    # of groups the values against which the file explains, which of a text is the most frequent one
    means = model.background if isinstance(model, GroupedModel) else np.nanmean(cohort.X[cohort.recent], axis=0)
    highest = np.nanmax(cohort.X, axis=0)
    return [
        {
            **item.described(),
            "trained_low": low,
            "trained_high": significant(float(top)) if high == float("inf") else high,
            "clip_high": item.clip_high,
            "reference_value": significant(float(mean), 4),
            "group": groups.get(item.name),
            "choices": list(FEATURES[item.name].choices),
        }
        for item, low, high, top, mean in zip(spec.inputs, model.low, model.high, highest, means, strict=True)
    ]


def _distributions(cohort: Cohort) -> Document:
    """Return the deciles of each input in the reference cohort; of few values, such as 0 and 1, the share of each."""
    distributions = {}
    for name, column in zip(cohort.features, cohort.X[cohort.recent].T, strict=True):
        x = column[~np.isnan(column)]
        if len(x):
            kinds, counts = np.unique(x, return_counts=True)
            below = np.cumsum(counts) / len(x)
            deciles = np.unique(np.searchsorted(below, np.arange(1, 10) / 10))
            last = np.arange(len(kinds) - 1) if len(kinds) <= _FEW_VALUES else deciles[deciles < len(kinds) - 1]
            # between two values, so that another unit or precision moves nobody across
            cuts = (kinds[last] + kinds[last + 1]) / 2
            shares = np.diff(below[last], prepend=0.0, append=1.0)
            distributions[name] = {
                "n": len(x),
                "cuts": [significant(cut) for cut in cuts.tolist()],
                "shares": [round(share, 4) for share in shares.tolist()],
            }
    return distributions


def _thresholds(
    spec: ModelSpec, cohort: Cohort, reference: Reference, predicted: OutOfFold, model: FittedModel
) -> Document:
    table = [_threshold(spec, cohort, reference, predicted, model, capacity) for capacity in spec.capacities]
    if spec.alerts_per_event is None:
        bands = {"age_bands": _age_bands(spec, cohort, predicted, model)} if spec.age_bands else {}
        return {"capacity": spec.capacity, "table": table, **bands}
    # the greatest net benefit, of the capacities that are at most the one declared
    within = [row for row in table if row["capacity"] <= spec.capacity]
    return {
        "capacity": max(within, key=lambda row: float(row["net_benefit"]))["capacity"],
        "table": table,
        "alerts_per_event": spec.alerts_per_event,
        "net_benefit_all": _net_benefit(spec.alerts_per_event, cohort, predicted, -np.inf),
        "age_bands": _age_bands(spec, cohort, predicted, model),
    }


def _threshold(
    spec: ModelSpec, cohort: Cohort, reference: Reference, predicted: OutOfFold, model: FittedModel, capacity: float
) -> Document:
    limit = threshold_margin(reference, capacity)
    alerted = _alerted(cohort.recent, cohort, predicted, model, limit)
    row = {
        "capacity": capacity,
        "percentile": round(100.0 * (1.0 - capacity), 1),
        **alerted,
        "number_needed_to_alert": round(1.0 / alerted["ppv"], 2) if alerted["ppv"] else 1e9,
    }
    if spec.alerts_per_event is not None:
        row["net_benefit"] = _net_benefit(spec.alerts_per_event, cohort, predicted, limit)
    return row


def _net_benefit(alerts_per_event: float, cohort: Cohort, predicted: OutOfFold, limit: float) -> float:
    recent, odds = cohort.recent, 1.0 / (alerts_per_event - 1.0)
    return round(net_benefit(predicted.margin[recent], cohort.y[recent], cohort.weight[recent], limit, odds), 4)


def _alerted(rows: Mask, cohort: Cohort, predicted: OutOfFold, model: FittedModel, limit: float) -> Document:
    """Return what alerting these rows from that margin on finds and costs."""
    y, weight, alerted = cohort.y[rows], cohort.weight[rows], predicted.margin[rows] >= limit
    true_alerts, events = float((weight * y)[alerted].sum()), float((weight * y).sum())
    alerts = float(weight[alerted].sum())
    return {
        "margin": limit,
        "probability": round(float(model.link.probability(np.array([limit]))[0]), 4),
        # Of everybody in the reference cohort, also of those whose outcome is not known yet.
        "alert_rate": round(float(alerted.mean()), 4),
        "ppv": round(true_alerts / alerts, 4) if alerts else 0.0,
        "sensitivity": round(true_alerts / events, 4) if events else 0.0,
    }


def _age_bands(spec: ModelSpec, cohort: Cohort, predicted: OutOfFold, model: FittedModel) -> list[Document]:
    """For each age band the margin that the default share of its own people reaches, and what it finds and costs."""
    if not spec.age_bands:
        return []
    age = cohort.X[:, cohort.features.index("age_years")]
    bands = []
    for low, below in pairwise((*spec.age_bands, np.inf)):
        rows = cohort.recent & (age >= low) & (age < below)
        if rows.any():
            margins = model.margin(cohort.X[rows])
            limit = significant(float(np.quantile(margins, 1.0 - spec.capacity)))
            end = below if below < np.inf else None
            bands.append({"age_low": low, "age_below": end, **_alerted(rows, cohort, predicted, model, limit)})
    return bands
