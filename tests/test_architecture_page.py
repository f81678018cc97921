"""docs/architecture.md names files and functions that exist, and the stages of a call in their order."""

import re

from tests.conftest import ROOT
from tests.each import for_rows

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FLOORS = ("cds_hooks", "cards", "models_onnx", "fhir")
PATHS = sorted(set(re.findall(r"`((?:cds_hooks|cards|models_onnx|fhir)/[\w/]+(?:\.py|/))`", PAGE)))


@for_rows("path", PATHS)
def test_every_path_of_the_page_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_short_path_of_the_page_is_the_end_of_a_file_of_ours() -> None:
    """`routes/hooks.py` or `render.py`: a path that goes on from the one before it."""
    files = [str(path.relative_to(ROOT)) for floor in FLOORS for path in (ROOT / floor).rglob("*.py")]
    short = set(re.findall(r"`((?:\w+/)*\w+\.py)`", PAGE)) - set(PATHS) - {"tests/README.md"}
    assert {name for name in short if not any(file.endswith(f"/{name}") for file in files)} == set()


def test_the_picture_names_what_is_there() -> None:
    picture = PAGE.partition("```\n")[2].partition("```")[0]
    for floor in FLOORS:
        part = picture.partition(f"\n {floor} ")[2].partition("\n c")[0].partition("\n m")[0].partition("\n f")[0]
        for name in re.findall(r"(?:► |│ |  )(\w+(?:/\w+)?)/? (?= |─)", part):
            if (ROOT / floor / name.split("/")[0]).is_dir():
                assert (ROOT / floor / name).is_dir() or (ROOT / floor / f"{name}.py").is_file(), f"{floor}/{name}"


STAGES = ("read", "complete", "understand", "advise", "hold_back", "write")


def _body_of_invoke() -> str:
    answer = (ROOT / "cds_hooks" / "answer.py").read_text(encoding="utf-8")
    return answer.partition("def invoke(")[2].partition("\n\n\n")[0]


def test_invoke_names_the_stages_in_the_order_of_the_page() -> None:
    invoke = _body_of_invoke()
    positions = [re.search(rf"\b{stage}[(,]", invoke) for stage in STAGES]
    assert [at.start() for at in positions if at] == sorted(at.start() for at in positions if at)
    assert all(positions)
    assert re.findall(r"^\| `(\w+)` \| `", PAGE, re.MULTILINE) == list(STAGES)


def test_invoke_speaks_of_nothing_but_the_stages() -> None:
    invoke = _body_of_invoke()
    assert not re.findall(r"replay|release|budget|pause|kept|governance", invoke, re.IGNORECASE)


def test_the_page_leads_to_every_guide() -> None:
    guides = {f"adding/{path.name}" for path in (ROOT / "docs" / "adding").glob("*.md")}
    assert {guide for guide in guides if f"]({guide})" not in PAGE} == set()
