"""Reads the site's declaration of its feeds (`CDS_EVENTS_FILE`, TOML), and says what is wrong with it and where."""

import csv
from collections.abc import Collection, Mapping
from datetime import date, datetime, tzinfo
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from cds_hooks.settings.checks import is_loopback, listen_address
from fhir.record.site_file import read_toml_as
from fhir.terminology.plain_file import plain_file, read_plain, unreadable
from fhir.terminology.toml_file import TomlFault

_COMPUTED: Final = "computed "
"""How the names of members begin that this module fills in; in the file nobody can write them."""


class DeclarationFault(Exception):
    """The file cannot be used; the message names the file and says why."""

    what_cannot_be_used: ClassVar[str] = "The declaration of feeds"


class Downtime(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A downtime that was announced: what does not come in it is no incident. Without feeds it is of all."""

    start: datetime
    end: datetime
    feeds: tuple[str, ...] = ()


class Tls(Struct, frozen=True, forbid_unknown_fields=True):
    """The certificate of a listener (PEM files); with `client_ca` only senders with a certificate of it are taken."""

    certificate: str
    key: str
    client_ca: str = ""


class V2Feed(Struct, forbid_unknown_fields=True, kw_only=True, tag_field="kind"):
    """A sender of HL7 v2 messages."""

    name: str = field(default="", name=f"{_COMPUTED}name")
    through: str = ""
    """What the feed comes through, as an interface engine: feeds that stop together are one incident of it."""
    patients_from: str = ""
    """The feed that brings the patients of this one."""
    authority: str = ""
    """The assigning authority (PID-3.4) whose numbers name the patients."""
    identifier_type: str = "MR"
    timezone: str = ""
    """The zone of times without an offset; without it the offset of MSH-7, else UTC."""
    charset: str = "iso8859-1"
    """How bytes are read that are no UTF-8, where a message does not say its character set."""
    decimal: Literal[".", ","] = "."
    training: bool = False
    """Whether messages for training (MSH-11 T) have an effect."""
    codes: str = ""
    """A CSV file of local codes: code, loinc."""
    not_used: tuple[str, ...] = ()
    """Types of message, as SIU, that are acknowledged as taken and have no effect; others are rejected."""
    late_days: float = 30.0
    """A fact that is older when it arrives is kept and makes nobody be scored."""
    zone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"), name=f"{_COMPUTED}zone")
    local_codes: dict[str, str] = field(default_factory=dict, name=f"{_COMPUTED}local_codes")

    @property
    def namespace(self) -> str:
        """What the ids of the feed's facts begin with: facts of two feeds of one authority are of the same visits."""
        return self.authority or self.name

    @property
    def identifier_system(self) -> str:
        """The system of the patient numbers."""
        return f"urn:v2:{self.namespace}"

    def map_codes(self, concept: dict[str, Any]) -> None:
        """Add the LOINC code that the site's file has for a local code."""
        codings = concept.get("coding")
        if not codings or not self.local_codes:
            return
        loinc = next(
            (self.local_codes[code] for coding in codings if (code := coding["code"]) in self.local_codes), None
        )
        if loinc is not None and all(coding.get("system") != "http://loinc.org" for coding in codings):
            codings.insert(0, {"system": "http://loinc.org", "code": loinc})


class MllpFeed(V2Feed, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="mllp"):
    """A sender of HL7 v2 messages over MLLP."""

    listen: str
    """The address to listen on, as 127.0.0.1:2575."""
    tls: Tls | None = None
    connections: int = 64
    frame_bytes: int = 8 * 1024 * 1024
    frame_seconds: float = 10.0


class BrokerFeed(V2Feed, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="broker"):
    """HL7 v2 messages from a broker."""

    url: str
    """The address of the broker: nats://, amqp://, redis:// or kafka://, as nats://broker.example:4222."""
    subject: str
    """What is read: a NATS subject, a RabbitMQ queue, a Redis stream or a Kafka topic."""
    stream: str = ""
    """The JetStream stream of the subject; the others need none."""
    group: str = "cds-hooks"
    """The name under which the broker remembers what was taken."""


class FolderFeed(V2Feed, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="folder"):
    """HL7 v2 messages from files that a sender moves into a folder."""

    folder: str
    frame_bytes: int = 8 * 1024 * 1024
    """The most bytes of a file; a longer one is refused."""


class SubscriptionFeed(Struct, forbid_unknown_fields=True, kw_only=True, tag_field="kind", tag="subscription"):
    """A topic subscription at a FHIR server (R4 backport 1.1), which posts to `/events/NAME`."""

    name: str = field(default="", name=f"{_COMPUTED}name")
    through: str = ""
    patients_from: str = ""
    subscription: str
    """The address of the Subscription, below a FHIR server of the client."""
    topic: str
    search: str = ""
    """A search below the server that finds what the topic is about, as Observation?category=laboratory: for gaps."""
    client: str = ""
    """The client of the trust file that may post; by default the one of the file's head."""
    late_days: float = 30.0

    @property
    def server(self) -> str:
        """The base address of the FHIR server."""
        return self.subscription.rsplit("/Subscription/", 1)[0]


Feed = MllpFeed | BrokerFeed | FolderFeed | SubscriptionFeed


class EffectRule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which feeds make which services be computed again, after how long without a further event, and for whom."""

    services: tuple[str, ...]
    feeds: tuple[str, ...] = ()
    """All feeds where none is named."""
    quiet_seconds: float = 30.0
    longest_seconds: float = 600.0
    """However many events come: after so long the patient is computed."""
    patients: str = ""
    """A file with one patient id a line; without it everybody."""
    panel: frozenset[str] | UnsetType = field(default=UNSET, name=f"{_COMPUTED}panel")

    def is_for(self, feed: str, patient: str) -> bool:
        """Return whether an event of this feed about this patient makes the services be computed."""
        return (not self.feeds or feed in self.feeds) and (self.panel is UNSET or patient in self.panel)


class Webhook(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A receiver of the server's own events (CloudEvents over HTTP, or to a broker)."""

    url: str
    """An address with https, or that of a broker."""
    subject: str = ""
    """Of a broker: where events are published."""
    stream: str = ""
    secret_file: str = ""
    """The secret by which requests over HTTP are signed."""
    types: tuple[str, ...] = ()
    secret: bytes = field(default=b"", name=f"{_COMPUTED}secret")


class Declaration(Struct, forbid_unknown_fields=True, kw_only=True):
    """The file."""

    client: str = ""
    """In whose name patients are computed: a client of the trust file, whose worklist gets the results."""
    fhir_server: str = ""
    """The client's FHIR server, from which keys are read of which no fact came; it must be open for this client."""
    complete: frozenset[str] = frozenset()
    """The resource types of which the feeds bring everything: what did not come is then known to be absent."""
    database: str = "var/events.sqlite3"
    queue: int = 1000
    """Messages that wait to be stored; beyond it senders wait."""
    timezone: str = "UTC"
    """The zone of hook calls and of subscriptions, by which their hours of the week are told."""
    holidays: tuple[date, ...] = ()
    """Days on which anything between a Sunday and the usual is expected."""
    downtime: tuple[Downtime, ...] = ()
    notify: str = ""
    """Where incidents are posted when they open and close (https, or http on this machine)."""
    feed: dict[str, Feed] = {}
    effect: dict[str, EffectRule] = {}
    webhook: dict[str, Webhook] = {}

    def read_once(self, path: Path) -> dict[str, Path]:
        """Return the files that this declaration, of that path, names and that are read at the start only."""
        named = {f"feed.{name}": feed.codes for name, feed in self.feed.items() if isinstance(feed, V2Feed)}
        named |= {f"effect.{name}": rule.patients for name, rule in self.effect.items()}
        named |= {f"webhook.{name}": hook.secret_file for name, hook in self.webhook.items()}
        return {f"{name} of CDS_EVENTS_FILE": path.parent / file for name, file in named.items() if file}

    @property
    def file(self) -> Path:
        """The file of the inbox."""
        return Path(self.database)

    def downtimes(self, feed: str) -> list[tuple[int, int]]:
        """Return the announced downtimes of a feed, as steps of five minutes since 1970."""
        chosen = [downtime for downtime in self.downtime if not downtime.feeds or feed in downtime.feeds]
        return [(int(part.start.timestamp() // 300), int(-(-part.end.timestamp() // 300))) for part in chosen]


_ALLOWED: Final = ("https://", "http://127.0.0.1:", "http://localhost:")
BROKERS: Final = ("nats://", "tls://", "amqp://", "amqps://", "redis://", "rediss://", "kafka://")
_MOST_BYTES: Final = 1024 * 1024


def read_declaration(path: Path, services: Collection[str]) -> Declaration:
    """Return what the site declares.

    Raises:
        DeclarationFault: The file cannot be read, or something in it cannot be used.
    """
    try:
        declaration = read_toml_as(path, Declaration, _MOST_BYTES)
    except TomlFault as error:
        raise DeclarationFault(f"{path} {error}") from error
    _check_watch(path, declaration)
    for name, feed in declaration.feed.items():
        feed.name = name
        if isinstance(feed, V2Feed):
            _complete(path, feed)
        elif "/Subscription/" not in feed.subscription:
            raise DeclarationFault(f"{path}: the subscription of feed.{name} is not the address of a Subscription")
    declaration.effect = {
        name: _effect(path, name, rule, declaration.feed, services) for name, rule in declaration.effect.items()
    }
    declaration.webhook = {name: _webhook(path, name, hook) for name, hook in declaration.webhook.items()}
    return declaration


def _check_watch(path: Path, declaration: Declaration) -> None:
    _zone(declaration.timezone, str(path))
    if any(downtime.start.tzinfo is None or downtime.end.tzinfo is None for downtime in declaration.downtime):
        raise DeclarationFault(f"{path}: a downtime has no offset; write it as 2026-12-01T01:00:00-05:00")
    names = [name for downtime in declaration.downtime for name in downtime.feeds]
    names += [feed.patients_from for feed in declaration.feed.values() if feed.patients_from]
    unknown = [name for name in names if name not in declaration.feed]
    if unknown:
        raise DeclarationFault(f"{path}: {unknown[0]!r} is named, but no feed has this name")
    if declaration.notify and not declaration.notify.startswith(_ALLOWED):
        raise DeclarationFault(f"{path}: notify is an address with https, or with http on this machine")


def _zone(name: str, where: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise DeclarationFault(f"{where}: {name!r} is not a time zone; write one such as Europe/Berlin") from error


def _complete(path: Path, feed: V2Feed) -> None:
    where = f"{path}: feed.{feed.name}"
    if isinstance(feed, MllpFeed):
        address = listen_address(feed.listen)
        if address is None:
            raise DeclarationFault(f"{where}: listen is {feed.listen!r}; write it as 127.0.0.1:2575")
        if feed.tls is None and address[1] is not None and not is_loopback(address[0]):
            raise DeclarationFault(
                f"{where}: other machines reach {feed.listen}, and whoever does could send results of any patient; "
                "give it tls, or listen on an address of this machine as 127.0.0.1:2575"
            )
    if isinstance(feed, FolderFeed):
        feed.folder = str(path.parent / feed.folder)
        if not Path(feed.folder).is_dir():
            raise DeclarationFault(f"{where}: the folder {unreadable(Path(feed.folder))}")
    if isinstance(feed, BrokerFeed):
        _check_broker(where, feed.url, feed.subject, feed.stream)
    feed.zone = _zone(feed.timezone or "UTC", where)
    try:
        b" ".decode(feed.charset, "replace")  # of no bytes any name is taken
    except (LookupError, ValueError) as error:
        raise DeclarationFault(f"{where}: {feed.charset!r} is not a character set") from error
    if feed.codes:
        feed.local_codes = _codes(path.parent / feed.codes, where)
    if isinstance(feed, MllpFeed) and feed.tls is not None:
        files = (feed.tls.certificate, feed.tls.key, feed.tls.client_ca)
        absolute = [str(path.parent / name) if name else "" for name in files]
        missing = [name for name in absolute if name and not Path(name).is_file()]
        if missing:
            raise DeclarationFault(f"{where}: {unreadable(Path(missing[0]))}")
        feed.tls = Tls(*absolute)


def _check_broker(where: str, url: str, subject: str, stream: str) -> None:
    """Check where messages of a broker are read or written, and that its library is installed."""
    if not url.startswith(BROKERS):
        raise DeclarationFault(f"{where}: url begins with none of {', '.join(BROKERS)}")
    if not subject:
        raise DeclarationFault(f"{where}: subject is missing")
    if url.startswith(("nats://", "tls://")) and not stream:
        raise DeclarationFault(f"{where}: stream is missing, the JetStream stream of the subject")
    if find_spec("faststream") is None:
        raise DeclarationFault(f"{where}: a broker needs the extra: pip install 'cds-hooks-onnx[brokers]'")


def _codes(path: Path, where: str) -> dict[str, str]:
    try:
        with plain_file(path).open(encoding="utf-8", newline="") as file:
            codes = {row["code"]: row["loinc"] for row in csv.DictReader(file)}
        if not all(codes.values()):
            raise KeyError("loinc")
        return codes
    except (OSError, KeyError, ValueError, csv.Error) as error:
        raise DeclarationFault(f"{where}: {path} must be a CSV file with the columns code and loinc") from error


def _effect(
    path: Path, name: str, rule: EffectRule, feeds: Mapping[str, Feed], services: Collection[str]
) -> EffectRule:
    unknown = [service for service in rule.services if service not in services]
    unknown += [feed for feed in rule.feeds if feed not in feeds]
    if unknown:
        raise DeclarationFault(
            f"{path}: effect.{name} names {unknown[0]!r}, which is neither a service nor a feed here"
        )
    if not rule.patients:
        return rule
    what = f"{path}: effect.{name}: the file of patients"
    try:
        lines = _beside(path, rule.patients, what).decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DeclarationFault(f"{what} {path.parent / rule.patients} is not text in UTF-8") from error
    return msgspec.structs.replace(rule, panel=frozenset(line.strip() for line in lines if line.strip()))


def _beside(path: Path, name: str, what: str) -> bytes:
    """Return the bytes of a file that a declaration names, or say that it cannot be read."""
    file = path.parent / name
    try:
        return read_plain(file)
    except OSError as error:
        raise DeclarationFault(f"{what} {unreadable(file, error)}") from error
    except ValueError as error:
        raise DeclarationFault(f"{what} {name!r} is not the name of a file") from error


def _webhook(path: Path, name: str, hook: Webhook) -> Webhook:
    if hook.url.startswith(BROKERS):
        _check_broker(f"{path}: webhook.{name}", hook.url, hook.subject, hook.stream)
        return hook
    secret = _beside(path, hook.secret_file, f"{path}: webhook.{name}: the secret_file").strip()
    if len(secret) < 32:
        raise DeclarationFault(f"{path}: the secret of webhook.{name} has fewer than 32 bytes")
    if not hook.url.startswith(_ALLOWED):
        raise DeclarationFault(f"{path}: webhook.{name} is called over https, or over http on this machine only")
    return msgspec.structs.replace(hook, secret=secret)
