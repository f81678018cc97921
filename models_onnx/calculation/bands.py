"""Scales whose published result is the band that a total falls into."""

from models_onnx.calculation.declaration import Band, Values
from models_onnx.calculation.result import Contribution, Working


def work_band(bands: tuple[Band, ...], total: str, values: Values) -> Working:
    """The name of the band of the input `total`; the total is its own explanation."""
    score = float(values[total])
    band = [each for each in bands if each.is_reached(score)][-1]
    return Working(band.id, "identity", 0.0, (Contribution(total, values[total], score),))
