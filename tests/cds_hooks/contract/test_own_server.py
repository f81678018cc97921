"""Our own server, judged by the kit from outside like any other."""

from datetime import UTC, datetime

import pytest

from cds_hooks.contract.charts import sample_charts
from cds_hooks.contract.connection import Connection
from cds_hooks.contract.dialects import DIALECTS
from cds_hooks.contract.run import check_server, chosen
from cds_hooks.contract.target import Target


@pytest.mark.parametrize("dialect", ["standard", "epic"])
def test_every_must_that_can_be_tested_holds(server: str, dialect: str) -> None:
    connection = Connection(server)
    as_of = datetime.now(UTC)
    target = Target(connection, sample_charts(as_of), as_of, DIALECTS[dialect], fhir_host="127.0.0.1")
    report = check_server(target, chosen([], dialect))
    connection.close()
    assert [(each.row.id, each.faults) for each in report.musts] == []
    assert report.exit_code == 0
    assert not [outcome.reasons for outcome in report.outcomes if "could not read" in outcome.reason]
