"""Details with less Markdown: the same sentences, nothing that was escaped becomes markup."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.card import Action, Card, Coding, Link, Source, Suggestion
from cards.text import escape, plain
from cds_hooks.dialects._shape import (
    DEVELOPMENT,
    ClientProfile,
    UnknownDialect,
    _are_tests,
    for_version,
    host_of,
    is_offered,
    keep_links_to,
    profile_for,
    published_entry,
    scopes_for,
    shape_cards,
    simplify_markdown,
    without_links,
)
from cds_hooks.protocol.hooks import LIBRARY

DETAIL = "**metformin 500 MG**: eGFR 20.\n- Avoid \\_now\\_ (label). [Why this](https://x.example/explain/1)"


def test_basic_keeps_bold_lists_and_escapes_and_writes_links_out() -> None:
    assert simplify_markdown(DETAIL, "basic") == (
        "**metformin 500 MG**: eGFR 20.\n- Avoid \\_now\\_ (label). Why this: https://x.example/explain/1"
    )


def test_plain_keeps_the_words_and_the_lines() -> None:
    assert simplify_markdown(DETAIL, "plain") == (
        "metformin 500 MG: eGFR 20.\n- Avoid _now_ (label). Why this: https://x.example/explain/1"
    )


def test_links_that_are_not_allowed_keep_their_words() -> None:
    detail = "[A](https://a.example/x) and [B \\[2\\]](https://b.example/y) and \\[no\\](link)"
    assert without_links(detail, lambda url: "a.example" in url) == (
        "[A](https://a.example/x) and B \\[2\\] and \\[no\\](link)"
    )


@given(st.text(max_size=60))
def test_what_was_escaped_is_the_text_again(text: str) -> None:
    assert simplify_markdown(escape(text, 100), "plain") == plain(text, 100)


@given(st.text(max_size=60))
def test_chart_text_can_put_no_link_into_a_detail(text: str) -> None:
    detail = f"**{escape(text, 100)}** [Why](https://x.example)"
    assert without_links(detail, lambda _: True) == detail
    assert simplify_markdown(detail, "basic").endswith("Why: https://x.example")


@pytest.mark.parametrize("markdown", ["basic", "plain"])
def test_a_label_with_brackets_is_one_label(markdown: str) -> None:
    said = simplify_markdown("[see \\[1\\]](https://x.example/a)", markdown)  # type: ignore[arg-type] # both are forms of it
    assert said in ("see \\[1\\]: https://x.example/a", "see [1]: https://x.example/a")


# What a client gets, each decision by itself: versions, hosts of links, Markdown, scopes.
def link(url: str) -> Link:
    return Link(label="l", url=url, type="absolute")


def suggestion(*actions: Action, **more: Any) -> Suggestion:
    return Suggestion(label="s", uuid="s1", actions=actions, **more)


def card(**more: Any) -> Card:
    return Card(uuid="c1", summary="s", indicator="info", source=Source(label="l", url="https://a.example/x"), **more)


def test_a_profile_is_that_of_its_dialect_unless_it_says_otherwise() -> None:
    assert DEVELOPMENT.needs_no_shaping
    assert profile_for("x").needs_no_shaping
    assert profile_for("x", version="2.0.1").version == "2.0"
    changed = {
        "version": profile_for("x", version="1.1"),
        "markdown": profile_for("x", markdown="plain"),
        "hosts": profile_for("x", link_hosts=["A.example"]),
        "reasons": profile_for("x", override_reasons=[Coding(code="a", system="https://a.example")]),
        "dialect": profile_for("x", "epic"),
    }
    assert {name: profile.needs_no_shaping for name, profile in changed.items()} == dict.fromkeys(changed, False)
    assert changed["hosts"].link_hosts == {"a.example"}
    for wrong in ({"dialect": "x"}, {"version": "4"}, {"markdown": "x"}):
        with pytest.raises(UnknownDialect):
            profile_for("x", **wrong)  # type: ignore[arg-type]
    versions: tuple[Any, ...] = ("1.0", "1.1", "2.0", "3.0")
    takes = [ClientProfile("x", version=version).takes_system_actions for version in versions]
    assert takes == [False, False, True, True]


def test_what_is_offered_and_published_depends_on_the_version() -> None:
    def profile(version: Any) -> ClientProfile:
        return ClientProfile("x", version=version)

    dispatch, view = LIBRARY["order-dispatch"], LIBRARY["patient-view"]
    assert [is_offered(dispatch, profile(version)) for version in ("1.0", "1.1", "2.0", "3.0")] == [
        False, False, True, True,
    ]  # fmt: skip
    assert is_offered(view, profile("1.0"))
    entry = {"id": "a", "usageRequirements": "u"}
    assert published_entry(entry, view, profile("1.1")) == {"id": "a"}
    assert published_entry(entry, view, profile("2.0")) == entry
    assert published_entry(entry, view, profile("3.0-ballot")) == entry | {"version": "STU3"}
    assert published_entry(entry, view, profile("3.0")) == entry | {"version": "3.0.0", "hookVersion": view.version}


def test_the_scopes_of_queries() -> None:
    queries = ["Patient/1", "MedicationRequest?patient=1", "Patient?x=1", "Patient/2", "Encounter/1"]
    assert scopes_for(queries, 1) == [
        "user/Patient.read", "user/MedicationRequest.read", "user/Medication.read", "user/Encounter.read",
    ]  # fmt: skip
    assert scopes_for(queries, 2, "patient") == [
        "patient/Patient.rs", "patient/MedicationRequest.rs", "patient/Medication.r", "patient/Encounter.r",
    ]  # fmt: skip


def test_links_to_other_hosts_are_left_out() -> None:
    made = card(
        links=(link("https://a.example/1"), link("https://b.example/2"), link("https://c.example:8443/3")),
        detail="[A](https://a.example) [B](https://b.example)",
    )
    kept = keep_links_to(frozenset({"a.example", "c.example:8443"}), made)
    assert [each.url for each in kept.links] == ["https://a.example/1", "https://c.example:8443/3"]
    assert kept.detail == "[A](https://a.example) B"
    assert kept.source.url == "https://a.example/x"
    assert keep_links_to(frozenset({"b.example"}), made).source.url is None
    assert keep_links_to(frozenset({"b.example"}), card()).detail is None
    assert host_of("https://user@A.example:1/x") == "a.example:1"


TWO_TESTS = suggestion(*(Action(type="create", description="d", resource={"resourceType": "ServiceRequest"}),) * 2)
REMOVAL = suggestion(Action(type="delete", description="d", resource_id="ServiceRequest/1"), is_recommended=True)


def test_only_several_new_tests_can_be_taken_one_by_one() -> None:
    other = Action(type="create", description="d", resource={"resourceType": "MedicationRequest"})
    assert _are_tests(TWO_TESTS)
    assert not _are_tests(suggestion(*TWO_TESTS.actions[:1]))
    assert not _are_tests(suggestion(*TWO_TESTS.actions, other))
    assert not _are_tests(suggestion(*REMOVAL.actions * 2))


def test_a_card_has_the_members_of_the_version() -> None:
    made = card(
        suggestions=(TWO_TESTS, REMOVAL), selection_behavior="any",
        override_reasons=(Coding(code="x", display="y", system="https://a.example"),),
    )  # fmt: skip

    def wire(version: Any, **more: Any) -> Any:
        return for_version(made, ClientProfile("x", version=version, **more))

    assert wire("2.0") is made
    assert wire("3.0") is made
    selected = wire("3.0", action_selection_behavior=True)
    assert [each.get("actionSelectionBehavior") for each in selected["suggestions"]] == ["any", None]
    assert wire("2.0", action_selection_behavior=True) is made
    first, second = wire("1.0"), wire("1.1")
    assert ("uuid" in first, "overrideReasons" in first, first["selectionBehavior"]) == (False, False, "at-most-one")
    assert ("uuid" in second, "overrideReasons" in second, second["selectionBehavior"]) == (True, True, "any")
    assert "isRecommended" not in first["suggestions"][1]
    assert second["suggestions"][1]["isRecommended"] is True
    for written in (first, second):
        (action,) = cast("Any", written)["suggestions"][1]["actions"]
        assert (action["resource"], "resourceId" in action) == ("ServiceRequest/1", False)
    assert "selectionBehavior" not in cast("Any", for_version(card(), ClientProfile("x", version="1.0")))


def test_a_card_is_shaped_by_what_its_client_says() -> None:
    reasons = (Coding(code="x", display="y", system="https://a.example"),)
    theirs = Coding(code="t", display="T", system="https://a.example")
    made = card(override_reasons=reasons, detail="**bold** [A](https://a.example)")
    assert shape_cards([made], DEVELOPMENT) == [made]
    (plain,) = cast("Any", shape_cards([made], ClientProfile("x", markdown="plain")))
    assert plain.detail == "bold A: https://a.example"
    assert plain.override_reasons == reasons
    (with_theirs,) = cast("Any", shape_cards([made], ClientProfile("x", override_reasons=(theirs,))))
    assert with_theirs.override_reasons == (theirs,)
    (without,) = cast("Any", shape_cards([card()], ClientProfile("x", override_reasons=(theirs,))))
    assert without.override_reasons in ((), None)
