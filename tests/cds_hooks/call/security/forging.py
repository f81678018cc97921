"""Makes the forged tokens that `tests/data/security/jwt.jsonl` describes."""

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from itertools import count
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from jwt.algorithms import get_default_algorithms

from cds_hooks.tools.kit.simulator.signing import SigningKey
from tests.cds_hooks.call.security.trusting import PUBLIC_URL, SERVICE

_ORDER_P384 = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
_numbers = count(1)


class Forger:
    """Makes tokens of the client, or what a row of the corpus makes of one."""

    def __init__(
        self, keys: dict[str, SigningKey], attacker: SigningKey, now: float, audience: str = PUBLIC_URL + SERVICE
    ) -> None:
        self.keys = keys
        self.attacker = attacker
        self.now = int(now)
        self.audience = audience

    def good_claims(self) -> dict[str, Any]:
        """Claims of a good token, with a `jti` of its own."""
        return {
            "iss": "https://ehr.example.org", "aud": self.audience, "iat": self.now, "exp": self.now + 300,
            "jti": f"jti-{self.now}-{next(_numbers)}",
        }  # fmt: skip

    def token(self, row: dict[str, Any]) -> str:
        """The token of a row; that of an empty row is good."""
        header = self._header(row)
        claims = self._claims(row)
        signed = f"{_encoded(header)}.{_encoded(claims)}"
        signature = self._signature(row, signed.encode())
        if "mangle" not in row:
            return f"{signed}.{_encoded(signature)}"
        return self.mangled(row["mangle"], header, claims, signature)

    def authorizations(self, row: dict[str, Any], token: str) -> list[bytes]:
        """The values of Authorization that the row sends."""
        fields = row.get("authorization", ["Bearer {token}"])
        return [each.replace("{token}", token).replace("@long", "a" * 1_000_000).encode() for each in fields]

    def _header(self, row: dict[str, Any]) -> bytes:
        if row.get("raw_header_utf16"):
            return json.dumps({"alg": "ES384", "kid": "key-ES384", "typ": "JWT"}).encode("utf-16")
        if "raw_header" in row:
            text: str = row["raw_header"]
            return text.encode()
        header: dict[str, Any] = {"alg": "ES384", "kid": "key-ES384", "typ": "JWT"}
        return json.dumps(self._merged(header, row.get("header", {}))).encode()

    def _claims(self, row: dict[str, Any]) -> bytes:
        if "raw_claims" in row:
            raw: str = row["raw_claims"]
            return raw.encode()
        if "raw_claims_bytes" in row:
            return bytes.fromhex(row["raw_claims_bytes"])
        claims = self._merged(self.good_claims(), row.get("claims", {}))
        text = json.dumps(claims)
        if "raw_claims_nested" in row:
            depth: int = row["raw_claims_nested"]
            return (text[:-1] + ',"x":' + "[" * depth + "]" * depth + "}").encode()
        if "raw_claims_digits" in row:
            digits: int = row["raw_claims_digits"]
            return (text[:-1] + ',"x":' + "1" * digits + "}").encode()
        for name, value in row.get("twice", {}).items():
            text = f"{{{json.dumps(name)}:{json.dumps(self._value(value))}," + text[1:]
        for name, number in row.get("raw_number", {}).items():
            text = text.replace(f'"{name}": {claims[name]}', f'"{name}": {number}')
        if "raw_jti" in row:
            text = text.replace(claims["jti"], row["raw_jti"])
        return text.encode()

    def _merged(self, members: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        merged = {**members, **{name: self._value(value) for name, value in changes.items()}}
        return {name: value for name, value in merged.items() if changes.get(name, "") is not None}

    def _value(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._value(each) for each in value]
        if not isinstance(value, str) or not value.startswith("@"):
            return value
        match value:
            case "@null":
                return None
            case "@attacker-jwk":
                return self.attacker.key_set()["keys"][0]
            case "@own-jwk":
                return self.keys["ES384"].key_set()["keys"][0]
        if value.startswith("@long "):
            return "y" * int(value.removeprefix("@long "))
        if value.startswith("@string"):
            return str(self.now + int(value.removeprefix("@string")))
        if value.startswith("@ms"):
            return (self.now + int(value.removeprefix("@ms"))) * 1000
        return self.now + int(value[1:])

    def _signature(self, row: dict[str, Any], signed: bytes) -> bytes:
        how = row.get("sign", "ES384")
        public = get_default_algorithms()["RS384"].from_jwk(self.keys["RS384"].key_set()["keys"][0])
        if how == "none":
            return b""
        if how.startswith("hmac"):
            secret = {
                "hmac-pem": public.public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                ),
                "hmac-jwk": json.dumps(self.keys["ES384"].key_set()["keys"][0]).encode(),
            }.get(how, b"")
            named = str(row.get("header", {}).get("alg", "HS384"))[2:]
            return hmac.new(secret, signed, getattr(hashlib, f"sha{named}", hashlib.sha384)).digest()
        if how == "attacker":
            return self._signed_by(self.attacker, "ES384", signed)
        return self._signed_by(self.keys["RS384" if how in ("RS256", "PS384") else how], how, signed)

    @staticmethod
    def _signed_by(key: SigningKey, algorithm: str, signed: bytes) -> bytes:
        signer = get_default_algorithms()[algorithm]
        signature: bytes = signer.sign(signed, key.private)
        return signature

    def mangled(self, how: str, header: bytes, claims: bytes, signature: bytes) -> str:
        """The token after its signature was made, changed in one way."""
        head, body, end = _encoded(header), _encoded(claims), _encoded(signature)
        if how.startswith("signature"):
            return f"{head}.{body}.{_encoded(self._other_signature(how, signature))}"
        other = json.dumps({**json.loads(claims), "sub": "somebody else"}).encode()
        more = b', "x": 1}'
        return {
            "payload-exchanged": f"{head}.{_encoded(other)}.{end}",
            "header-exchanged": f"{_encoded(header[:-1] + more)}.{body}.{end}", "two-parts": f"{head}.{body}",
            "four-parts": f"{head}.{body}.{end}.{end}", "five-parts": f"{head}.{body}.{end}.{end}.{end}",
            "padded": f"{head}==.{body}=.{end}=", "standard-alphabet": f"{head}.+/{body}.{end}",
            "line-break": f"{head}.\n{body}.{end}", "percent": f"{head}%2e{body}%2e{end}",
            "json-serialisation": json.dumps({"protected": head, "payload": body, "signature": end}),
            "nested": self.token_of_bytes(f"{head}.{body}.{end}"),
        }[how]  # fmt: skip

    def token_of_bytes(self, inner: str) -> str:
        """A good signature over a token in place of claims, which are then no object with claims."""
        head = _encoded(json.dumps({"alg": "ES384", "kid": "key-ES384", "typ": "JWT", "cty": "JWT"}).encode())
        signed = f"{head}.{_encoded(json.dumps({'token': inner}).encode())}"
        return f"{signed}.{_encoded(self._signed_by(self.keys['ES384'], 'ES384', signed.encode()))}"

    def _other_signature(self, how: str, signature: bytes) -> bytes:
        r, s = signature[:48], signature[48:]
        order = _ORDER_P384.to_bytes(48, "big")
        return {
            "signature-of-another": self._signed_by(self.keys["ES384"], "ES384", b"another"),
            "signature-cut": signature[:-1], "signature-longer": signature + b"\0",
            "signature-der": encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big")),
            "signature-zeros": bytes(96), "signature-zeros-256": bytes(256),
            "signature-bit": bytes([signature[0] ^ 1]) + signature[1:], "signature-swapped": s + r,
            "signature-order": order + order, "signature-empty": b"",
            "signature-other-solution": r + (-int.from_bytes(s, "big") % _ORDER_P384).to_bytes(48, "big"),
        }[how]  # fmt: skip


def decoded(segment: str) -> bytes:
    """The bytes of a part of a token."""
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
