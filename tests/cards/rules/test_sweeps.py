"""Each limit of each rule file, just below it, on it and just above it, with what is found there as a literal."""

from tests.cards.rules.pinned import named_cases
from tests.cards.rules.sweeping import Sweep, confirmed_sweeps, limits_met, swept, unmet_limits
from tests.each import for_each

CONFIRM = "read the rule and its source; then .venv/bin/python -m tests.cards.rules.confirm {rule} --write"


def test_what_is_found_near_a_limit_is_what_was_confirmed() -> None:
    def check(sweep: Sweep) -> None:
        case = named_cases()[sweep.rule][sweep.case]
        found = swept(sweep.rule, case, float(sweep.value), float(sweep.number))
        confirmed = [sweep.below, sweep.on, sweep.above]
        assert found == confirmed, f"{sweep.rule}: {sweep.limit}. {CONFIRM.format(rule=sweep.rule)}"

    for_each(((f"{sweep.rule}: {sweep.limit}, {sweep.case}", (sweep,)) for sweep in confirmed_sweeps()), check)


def test_every_limit_of_a_rule_was_swept_and_confirmed() -> None:
    confirmed = {(sweep.rule, sweep.limit) for sweep in confirmed_sweeps()}
    missing = [f"{rule}: {limit}. {CONFIRM.format(rule=rule)}" for rule, limit in limits_met() - confirmed]
    assert not missing, "\n".join(sorted(missing))
    gone = sorted(f"{rule}: {limit}" for rule, limit in confirmed - limits_met())
    assert not gone, f"confirmed, but no limit of a rule any more: {gone}"


# With a potassium under 3.5 in 30 days no band of the rule about potassium can be found, so its silence is never asked.
UNREACHABLE = {"ddi": ['{"lab": "potassium", "lt": 3.5, "max_age_days": 30}']}
# The band asks for 65 years before 18; a question and a risk that are words in the detail, not bands.
IDLE = {
    ("age-nsaid-gi", "age_years ≥ 18"),
    ("age-warfarin-start", "derived egfr_best < 30"),
    ("img-iodine-kidney", "derived egfr_best < 30"),
}


def test_every_limit_is_met_by_a_case() -> None:
    assert unmet_limits() == UNREACHABLE, "write a case that comes to this limit"


def test_a_limit_decides_in_the_case_in_which_it_is_swept() -> None:
    idle = {(sweep.rule, sweep.limit) for sweep in confirmed_sweeps() if not sweep.decides}
    assert idle <= IDLE, "write a case in which the limit makes a difference"
