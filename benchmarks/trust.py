"""What the trust check alone costs: `python -m benchmarks.trust` prints µs of a call's whole check by algorithm.

Each call brings a token of its own, the key is known, and the token's first use is committed to the store in a file.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from time import perf_counter, process_time

import uvloop

from cds_hooks.kit.simulator.signing import SigningAlgorithm, SigningKey, new_key, sign_token
from cds_hooks.security import Trust, open_trust
from cds_hooks.security.keys import read_key
from cds_hooks.security.token import read_token

_CALLS = 2000
_PATH = "/cds-services/order-safety"
_URL = f"http://127.0.0.1:8085{_PATH}"
_ALGORITHMS: tuple[SigningAlgorithm, ...] = ("RS256", "RS384", "PS384", "ES256", "ES384", "EdDSA")


@dataclass(frozen=True, slots=True)
class TrustCost:
    """Microseconds of one check."""

    algorithm: str
    median: float
    p90: float
    processor: float
    signature: float
    """Median of verifying the signature alone: what OpenSSL needs."""


def measure_trust(calls: int = _CALLS) -> list[TrustCost]:
    """One row for each algorithm; RSA keys have 3072 bits."""
    return [_measured(new_key("https://ehr.example.org", name), calls) for name in _ALGORITHMS]


def _measured(key: SigningKey, calls: int) -> TrustCost:
    algorithm = key.jwk["alg"]
    tokens = [sign_token(key, _URL).encode() for _ in range(calls)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "jwks.json").write_text(json.dumps(key.key_set()))
        file = Path(folder) / "trust.toml"
        file.write_text(
            'version = 1\n[[client]]\nname = "Bench"\nissuers = ["https://ehr.example.org"]\n'
            f'jwks_file = "jwks.json"\nalgorithms = ["{algorithm}"]\n'
        )
        trust = open_trust(file, "http://127.0.0.1:8085", f"sqlite:///{folder}/decisions.sqlite3")
        cpu = process_time()
        times = uvloop.run(_calls(trust, tokens))
        cpu = (process_time() - cpu) / calls * 1e6
    middle, ninetieth = _points(times)
    return TrustCost(algorithm, middle, ninetieth, cpu, _signature(key, tokens))


async def _calls(trust: Trust, tokens: list[bytes]) -> list[float]:
    times = []
    for token in tokens:
        headers = [(b"host", b"127.0.0.1:8085"), (b"authorization", b"Bearer " + token)]
        start = perf_counter()
        await trust.client_of(headers, _PATH)
        times.append(perf_counter() - start)
    await trust.aclose()
    return times


def _signature(key: SigningKey, tokens: list[bytes]) -> float:
    public = read_key(key.key_set()["keys"][0])
    algorithm = key.jwk["alg"]
    times = []
    for token in [read_token(each) for each in tokens]:
        start = perf_counter()
        public.verifies(algorithm, token.signed, token.signature)
        times.append(perf_counter() - start)
    return _points(times)[0]


def _points(times: list[float]) -> tuple[float, float]:
    tenths = quantiles(times, n=10)
    return tenths[4] * 1e6, tenths[8] * 1e6


def main() -> None:
    """Prints the table."""
    print("whole trust check of a call, key known, µs:  median     p90   processor   of it the signature")
    for each in measure_trust():
        print(f"{each.algorithm:>42}: {each.median:8.0f} {each.p90:7.0f} {each.processor:11.0f} {each.signature:22.0f}")


if __name__ == "__main__":
    main()
