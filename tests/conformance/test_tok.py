"""TOK: prefetch tokens, in discovery as clients of 2.0.1 and of 3.0 get it."""

import pytest

from cds_hooks.call.prefetch.needs import USER_ROLES
from cds_hooks.tools.kit.contract.definitions import FIELDS, R4_TYPES
from tests.cds_hooks.call.prefetch.fetch_calls import at_server, without
from tests.cds_hooks.calls import PLANNING, request_for
from tests.conformance.answers import AS_OF
from tests.conformance.conftest import Opened
from tests.conformance.outside import Outside
from tests.conformance.rows import row
from tests.conformance.templates import CONTEXT, OF_TYPE, PATH, TODAY, TOKEN, USER, Template, templates
from tests.fhir_charts import sample_chart, serving_fhir

TOKENS = {(field.hook, field.name) for field in FIELDS if field.token}


@pytest.fixture(params=["1.0", "2.0", "3.0"])
def published(request: pytest.FixtureRequest, opened: Opened) -> list[Template]:
    """The templates as clients of one version get them."""
    return list(templates(opened(protocol_version=request.param).discovery()))


@pytest.fixture
def of_2_0(server: Outside) -> list[Template]:
    """The templates as clients of 2.0.1 get them."""
    return list(templates(server.discovery()))


@pytest.fixture
def of_3_0(opened: Opened) -> list[Template]:
    """The templates as clients of 3.0 get them."""
    return list(templates(opened(protocol_version="3.0").discovery()))


@row("TOK-01")
def test_tokens_stand_between_double_braces(published: list[Template]) -> None:
    assert published
    for each in published:
        assert "{" not in TOKEN.sub("", each.query)
        assert "}" not in TOKEN.sub("", each.query)


@row("TOK-02", "TOK-03", "TOK-04", "TOK-06", "TOK-07", "TOK-19")
def test_up_to_2_0_1_a_token_is_a_field_that_its_hook_gives_or_a_user(of_2_0: list[Template]) -> None:
    for each in of_2_0:
        for token in each.tokens:
            field = CONTEXT.fullmatch(token)
            assert token in USER or (field is not None and (each.hook, field[1]) in TOKENS), f"{each.key}: {token}"
            assert not set(token) & set("%(|")


@row("TOK-06")
def test_a_template_with_a_user_token_is_never_one_that_advice_depends_on(of_2_0: list[Template]) -> None:
    """They bring the roles of the user, without which every button is offered."""
    assert {each.key for each in of_2_0 if USER & set(each.tokens)} == {"userRoles"}
    policies = {template.policy.if_missing for template in USER_ROLES}
    assert policies == {"omit"}


@row("TOK-07")
@pytest.mark.parametrize(
    ("user", "cards"), [("Practitioner/1", 1), ("PractitionerRole/1", 1), ("Patient/1", 0), ("RelatedPerson/1", 0)]
)
def test_a_user_of_any_type_is_served(server: Outside, user: str, cards: int) -> None:
    """Patients and related persons are answered, too, without what is written for clinicians."""
    request = request_for(PLANNING, "patient-view", "planning-talk", AS_OF)
    request["context"]["userId"] = user
    with serving_fhir([sample_chart("planning-talk", AS_OF)]) as running:
        answer = server.call(PLANNING, at_server(without(request), running.base))
    assert answer.status_code == 200
    assert len(answer.json()["cards"]) == cards


@row("TOK-06")
def test_a_client_that_fills_what_it_can_for_a_practitioner_fills_every_key(of_2_0: list[Template]) -> None:
    """The public sandbox splits the user's reference, and skips or fails a key with a token that is left over."""
    filled = {"userPractitionerId", "context.patientId", "context.userId"}
    left = {each.key for each in of_2_0 if each.hook == "patient-view" and not set(each.tokens) <= filled}
    assert left == set()


@row("TOK-08")
def test_no_key_waits_for_a_key_that_waits_for_a_key(of_3_0: list[Template]) -> None:
    needs = {(each.hook, each.key): each.needs for each in of_3_0}
    for (hook, _), wanted in needs.items():
        assert all(needs[hook, key] == [] for key in wanted)


@row("TOK-11")
def test_types_are_those_of_fhir(of_3_0: list[Template]) -> None:
    found = {name for each in of_3_0 for token in each.tokens for name in OF_TYPE.findall(token)}
    assert found
    assert found <= R4_TYPES


@row("TOK-14", "TOK-15", "TOK-16")
def test_what_a_token_uses_stands_before_it(of_3_0: list[Template]) -> None:
    """Keys that only name earlier ones cannot go round in circles."""
    assert any(each.needs for each in of_3_0)
    for each in of_3_0:
        assert set(each.needs) <= set(each.before), each.key


@row("TOK-17", "TOK-18")
def test_in_3_0_a_token_is_of_the_published_grammar(of_3_0: list[Template]) -> None:
    for each in of_3_0:
        for token in each.tokens:
            for path in token.split(" | "):
                assert path in USER or CONTEXT.fullmatch(path) or TODAY.fullmatch(path) or PATH.fullmatch(path), token


@row("TOK-19")
def test_what_is_new_in_3_0_is_beside_what_was_there(of_2_0: list[Template], of_3_0: list[Template]) -> None:
    old, new = ({(each.hook, each.key) for each in found} for found in (of_2_0, of_3_0))
    assert old <= new
