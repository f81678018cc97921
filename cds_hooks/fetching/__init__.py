"""Fills the gaps of a prefetch from the client's FHIR server: in parallel, each query once, within one deadline."""

from cds_hooks.fetching.engine import Fetching, Filled
from cds_hooks.fetching.medications import refers_elsewhere

__all__ = ["Fetching", "Filled", "refers_elsewhere"]
