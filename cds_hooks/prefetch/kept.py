"""A whole call as it is kept in the record where a site opts in: the body without its token, and what was fetched.

Replaying it gives the answer bit for bit. `CDS_KEEP_REQUESTS` says of which share of the calls the request is kept.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from cds_hooks.prefetch.fetch import FilledPrefetch
from cds_hooks.prefetch.state import KeyState, PrefetchState, State, Templates
from fhir.record.refusals import Refusal
from fhir.record.resources import AnyResource

_TOKEN: Final = "fhirAuthorization"  # noqa: S105 - the name of the member that is left out
_ALL: Final = 1 << 16


class _KeptState(Struct, frozen=True):
    key: str
    state: State
    reason: str = ""
    cause: str = ""
    text: str = ""
    sent_as: str = ""


class _Fetched(Struct, frozen=True):
    """What was read from the FHIR server, as it was understood, and its pages where the service needs them."""

    values: dict[str, AnyResource | None]
    states: tuple[_KeptState, ...]
    refusals: tuple[Refusal, ...] = ()
    other: tuple[Refusal, ...] = ()
    pages: tuple[Raw, ...] = ()


class KeptRequest(Struct, frozen=True):
    """One call as it can be answered again."""

    body: Raw
    fetched: _Fetched | None = None

    def filled(self, given: Mapping[str, Any], templates: Templates) -> FilledPrefetch | None:
        """The prefetch as it was filled then; None where nothing was fetched. `given` is what the body brings."""
        if self.fetched is None:
            return None
        known = {each.key: each for each in templates}
        states = tuple(
            KeyState(known[each.key], each.state, each.reason, each.cause, each.text, each.sent_as)
            for each in self.fetched.states
            if each.key in known
        )
        return FilledPrefetch(
            {**given, **self.fetched.values},
            PrefetchState(states, self.fetched.other),
            self.fetched.refusals,
            tuple(bytes(page) for page in self.fetched.pages),
        )


_members: Final = msgspec.json.Decoder(dict[str, Raw])
_kept: Final = msgspec.json.Decoder(KeptRequest)
_encode: Final = msgspec.json.Encoder().encode


def is_kept(decision_id: str, share: float) -> bool:
    """Whether the request of this decision is among the share that is kept; decided by random bits of the id."""
    return share > 0 and int(decision_id[-8:-4], 16) < share * _ALL


def keep_request(body: bytes, given: Mapping[str, Any], filled: FilledPrefetch, *, is_complete: bool) -> Raw | None:
    """The JSON that is kept of one call, without the access token; None of a body that had to be repaired."""
    try:
        members = _members.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    members.pop(_TOKEN, None)
    return Raw(_encode(KeptRequest(Raw(_encode(members)), None if is_complete else _fetched(given, filled))))


def _fetched(given: Mapping[str, Any], filled: FilledPrefetch) -> _Fetched:
    return _Fetched(
        {key: value for key, value in filled.values.items() if key not in given or value is not given[key]},
        tuple(
            _KeptState(each.template.key, each.state, each.reason, each.cause, each.text, each.sent_as)
            for each in filled.state.states
        ),
        filled.refusals,
        filled.state.other,
        tuple(Raw(page) for page in filled.bodies),
    )


def read_kept(request: bytes) -> KeptRequest:
    """The kept call; msgspec.MsgspecError where it is none."""
    return _kept.decode(request)


def without_kept(basis: Mapping[str, Any]) -> dict[str, Any]:
    """The basis for a reader: of a kept request only that it is kept."""
    return {**basis, "request": "kept"} if "request" in basis else dict(basis)
