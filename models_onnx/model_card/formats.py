"""The model card section by section for a page, and as the Coalition for Health AI's Applied Model Card 0.2, in XML.

Structure from the public schema coalition-for-health-ai/mc-schema, v0.2/schema.xsd (commit 1c77360, 2025-10-28): order
and names of the elements are facts of it; none of its text is here.
"""

import json
from collections.abc import Iterator
from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from models_onnx.errors import CardIncomplete
from models_onnx.model_card.attributes import ATTRIBUTES, PREDICTIVE, Card, attribute_of
from models_onnx.model_card.schema import refuse_incomplete_card

SECTIONS = {
    "details": "What it is and what comes out",
    "purpose": "What for, for whom, by whom",
    "cautions": "What it is not for, and its risks",
    "development": "What it was built from",
    "fairness": "Fairness",
    "external": "Tested by others",
    "performance": "How well it does",
    "maintenance": "How it is watched",
    "updates": "How it is kept up",
    "evidence": "Evidence and inputs",
}
VALIDITY = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "calibration_slope": "calibration slope",
    "observed_expected": "observed/expected",
    "ppv": "PPV at the default threshold",
    "sensitivity": "sensitivity at the default threshold",
}


def card_sections(card: Card) -> list[dict[str, Any]]:
    """Return every attribute with what the card says of it, in its order, section by section."""
    by_section = groupby(ATTRIBUTES[card["kind"]], key=lambda attribute: attribute.section)
    return [
        {"title": SECTIONS[name], "rows": [(row, attribute_of(card, row)) for row in rows]} for name, rows in by_section
    ]


NAMESPACE = "https://mc.chai.org/v0.2/schema.xsd"

_BY_NUMBER = {attribute.number: attribute for attribute in PREDICTIVE}

# Element → numbers of the attributes whose words it holds (responsible-ai.md 1.3, column CHAI).
_USES = {
    "IntendedUseAndWorkflow": (5,),
    "PrimaryIntendedUsers": (7,),
    "HowToUse": (8,),
    "TargetedPatientPopulation": (6,),
    "CautionedOutOfScopeSettings": (9,),
}


def chai_xml(card: Card, state: str, released: str) -> bytes:
    """Return the XML document, valid against v0.2; `state` is the release state, `released` a date.

    CardIncomplete where the card is not whole or is not that of a predictive model.
    """
    refuse_incomplete_card(card)
    if card["kind"] != "predictive":
        raise CardIncomplete("CHAI's card is of AI models; an evidence-based card has no such form")
    root = Element("AppliedModelCard", xmlns=NAMESPACE)
    product = card["product"]
    _part(
        root,
        "BasicInfo",
        ModelName=card["model"]["title"],
        ModelDeveloper=_head(card),
        DeveloperContact=_words_of(card, 1),
    )
    release = _part(
        root, "ReleaseInfo",
        ReleaseStage=state, ReleaseDate=released, ReleaseVersion=card["model"]["version"],
        GlobalAvailability="Open source; where it may be used is for each site to decide.",
    )  # fmt: skip
    SubElement(SubElement(release, "EHRCompatibility"), "EHR").text = "Any client of CDS Hooks 1.0 to 3.0"
    _text(release, "RegulatoryApproval", str(product.get("regulatory") or product["device_status"]))
    _summary(root, card)
    _part(root, "UsesAndDirections", **{name: _words_of(card, *numbers) for name, numbers in _USES.items()})
    _part(
        root, "Warnings",
        KnownRisksAndLimitations=_words_of(card, 10),
        KnownBiasesOrEthicalConsiderations=_words_of(card, 12, 16),
        ClinicalRiskLevel=f"{product['device_status']}. {product['statement']}",
    )  # fmt: skip
    _trust(root, card)
    _metrics(root, card)
    _part(
        root, "Resources",
        EvaluationReferences=_words_of(card, 25),
        PeerReviewedPublications=str(product.get("bibliography") or "None about this model."),
        ReimbursementStatus=str(product.get("reimbursement") or "None."),
        PatientConsentOrDisclosure=str(product.get("consent") or "For the site to decide."),
    )  # fmt: skip
    _text(root, "Bibliography", str(product.get("bibliography") or "None."))
    indent(root)
    body: bytes = tostring(root, encoding="utf-8")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + body + b"\n"


def _summary(root: Element, card: Card) -> None:
    summary = _part(root, "ModelSummary", Summary=f"{_words_of(card, 5)} {_words_of(card, 3)}")
    keywords = SubElement(summary, "Keywords")
    for word in card["product"].get("keywords", []):
        _text(keywords, "Keyword", word)


