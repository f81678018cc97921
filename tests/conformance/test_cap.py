"""CAP: capability documentation (CDS Hooks 3.0)."""

from tests.conformance.answers import WITH_EVERY_HOOK, answers_of
from tests.conformance.conftest import Opened
from tests.conformance.outside import Json, walk
from tests.conformance.rows import row
from tests.conftest import ROOT


@row("CAP-01")
def test_the_documentation_names_every_service_and_hook_of_discovery(discovery: list[Json]) -> None:
    pages = "\n".join(path.read_text() for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    for entry in discovery:
        assert f"`{entry['id']}`" in pages
        assert f"`{entry['hook']}`" in pages


@row("CAP-04", "SUG-08")
@WITH_EVERY_HOOK
def test_actions_are_to_be_chosen_one_by_one_only_where_the_client_said_it_can(
    opened: Opened, hooks: tuple[str, ...]
) -> None:
    def choices(**settings: object) -> list[Json]:
        cards = answers_of(opened(**settings), *hooks).cards
        return [value for _, card in cards for path, value in walk(card) if path.endswith("actionSelectionBehavior")]

    assert choices() == []
    assert choices(protocol_version="3.0") == []
    assert choices(protocol_version="2.0", action_selection_behavior=True) == []
    assert set(choices(protocol_version="3.0", action_selection_behavior=True)) <= {"any", "at-most-one"}
