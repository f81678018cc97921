"""A hospital's own codes, phrases and groups of conditions; a row that cannot be used is named by its line."""

from pathlib import Path

import pytest

from fhir.terminology.conditions import CONDITION_GROUPS, SITE_CODES
from fhir.terminology.site_conditions import WrongConditions, use_site_conditions
from tests.each import each_row

LOCAL = "https://st-marys.example/problems"


@each_row(("row", "fault"))
def test_a_row_that_cannot_be_used_is_refused_with_its_whole_fault(row: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "conditions.csv"
    path.write_text(f"group,name,history,implies,system,code,phrase\nhf,,,,,,weak heart\n{row}\n")
    with pytest.raises(WrongConditions) as caught:
        use_site_conditions(path)
    assert str(caught.value) == f"{path}, line 3: {fault}"
    assert not SITE_CODES
    assert "site_new" not in CONDITION_GROUPS
