"""Stage timings as the service says them."""

from benchmarks.stages import LoadedStages

PAGE = """
# TYPE cds_stage_seconds histogram
cds_stage_seconds_bucket{{le="0.001",service="plan",stage="decode"}} 3.0
cds_stage_seconds_count{{service="plan",stage="decode"}} {count}
cds_stage_seconds_sum{{service="plan",stage="decode"}} {sum}
cds_stage_seconds_count{{service="other",stage="decode"}} 7.0
cds_stage_seconds_sum{{service="other",stage="decode"}} 7.0
"""


def test_the_mean_of_a_stage_is_what_the_histogram_gained_between_two_looks() -> None:
    pages = iter([PAGE.format(count="10.0", sum="1.0"), PAGE.format(count="14.0", sum="1.002")])
    stages = LoadedStages(lambda: next(pages), "/cds-services/plan")
    assert {stage: round(mean) for stage, mean in stages.means().items()} == {"decode": 500}


def test_a_stage_that_was_not_passed_has_no_mean() -> None:
    assert LoadedStages(lambda: PAGE.format(count="10.0", sum="1.0"), "/cds-services/plan").means() == {}
