"""Every service on invented charts: the card that is wanted, and silence for its look-alikes."""

import re
from pathlib import Path

import pytest

from tests.cds_hooks.call.services.chart_cases import Json, answers, text_of
from tests.cds_hooks.call.services.invented_charts import CHARTS, Chart
from tests.each import some_of


@pytest.mark.sampled
@pytest.mark.parametrize("service", CHARTS)
def test_a_service_says_what_is_wanted_and_nothing_of_the_look_alikes(tmp_path: Path, service: str) -> None:
    charts = some_of(CHARTS[service], 2)
    given = answers(tmp_path / "answers", service, [chart.resources for chart in charts])
    assert {chart.id: _fault(chart, answer) for chart, answer in zip(charts, given, strict=True)} == {
        chart.id: None for chart in charts
    }


def _fault(chart: Chart, answer: Json) -> str | None:
    text = text_of(answer)
    if chart.must is not None and re.search(chart.must, text) is None:
        return f"{chart.must} is not there ({chart.why}): {text[:200]}"
    if chart.must_not is not None and re.search(chart.must_not, text) is not None:
        return f"{chart.must_not} is there ({chart.why}): {text[:200]}"
    return None
