"""The words of the kidney family speak of the same limits as its table."""

from cards.rules.conditions.condition import common_vocabulary
from cards.rules.families.renal import family as renal
from cards.rules.language.table import read_table


def test_the_apixaban_criteria_in_words_are_those_of_the_table() -> None:
    rule = next(one for one in read_table("renal").rules if one.id == "renal-apixaban")
    counted = next(part for part in rule.bands[0].when["all"] if "count_at_least" in part)
    limits = {renal._AGE_YEARS, renal._WEIGHT_KG, renal._CREATININE_MG_DL}
    assert common_vocabulary().compile(counted).limits == limits
    lab = next(part for one in counted["count_at_least"]["of"] for part in one.get("any", ()) if "lab" in part)
    assert lab["max_age_days"] == renal._CREATININE_DAYS
