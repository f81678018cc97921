"""Details with less Markdown: the same sentences, nothing that was escaped becomes markup."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cards.card import Action, Card, Coding, Source, Suggestion
from cards.text import escape
from cds_hooks.dialects._dialect import VERSIONS
from cds_hooks.dialects._shape import (
    DEVELOPMENT,
    ClientProfile,
    _are_tests,
    is_offered,
    shape_cards,
    simplify_markdown,
    without_links,
)
from cds_hooks.protocol.hooks import LIBRARY, Hook

HOOKS = list(LIBRARY.values())
DETAIL = "**metformin 500 MG**: eGFR 20.\n- Avoid \\_now\\_ (label). [Why this](https://x.example/explain/1)"


def test_plain_keeps_the_words_and_the_lines() -> None:
    assert simplify_markdown(DETAIL, "plain") == (
        "metformin 500 MG: eGFR 20.\n- Avoid _now_ (label). Why this: https://x.example/explain/1"
    )


@given(st.text(max_size=60))
def test_chart_text_can_put_no_link_into_a_detail(text: str) -> None:
    detail = f"**{escape(text, 100)}** [Why](https://x.example)"
    assert without_links(detail, lambda _: True) == detail
    assert simplify_markdown(detail, "basic").endswith("Why: https://x.example")


# What a client gets, each decision by itself: versions, hosts of links, Markdown, scopes.


def suggestion(*actions: Action, **more: Any) -> Suggestion:
    return Suggestion(label="s", uuid="s1", actions=actions, **more)


def card(**more: Any) -> Card:
    return Card(uuid="c1", summary="s", indicator="info", source=Source(label="l", url="https://a.example/x"), **more)


TWO_TESTS = suggestion(*(Action(type="create", description="d", resource={"resourceType": "ServiceRequest"}),) * 2)
REMOVAL = suggestion(Action(type="delete", description="d", resource_id="ServiceRequest/1"), is_recommended=True)


def test_only_several_new_tests_can_be_taken_one_by_one() -> None:
    other = Action(type="create", description="d", resource={"resourceType": "MedicationRequest"})
    assert _are_tests(TWO_TESTS)
    assert not _are_tests(suggestion(*TWO_TESTS.actions[:1]))
    assert not _are_tests(suggestion(*TWO_TESTS.actions, other))
    assert not _are_tests(suggestion(*REMOVAL.actions * 2))


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook.name)
def test_only_a_hook_of_2_0_is_kept_from_earlier_clients(hook: Hook) -> None:
    """order-dispatch and medication-refill say `specificationVersion` 2.0 on their pages (HOOK-07)."""
    is_new = hook.name in ("order-dispatch", "medication-refill")
    offered = {version: is_offered(hook, ClientProfile("ehr", version=version)) for version in VERSIONS}
    assert offered == {version: not (is_new and version in ("1.0", "1.1")) for version in VERSIONS}


def test_a_card_is_shaped_by_what_its_client_says() -> None:
    reasons = (Coding(code="x", display="y", system="https://a.example"),)
    theirs = Coding(code="t", display="T", system="https://a.example")
    made = card(override_reasons=reasons, detail="**bold** [A](https://a.example)")
    assert shape_cards([made], DEVELOPMENT) == [made]
    (plain,) = cast("Any", shape_cards([made], ClientProfile("x", markdown="plain")))
    assert plain.detail == "bold A: https://a.example"
    assert plain.override_reasons == reasons
    (wordless,) = cast("Any", shape_cards([card()], ClientProfile("x", markdown="plain")))
    assert wordless.detail is None
    (with_theirs,) = cast("Any", shape_cards([made], ClientProfile("x", override_reasons=(theirs,))))
    assert with_theirs.override_reasons == (theirs,)
    (without,) = cast("Any", shape_cards([card()], ClientProfile("x", override_reasons=(theirs,))))
    assert without.override_reasons in ((), None)
