"""The source attributes of 45 CFR 170.315(b)(11)(iv): 31 of a predictive, 13 of an evidence-based intervention.

Source: HTI-1 final rule, 89 FR 1192; numbers and keys as in responsible-ai.md 1.2 and 1.3. The cites are labels, not
structure: the card keeps its keys whatever becomes of the rule.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["predictive", "evidence-based"]


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: `section.key` is its place in the card (a key may have two steps, `uses.race`)."""

    number: str
    cite: str
    section: str
    key: str
    title: str
    may_be_unavailable: bool = False

    @property
    def place(self) -> str:
        """Where the card holds it, for example `purpose.users`."""
        return f"{self.section}.{self.key}"


# One row each: cite inside (b)(11)(iv)(B), place, title. "?" at the end of the cite: may be "not available".
_PREDICTIVE = (
    ("(1)(i)", "details.developer", "Developer, with name and contact"),
    ("(1)(ii)", "details.funding", "Who paid for the technical implementation"),
    ("(1)(iii)", "details.output_value", "The value that comes out"),
    (
        "(1)(iv)",
        "details.output_kind",
        "Kind of output: prediction, classification, recommendation, evaluation, analysis",
    ),
    ("(2)(i)", "purpose.intended_use", "Intended use"),
    ("(2)(ii)", "purpose.population", "Intended patients"),
    ("(2)(iii)", "purpose.users", "Intended users"),
    ("(2)(iv)", "purpose.decision_role", "Role in the decision: informs, augments or replaces"),
    ("(3)(i)", "cautions.out_of_scope", "Tasks, situations and patients it is not for"),
    ("(3)(ii)", "cautions.known_risks", "Known risks, inappropriate settings and limits"),
    ("(4)(i)", "development.criteria", "Who is in the training data and who was left out"),
    ("(4)(ii)", "development.uses", "Use of the nine demographic and social variables as inputs"),
    ("(4)(iii)", "development.representativeness", "Whom the training data stand for"),
    ("(4)(iv)", "development.relevance", "How well the training data fit the place of use"),
    ("(5)(i)", "fairness.approach", "How the output was made fair"),
    ("(5)(ii)", "fairness.mitigation", "How bias is managed, reduced or removed"),
    ("(6)(i)?", "external.source", "External validation: data and setting"),
    ("(6)(ii)?", "external.party", "External validation: who did it"),
    ("(6)(iii)?", "external.representativeness", "External validation: whom its data stand for"),
    ("(6)(iv)?", "external.process", "External validation: how it was done"),
    ("(7)(i)", "performance.internal_validity", "Validity on data of the same source"),
    ("(7)(ii)", "performance.internal_fairness", "Fairness on data of the same source"),
    ("(7)(iii)?", "performance.external_validity", "Validity on external data"),
    ("(7)(iv)?", "performance.external_fairness", "Fairness on external data"),
    ("(7)(v)?", "performance.outcome_evaluations", "Studies of its effect on outcomes"),
    ("(8)(i)", "maintenance.validity_monitoring", "How and how often validity is watched"),
    ("(8)(ii)?", "maintenance.local_validity", "Validity in local data"),
    ("(8)(iii)", "maintenance.fairness_monitoring", "How and how often fairness is watched"),
    ("(8)(iv)?", "maintenance.local_fairness", "Fairness in local data"),
    ("(9)(i)?", "updates.process", "How and how often it is updated"),
    ("(9)(ii)?", "updates.correction", "How fast performance is corrected when a risk is found"),
)
_EVIDENCE = (
    ("evidence.citation", "Citation of the research or guideline"),
    ("evidence.developer", "Who made the intervention from it"),
    ("evidence.funding", "Who paid for the technical implementation"),
    ("evidence.dates", "Release and revision dates"),
    ("evidence.uses.race", "Use of race"),
    ("evidence.uses.ethnicity", "Use of ethnicity"),
    ("evidence.uses.language", "Use of language"),
    ("evidence.uses.sexual_orientation", "Use of sexual orientation"),
    ("evidence.uses.gender_identity", "Use of gender identity"),
    ("evidence.uses.sex", "Use of sex"),
    ("evidence.uses.date_of_birth", "Use of date of birth"),
    ("evidence.uses.sdoh", "Use of social determinants of health"),
    ("evidence.uses.health_status", "Use of health status assessments"),
)


def _attribute(number: str, cite: str, place: str, title: str) -> Attribute:
    section, _, key = place.partition(".")
    return Attribute(number, cite.rstrip("?"), section, key, title, cite.endswith("?"))


PREDICTIVE: tuple[Attribute, ...] = tuple(
    _attribute(str(number), f"(B){cite}", place, title) for number, (cite, place, title) in enumerate(_PREDICTIVE, 1)
)
EVIDENCE: tuple[Attribute, ...] = tuple(
    _attribute(f"E{number}", f"(A)({number})", place, title) for number, (place, title) in enumerate(_EVIDENCE, 1)
)
ATTRIBUTES: dict[Kind, tuple[Attribute, ...]] = {"predictive": PREDICTIVE, "evidence-based": EVIDENCE}
