"""What is written beside and into the file: manifest, model card essentials, feature dictionary."""

import hashlib
import json
import platform
from importlib.metadata import version
from typing import Any

import msgspec
import numpy as np

from models_onnx.artifact import MODEL
from models_onnx.compiler import Agreement, PiecewiseLinear, Reference
from models_onnx.manifest import Manifest
from models_onnx.spec import ModelSpec
from models_onnx.training.cohort import Cohort, Table
from models_onnx.training.crossvalidate import OutOfFold
from models_onnx.training.rounding import significant

FORMAT = "cds-hooks-onnx/manifest/1"
_SOFTWARE = ("scikit-learn", "numpy", "pandas", "onnx", "onnxruntime", "skl2onnx")

Document = dict[str, Any]


def describe(
    spec: ModelSpec, cohort: Cohort, table: Table, model: PiecewiseLinear, reference: Reference, predicted: OutOfFold
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
        },
        "intended_use": spec.intended_use,
        "users": spec.users,
        "decision_role": spec.decision_role,
        "not_for": list(spec.not_for),
        "cautions": list(spec.cautions),
        "population": {
            "words": spec.population.words,
            "age_low": spec.population.age_low,
            "exclude_conditions": list(spec.population.exclude_conditions),
        },
        "period": {"training": spec.period, "recalibration": spec.recalibration.words},
        "cohort": _cohort(spec, cohort),
        "reference": _reference(spec, cohort, reference),
        "features": _features(spec, cohort, model),
        "required": {
            "always": list(spec.always_required),
            "groups": [
                {"name": g.name, "words": g.words, "members": list(g.members), "at_least": g.at_least}
                for g in spec.required_groups
            ],
        },
        "link": "logit",
        "base": model.base,
        "thresholds": _thresholds(spec, cohort, reference, predicted),
    }


def metadata(spec: ModelSpec, described: Document) -> dict[str, str]:
    """metadata_props: the card's essentials, the feature dictionary and the order of the inputs."""
    card = {name: value for name, value in described.items() if name != "features"}
    return {
        "model_id": spec.id,
        "model_version": spec.version,
        "link": "logit",
        "features": json.dumps(list(spec.feature_names)),
        "feature_dictionary": _compact(described["features"]),
        "model_card": _compact(card),
    }


def manifest(described: Document, content: bytes, seed: int, evaluation: Document, parity: Document) -> Manifest:
    """The manifest of the file with these bytes."""
    document = {
        **described,
        "format": FORMAT,
        "file": {"name": MODEL, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
        "software": {"python": platform.python_version(), **{name: version(name) for name in _SOFTWARE}},
        "seed": seed,
        "evaluation": evaluation,
        "parity": parity,
    }
    return msgspec.convert(document, Manifest)


def parity(agreement: Agreement, skl2onnx_difference: float) -> Document:
    """Largest differences, to two digits: what lies below is noise of the machine."""
    return {
        "rows": agreement.rows,
        "rows_with_missing": agreement.rows_with_missing,
        "limit": 1e-5,
        "probability": significant(agreement.probability, 2),
        "contribution": significant(agreement.contribution, 2),
        "additivity": significant(agreement.additivity, 2),
        "skl2onnx": significant(skl2onnx_difference, 2),
    }


def threshold_margin(reference: Reference, capacity: float) -> float:
    """The margin that the top `capacity` of the reference cohort reaches: one of the file's own quantiles."""
    return reference.quantiles[round((1.0 - capacity) * (len(reference.quantiles) + 1)) - 1]


def _compact(document: Any) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def _cohort(spec: ModelSpec, cohort: Cohort) -> Document:
    return {
        "words": spec.cohort_words,
        "table_rows": cohort.table_rows,
        "exclusions": [{"reason": left.reason, "words": left.words, "count": left.count} for left in cohort.left_out],
        "n": len(cohort),
        "events": int(cohort.y.sum()),
    }


def _reference(spec: ModelSpec, cohort: Cohort, reference: Reference) -> Document:
    return {
        "words": spec.reference_words,
        "n": int(cohort.recent.sum()),
        "events": int(cohort.y[cohort.recent].sum()),
        "bins": [
            {
                "probability_low": round(_probability(reference.margin_low(b)), 6),
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


def _features(spec: ModelSpec, cohort: Cohort, model: PiecewiseLinear) -> list[Document]:
    groups = {member: group.name for group in spec.required_groups for member in group.members}
    means = np.nanmean(cohort.X[cohort.recent], axis=0)
    return [
        {
            **item.described(),
            "trained_low": line.knots[0],
            "trained_high": line.top,
            "clip_high": item.clip_high,
            "reference_value": significant(float(mean), 4),
            "group": groups.get(item.name),
        }
        for item, line, mean in zip(spec.inputs, model.lines, means, strict=True)
    ]


def _thresholds(spec: ModelSpec, cohort: Cohort, reference: Reference, predicted: OutOfFold) -> Document:
    margin, y = predicted.margin[cohort.recent], cohort.y[cohort.recent]
    table = []
    for capacity in spec.capacities:
        limit = threshold_margin(reference, capacity)
        alerted = margin >= limit
        ppv = float(y[alerted].mean())
        table.append(
            {
                "capacity": capacity,
                "percentile": round(100.0 * (1.0 - capacity), 1),
                "margin": limit,
                "probability": round(_probability(limit), 4),
                "alert_rate": round(float(alerted.mean()), 4),
                "ppv": round(ppv, 4),
                "sensitivity": round(float(y[alerted].sum() / y.sum()), 4),
                "number_needed_to_alert": round(1.0 / ppv, 2),
            }
        )
    return {"capacity": spec.capacity, "table": table}


def _probability(margin: float) -> float:
    return float(1.0 / (1.0 + np.exp(-margin)))
