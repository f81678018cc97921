"""A chart as it stood at an instant in the past: what was written after it is taken out."""

import re
from datetime import datetime
from typing import Any

import msgspec
import orjson

from models_onnx.training.data.charts import known_at

_DATE = re.compile(rb'"([12][0-9]{3}-[0-9]{2}-[0-9]{2})')


def as_it_stood(lines: list[bytes], as_of: datetime) -> list[bytes]:
    """The resources without what was seen, written or ended after `as_of`.

    A chart in which nothing is dated later is what it was, and stays. The rules are those by which training tables are
    made from charts (models_onnx/training/data/charts.py). A line that is no resource stays, for the reader to name it.
    """
    day = as_of.date().isoformat().encode()
    if not any(date > day for line in lines for date in _DATE.findall(line)):
        return lines
    resources: list[dict[str, Any]] = []
    unread: list[bytes] = []
    for line in lines:
        try:
            resource = orjson.loads(line)
        except orjson.JSONDecodeError:
            resource = None
        if isinstance(resource, dict):
            resources.append(resource)
        else:
            unread.append(line)
    patient = next((each for each in resources if each.get("resourceType") == "Patient"), {})
    others = [each for each in resources if each.get("resourceType") != "Patient"]
    known = known_at(patient, others, as_of.timestamp())
    return [*(msgspec.json.encode(each) for each in known if each), *unread]
