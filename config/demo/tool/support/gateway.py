"""Reading the gateway's word about who is asking: the Countersign-Assertion header.

It is a JWT, ES256, signed by the gateway's authz process, valid for minutes, whose audience is this tool. The keys are the
JWKS that the gateway publishes at https://CONSOLE/.well-known/jwks.json, read from a file or from that address.
Everything is checked here (RFC 8725): the algorithm is ours, the key is found by `kid`, then audience, issuer, use, times.
"""
import json
import ssl
import threading
import time
import urllib.request
from pathlib import Path

import jwt

LEEWAY_S = 5
LONGEST_LIFE_S = 300
RELOAD_EVERY_S = 2
JWKS_MAX = 64 * 1024


class NotVouchedFor(Exception):
    """The request does not carry a good assertion; the text says why."""


class Keys:
    """The gateway's public keys by kid. Read anew when an unknown kid turns up, at most every few seconds, so
    that a rotated key is found and a flood of invented kids costs nothing."""

    def __init__(self, place, ca_file=""):
        self._place, self._ca_file = place, ca_file
        self._keys, self._read_at = {}, float("-inf")
        self._lock = threading.Lock()

    def find(self, kid):
        with self._lock:
            if kid not in self._keys and time.monotonic() - self._read_at >= RELOAD_EVERY_S:
                self._read_at = time.monotonic()
                self._keys = self._load()
            return self._keys.get(kid)

    def _load(self):
        try:
            jwks = json.loads(self._fetch())
            return {k["kid"]: jwt.PyJWK(k, algorithm="ES256").key for k in jwks["keys"]
                    if k.get("kty") == "EC" and k.get("crv") == "P-256" and "kid" in k}
        except (OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as problem:
            raise NotVouchedFor(f"the gateway's keys could not be read from {self._place}: {problem}") from problem

    def _fetch(self):
        if not self._place.startswith("https://"):
            return Path(self._place).read_bytes()[:JWKS_MAX]
        context = ssl.create_default_context(cafile=self._ca_file or None)
        with urllib.request.urlopen(self._place, timeout=5, context=context) as answer:
            return answer.read(JWKS_MAX)


def verify(token, keys, audience, issuer=""):
    """The claims of a good assertion; NotVouchedFor otherwise."""
    try:
        head = jwt.get_unverified_header(token)
        key = keys.find(head.get("kid"))
        if key is None:
            raise NotVouchedFor("the assertion is signed with a key the gateway does not publish")
        claims = jwt.decode(
            token, key, algorithms=["ES256"], audience=audience, leeway=LEEWAY_S,
            options={"require": ["aud", "sub", "iat", "exp"]}, **({"issuer": issuer} if issuer else {}))
    except jwt.PyJWTError as problem:
        raise NotVouchedFor(f"the assertion is not good: {problem}") from problem
    if claims.get("use") != "assertion":
        raise NotVouchedFor("the token is of another kind (claim use)")
    if claims["exp"] - claims["iat"] > LONGEST_LIFE_S:
        raise NotVouchedFor("the assertion lives too long")
    if not isinstance(claims["sub"], str) or not 0 < len(claims["sub"]) <= 150:
        raise NotVouchedFor("the assertion names nobody")
    return claims
