"""Downloads a Bulk Data export: $export, SMART Backend Services, polling, retries, files that are complete or absent.

FHIR Bulk Data Access 2.0 (HL7, STU 2) and SMART Backend Services (SMART App Launch 2.1). An interrupted export goes on
where it was: `export.json` in the folder has the address at which the server says how far it is.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep, time
from types import MappingProxyType
from typing import Any

import httpx
import jwt
import orjson

from cds_hooks.batch.bulk_manifest import (
    ENDS,
    EXPIRED,
    OF_FILE,
    OF_KICK_OFF,
    BulkRefused,
    absolute,
    errors_in,
    is_whole,
    read_manifest,
    refuse_address,
    refuse_status,
)
from fhir.client.client import seconds_to_wait

STATE = "export.json"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 240  # SMART Backend Services: no more than five minutes in the future
_RENEW_BEFORE_SECONDS = 30.0
_ATTEMPTS = 6
_LONGEST_WAIT_SECONDS = 3600.0
_TOKEN_SECONDS = 300.0  # where the token server does not say how long a token lasts
_RETRIED = frozenset({429, 500, 502, 503, 504})
_GROUP = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_INSTANT = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?)?)?")
_KIND_OF_FILE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class _Expired(Exception):
    """The address of a file is no longer valid."""


@dataclass(frozen=True, slots=True)
class BackendKey:
    """The registered client of a backend service: its id, its private key (PEM), the key's id and algorithm."""

    client_id: str
    private_key: str
    key_id: str
    algorithm: str = "RS384"
    scope: str = "system/*.rs"


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of an export, all complete, and what the server says it could not export.

    `errors` is the number of its OperationOutcomes of severity error or fatal, which are in `error_files`: the export
    then lacks something. `deleted_files` name what was deleted since the instant that was asked for. `taken_at` is the
    server's transactionTime: nothing later is in the files.
    """

    files: tuple[Path, ...]
    error_files: tuple[Path, ...] = ()
    errors: int = 0
    taken_at: str = ""
    deleted_files: tuple[Path, ...] = ()


@dataclass(slots=True)
class BulkExport:
    """One export of one server into one folder. `wait` sleeps; tests give another one."""

    base: str
    folder: Path
    key: BackendKey | None = None
    group: str | None = None
    types: tuple[str, ...] = ()
    since: str | None = None
    wait: Callable[[float], None] = sleep
    _token: str = ""
    _token_ends: float = 0.0
    _has_asked_again: bool = False
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60.0, follow_redirects=False))

    def run(self, progress: Callable[[str], None] = lambda _: None) -> Exported:
        """Start the export, or goes on with the one begun in this folder.

        Raises:
            BulkRefused: the server or its token server refuses, fails, or offers an address that is not called.
        """
        refuse_address(self.base, self.base)
        self._refuse_question()
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._http:
                status = self._begun() or self._kick_off()
                progress("The server prepares the export.")
                manifest = self._manifest(status, progress)
                try:
                    files, error_files, deleted = self._all_files(manifest, progress)
                except _Expired:  # the list of files is asked for once more: it comes with fresh addresses
                    progress("The address of a file is no longer valid: the list of files is asked for again.")
                    manifest = self._same_files(manifest, self._manifest(status, progress))
                    files, error_files, deleted = self._all_files(manifest, progress)
                self._send("DELETE", status, allowed=(200, 202, 204, 404, 405))
        except httpx.HTTPError as error:
            raise BulkRefused(f"{self.base} cannot be reached ({type(error).__name__}); try again.") from error
        (self.folder / STATE).unlink(missing_ok=True)
        taken_at = str(manifest.get("transactionTime") or "")
        errors = sum(map(errors_in, error_files))
        return Exported(tuple(files), tuple(error_files), errors, taken_at, tuple(deleted))

    def _refuse_question(self) -> None:
        if self.group is not None and not _GROUP.fullmatch(self.group):
            raise BulkRefused("--group: the id of a Group has letters, digits, '-' and '.', at most 64 of them.")
        if strange := [kind for kind in self.types if not kind or not _KIND_OF_FILE.issuperset(kind)]:
            raise BulkRefused(f"--type: {strange[0][:40]!r} is no resource type; write it as Observation.")
        if self.since is not None and not _INSTANT.fullmatch(self.since):
            raise BulkRefused("--since: write an instant with its zone, as 2026-11-20T09:00:00Z.")

    # The three steps

    def _begun(self) -> str | None:
        state = self.folder / STATE
        if not state.is_file():
            return None
        try:
            document = orjson.loads(state.read_bytes())
            parameters, status = document["asked"], str(document["status"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BulkRefused(f"{state} cannot be read: take another folder, or remove that file.") from error
        if parameters != self._parameters():
            raise BulkRefused(f"{state} is of another export: take another folder, or remove that file.")
        refuse_address(status, self.base)
        return status

    def _refuse_files_of_another_export(self) -> None:
        """Files that are here count as downloaded, which those of an export before this one are not."""
        there = sorted(path.name for end in set(ENDS.values()) for path in self.folder.glob(f"*.{end}"))
        if there:
            raise BulkRefused(
                f"{self.folder} has files of an earlier export ({there[0]}), which would be mixed with those of a new "
                "one: take another folder, or remove them."
            )

    def _parameters(self) -> dict[str, Any]:
        return {"base": self.base, "group": self.group, "types": list(self.types), "since": self.since}

    def _kick_off(self) -> str:
        self._refuse_files_of_another_export()
        where = f"Group/{self.group}/$export" if self.group else "Patient/$export"
        parameters = {"_outputFormat": "application/fhir+ndjson"}
        parameters |= {"_type": ",".join(self.types)} if self.types else {}
        parameters |= {"_since": self.since} if self.since else {}
        headers = {"accept": "application/fhir+json", "prefer": "respond-async"}
        address = f"{self.base.rstrip('/')}/{where}"
        answer = self._send("GET", address, headers, parameters, allowed=(202,), hints=OF_KICK_OFF)
        status = str(answer.headers.get("content-location", ""))
        if not status:
            raise BulkRefused("The server took the export and did not say where its status is (Content-Location).")
        status = absolute(address, status)
        refuse_address(status, self.base)
        written = self.folder / f"{STATE}.part"  # under its name only when it is complete
        written.write_bytes(orjson.dumps({"asked": self._parameters(), "status": status}))
        written.replace(self.folder / STATE)
        return status

    def _manifest(self, status: str, progress: Callable[[str], None]) -> dict[str, Any]:
        attempt = 0
        while True:
            answer = self._send("GET", status, {"accept": "application/json"}, allowed=(200, 202, 404))
            if answer.status_code == 404:
                (self.folder / STATE).unlink(missing_ok=True)
                raise BulkRefused(
                    f"The server no longer knows this export. Remove the files in {self.folder}, or take another "
                    "folder, and type the command again to begin a new one."
                )
            if answer.status_code == 200:
                return read_manifest(answer, status)
            text = answer.headers.get("x-progress", "")[:100]
            progress(f"The server prepares the export{': ' + text if text else ''}.")
            self.wait(min(seconds_to_wait(answer.headers, min(attempt, 10)), _LONGEST_WAIT_SECONDS))
            attempt += 1

    def _same_files(self, before: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
        """Return the list as it came again; BulkRefused where it is another one, whose files have other names here."""
        for member in ENDS:
            old, new = ([str(entry["type"]) for entry in manifest.get(member) or ()] for manifest in (before, again))
            if old != new:
                raise BulkRefused(
                    "The server's list of files is another one than before: take another folder, and begin again."
                )
        return again

    def _all_files(
        self, manifest: dict[str, Any], progress: Callable[[str], None]
    ) -> tuple[list[Path], list[Path], list[Path]]:
        return (
            self._download(manifest, "output", "", progress),
            self._download(manifest, "error", "errors.", progress),
            self._download(manifest, "deleted", "deleted.", progress),
        )

    def _download(
        self, manifest: dict[str, Any], member: str, prefix: str, progress: Callable[[str], None]
    ) -> list[Path]:
        needs_token = bool(manifest.get("requiresAccessToken"))
        files, counts = [], dict[str, int]()
        for entry in manifest.get(member) or ():
            kind, url = str(entry["type"]), str(entry["url"])
            if not kind or not _KIND_OF_FILE.issuperset(kind):
                raise BulkRefused("The server names a file of a type that is no FHIR type.")
            counts[kind] = counts.get(kind, 0) + 1
            path = self.folder / f"{prefix}{kind}.{counts[kind]}.{ENDS[member]}"
            if not path.is_file():
                refuse_address(url, self.base)
                self._fetch(url, path, needs_token, entry.get("count"))
            files.append(path)
            progress(f"{path.name} is here.")
        return files

    def _fetch(self, url: str, path: Path, needs_token: bool, count: Any) -> None:
        """One file, under its name only when it is complete; a broken transfer begins again.

        `count` is how many lines the server's list says that it has, where it says it.
        """
        part = path.with_name(f"{path.name}.part")
        is_renewed = False
        for attempt in range(_ATTEMPTS):
            try:
                with self._answer("GET", url, {"accept": "application/fhir+ndjson"}, with_token=needs_token) as answer:
                    if answer.status_code in _RETRIED:
                        self._pause(answer, attempt)
                        continue
                    if answer.status_code == 401 and needs_token and self.key is not None and not is_renewed:
                        self._token_ends, is_renewed = 0.0, True
                        continue
                    if answer.status_code in EXPIRED and not self._has_asked_again:
                        self._has_asked_again = True
                        raise _Expired
                    refuse_status(answer, (200,), OF_FILE)
                    with part.open("wb") as file:
                        for piece in answer.iter_bytes():
                            file.write(piece)
                if is_whole(part, count):
                    part.replace(path)
                    return
            except (httpx.TransportError, httpx.DecodingError):
                pass
            self.wait(0.05 * 2.0**attempt)
        raise BulkRefused(
            f"{path.name} could not be downloaded in {_ATTEMPTS} attempts; what is here stays: try again."
        )

    # Requests

    def _send(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        parameters: dict[str, str] | None = None,
        allowed: tuple[int, ...] = (200,),
        hints: Mapping[int, str] = MappingProxyType({}),
    ) -> httpx.Response:
        is_renewed = False
        for attempt in range(_ATTEMPTS):
            with self._answer(method, url, headers or {}, parameters) as answer:
                answer.read()
            if answer.status_code == 401 and self.key is not None and not is_renewed:
                self._token_ends, is_renewed = 0.0, True  # the server ended it early: once with a new one
                continue
            if answer.status_code not in _RETRIED:
                break
            self._pause(answer, attempt)
        refuse_status(answer, allowed, hints)
        return answer

    def _pause(self, answer: httpx.Response, attempt: int) -> None:
        self.wait(min(seconds_to_wait(answer.headers, attempt), _LONGEST_WAIT_SECONDS))

    @contextmanager
    def _answer(
        self,
        method: str,
        url: str,
        headers: dict[str, str],
        parameters: dict[str, str] | None = None,
        with_token: bool = True,
    ) -> Iterator[httpx.Response]:
        if with_token and self.key is not None:
            headers = {**headers, "authorization": f"Bearer {self._access_token(self.key)}"}
        with self._http.stream(method, url, headers=headers, params=parameters) as answer:
            yield answer

    def _access_token(self, key: BackendKey) -> str:
        if time() < self._token_ends:
            return self._token
        address = self._token_address()
        now = int(time())
        claims = {
            "iss": key.client_id,
            "sub": key.client_id,
            "aud": address,
            "exp": now + _ASSERTION_SECONDS,
            "jti": secrets.token_urlsafe(16),
        }
        try:
            signed = jwt.encode(claims, key.private_key, key.algorithm, {"kid": key.key_id})
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise BulkRefused(
                f"The private key cannot sign with {key.algorithm}: give its PEM and algorithm."
            ) from error
        form = {"grant_type": "client_credentials", "scope": key.scope}
        form |= {"client_assertion_type": _ASSERTION, "client_assertion": signed}
        answer = self._without_token(
            lambda: self._http.post(address, data=form, headers={"accept": "application/json"}), "The token server"
        )
        if answer.status_code != 200:
            code = _member(answer, "error")
            raise BulkRefused(
                f"The token server refuses this client ({answer.status_code}{f', {code}' if code else ''})."
            )
        self._token = str(_member(answer, "access_token") or "")
        if not self._token:
            raise BulkRefused("The token server's answer has no access_token.")
        self._token_ends = time() + max(0.0, _seconds(_member(answer, "expires_in")) - _RENEW_BEFORE_SECONDS)
        return self._token

    def _without_token(self, ask: Callable[[], httpx.Response], who: str) -> httpx.Response:
        """Return the answer of a server that needs no token, asked again while it is busy or fails."""
        for attempt in range(_ATTEMPTS):
            answer = ask()
            if answer.status_code not in _RETRIED:
                return answer
            self._pause(answer, attempt)
        raise BulkRefused(f"{who} answered with {answer.status_code} in {_ATTEMPTS} attempts: try again later.")

    def _token_address(self) -> str:
        where = f"{self.base.rstrip('/')}/.well-known/smart-configuration"
        answer = self._without_token(lambda: self._http.get(where), where)
        address = str(_member(answer, "token_endpoint") or "") if answer.status_code == 200 else ""
        if not address:
            raise BulkRefused(f"{self.base}/.well-known/smart-configuration names no token_endpoint.")
        refuse_address(address, self.base)
        return address


def _seconds(lasts: Any) -> float:
    try:
        return float(lasts) if lasts else _TOKEN_SECONDS
    except (TypeError, ValueError):
        return _TOKEN_SECONDS


def _member(answer: httpx.Response, name: str) -> Any:
    try:
        document = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None
    return document.get(name) if isinstance(document, dict) else None
