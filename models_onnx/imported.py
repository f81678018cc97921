"""What is known of a model file that somebody else trained: the manifest of an import."""

from typing import Any

import msgspec
from msgspec import Struct

from models_onnx.manifest import Feature, File, Outcome, Population, Required
from models_onnx.wiring import Wiring

FORMAT = "cds-hooks-onnx/imported/1"


class Imported(Struct, frozen=True, kw_only=True):
    """Members as in the manifest of a model of ours; the evaluation is whatever its makers give, in the same form."""

    format: str
    id: str
    version: str
    title: str
    file: File
    outcome: Outcome
    population: Population
    features: tuple[Feature, ...]
    wiring: Wiring
    came_from: str
    required: Required | None = None
    evaluation: dict[str, Any] = {}
    parity: dict[str, Any] = {}

    def feature(self, name: str) -> Feature:
        """The input of that name; KeyError where there is none."""
        return {item.name: item for item in self.features}[name]


def is_imported(content: bytes) -> bool:
    """Whether this manifest.json is that of an import."""
    try:
        document = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return False
    return isinstance(document, dict) and document.get("format") == FORMAT
