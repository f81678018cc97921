"""From a key that is missing to the query that would bring it, by what is known at that moment."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from cds_hooks.fetching.reasons import Why, why
from cds_hooks.prefetch import Brought, KeyState
from cds_hooks.prefetch.tokens import NoValue, Values, filled
from cds_hooks.protocol.request import CDSRequest
from fhir.client import Query
from fhir.client.errors import NotAQuery


def known_values(request: CDSRequest, states: Iterable[KeyState], values: Mapping[str, Any], today: date) -> Values:
    """What tokens stand for: the context, and the answers of the keys that are known."""
    known = (each for each in states if each.known)
    answers = {each.template.key: values.get(each.sent_as or each.template.key) for each in known}
    return Values(request.context, today, answers)


def question(gap: KeyState, values: Values, protocol: str) -> Query | KeyState:
    """The query that would fill the gap; where there is nothing to ask, the state of the key instead.

    A path of CDS Hooks 3.0 that finds no reference in what is known is an answer: there is nothing to look up.
    """
    try:
        query = filled(gap.template.query_for(protocol), values)
    except (NoValue, NotAQuery) as error:
        is_answered = isinstance(error, NoValue) and not error.unknown and gap.template.is_of_3
        return _nothing(gap) if is_answered else still(gap, why(error))
    return _nothing(gap) if values.are_in_hand(query) else query


def settled(request: CDSRequest, brought: Brought, today: date, protocol: str) -> Brought:
    """The same without the gaps for which nobody has to be asked."""
    values = known_values(request, brought.states, request.prefetch, today)
    states = tuple(_settled(each, values, protocol) for each in brought.states)
    return brought if states == brought.states else replace(brought, states=states)


def _settled(state: KeyState, values: Values, protocol: str) -> KeyState:
    if state.known or not state.template.is_of_3:
        return state
    found = question(state, values, protocol)
    return found if isinstance(found, KeyState) and found.known else state


def still(state: KeyState, reason: Why) -> KeyState:
    """The same gap, with why it could not be filled."""
    text = f"{state.text}; {reason.text}"
    if state.state == "unobtainable":
        return replace(state, reason=reason.code, text=text)
    return replace(state, cause=reason.code, text=text)


def _nothing(gap: KeyState) -> KeyState:
    return replace(gap, state="null", reason="", cause="", text="")
