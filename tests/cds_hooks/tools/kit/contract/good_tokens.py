"""How the good server checks signed tokens: completely, unless a habit is planted."""

import base64
import hmac
from functools import cache
from typing import Any

import jwt

from cds_hooks.tools.kit.simulator.signing import SigningKey, new_key
from tests.cds_hooks.tools.kit.contract.habits import Habits, Json

ISSUER = "https://ehr.example"
_REQUIRED = ("iss", "aud", "exp", "iat", "jti")


@cache
def key() -> SigningKey:
    """The tester's key, of RSA: it can sign with algorithms that are not registered, too."""
    return new_key(ISSUER, "RS384", "kit")


def is_good(habits: Habits, given: str, url: str) -> bool:
    """Whether the token is right in every point; each habit forgets one."""
    if habits.has("HS256 with the public key") and _is_confused(given):
        return True
    try:
        header = jwt.get_unverified_header(given)
        claims = _claims(habits, given)
    except jwt.PyJWTError:
        return False
    return _has_good_header(habits, header) and _has_good_claims(habits, claims, url) and _is_new(habits, claims)


def _claims(habits: Habits, given: str) -> Json:
    options: Any = {
        "verify_aud": False,
        "verify_exp": not habits.has("expired tokens taken"),
        "verify_iat": not habits.has("tokens of tomorrow taken"),
        "verify_nbf": not habits.has("nbf not read"),
        "require": [] if habits.has("claims may be missing") else list(_REQUIRED),
    }
    algorithms = key().algorithms if habits.has("any algorithm taken") else ["RS384"]
    claims: Json = jwt.decode(given, _key_for(habits, given), algorithms=algorithms, options=options)
    return claims


def _key_for(habits: Habits, given: str) -> Any:
    """The public key that verifies; a habit takes it from the token."""
    header = jwt.get_unverified_header(given)
    if habits.has("a jwk in the token is believed") and "jwk" in header:
        return jwt.PyJWK(header["jwk"]).key
    if habits.has("jku is followed") and "jku" in header:
        (found,) = habits.client.get(header["jku"]).json()["keys"]
        return jwt.PyJWK(found).key
    return key().private.public_key()


def _is_confused(given: str) -> bool:
    """Whether this is signed by HMAC with the public key in place of a secret."""
    signed, _, signature = given.rpartition(".")
    digests = (hmac.new(each, signed.encode(), "sha256").digest() for each in key().public_forms())
    return signature in {base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in digests}


def _has_good_header(habits: Habits, header: Json) -> bool:
    right_key = header.get("kid") == "kit" or habits.has(
        "kid not read", "a jwk in the token is believed", "jku is followed"
    )
    right_type = header.get("typ") == "JWT" or habits.has("typ not read")
    return right_key and right_type and ("jku" not in header or habits.has("any jku taken", "jku is followed"))


def _has_good_claims(habits: Habits, claims: Json, url: str) -> bool:
    audience = claims.get("aud", [])
    if isinstance(audience, list) and habits.has("aud as text only"):
        return False
    if habits.has("aud may be the host") and audience == habits.base:
        return _is_ours(claims)
    for_us = habits.has("any audience taken") or url in ([audience] if isinstance(audience, str) else audience)
    if habits.has("discovery with any token") and url.endswith("/cds-services"):
        for_us = True
    ours = claims.get("iss") == ISSUER or habits.has("any issuer taken")
    times = [claims.get("exp"), claims.get("iat")]
    if not all(isinstance(each, int) for each in times) and not habits.has("claims may be missing"):
        return False
    short = habits.has("tokens live long", "claims may be missing") or claims["exp"] - claims["iat"] <= 3600
    known = not habits.has("unknown claims refused") or set(claims) <= {*_REQUIRED, "sub", "tenant"}
    return for_us and ours and short and known


def _is_ours(claims: Json) -> bool:
    return bool(claims.get("iss") == ISSUER)


def _is_new(habits: Habits, claims: Json) -> bool:
    name = f"jti {claims.get('jti')}"
    if name in habits.seen and not habits.has("tokens taken twice"):
        return False
    habits.seen.add(name)
    return True
