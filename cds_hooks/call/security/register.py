"""The trust of a trust file: its clients, the key sets that are fetched for them, and who of them calls."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path
from secrets import token_hex
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from cds_hooks.call.security.addresses import (
    BadUrl,
    FhirBase,
    KeySetUrl,
    OutboundRefused,
    is_below,
    is_loopback,
    parse_url,
)
from cds_hooks.call.security.keys import Keys, NotAnObject, VerificationKey, read_key_set, read_object
from cds_hooks.call.security.replay import ReplayStore
from cds_hooks.call.security.token import ClientRegister, Token, bearer, claimed_client, endpoints_of, read_token
from cds_hooks.call.security.trust import (
    ANONYMOUS,
    ANY_NAME,
    NO_SERVICE,
    Headers,
    OutboundTrust,
    PinnedKeys,
    ProxiedCall,
    RegistrableNames,
    TrustedClient,
    TrustFileState,
    base_url,
)
from cds_hooks.call.security.trust_file import (
    TrustFile,
    TrustFileError,
    read_trust_file,
    read_usable_clients,
    without_withdrawn,
)
from cds_hooks.errors import Untrusted
from cds_hooks.telemetry.logs import log
from cds_hooks.telemetry.readings import Stamp, read_beside, stamp_of

if TYPE_CHECKING:
    from cds_hooks.call.security.outbound import OutboundClient

Fetch = Callable[[KeySetUrl], Awaitable[bytes]]
"""A function that fetches the bytes of a key set, or raises."""

UNKNOWN_KID_SECONDS: Final = 60.0
"""Least seconds between two fetches of a key set because a token names a key that is not in it."""

_FIRST_PAUSE_SECONDS: Final = 5.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
_MOST_WAITING: Final = 256
_MOST_FETCHES: Final = 16
_LEFT_BEHIND: Final = 2.0  # times refresh_seconds


class KeySetLifetimes(Struct, frozen=True):
    """How long a key set is kept."""

    refresh_seconds: float = 900.0
    outage_seconds: float = 86400.0


class RemoteKeys:
    """The keys of one URL, for one process; all calls that wait share one fetch."""

    def __init__(
        self, source: KeySetUrl, fetch: Fetch, keeping: KeySetLifetimes, clock: Callable[[], float] = monotonic
    ) -> None:
        """Nothing is fetched before `keep_fresh` or the first token; `clock` is monotonic, in seconds."""
        self.source = source
        self.clients: tuple[str, ...] = ()
        """The names of the clients whose keys they are."""
        self._fetch = fetch
        self.keeping = keeping
        self._clock = clock
        self._keys = Keys()
        self._fetched_at = -inf
        self._asked_for_unknown_at: float | None = None
        self._pause = 0.0
        self._not_before = 0.0
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0

    @property
    def usable(self) -> bool:
        """Whether the kept keys are young enough to be used while the key set cannot be fetched."""
        return self._age() <= self.keeping.outage_seconds

    @property
    def is_away(self) -> bool:
        """Whether the newest fetch and the one before it failed: a single one may be a moment of the network."""
        return self._pause > _FIRST_PAUSE_SECONDS

    def keep_fresh(self) -> bool:
        """Start a fetch of a set that is due for it; return whether one is under way."""
        if self._age() > self.keeping.refresh_seconds and self._may_fetch():
            self._start()
        return self._fetching is not None

    def key(self, kid: str) -> VerificationKey | None:
        """Return the key of this name in the kept set; None where the set has to be fetched first.

        A set that is due for a refresh is refreshed in the background. A set that was not used for a long time is
        fetched again before it is trusted, because a key may have been withdrawn in between.
        """
        if self.keep_fresh() and self._age() > self.keeping.refresh_seconds * _LEFT_BEHIND:
            return None
        return self._kept(kid)

    async def key_after_fetching(self, kid: str) -> VerificationKey | None:
        """Return the key of this name after fetching the set, if a fetch is allowed now; None where there is none."""
        if self._fetching is None and not self._start_if_due():
            return self._kept(kid)
        if self._fetching is not None:
            if self._waiting >= _MOST_WAITING:
                return None
            self._waiting += 1
            try:
                # a caller that is canceled must not cancel the fetch for the others
                await asyncio.shield(self._fetching)
            finally:
                self._waiting -= 1
        return self._kept(kid)

    def cancel(self) -> None:
        """Cancel a running fetch."""
        if self._fetching is not None:
            self._fetching.cancel()

    async def aclose(self) -> None:
        """Cancel a running fetch and wait until it has let go of its connection."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])

    def _kept(self, kid: str) -> VerificationKey | None:
        return self._keys.by_kid.get(kid) if self.usable else None

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _may_fetch(self) -> bool:
        return self._fetching is None and self._clock() >= self._not_before

    def _start_if_due(self) -> bool:
        """Start a fetch for a missing key if one is due; return whether it did."""
        if not self._may_fetch():
            return False
        if self.usable:
            now = self._clock()
            if self._asked_for_unknown_at is not None and now - self._asked_for_unknown_at < UNKNOWN_KID_SECONDS:
                return False
            self._asked_for_unknown_at = now
        self._start()
        return True

    def _start(self) -> None:
        self._fetching = asyncio.get_running_loop().create_task(self._refresh())

    async def _refresh(self) -> None:
        try:
            keys, left_out = read_key_set(read_object(await self._fetch(self.source)))
        # the waiting calls continue with the old keys, whatever failed; the reason is logged for the operator
        except Exception as error:
            self._failed(type(error).__name__, _why(error))
        else:
            if keys.by_kid:
                self._keys, self._fetched_at = keys, self._clock()
                self._pause = self._not_before = 0.0
                log().info("key set fetched", count=len(keys.by_kid))
            else:
                self._failed("NoKeys", _first(left_out))
            if left_out:
                log().warning("keys left out", client=self._names, count=len(left_out), reason=_first(left_out))
        finally:
            self._fetching = None

    @property
    def _names(self) -> str:
        return ", ".join(self.clients[:3])

    def _failed(self, kind: str, reason: str = "") -> None:
        """Keep the old keys; the next attempt waits, longer each time."""
        self._pause = min(max(self._pause * 2, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        self._not_before = self._clock() + self._pause
        log().warning("key set not fetched", client=self._names, error_type=kind, reason=reason or None)


def _first(left_out: Sequence[str]) -> str:
    """Return the first sentence without brackets, which the log does not take."""
    return left_out[0].replace("[", " ").replace("]", "") if left_out else "it is empty"


def _why(error: Exception) -> str:
    """Return what is known of the cause and holds nothing that the other server wrote."""
    if isinstance(error, OutboundRefused):
        return error.reason
    if isinstance(error, NotAnObject):
        return str(error)
    status = getattr(getattr(error, "response", None), "status_code", None)  # httpx is not loaded before it is needed
    return f"status {status}" if status is not None else ""


LOOK_SECONDS: Final = 0.5
_Stamps = dict[Path, Stamp]
_DISCOVERY: Final = "/cds-services"


class _Version(Struct, frozen=True):
    """A version of the file that was read: who is in force with it."""

    file: TrustFile
    register: ClientRegister
    key_sets: dict[KeySetUrl, tuple[str, ...]]
    """The names of the clients of each key set."""
    stamps: _Stamps
    """Of the file and those that it names."""


class WatchedTrustFile:
    """The clients of a trust file that is read again when it changes, and their fetched keys."""

    def __init__(self, file: Path, registrable: RegistrableNames, fetch: Fetch) -> None:
        """Read the file; a later version that cannot be used changes nothing.

        Raises:
            TrustFileError: the file cannot be used at the start.
        """
        self._path = file
        self._known = registrable
        self._fetch = fetch
        self._remote: dict[KeySetUrl, RemoteKeys] = {}
        self.register = ClientRegister()
        """The clients that are in force."""
        self.state = TrustFileState(in_force_since=time())
        stamps = _stamps([file])
        version = self._in_force(read_trust_file(file, registrable), stamps)
        self._stamps = version.stamps
        self._take(version, is_new=True)

    async def look(self) -> None:
        """Read the file on a thread where it changed, and put what it says in force on the event loop."""
        (await read_beside("CDS_TRUST_FILE", self._read))()

    @property
    def anonymous(self) -> TrustedClient:
        """Who sees discovery without a token: the services of this process."""
        return replace(ANONYMOUS, services=self._file.services)

    @property
    def discovery_needs_token(self) -> bool:
        """Whether discovery needs a token of a client."""
        return self._file.discovery_needs_token

    def remote_keys(self, source: KeySetUrl) -> RemoteKeys:
        """Return the keys of a URL that the file names.

        Raises:
            KeyError: the file does not name it.
        """
        return self._remote[source]

    def keep_fresh(self) -> None:
        """Fetch the key sets that are due, some at a time: no call waits, and a fault is told before somebody calls."""
        under_way = 0
        for keys in self._remote.values():
            under_way += keys.keep_fresh()
            if under_way == _MOST_FETCHES:
                break

    @property
    def key_set_fault(self) -> str:
        """A sentence where key sets cannot be fetched, else ""."""
        away = [keys for keys in list(self._remote.values()) if keys.is_away]
        refused = sum(len(keys.clients) for keys in away if not keys.usable)
        if not away:
            return ""
        many = sum(len(keys.clients) for keys in away)
        whose = "1 client" if many == 1 else f"{many} clients"
        then = f"calls of {refused} of them are refused with 401" if refused else "the keys fetched last are used"
        return f"The key set of {whose} cannot be fetched, and {then}; the log names them and says why."

    async def aclose(self) -> None:
        """Cancel all running fetches and wait until they have ended."""
        for keys in self._remote.values():
            await keys.aclose()

    def _read(self) -> Callable[[], None]:
        """Return what puts a changed file in force; nothing is changed before, as this is not on the event loop."""
        # taken before reading, so that a change during the reading is seen the next time
        stamps = _stamps(self._stamps)
        # a file that was refused is read every time: the fault may be in a file that it names
        if stamps == self._stamps and not self.state.problems:
            return lambda: None
        try:
            file = read_usable_clients(self._path, self._known)
        except TrustFileError as error:
            return partial(self._put, stamps, error.kind, error.problems)
        version = self._in_force(file, stamps)
        return partial(self._put, version.stamps, "content", file.problems, version)

    def _put(self, stamps: _Stamps, kind: str, problems: tuple[str, ...], version: _Version | None = None) -> None:
        """Put a version in force, also where its mistakes are those of before: another client may be gone from it."""
        is_new = stamps != self._stamps or problems != self.state.problems
        self._stamps = stamps
        if version is not None:
            self._take(version, is_new=is_new)
        if version is not None and not problems:
            self.state = TrustFileState(in_force_since=time())
            log().info("trust file read again", count=len(version.file.clients))
        elif is_new:
            log().error("trust file refused, the last good one stays", reason=kind, count=len(problems))
            faulty = tuple(version.file.faulty) if version is not None else ()
            self.state = TrustFileState(self.state.in_force_since, time(), problems, faulty)

    def _kept(self, file: TrustFile) -> tuple[TrustedClient, ...]:
        """Return what remains of the last good entries of the clients whose new entries have mistakes."""
        last = {client.name: client for client in self.register.clients}
        remaining = (
            without_withdrawn(last[name], entry, self._path.parent)
            for name, entry in file.faulty.items()
            if name in last
        )
        return tuple(client for client in remaining if client is not None)

    def _in_force(self, file: TrustFile, stamps: _Stamps) -> _Version:
        """Return what is in force with this file: its clients, and of those with mistakes their last good entries."""
        register = ClientRegister((*file.clients, *self._kept(file)))
        names: dict[KeySetUrl, tuple[str, ...]] = {}
        for client in register.clients:
            if isinstance(client.key_source, KeySetUrl):
                names[client.key_source] = (*names.get(client.key_source, ()), client.name)
        # files that are named for the first time are watched from here on
        return _Version(file, register, names, {path: stamps.get(path) or stamp_of(path) for path in file.files})

    def _take(self, version: _Version, *, is_new: bool) -> None:
        file = version.file
        for client in file.clients:
            if is_new and client.services == NO_SERVICE:
                log().warning("client without services may call none", client=client.name)
        self._file, self.register = file, version.register
        keeping = KeySetLifetimes(file.refresh_seconds, file.outage_seconds)
        before, self._remote = self._remote, {}
        for source, names in version.key_sets.items():
            keys = before.pop(source) if source in before else RemoteKeys(source, self._fetch, keeping)
            keys.keeping = keeping
            keys.clients = names
            self._remote[source] = keys
        for keys in before.values():
            keys.cancel()


def _stamps(paths: Iterable[Path]) -> _Stamps:
    return {path: stamp_of(path) for path in paths}


class FileTrust(OutboundTrust):
    """The trust of a trust file: a client is identified by the signed token of each call."""

    development = False

    def __init__(
        self,
        file: Path,
        public_url: str,
        replays: ReplayStore,
        registrable: RegistrableNames = ANY_NAME,
        clock: Callable[[], float] = time,
        outbound: "OutboundClient | None" = None,
    ) -> None:
        """`clock` gives seconds since the epoch.

        Raises:
            TrustFileError: the file cannot be used.
        """
        super().__init__(outbound)
        self._live = WatchedTrustFile(file, registrable, lambda source: self.outbound.fetch(source))
        self._public_url = public_url
        if _is_plain(public_url):
            # checklist row GEN-02: behind a proxy that serves https, tokens should name the proxy's address
            log().warning("tokens name a plain http address", reason="public-url")
        self._replays = replays
        self._clock = clock
        self._origins = _Origins(self._live)

    @property
    def origins(self) -> Collection[str]:
        """The origins of all clients of the current file."""
        return self._origins

    @property
    def clients(self) -> tuple[TrustedClient, ...]:
        """The clients of the current file."""
        return self._live.register.clients

    @property
    def state(self) -> TrustFileState:
        """Since when the file is in force, and what is wrong with a newer version."""
        return self._live.state

    @property
    def key_set_fault(self) -> str:
        """A sentence where key sets of clients cannot be fetched, else ""."""
        return self._live.key_set_fault

    async def keep_looking(self) -> None:
        """Look at the file twice a second until canceled; key sets are fetched also while its disk does not answer."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_fresh())
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await self._live.look()

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._live.keep_fresh()

    async def client_of(self, headers: Headers, path: str, call: ProxiedCall | None = None) -> TrustedClient:
        """Return the client whose key signed the call's token, which is for this path and was not used before.

        The token of a `call` that a proxy sends again is taken again.

        Raises:
            Untrusted: there is no such token (401).
        """
        register = self._live.register
        if path == _DISCOVERY and not self._live.discovery_needs_token:
            return self._live.anonymous
        token = read_token(bearer(headers))
        now = self._clock()
        client = claimed_client(token, register, endpoints_of(self._public_url, path), now)
        await self._check_signature(token, client)
        claims = token.claims
        until = claims.exp + client.budgets.skew_seconds
        call_id = call.id if call is not None else ""
        is_first = await self._replays.first_use(claims.iss, claims.jti, until, now, call_id)
        if not is_first and call is not None:
            is_first = call.is_repeated = await self._replays.was_used_by(claims.iss, claims.jti, call_id)
        if not is_first:
            raise Untrusted("replayed", client.name)
        return client

    async def _check_signature(self, token: Token, client: TrustedClient) -> None:
        kid = token.header.kid
        source = client.key_source
        if isinstance(source, PinnedKeys):
            key = source.keys.by_kid.get(kid)
        else:
            remote = self._live.remote_keys(source)
            key = remote.key(kid) or await remote.key_after_fetching(kid)
            if not remote.usable:
                raise Untrusted("keys-away", client.name)
        if key is None:
            raise Untrusted("key", client.name)
        if not key.verifies(token.header.alg, token.signed, token.signature):
            raise Untrusted("signature", client.name)

    def may_fetch(self, client: TrustedClient, fhir_server: str) -> FhirBase:
        """Return the base that equals the address or lies above it, and that the file names now for this client.

        Raises:
            OutboundRefused: there is none.
        """
        url = base_url(fhir_server)
        # a feed keeps the client that it was started with
        for entry in self.clients:
            for base in entry.fhir if entry.name == client.name else ():
                if is_below(url, base.url):
                    return FhirBase(url, base.url, base.reach, entry.budgets, entry.name, open=base.open)
        raise OutboundRefused("not-registered", "The call's fhirServer is not one that is registered for this client.")

    async def check(self) -> None:
        """Note one token of our own as used: what every call with a token needs.

        Raises:
            ReplayStoreFailed: The store of used tokens cannot be written.
        """
        now = time()
        await self._replays.first_use("readyz", token_hex(16), now + 60, now)

    async def aclose(self) -> None:
        """Close connections and files."""
        await self._live.aclose()
        await super().aclose()
        await self._replays.aclose()


class _Origins(Collection[str]):
    """The origins of the current file. An ASGI middleware keeps this object for the life of the process."""

    def __init__(self, live: WatchedTrustFile) -> None:
        self._live = live

    def __contains__(self, origin: object) -> bool:
        return origin in self._live.register.origins

    def __iter__(self) -> Iterator[str]:
        return iter(self._live.register.origins)

    def __len__(self) -> int:
        return len(self._live.register.origins)


def _is_plain(public_url: str) -> bool:
    try:
        url = parse_url(public_url)
    except BadUrl:
        return False
    return url.scheme == "http" and not is_loopback(url)
