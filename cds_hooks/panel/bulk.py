"""Downloads a Bulk Data export: $export, SMART Backend Services, polling, retries, files that are complete or absent.

FHIR Bulk Data Access 2.0 (HL7, STU 2) and SMART Backend Services (SMART App Launch 2.1). An interrupted export goes on
where it was: `export.json` in the folder has the address at which the server says how far it is.
"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep, time
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import orjson

from fhir.client.client import seconds_to_wait
from models_onnx.errors import PanelRefused

STATE = "export.json"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_SECONDS = 240  # SMART Backend Services: no more than five minutes in the future
_RENEW_BEFORE_SECONDS = 30.0
_ATTEMPTS = 6
_LONGEST_WAIT_SECONDS = 3600.0
_TOKEN_SECONDS = 300.0  # where the token server does not say how long a token lasts
_RETRIED = frozenset({429, 500, 502, 503, 504})
# What is no part of a chart has a name that `score --fhir` does not read.
_END = {"output": "ndjson", "error": "ndjson.txt"}
_KIND_OF_FILE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class BulkRefused(PanelRefused):
    """An export that cannot be had: the sentence says which step failed, and what to do. It holds no token."""


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
    then lacks something. `taken_at` is the server's transactionTime: nothing later is in the files.
    """

    files: tuple[Path, ...]
    error_files: tuple[Path, ...] = ()
    errors: int = 0
    taken_at: str = ""


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
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60.0, follow_redirects=False))

    def run(self, progress: Callable[[str], None] = lambda _: None) -> Exported:
        """Starts the export, or goes on with the one begun in this folder.

        Raises:
            BulkRefused: the server or its token server refuses, fails, or offers an address that is not called.
        """
        _refuse_address(self.base, self.base)
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with self._http:
                status = self._begun() or self._kick_off()
                progress("The server prepares the export.")
                manifest = self._manifest(status, progress)
                files = self._download(manifest, "output", "", progress)
                error_files = self._download(manifest, "error", "errors.", progress)
                self._send("DELETE", status, allowed=(200, 202, 204, 404, 405))
        except httpx.HTTPError as error:
            raise BulkRefused(f"{self.base} cannot be reached ({type(error).__name__}); try again.") from error
        (self.folder / STATE).unlink(missing_ok=True)
        taken_at = str(manifest.get("transactionTime") or "")
        return Exported(tuple(files), tuple(error_files), sum(map(_errors_in, error_files)), taken_at)

    # The three steps

    def _begun(self) -> str | None:
        state = self.folder / STATE
        if not state.is_file():
            return None
        try:
            known = orjson.loads(state.read_bytes())
            asked, status = known["asked"], str(known["status"])
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise BulkRefused(f"{state} cannot be read: take another folder, or remove that file.") from error
        if asked != self._asked():
            raise BulkRefused(f"{state} is of another export: take another folder, or remove that file.")
        _refuse_address(status, self.base)
        return status

    def _refuse_files_of_another_export(self) -> None:
        """Files that are here count as downloaded, which those of an export before this one are not."""
        there = sorted(path.name for end in set(_END.values()) for path in self.folder.glob(f"*.{end}"))
        if there:
            raise BulkRefused(
                f"{self.folder} has files of an earlier export ({there[0]}), which would be mixed with those of a new "
                "one: take another folder, or remove them."
            )

    def _asked(self) -> dict[str, Any]:
        return {"base": self.base, "group": self.group, "types": list(self.types), "since": self.since}

    def _kick_off(self) -> str:
        self._refuse_files_of_another_export()
        where = f"Group/{self.group}/$export" if self.group else "Patient/$export"
        parameters = {"_outputFormat": "application/fhir+ndjson"}
        parameters |= {"_type": ",".join(self.types)} if self.types else {}
        parameters |= {"_since": self.since} if self.since else {}
        headers = {"accept": "application/fhir+json", "prefer": "respond-async"}
        answer = self._send("GET", f"{self.base.rstrip('/')}/{where}", headers, parameters, allowed=(202,))
        status = str(answer.headers.get("content-location", ""))
        _refuse_address(status, self.base)
        written = self.folder / f"{STATE}.part"  # under its name only when it is complete
        written.write_bytes(orjson.dumps({"asked": self._asked(), "status": status}))
        written.replace(self.folder / STATE)
        return status

    def _manifest(self, status: str, progress: Callable[[str], None]) -> dict[str, Any]:
        attempt = 0
        while True:
            answer = self._send("GET", status, {"accept": "application/json"}, allowed=(200, 202, 404))
            if answer.status_code == 404:
                (self.folder / STATE).unlink(missing_ok=True)
                raise BulkRefused("The server no longer knows this export: type the command again to begin a new one.")
            if answer.status_code == 200:
                return _read_manifest(answer)
            said = answer.headers.get("x-progress", "")[:100]
            progress(f"The server prepares the export{': ' + said if said else ''}.")
            self.wait(min(seconds_to_wait(answer.headers, min(attempt, 10)), _LONGEST_WAIT_SECONDS))
            attempt += 1

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
            path = self.folder / f"{prefix}{kind}.{counts[kind]}.{_END[member]}"
            if not path.is_file():
                _refuse_address(url, self.base)
                self._fetch(url, path, needs_token)
            files.append(path)
            progress(f"{path.name} is here.")
        return files

    def _fetch(self, url: str, path: Path, needs_token: bool) -> None:
        """One file, under its name only when it is complete; a broken transfer begins again."""
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
                    _refuse_status(answer, (200,))
                    with part.open("wb") as file:
                        for piece in answer.iter_bytes():
                            file.write(piece)
                part.replace(path)
                return
            except httpx.TransportError:
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
        _refuse_status(answer, allowed)
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
        """The answer of a server that needs no token, asked again while it is busy or fails."""
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
        _refuse_address(address, self.base)
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


def _read_manifest(answer: httpx.Response) -> dict[str, Any]:
    try:
        manifest = orjson.loads(answer.content)
        if all(entry["type"] and entry["url"] for entry in (*manifest["output"], *(manifest.get("error") or ()))):
            return dict(manifest)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        pass
    raise BulkRefused("The server's list of files cannot be read: each of its output needs type and url.")


def _errors_in(path: Path) -> int:
    """How many OperationOutcomes of this file say that something was not exported; what is no JSON says so, too."""
    found = 0
    with path.open("rb") as file:
        for line in file:
            if line.strip():
                found += _is_error(line)
    return found


def _is_error(line: bytes) -> bool:
    try:
        issues = orjson.loads(line)["issue"]
        return any(issue["severity"] in ("error", "fatal") for issue in issues)
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return True


def _refuse_status(answer: httpx.Response, allowed: tuple[int, ...]) -> None:
    if answer.status_code not in allowed:
        step = f"{answer.request.method} {answer.request.url.path}"
        raise BulkRefused(f"{step} was answered with {answer.status_code}: the export ends here.")


def _refuse_address(url: str, base: str) -> None:
    """Https alone, and http only to where the base itself is http on this machine: a token never goes in the clear."""
    try:
        parts = urlsplit(url)
    except ValueError as error:  # as for "https://["
        raise BulkRefused("An address that this server names is none: the export ends here.") from error
    is_local = parts.hostname in ("localhost", "127.0.0.1", "::1") and urlsplit(base).hostname == parts.hostname
    if parts.username or not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and is_local)):
        where = f"{parts.scheme}://{parts.hostname}" if parts.hostname else "no address"
        raise BulkRefused(f"{where} is not called: an export needs https (http only on this machine).")
