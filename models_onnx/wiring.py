"""Which tensors of a model file are what; ours have fixed names, a third party's are told."""

from msgspec import Struct


class Wiring(Struct, frozen=True):
    """Names of the input and the outputs; `column` is that of the event where the output has one per class.

    A third party's file may lack everything but the probability: then it does not explain itself.
    """

    input: str = "features"
    probability: str = "probability"
    column: int | None = None
    margin: str | None = "margin"
    contributions: str | None = "contributions"
    missing: str | None = "missing"
    out_of_range: str | None = "out_of_range"
    base: str | None = "base"
    """Key of metadata_props that holds the base, what is predicted where every contribution is 0."""
