"""What was observed against what a model estimates."""

from msgspec import Struct

from models_onnx.artifact.manifest import Manifest, RiskBin


class Calibration(Struct, frozen=True):
    """Groups of the reference cohort with similar estimates, each with what was observed, and a sentence on all."""

    groups: tuple[RiskBin, ...]
    text: str

    @property
    def highest(self) -> float:
        """The highest share (0 to 1) that an interval or an estimate reaches."""
        return max(max(group.high, group.predicted) for group in self.groups)


def calibration(manifest: Manifest) -> Calibration:
    """Return the estimates against what was observed, of the groups of the reference cohort with similar estimates.

    Each person was predicted by a model that was not trained on them.
    """
    there = tuple(group for group in manifest.reference.bins if group.count)
    agree = sum(group.low <= group.predicted <= group.high for group in there)
    return Calibration(
        there,
        f"Each row is a group with similar estimates. In {agree} of {len(there)} groups the estimate lies within the "
        "95 % interval of what was observed.",
    )
