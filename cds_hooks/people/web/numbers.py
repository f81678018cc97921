"""Numbers, units, dates and ages as the pages write them (LOOK: "Numbers, units, dates, gaps").

What a model predicts and reads is put into words here, too.
"""

import math
import re
from datetime import UTC, datetime

from cards.compose.model import in_100
from fhir.mapping.features.catalog import FEATURES
from fhir.record.datatypes import parse_time
from models_onnx.artifact.manifest import Manifest, ModelInput

_MINUS = "−"
_UCUM_SIGNS = (
    ("mm[Hg]", "mmHg"),
    ("{1.73_m2}", "1.73 m²"),
    ("10*3", "10³"),
    ("10*6", "10⁶"),
    ("10*9", "10⁹"),
    ("m2", "m²"),
)
_WHOLE_UNITS = {"a": "years", "1": ""}
_MICRO = re.compile(r"\bu(?=[A-Za-z])")


def format_value(value: float) -> str:
    """Return the number with the decimals a clinician reads at its size; a minus sign that is one.

    >>> format_value(1.42), format_value(15.94), format_value(128.0), format_value(-0.5)
    ('1.42', '15.9', '128', '−0.5')
    """
    places = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    text = f"{round(value, places) + 0.0:,.{places}f}".replace("-", _MINUS)  # + 0.0: there is no minus zero
    return text.rstrip("0").rstrip(".") if places else text


def format_unit(ucum: str) -> str:
    """Return a UCUM unit as it is printed.

    >>> format_unit("10*3/uL"), format_unit("mm[Hg]"), format_unit("kg/m2"), format_unit("umol/L")
    ('10³/µL', 'mmHg', 'kg/m²', 'µmol/L')
    """
    if ucum in _WHOLE_UNITS:
        return _WHOLE_UNITS[ucum]
    for written, printed in _UCUM_SIGNS:
        ucum = ucum.replace(written, printed)
    return _MICRO.sub("µ", ucum)


def format_quantity(value: float, ucum: str) -> str:
    """Value and unit together.

    >>> format_quantity(6.1, "10*3/uL"), format_quantity(79, "a"), format_quantity(15.9, "%")
    ('6.1 × 10³/µL', '79 years', '15.9 %')
    """
    unit = format_unit(ucum)
    return f"{format_value(value)}{' ×' if unit.startswith('10') else ''} {unit}".rstrip()


def signed(value: float, places: int = 3) -> str:
    """With its sign, for the exact numbers.

    >>> signed(0.357), signed(-0.3), signed(0.0)
    ('+0.357', '−0.300', '0.000')
    """
    text = f"{abs(value):.{places}f}"
    return text if not float(text) else f"{'+' if value > 0 else _MINUS}{text}"


def people_range(low: float, high: float) -> str:
    """Two proportions as people in 100.

    >>> people_range(0.338, 0.421), people_range(0.081, 0.083)
    ('34 to 42', '8')
    """
    first, last = in_100(low), in_100(high)
    return f"{first}" if first == last else f"{first} to {last}"


def logit(probability: float) -> float:
    """log(p / (1 - p)); for 0 and 1 the largest value that can be drawn."""
    inside = min(max(probability, 1e-12), 1 - 1e-12)
    return math.log(inside / (1 - inside))


def logistic(margin: float) -> float:
    """Return the inverse of `logit`."""
    return 1 / (1 + math.exp(-margin))


def date_of(effective: str) -> str:
    """Return the day of an ISO date or dateTime, or the month or year where no day was charted."""
    return effective[:10]


def format_age(effective: str, as_of: datetime) -> str:
    """Return the age of a result in words; "" where its date cannot be read.

    >>> as_of = datetime(2026, 11, 20, tzinfo=UTC)
    >>> format_age("2026-11-11", as_of), format_age("2024-07-20", as_of)
    ('9 days old', '28 months old')
    """
    time = parse_time(effective)
    if time is None:
        return ""
    days = time.whole_days(as_of.timestamp())
    if days == 0:
        return "today"
    if days < 60:
        return "1 day old" if days == 1 else f"{days} days old"
    return f"{round(days / 30.44)} months old"


def format_time(at: datetime) -> str:
    """Return a time to the minute, with its zone.

    >>> format_time(datetime(2026, 11, 20, 9, 14, 7, tzinfo=UTC))
    '2026-11-20 09:14 UTC'
    """
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def time_of(microseconds: int) -> datetime:
    """Return the instant of a number of microseconds since 1970, as the record has it."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC)


def format_epoch(seconds: float | None) -> str:
    """Return an instant in epoch seconds to the minute; "" for none.

    >>> format_epoch(1_795_000_000.0), format_epoch(0)
    ('2026-11-18 11:06 UTC', '')
    """
    return format_time(datetime.fromtimestamp(seconds, UTC)) if seconds else ""


def format_seconds(microseconds: int) -> str:
    """Return an instant of the record to the second.

    >>> format_seconds(1_795_000_000_000_000)
    '2026-11-18 11:06:40 UTC'
    """
    return f"{time_of(microseconds):%Y-%m-%d %H:%M:%S} UTC"


LEAST_EVENTS = 50
"""Fewer events than this give no figure of what happened against what was expected (responsible-ai.md 5.2)."""


def words_of(feature: ModelInput) -> str:
    """Return what a clinician calls it: the words of our own feature, or the model's if there is none."""
    return FEATURES[feature.name].words if feature.name in FEATURES else feature.words


def outcome_short(manifest: Manifest) -> str:
    """Return the outcome without what is said after its first comma: "died within 5 years"."""
    return manifest.outcome.words.partition(",")[0]


def simple_inputs(manifest: Manifest) -> str:
    """Return the few inputs that the model has to beat, in words."""
    names: list[str] = manifest.evaluation["simple"]["inputs"]
    return " and ".join(words_of(manifest.feature(name)).lower() for name in names)


def happened(manifest: Manifest) -> str:
    """Return the outcome in one word, for the legend of a drawing."""
    return "died" if _is_death(manifest) else "did"


def otherwise(manifest: Manifest) -> str:
    """Return its opposite in as few words."""
    return "lived" if _is_death(manifest) else "did not"


def _is_death(manifest: Manifest) -> bool:
    return manifest.outcome.words.startswith("died")
