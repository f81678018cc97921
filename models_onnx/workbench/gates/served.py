"""Counts which inputs are missing where a model is used: a replay of charts as of each visit or discharge.

A training table says how often an input was missing when it was made. Whether the calls of a hook have the same inputs
is another question, which only charts can answer.
"""

from pathlib import Path

import numpy as np

from fhir.mapping.features.catalog import features_named
from fhir.mapping.features.feature import map_features
from fhir.record.charts import ChartsRefused, read_charts
from models_onnx.artifact.manifest import Manifest
from models_onnx.errors import TrainingRefused
from models_onnx.serving.eligibility import not_in_population
from models_onnx.workbench.gates.subject import ServedInputs
from models_onnx.workbench.training.data.chart_table import indices_of, record_at


def served_inputs(manifest: Manifest, folder: Path, index: str) -> ServedInputs:
    """Return how often each input is missing for the people of these charts whom the model is for.

    `index` is the moment at which the model's service is called, as in `table.toml`. What was written later is not
    seen.

    Raises:
        TrainingRefused: The folder holds no charts, or no chart has such a moment.
    """
    names = tuple(item.name for item in manifest.features)
    features = features_named(names)
    rows = []
    try:
        for chart in read_charts(folder):
            for moment in indices_of(chart, index):
                record = record_at(chart, moment)
                if not_in_population(manifest, record.age_years()) is None:
                    rows.append(np.isnan(map_features(record, features).values))
    except ChartsRefused as problem:
        raise TrainingRefused(str(problem)) from problem
    if not rows:
        raise TrainingRefused(f"no chart of {folder} has a {index} of somebody whom {manifest.id} is for")
    shares = np.mean(rows, axis=0).tolist()
    return ServedInputs(len(rows), f"{index}s", dict(zip(names, shares, strict=True)))
