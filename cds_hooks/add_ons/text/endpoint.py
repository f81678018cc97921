"""The language models that a site allows, and the one call that is made to one of them.

A site names its endpoints in the file of CDS_TEXT_FILE; there is none by default, and no other address is ever asked.
Any server with an OpenAI-compatible `/chat/completions` will do. Such servers have answered without applying the schema
that they were given, so what comes is read here as if none had been asked for.
"""

import asyncio
import re
from collections import deque
from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar, Final

import httpx
import msgspec
from msgspec import Struct, field

from cds_hooks.add_ons.text.prompts import Prompt
from cds_hooks.call.security.addresses import AddressRule, BadUrl, Budgets, FhirBase, OutboundRefused, Reach, parse_url
from cds_hooks.call.security.addresses import reach_of as reach_of_url
from cds_hooks.call.security.outbound import OutboundClient
from fhir.record.site_file import read_toml_as
from fhir.terminology.plain_file import plain_file
from fhir.terminology.toml_file import TomlFault

_MOST_BYTES: Final = 256 * 1024
_FENCE: Final = re.compile(r"</think>")


class EndpointRefused(ValueError):
    """A file of endpoints that cannot be used, or an endpoint that it does not name; one sentence."""

    what_cannot_be_used: ClassVar[str] = "The file of CDS_TEXT_FILE"


class EndpointFailed(Exception):
    """An endpoint that gave no answer that can be used; one sentence without anything of the patient."""


