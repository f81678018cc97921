"""G10: was the label audited: is it what it stands for, for every group?"""

from dataclasses import asdict

from models_onnx.gates.gate import Gate
from models_onnx.gates.label_audit import audit_label
from models_onnx.gates.result import Insufficient, NotRun, Verdict
from models_onnx.gates.subject import Evidence, Subject


def check_label(subject: Subject, evidence: Evidence) -> Verdict:
    """The label is declared, is no cost, and at an equal score no group needs much more than another."""
    label = subject.product.get("label")
    if not isinstance(label, dict):
        return Verdict("", ("the card does not say what the label is and what it stands for (product.label)",))
    if label.get("kind") == "cost" and evidence.audit is None:
        return Verdict("", ("the label is cost: it stands in for need and was not audited against it",))
    if evidence.audit is None:
        raise NotRun(evidence.why_absent("audit", "The label was not audited: there are no people to audit it on."))
    asked = evidence.audit
    groups = audit_label(asked.score, asked.group, asked.need, asked.weight, asked.seed, asked.own_label)
    rows = [asdict(group) for group in groups]
    if sum(group.sufficient for group in groups) < 2:
        raise Insufficient(f"Fewer than two groups have enough people and {evidence.audit.words} to compare.")
    faults = [fault for group in groups if (fault := group.fault) is not None]
    if faults:
        faults = [f"{fault} ({evidence.audit.words}); the label is {label['words']}" for fault in faults]
    few = [group.group for group in groups if not group.sufficient]
    said = (
        f"At an equal score no group has much more {evidence.audit.words} than the others"
        f"{'; insufficient: ' + ', '.join(few) if few else ''}."
    )
    return Verdict(said, tuple(faults), {"label": label, "need": evidence.audit.words}, rows)


GATES = (Gate("G10", "Label-choice audit", "Does the label mean the same need in every group?", check_label, False),)
