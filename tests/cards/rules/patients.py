"""Small patients and drafts of the cases: they are made in cards/casebook/patients.py, where `rules check` has them."""

from cards.casebook.patients import PATIENT_ID, bundle_of, concept_of, draft_of, drafts_of, record_of, without

__all__ = ["PATIENT_ID", "bundle_of", "concept_of", "draft_of", "drafts_of", "record_of", "without"]
