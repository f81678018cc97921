"""One model, loaded once; one call, one `session.run`, probability and its exact explanation together.

Ranks a prediction's factors for a reader: sign, strength in marks, the first few, and the rest in one sum.

Strength by share of the sum of absolute contributions (responsible-ai 7.4): from 30 % three marks, from 15 % two,
from 5 % one. Shown factors + rest = margin - base, exactly what separates this person from the reference.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import msgspec
import numpy as np
import onnxruntime
from msgspec import Struct
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state

from models_onnx.artifact.folder import Artifact
from models_onnx.artifact.manifest import Manifest, ModelInput
from models_onnx.errors import ExplanationMismatch, ManifestRefused, WrongShape

ADDITIVITY = 1e-5
RUN_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    *(
        kind
        for kind in vars(onnxruntime_pybind11_state).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
"""What a session raises that cannot be made or run: onnxruntime has a class for each way to fail, without a base."""
# Rows of one run of the session: these by the size of the file (500 of a file of 0.5 MB), these at least. A file
# that asks a network once for each coalition of its groups does so for these rows of the network.
_MOST_BYTES, _LEAST_AT_ONCE = 2**28, 8
_FEW, _NETWORK_ROWS = 16, 2**14


class Group(Struct, frozen=True):
    """Inputs that are explained as one: a column of the contributions."""

    name: str
    members: tuple[str, ...]


class Prediction(Struct, frozen=True, gc=False):
    """What one call says.

    margin = base + sum of contributions = link(probability). `percentile` is the share (0-100) of the reference cohort
    with a lower margin, in steps of half a percent; `observed_rate` with its 95 % interval is what happened to the
    `observed_count` people of the reference cohort in the same calibration bin, predicted without having been seen.
    """

    probability: float
    margin: float
    base: float
    contributions: NDArray[np.float64]
    missing: NDArray[np.bool_]
    out_of_range: NDArray[np.bool_]
    percentile: float
    observed_rate: float
    observed_low: float
    observed_high: float
    observed_count: int


class Predictions(Struct, frozen=True):
    """The same for many rows: every member of `Prediction` as an array, the contributions [N, F].

    The contribution of a group of inputs stands at its last input that is not missing.
    """

    probability: NDArray[np.float64]
    margin: NDArray[np.float64]
    contributions: NDArray[np.float64]
    missing: NDArray[np.bool_]
    out_of_range: NDArray[np.bool_]
    percentile: NDArray[np.float64]
    observed_rate: NDArray[np.float64]
    observed_low: NDArray[np.float64]
    observed_high: NDArray[np.float64]
    observed_count: NDArray[np.float64]


_OUTPUTS = list(Predictions.__struct_fields__)
"""What every file gives, in this order."""


def session_of(content: bytes) -> onnxruntime.InferenceSession:
    """Return a session on one thread, from bytes: what was hashed is what runs, and no other file can be reached."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is an exception
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class Model:
    """A loaded artifact. Thread-safe: onnxruntime's run is, and nothing else is kept between calls.

    `groups` says what the columns of the contributions are where they are not the inputs one by one; empty otherwise.
    """

    def __init__(self, artifact: Artifact) -> None:
        self.artifact = artifact
        self.manifest = artifact.manifest
        self.features = tuple(item.name for item in artifact.manifest.features)
        self._base = artifact.manifest.base
        self._session = session_of(artifact.content)
        self.metadata = metadata = self._session.get_modelmeta().custom_metadata_map
        _refuse_other_model(self._session, metadata, artifact.manifest)
        self.groups = msgspec.json.decode(metadata["groups"], type=tuple[Group, ...]) if "groups" in metadata else ()

    def predict(self, values: NDArray[np.float64]) -> Prediction:
        """Return the prediction for one vector in the order of `features`, NaN where missing.

        Raises:
            WrongShape: it is not one value per feature.
            ExplanationMismatch: |margin - base - sum of contributions| is above 1e-5 * max(1, |margin|), which no file
                that passed the compiler should ever do.
        """
        if values.shape != (len(self.features),):
            raise WrongShape(f"{self.manifest.id} takes {len(self.features)} values, got shape {values.shape}")
        rows = self.predict_rows(values[np.newaxis])
        return Prediction(
            rows.probability.item(),
            rows.margin.item(),
            self._base,
            rows.contributions[0],
            rows.missing[0],
            rows.out_of_range[0],
            rows.percentile.item(),
            rows.observed_rate.item(),
            rows.observed_low.item(),
            rows.observed_high.item(),
            int(rows.observed_count.item()),
        )

    def predict_rows(self, values: NDArray[np.float64]) -> Predictions:
        """Return the same for rows [N, F], with the same checks."""
        if values.ndim != 2 or values.shape[1] != len(self.features):
            raise WrongShape(f"{self.manifest.id} takes rows of {len(self.features)} values, got shape {values.shape}")
        size = len(self.artifact.content)
        outputs = run_in_parts(self._session, _OUTPUTS, values.astype(np.float32), size)
        by_name = dict(zip(_OUTPUTS, outputs, strict=True))
        if self.groups:
            by_name["contributions"] = self._at_inputs(by_name["contributions"], by_name["missing"])
        predictions = Predictions(**by_name)
        gap = np.abs(predictions.margin - self._base - predictions.contributions.sum(axis=1))
        if not (gap <= ADDITIVITY * np.maximum(1.0, np.abs(predictions.margin))).all():
            raise ExplanationMismatch(f"{self.manifest.id}: the contributions of a row do not add up to its margin")
        return predictions

    def _at_inputs(self, of_groups: NDArray[np.float64], missing: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return the contributions of groups [N, G] as those of inputs [N, F], 0 at all but one of each group."""
        rows, at_inputs = np.arange(len(missing)), np.zeros(missing.shape)
        for column, group in enumerate(self.groups):
            members = np.array([self.features.index(name) for name in group.members])
            last_recorded = np.argmin(missing[:, members[::-1]], axis=1)
            at_inputs[rows, members[::-1][last_recorded]] = of_groups[:, column]
        return at_inputs


def run_in_parts(
    session: onnxruntime.InferenceSession, names: list[str], rows: NDArray[np.float32], file_bytes: int
) -> list[Any]:
    """Return the outputs for all rows, computed for a part of them at once, so that memory stays bounded.

    A file of large tables looks up an entry of each for every row: adopting 1,000 trees of depth 6 (57 MB) took
    8.9 GB at once and take 1.3 GB in parts, the whole command (`/usr/bin/time -v cds-hooks model import`).
    """
    if len(rows) <= _FEW:
        return list(session.run(names, {"features": rows}))
    coalitions = int(session.get_modelmeta().custom_metadata_map.get("coalitions", 0))
    at_once = max(_LEAST_AT_ONCE, _MOST_BYTES // max(file_bytes, 1))
    if coalitions:
        at_once = max(_FEW, _NETWORK_ROWS // coalitions)
    parts = [session.run(names, {"features": rows[start : start + at_once]}) for start in range(0, len(rows), at_once)]
    # some converters give a list of mappings instead of an array
    return [
        list(chain.from_iterable(of_name)) if isinstance(of_name[0], list) else np.concatenate(of_name)
        for of_name in zip(*parts, strict=True)
    ]


def _refuse_other_model(session: onnxruntime.InferenceSession, metadata: Mapping[str, str], manifest: Manifest) -> None:
    """Refuse a manifest, which is not hashed, that says another order, range or base than the file itself."""
    dictionary = msgspec.json.decode(metadata.get("feature_dictionary", "[]"), type=tuple[ModelInput, ...])
    pairs = (
        ("id", metadata.get("model_id"), manifest.id),
        ("version", metadata.get("model_version"), manifest.version),
        ("base", metadata.get("base"), repr(manifest.base)),
        ("features", dictionary, manifest.features),
    )
    for subject, file, in_manifest in pairs:
        if file != in_manifest:
            raise ManifestRefused(f"{manifest.id}: manifest.json and model.onnx disagree about {subject}; train again")
    if absent := sorted(set(_OUTPUTS) - {output.name for output in session.get_outputs()}):
        raise ManifestRefused(f"{manifest.id}: model.onnx does not explain itself, it lacks {', '.join(absent)}")


FACTORS_SHOWN = 5
_MARKS = ((0.30, 3), (0.15, 2), (0.05, 1))


def marks(contribution: float, total: float) -> int:
    """0 to 3 marks for a share of `total`, the sum of absolute contributions."""
    share = abs(contribution) / total if total else 0.0
    return next((count for least, count in _MARKS if share >= least), 0)
