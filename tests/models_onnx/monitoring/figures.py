"""Days of monitoring in the form in which they are counted."""

from collections import Counter
from collections.abc import Iterable

from models_onnx.monitoring.sketch import Sketch, bucket_of


def sketch_of(values: Iterable[float]) -> Sketch:
    """The sketch in which these values are counted."""
    return Counter(map(bucket_of, values))