class Endpoint(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One language model that a site allows: where it is, its name there, and the bounds of a call."""

    address: str
    """The base of its interface, such as http://127.0.0.1:8000/v1."""
    model: str
    """Its name there; an answer of another one is not used."""
    key_file: str | None = None
    networks: tuple[str, ...] = ()
    """The private networks that the address may lead to; without any only public addresses and this machine."""
    seconds: float = 8.0
    """How long a call may take in all."""
    most_tokens: int = 1500
    calls_an_hour: int = 120
    least_share: float = 0.7
    """The share (0 to 1) of its sentences that must be confirmed; below it the chart's own text is shown."""


class TextFile(Struct, frozen=True, forbid_unknown_fields=True):
    """What a site says of the text part: its endpoints by name, and the folder of the reports of their gates.

    `pages` is the name of the one that words the summaries that the server shows; without it they are extracted.
    """

    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    reports: str | None = None
    pages: str | None = None


class Reply(Struct, frozen=True):
    """A sentence as an endpoint gives it."""

    text: str
    cites: tuple[str, ...] = ()


class _Replies(Struct, frozen=True):
    sentences: tuple[Reply, ...]


class Answered(Struct, frozen=True):
    """What an endpoint answered, in how many seconds, and how many bytes left for it."""

    sentences: tuple[Reply, ...]
    seconds: float
    sent_bytes: int


def read_text_file(path: Path | None) -> TextFile:
    """Return the file of CDS_TEXT_FILE; without one no endpoint is allowed.

    Raises:
        EndpointRefused: it cannot be read, or names an address that cannot be used.
    """
    if path is None:
        return TextFile()
    try:
        file = read_toml_as(path, TextFile)
    except TomlFault as error:
        raise EndpointRefused(f"{path.name} {error}.") from error
    for name, endpoint in file.endpoints.items():
        try:
            _base(name, endpoint)
        except (BadUrl, ValueError) as error:
            raise EndpointRefused(f"{path.name}, endpoint {name}: its address cannot be used: {error}.") from error
        if not (0 < endpoint.seconds <= 60 and 0 < endpoint.most_tokens <= 8000 and 0.5 <= endpoint.least_share <= 1):
            raise EndpointRefused(
                f"{path.name}, endpoint {name}: seconds go to 60, most_tokens to 8000, least_share from 0.5 to 1."
            )
    return file


def endpoint_named(file: TextFile, name: str) -> Endpoint:
    """Return the endpoint of a name.

    Raises:
        EndpointRefused: the site allows none of that name; an address is no name.
    """
    if name not in file.endpoints:
        names = ", ".join(file.endpoints) or "none"
        raise EndpointRefused(f"The site allows no endpoint of this name; CDS_TEXT_FILE names {names}.")
    return file.endpoints[name]


def _base(name: str, endpoint: Endpoint) -> FhirBase:
    url = parse_url(endpoint.address.rstrip("/"))
    reach = reach_of_url(url, Reach(AddressRule(tuple(ip_network(network) for network in endpoint.networks))))
    if url.scheme != "https" and not (reach.rule.only or endpoint.networks):
        raise ValueError("a public address is asked by https only")
    budgets = Budgets(int(1000 * endpoint.seconds), max_response_bytes=_MOST_BYTES, max_requests=1)
    return FhirBase(url, url, reach, budgets, name, "text")


class Caller:
    """Calls the endpoints of one process, each at most so many times an hour."""

    def __init__(self) -> None:
        self._begun: dict[str, deque[float]] = {}

    def ask(self, name: str, endpoint: Endpoint, prompt: Prompt, data: str) -> Answered:
        """Return the sentences that an endpoint gives for data under a prompt, in one call.

        Raises:
            EndpointFailed: there are none: it does not answer in time, answers something else, or may not be asked now.
        """
        begun = self._begun.setdefault(name, deque())
        started = monotonic()
        while begun and begun[0] < started - 3600:
            begun.popleft()
        if len(begun) >= endpoint.calls_an_hour:
            raise EndpointFailed(
                f"The endpoint {name} was asked {len(begun)} times within an hour, as often as it may be."
            )
        begun.append(started)
        body = msgspec.json.encode(_request(endpoint, prompt, data))
        content = asyncio.run(self._send(name, endpoint, body))
        return Answered(_read(name, endpoint, content), round(monotonic() - started, 3), len(body))

    async def _send(self, name: str, endpoint: Endpoint, body: bytes) -> bytes:
        base = _base(name, endpoint)
        outbound = OutboundClient()
        try:
            key_file = plain_file(Path(endpoint.key_file)) if endpoint.key_file else None
            key = key_file.read_text(encoding="ascii").strip() if key_file is not None else None
            async with asyncio.timeout(endpoint.seconds), outbound.open(base, key) as http:
                headers = {"content-type": "application/json", "accept": "application/json"}
                answer = await http.post(f"{base.url}/chat/completions", content=body, headers=headers)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise EndpointFailed(f"The endpoint {name} did not answer within {endpoint.seconds:g} seconds.") from error
        except OSError as error:
            raise EndpointFailed(f"The key file of the endpoint {name} cannot be read.") from error
        except (httpx.HTTPError, OutboundRefused, UnicodeError) as error:
            reason = getattr(error, "text", "") or "it cannot be reached."
            raise EndpointFailed(f"The endpoint {name} was not used: {reason}") from error
        finally:
            await outbound.aclose()
        if answer.status_code != 200:
            raise EndpointFailed(f"The endpoint {name} answered with the status {answer.status_code}.")
        return answer.content


def _request(endpoint: Endpoint, prompt: Prompt, data: str) -> dict[str, Any]:
    schema = {"name": prompt.id, "strict": True, "schema": prompt.schema}
    messages = [{"role": "system", "content": prompt.text.strip()}, {"role": "user", "content": data}]
    request: dict[str, Any] = {"model": endpoint.model, "messages": messages, "max_tokens": endpoint.most_tokens}
    request |= {"response_format": {"type": "json_schema", "json_schema": schema}, "stream": False}
    return request | prompt.parameters


def _read(name: str, endpoint: Endpoint, content: bytes) -> tuple[Reply, ...]:
    """Return the sentences of an answer, whatever stands around the object that was asked for."""
    try:
        answer = msgspec.json.decode(content)
        reported, text = answer.get("model"), answer["choices"][0]["message"]["content"]
        if reported != endpoint.model:
            raise EndpointFailed(f"Another model answers at the endpoint {name} than the one that the site names.")
        text = _FENCE.split(text)[-1]
        text = text[text.index("{") : text.rindex("}") + 1]
        return msgspec.json.decode(text.encode(), type=_Replies).sentences
    except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
        raise EndpointFailed(f"The endpoint {name} answered in another form than it was asked for.") from error
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise EndpointFailed(f"The endpoint {name} answered in another form than it was asked for.") from error


def as_data(entries: Sequence[Mapping[str, str]]) -> str:
    """Entries of a chart as the data of a call: JSON, so that nothing in them ends the list."""
    return msgspec.json.encode({"entries": entries}).decode()
