"""Which study an order's words name, as the catalogs of hospitals write them."""

from fhir.mapping.studies import read_study
from tests.each import for_rows

_NAMED = """
CT Abd/Pel w/ IV contrast | iodine uterus
CT Stone protocol | uterus
MRI w/ gad brain | gadolinium mr
VIT D 25OH | lab
TSH W/REFLEX TO FT4 | tsh lab
HEMOGLOBIN A1C W/EAG | hba1c lab
CBC w/ Auto Diff | lab
PAP SMEAR W HPV | cervical hpv
Screening mammo | mammography
Mammographie de dépistage | mammography
C&S urine | urine_culture
ESI L4-L5 transforaminal | neuraxial
Lap chole | operation
Prothèse totale de hanche | operation
XR TKA right 2 views |
Pre-op ECG for cholecystectomy |
Surgery consult |
Transfuse pRBC x2 | red_cells
Transfusion 2 CGR | red_cells
Transfuse 1 unit platelets |
Red cell antibody screen |
GXT | exercise_stress
Endotracheal tube (ETT) size 7.5 |
ESI triage level 2 |
Surgery scheduling request |
Dobutamine stress echo |
Lexiscan SPECT | regadenoson_stress uterus
Adenosine deaminase, pleural fluid |
Koloskopie zur Vorsorge | colonoscopy
Virtual colonoscopy |
PICC insertion | picc
PICC removal |
"""


@for_rows("words, groups", [tuple(map(str.strip, row.split("|"))) for row in _NAMED.strip().splitlines()])
def test_words_name_the_groups_of_a_study(words: str, groups: str) -> None:
    assert read_study({"code": {"text": words}}).groups == frozenset(groups.split())