def _trust(root: Element, card: Card) -> None:
    product = card["product"]
    explanation = product["explanation"]
    trust = SubElement(root, "TrustIngredients")
    _part(
        trust, "AISystemFacts",
        OutcomesAndOutputs=_words_of(card, 3),
        ModelType=_words_of(card, 4),
        FoundationModels=str(product.get("foundation_models") or "None."),
        InputDataSource=_words_of(card, 12),
        OutputAndInputDataTypes="Input: numbers and codes of the chart, in the feature dictionary of the file. "
        "Output: a probability and the contribution of each input.",
        DevelopmentDataCharacterization=_words_of(card, 11, 13, 14),
        BiasMitigationApproaches=_words_of(card, 15, 16),
        OngoingMaintenance=_words_of(card, 26, 28, 30, 31),
        Security=str(product["security"]),
        Transparency=f"Explanation: {explanation.get('method')}, on the scale of {explanation.get('scale')}, "
        f"compared with {explanation.get('compared_with')}.",
    )  # fmt: skip
    _part(
        trust, "TransparencyInformation",
        FundingSource=_words_of(card, 2),
        ThirdPartyInformation=str(product.get("third_party") or "None."),
        StakeholdersConsulted=str(product.get("stakeholders") or "None."),
    )  # fmt: skip


def _metrics(root: Element, card: Card) -> None:
    metrics = SubElement(root, "KeyMetrics")
    tested, process = _words_of(card, 11, 17, 19), _words_of(card, 20)
    validity, fairness = attribute_of(card, _BY_NUMBER["21"]), attribute_of(card, _BY_NUMBER["22"])
    how = str(_dict(validity.get("figures")).get("how") or "See the results.")
    _metric(metrics, "UsefulnessUsabilityEfficacy", "Tells people apart and comes true in numbers.",
            list(_validity_results(validity.get("figures"))), _words_of(card, 21), how, tested, process)  # fmt: skip
    _metric(metrics, "FairnessEquity", "Holds in every group it is used on.",
            list(_fairness_results(fairness.get("figures"))), _words_of(card, 22), how, tested, process)  # fmt: skip
    irm = card["product"]["irm"]
    results = [("Risks reviewed", {"kind": "text", "value": irm["reviewed"]})]
    words = f"{irm['safety']} {irm['reliability']} {irm['robustness']}"
    _metric(metrics, "SafetyReliability", "Says nothing where it should not.", results, words,
            "Gates of this project, run on the file itself.", tested, irm["robustness"])  # fmt: skip


def _metric(
    parent: Element, name: str, goal: str, results: list[tuple[str, Any]], words: str, how: str, data: str, process: str
) -> None:
    metric = SubElement(parent, name)
    _text(metric, "MetricGoal", goal)
    listed = SubElement(metric, "Results")
    for label, value in results or [("Result", {"kind": "text", "value": words})]:
        result = SubElement(listed, "MetricResult")
        _text(result, "Label", label)
        _text(result, "ValueJson", json.dumps(value, ensure_ascii=False))
    _text(metric, "Interpretation", words)
    _text(metric, "TestType", how)
    _text(metric, "TestingDataDescription", data)
    _text(metric, "ValidationProcessAndJustification", process)


def _validity_results(validity: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for period in ("all", "latest"):
        block = _dict(_dict(validity).get(period))
        for name, label in VALIDITY.items():
            if name in block:
                yield f"{label} ({period}, n={block['people']})", _interval(block[name])


def _fairness_results(groups: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for row in groups if isinstance(groups, list) else []:
        label = f"Observed/expected, {row['axis']}: {row['group']} (n={row['people']})"
        if row["sufficient"]:
            yield label, _interval(row["observed_expected"])
        else:
            yield label, {"kind": "text", "value": "too few events to judge"}


def _interval(figure: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "single", "value": figure["value"], "ci95": [figure["low"], figure["high"]]}


def _words_of(card: Card, *numbers: int) -> str:
    """Return the words of these attributes, one after the other; "not available" with its reason where it is so."""
    parts = []
    for number in numbers:
        value = attribute_of(card, _BY_NUMBER[str(number)])
        parts.append(value.get("words") or f"Not available as of {value['as_of']}: {value['not_available']}")
    return " ".join(parts)


def _head(card: Card) -> str:
    """Return the developer's name: the first sentence of attribute 1, or what stands before its first comma."""
    return _words_of(card, 1).split(".")[0].split(",")[0]


def _part(parent: Element, name: str, **texts: str) -> Element:
    part = SubElement(parent, name)
    for child, text in texts.items():
        _text(part, child, text)
    return part


def _text(parent: Element, name: str, text: str) -> None:
    SubElement(parent, name).text = text


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
