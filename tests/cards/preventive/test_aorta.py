"""A study of the belly that says how wide the aorta is answers the question of the screening for an aneurysm."""

import pytest

from cards.preventive.chart import Done
from cards.preventive.criteria import _describes_aorta as describes_aorta


@pytest.mark.parametrize(
    ("name", "text", "is_described"),
    [
        ("CT abdomen and pelvis", "Aorta is normal in caliber, 2.1 cm. Appendix normal.", True),
        ("Scan", "Liver normal. No abdominal aortic aneurysm", True),
        ("CT Abdomen", "Bauchaorta regelrecht weit", True),
        ("TC addome", "Aorta addominale di calibro regolare", True),
        ("CT abdomen", "Normal appendix; liver normal", False),
        ("CT chest", "Aorta normal in caliber", False),
        ("CT abdomen", "Descending thoracic aorta normal", False),
        ("CT abdomen", "Calcified aorta. Normal kidneys", False),
        ("US abdomen", "Aorta obscured by gas, caliber not assessed", False),
        ("CT abdomen", "Retroaortic left renal vein, normal kidneys", False),
    ],
)
def test_the_width_of_the_abdominal_aorta_is_read(name: str, text: str, is_described: bool) -> None:
    assert describes_aorta(Done("", None, "DiagnosticReport/r", name, result=text)) is is_described
