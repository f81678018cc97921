"""Checks that services and models answer themselves, before there is a card: declared here, asked where they compute.

`services/` asks about the patient and what is on the chart, `services/_model.py` about the model (`ModelApprovals`).
"""

from cds_hooks.hold_back.checks import Check


class NoEstimate(Check):
    """The patient has died, is in palliative care, or has opted out of decision support."""

    codes = ("deceased", "palliative", "opted-out")
    level = "patient"
    title = "No estimate for this patient: death, palliative care, or an opt-out"
    lets_through = "A change of the chart (docs/operations/restraint.md, who gets no estimate)."
    hides_findings = False


class AlreadyDone(Check):
    """What a card would suggest is on the chart."""

    codes = ("already-done", "already-ordered")
    level = "patient"
    title = "What it would suggest is done or ordered already"
    lets_through = "A change of the chart: the order, procedure or visit that the reason names."
    hides_findings = False


class ModelNotReleased(Check):
    """The model's release, gates or approvals do not let it show cards at this site."""

    codes = ("model-not-released",)
    level = "model"
    title = "The model's release state, gates or approvals"
    lets_through = "The state that CDS_MODEL_STATE asks for: cds-hooks model state, and cds-hooks approve model."
