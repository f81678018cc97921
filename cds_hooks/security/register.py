"""The clients as the trust file has them now: looked at again at most once a second, the last good state is kept."""

from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Final

from cds_hooks.logs import log
from cds_hooks.security.authentication import Register
from cds_hooks.security.client import KeySetUrl
from cds_hooks.security.jwks import Fetch, Keeping, RemoteKeys
from cds_hooks.security.trust_file import Known, TrustFile, TrustFileError, read_trust_file

_LOOK_SECONDS: Final = 1.0
_Stamp = tuple[int, int, int] | None


class LiveRegister:
    """A `Register` that follows its file, and the fetched keys of its clients."""

    def __init__(self, file: Path, known: Known, fetch: Fetch, clock: Callable[[], float] = monotonic) -> None:
        """TrustFileError where the file cannot be used at the start; later a bad one changes nothing."""
        self._path = file
        self._known = known
        self._fetch = fetch
        self._clock = clock
        self._remote: dict[KeySetUrl, RemoteKeys] = {}
        self._refused: tuple[str, ...] | None = None
        self._stamps = _stamps([file])
        self._take(read_trust_file(file, known))
        self._looked_at = clock()

    def register(self) -> Register:
        """The clients as of at most a second ago."""
        now = self._clock()
        if now - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = now
            self._look()
        return self._register

    @property
    def discovery_needs_token(self) -> bool:
        """Whether discovery is for clients only."""
        return self._file.discovery_needs_token

    def remote_keys(self, source: KeySetUrl) -> RemoteKeys:
        """The keys behind a URL of the file; KeyError for another."""
        return self._remote[source]

    def cancel(self) -> None:
        """Ends fetches that are under way."""
        for keys in self._remote.values():
            keys.cancel()

    def _look(self) -> None:
        # taken before reading: a change while it is read is seen the next time
        stamps = _stamps(self._stamps)
        # a refused file is read at each look: what it lacks may be in a file that it names
        if stamps == self._stamps and self._refused is None:
            return
        self._stamps = stamps
        try:
            file = read_trust_file(self._path, self._known)
        except TrustFileError as error:
            if error.problems != self._refused:
                log().error("trust file refused, the last good one stays", reason=error.kind, count=len(error.problems))
            self._refused = error.problems
            return
        self._take(file)
        log().info("trust file read again", count=len(file.clients))

    def _take(self, file: TrustFile) -> None:
        self._refused = None
        self._file = file
        self._register = Register(file.clients)
        keeping = Keeping(file.refresh_seconds, file.outage_seconds)
        kept, self._remote = self._remote, {}
        for source in {client.key_source for client in file.clients if isinstance(client.key_source, KeySetUrl)}:
            keys = kept.pop(source) if source in kept else RemoteKeys(source, self._fetch, keeping)
            keys.keeping = keeping
            self._remote[source] = keys
        for keys in kept.values():
            keys.cancel()
        # files that are named for the first time are watched from here on
        self._stamps = {path: self._stamps.get(path) or _stamp(path) for path in file.files}


def _stamps(paths: Iterable[Path]) -> dict[Path, _Stamp]:
    return {path: _stamp(path) for path in paths}


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
