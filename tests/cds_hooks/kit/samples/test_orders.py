"""Each drafted order of the samples gets from the rules what the index says: this rule, this band, or silence."""

import json
from typing import Any

import pytest

from cards.rules.engine.rule_book import MISSING, rule_book
from cards.rules.patient.orders import read_drafts
from cards.rules.patient.session import PatientSession
from cds_hooks.kit.samples import DraftedOrder, list_samples, load_draft, load_patient
from fhir.record.record import read_record, read_value
from tests.cds_hooks.kit.samples.reading import AS_OF

ORDERS = [(sample.id, order) for sample in list_samples() for order in sample.orders]


def entries(draft: dict[str, Any]) -> list[Any]:
    return draft["entry"] if draft["resourceType"] == "Bundle" else [{"resource": draft}]


def expected(order: DraftedOrder) -> list[tuple[str | None, str | None]]:
    if order.expect == "silent":
        return []
    return [(order.rule, MISSING if order.expect == "missing" else order.band)]


@pytest.mark.parametrize(("sample_id", "order"), ORDERS, ids=[order.draft for _, order in ORDERS])
def test_the_rules_about_kidneys_say_what_the_index_promises(sample_id: str, order: DraftedOrder) -> None:
    bundle, _ = read_value("sample", json.dumps(load_patient(sample_id, AS_OF)).encode())
    chart = PatientSession(
        read_record({"sample": bundle}, sample_id, AS_OF), read_drafts(entries(load_draft(order.draft, AS_OF)))
    )
    drafted = next(iter((*chart.drafted, *chart.studies)), None)  # a procedure by its billing code is neither
    findings = rule_book().evaluate(chart, drafted).findings if drafted is not None else ()
    kidney = [(one.rule, one.band) for one in findings if one.rule.startswith(("renal-", "img-"))]
    assert kidney == expected(order)
