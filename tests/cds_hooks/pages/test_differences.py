"""How two versions of a rule or a model are laid side by side: what is compared with what, and in which words."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cards.rules.engine.governance import all_rule_versions
from cds_hooks.pages.committee.changes import _words
from cds_hooks.pages.committee.differences import ChangedPart, ChangedRow, VersionChoice, changed_parts
from tests.cds_hooks.calls import client
from tests.cds_hooks.pages.given import kept_values
from tests.cds_hooks.pages.test_changes import RULE, with_earlier_text

LONG = "x" * 2_000


@pytest.mark.parametrize(
    ("before", "after", "rows"),
    [
        (1, 2, [("", "1", "2")]),
        (None, "new", [("", "", "new")]),
        (0.123456, 1234.56, [("", "0.1235", "1235")]),
        (True, False, [("", "yes", "no")]),
        ([1, 2], [1, 3], [("", "[1,2]", "[1,3]")]),
        (LONG, "a", [("", LONG, "a")]),
        (f"{LONG}y", "a", [("", f"{LONG}…", "a")]),
        ({"lt": 1, "le": 2, "gt": 3, "ge": 4}, {}, [("under", "1", ""), ("at most", "2", ""), ("over", "3", ""),
                                                   ("at least", "4", "")]),
        ({"a_b": {"c": 1, "d": 2}}, {"a_b": {"c": 1, "d": 3, "e": 4}}, [("a b, d", "2", "3"), ("a b, e", "", "4")]),
        ([{"id": "x", "n": 1}], [{"id": "x", "n": 2}], [("x, n", "1", "2")]),
        ([{"name": "x", "n": 1}], [{"name": "y", "n": 1}], [("x", '{"name":"x","n":1}', ""),
                                                           ("y", "", '{"name":"y","n":1}')]),
        ([{"n": 1}], [{"n": 2}], [("", '[{"n":1}]', '[{"n":2}]')]),
        ([{"id": "x"}, {"id": "x"}], [{"id": "x"}], [("", '[{"id":"x"},{"id":"x"}]', '[{"id":"x"}]')]),
        ([{"id": "x", "gate": 1}, {"gate": 2}], [{"gate": 1}], [("1, id", "x", ""), ("2", '{"gate":2}', "")]),
        ([], [{"id": "x"}], [("", "[]", '[{"id":"x"}]')]),
        (({"code": "x", "n": 1},), ({"code": "x", "n": 2},), [("x, n", "1", "2")]),
    ],
)  # fmt: skip
def test_places_that_differ_are_rows(before: Any, after: Any, rows: list[tuple[str, str, str]]) -> None:
    (part,) = changed_parts({"p": before}, {"p": after}, {"p": "A part"})
    assert part == ChangedPart("A part", tuple(ChangedRow(*row) for row in rows))


def test_parts_with_a_title_come_first_and_the_others_by_name() -> None:
    before = {"z_z": 1, "b": 1, "a": 1, "same": 1}
    after = {"z_z": 2, "b": 2, "a": 2, "same": 1, "c": 3}
    parts = changed_parts(before, after, {"z_z": "Last", "none": "Nothing", "b": "Second"})
    assert [part.title for part in parts] == ["Last", "Second", "A", "C"]


def test_a_version_is_named_with_the_day_since_which_it_is_known() -> None:
    assert _words("abc", "2026-11-20", "abc") == "2026-11-20: abc (in use)"
    assert _words("abc", "", "def") == "not recorded yet: abc"


def test_the_page_compares_the_newest_other_version_with_the_one_in_use_or_those_of_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_use, title = all_rule_versions()[RULE].digest, all_rule_versions()[RULE].rule.title

    async def story() -> None:
        async with client(tmp_path) as calls:
            with kept_values(monkeypatch) as values:
                await calls.get(f"/rules/{RULE}/changes")
                assert (values["chosen"], values["parts"]) == ((in_use, in_use), [])
                assert values["choices"] == [VersionChoice(in_use, f"not recorded yet: {in_use} (in use)")]
                earlier, today = with_earlier_text(tmp_path), f"{datetime.now(UTC):%Y-%m-%d}"
                await calls.get(f"/rules/{RULE}/changes")
                names = ("template", "kind", "name", "title", "note", "chosen")
                assert tuple(values[name] for name in names) == (
                    "committee/changes.html",
                    "rule",
                    RULE,
                    title,
                    "With each version stands the day since which the record has its text: servers keep every text "
                    "that they use.",
                    (earlier, in_use),
                )
                assert values["choices"] == [
                    VersionChoice(earlier, f"{today}: {earlier}"),
                    VersionChoice(in_use, f"not recorded yet: {in_use} (in use)"),
                ]
                for query, chosen in (
                    ({"after": earlier}, (in_use, earlier)),
                    ({"before": earlier, "after": earlier}, (earlier, earlier)),
                    ({"before": "none", "after": "none"}, (earlier, in_use)),
                    ({"before": in_use}, (in_use, in_use)),
                ):
                    await calls.get(f"/rules/{RULE}/changes", params=query)
                    assert values["chosen"] == chosen, query
                await calls.get("/models/mortality_5y/changes")
                assert (values["kind"], values["name"], values["chosen"]) == (
                    "model",
                    "mortality_5y",
                    ("mortality_5y", "mortality_5y"),
                )
                assert values["choices"] == [VersionChoice("mortality_5y", "2.1.0, in use")]
                assert values["note"] == (
                    "Compared are the manifests, gate reports and releases of the versions in the folders of models."
                )

    asyncio.run(story())
