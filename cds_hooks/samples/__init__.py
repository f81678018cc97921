"""Invented patients and drafted orders that come with the package, always as old as their story says."""

from cds_hooks.samples.loader import (
    SHOWCASE_DRAFT,
    SHOWCASE_PATIENT,
    DraftedOrder,
    PatientView,
    Sample,
    list_samples,
    load_draft,
    load_patient,
    sample_ids,
)

__all__ = [
    "SHOWCASE_DRAFT",
    "SHOWCASE_PATIENT",
    "DraftedOrder",
    "PatientView",
    "Sample",
    "list_samples",
    "load_draft",
    "load_patient",
    "sample_ids",
]
