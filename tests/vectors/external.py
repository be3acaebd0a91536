#!/usr/bin/env python3
"""Hostile tokens of other issuers (setting `issuers`), and hostile JWKS: what must be refused, each with the reason. Shares nothing with our own code.

    python3 tests/vectors/external.py > tests/vectors/external.json

`rows()` makes the table for any certificate and clock: tests/scenarios/test_external_issuers.py presents it to a live gateway; authz/external_test.c reads external.json.
Two issuers: `bot` (ES256 and RS256; may grant the actions use and view of support) and `other` (ES256; all of billing).
"""
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

import tokens
from tokens import AUD, EARLY, EXPIRED, FUTURE, ISS, JTI, KID, LENGTH, LONG, MEMBERS, NOW, ORDER, PAYLOAD, SIGNATURE, TIMES, TYP, USE, b64, pair, raw_sign, thumbprint

GATEWAY, BOT, OTHER = "gateway.test.localhost", "https://bot.test.localhost", "https://other.test.localhost"
ALG, NOT_ITS, RSA_LENGTH = "neither ES256 nor RS256", "not that of its key", "not the length of its key"
UNKNOWN, JTI_FORM, SUB, CNF = "claims that this gateway does not know", "jti is not 1 to", "names no identity", "not bound to a certificate"
ACTIONS, REASON, MAY_TOOL, MAY_ACTIONS = "actions are not 1 to", "no tool or no reason", "may not grant this tool", "may not grant all of these actions"
LIFETIME = 900


def seeded(text):
    return ec.derive_private_key(int.from_bytes(hashlib.sha256(text.encode()).digest(), "big") % (ORDER - 1) + 1, ec.SECP256R1())


def number(n):
    return b64(n.to_bytes((n.bit_length() + 7) // 8, "big"))


def ec_jwk(public, kid, **more):
    n = public.public_numbers()
    return {"kty": "EC", "crv": "P-256", "x": b64(n.x.to_bytes(32, "big")), "y": b64(n.y.to_bytes(32, "big")), "kid": kid, **more}


def rsa_jwk(public, kid, **more):
    n = public.public_numbers()
    return {"kty": "RSA", "n": number(n.n), "e": number(n.e), "kid": kid, **more}


class Keys:
    """Of the two issuers, and the gateway's own."""

    def __init__(self, gateway):
        self.gateway, self.bot, self.other = gateway, seeded("bot"), seeded("other")
        self.rsa = rsa.generate_private_key(65537, 2048)

    def issuers(self):
        return [
            {"name": "bot", "iss": BOT, "algorithms": ["ES256", "RS256"], "tools": ["support"], "actions": ["use", "view"],
             "jwks": {"keys": [ec_jwk(self.bot.public_key(), "bot-ec", alg="ES256", use="sig"), rsa_jwk(self.rsa.public_key(), "bot-rsa")]}},
            {"name": "other", "iss": OTHER, "algorithms": ["ES256"], "tools": ["billing"], "actions": ["*"],
             "jwks": {"keys": [ec_jwk(self.other.public_key(), "other-ec", alg="ES256")]}},
        ]


class Table(tokens.Table):
    def __init__(self, keys, x5t, now, identity):
        super().__init__(keys.bot, BOT, x5t, now, "", identity, "support")
        self.keys = keys
        self.header = {"alg": "ES256", "kid": "bot-ec", "typ": "JWT"}
        self.kid = "bot-ec"
        self.claims = {"iss": BOT, "aud": GATEWAY, "sub": identity, "iat": now - 10, "nbf": now - 10, "exp": now + 600, "jti": "ticket-4711", "use": "grant",
                       "cnf": {"x5t#S256": x5t}, "tool": "support", "actions": ["use"], "reason": "ticket 4711, says the bot"}

    def rs(self, header=None, claims=None, sign=None):
        head = {"alg": "RS256", "kid": "bot-rsa", "typ": "JWT"} if header is None else header
        signed = self.part(head) + "." + self.part(self.claims if claims is None else claims)
        sign = sign or (lambda d: self.keys.rsa.sign(d, padding.PKCS1v15(), hashes.SHA256()))
        return signed + "." + b64(sign(signed.encode()))

    def fresh(self, jti, rsa_key=False, **more):
        claims = {**self.claims, "jti": jti, **more}
        return self.rs(claims=claims) if rsa_key else self.signed(claims=claims)


def crossed(t):
    """Somebody's key under somebody else's name."""
    k = t.keys
    other_claims = {**t.claims, "iss": OTHER, "tool": "billing"}
    own = {"alg": "ES256", "kid": thumbprint(k.gateway.public_key()), "typ": "JWT"}
    t.add("bot's key and kid, in the name of other", KID, t.signed(claims=other_claims))
    t.add("bot's key under other's kid, in the name of other", SIGNATURE, t.signed(header={**t.header, "kid": "other-ec"}, claims=other_claims))
    t.add("other's key and kid, in the name of bot", KID, t.signed(header={**t.header, "kid": "other-ec"}, key=k.other))
    t.add("other's key under bot's kid", SIGNATURE, t.signed(key=k.other))
    t.add("bot's key, in the name of the gateway", ISS, t.signed(claims={**t.claims, "iss": GATEWAY}))
    t.add("the gateway's key and kid, in the name of bot", KID, t.signed(header=own, key=k.gateway))
    t.add("bot's key under the gateway's kid", KID, t.signed(header=own))
    t.add("the gateway's key under bot's kid", SIGNATURE, t.signed(key=k.gateway))
    t.add("a tool of other's, by bot", MAY_TOOL, t.signed(claims={**t.claims, "tool": "billing"}))
    t.add("an issuer that nobody named", ISS, t.signed(claims={**t.claims, "iss": "https://evil.example"}))


def algorithms(t):
    k, body = t.keys, t.part(t.claims)
    spki = {"EC": k.bot.public_key(), "RSA": k.rsa.public_key()}
    pems = {n: p.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo) for n, p in spki.items()}
    t.add("ES256 with the RSA key's kid, by the EC key", NOT_ITS, t.signed(header={**t.header, "kid": "bot-rsa"}))
    t.add("ES256 with the RSA key's kid, by the RSA key", NOT_ITS, t.rs(header={"alg": "ES256", "kid": "bot-rsa"}))
    t.add("RS256 with the EC key's kid, by the RSA key", NOT_ITS, t.rs(header={"alg": "RS256", "kid": "bot-ec"}))
    t.add("RS256 with the EC key's kid, by the EC key", NOT_ITS, t.signed(header={"alg": "RS256", "kid": "bot-ec"}))
    for none in ("none", "None", "NONE", ""):
        t.add(f"alg '{none}'", ALG, t.part({**t.header, "alg": none}) + "." + body + ".AAAA")
    for alg, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
        for name, pem in pems.items():
            signed = t.part({"alg": alg, "kid": "bot-" + name.lower()}) + "." + body
            t.add(f"{alg} with the {name} key as secret", ALG, signed + "." + b64(hmac.new(pem, signed.encode(), digest).digest()))
    for alg in ("RS384", "RS512", "PS256", "ES384", "ES512", "ES256K", "EdDSA", "rs256", "es256", "RSA-OAEP"):
        t.add("alg " + alg, ALG, t.rs(header={"alg": alg, "kid": "bot-rsa"}))
    t.with_header("no alg", ALG, drop=["alg"])
    t.with_header("alg a list", ALG, alg=["ES256", "RS256"])
    t.with_header("alg a number", ALG, alg=256)


def rsa_signatures(t):
    k = t.keys
    pkcs = lambda d: k.rsa.sign(d, padding.PKCS1v15(), hashes.SHA256())
    weak = rsa.generate_private_key(65537, 2048)
    n = k.rsa.public_key().public_numbers().n
    t.add("RSA: PSS", SIGNATURE, t.rs(sign=lambda d: k.rsa.sign(d, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())))
    for name, digest in (("SHA-1", hashes.SHA1()), ("SHA-384", hashes.SHA384()), ("SHA-512", hashes.SHA512())):
        t.add("RSA: over " + name, SIGNATURE, t.rs(sign=lambda d, h=digest: k.rsa.sign(d, padding.PKCS1v15(), h)))
    t.add("RSA: another key under its kid", SIGNATURE, t.rs(sign=lambda d: weak.sign(d, padding.PKCS1v15(), hashes.SHA256())))
    t.add("RSA: a bit changed", SIGNATURE, t.rs(sign=lambda d: pkcs(d)[:-1] + bytes([pkcs(d)[-1] ^ 1])))
    t.add("RSA: a byte short", RSA_LENGTH, t.rs(sign=lambda d: pkcs(d)[1:]))
    t.add("RSA: a zero before it", RSA_LENGTH, t.rs(sign=lambda d: b"\0" + pkcs(d)))
    t.add("RSA: 64 bytes, as of ES256", RSA_LENGTH, t.rs(sign=lambda d: pair(*raw_sign(k.bot, d))))
    t.add("RSA: 1024 bytes", RSA_LENGTH, t.rs(sign=lambda d: pkcs(d) * 4))
    t.add("RSA: zero", SIGNATURE, t.rs(sign=lambda d: bytes(256)))
    t.add("RSA: one", SIGNATURE, t.rs(sign=lambda d: bytes(255) + b"\1"))
    t.add("RSA: the modulus", SIGNATURE, t.rs(sign=lambda d: n.to_bytes(256, "big")))
    t.add("RSA: the modulus less one", SIGNATURE, t.rs(sign=lambda d: (n - 1).to_bytes(256, "big")))
    t.add("RSA: the padding itself, not signed", SIGNATURE,
          t.rs(sign=lambda d: b"\0\1" + b"\xff" * 202 + b"\0" + bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(d).digest()))
    t.add("RSA: over the payload alone", SIGNATURE, t.rs(sign=lambda d: pkcs(d.split(b".")[1])))
    t.add("RSA: no signature", "three parts", t.rs(sign=lambda d: b""))
    good = t.rs()
    h, p, s = good.split(".")
    t.add("RSA: padded base64", RSA_LENGTH, good + "==")
    t.add("RSA: payload of another", SIGNATURE, h + "." + t.part({**t.claims, "sub": "mallory@test.localhost"}) + "." + s)


def claims(t):
    now, c = t.now, t.claims
    t.with_claims("issuer with a slash", ISS, iss=BOT + "/")
    t.with_claims("issuer in capitals", ISS, iss=BOT.upper())
    t.with_claims("no issuer", ISS, drop=["iss"])
    t.with_claims("issuer a list", ISS, iss=[BOT])
    t.with_claims("another audience", AUD, aud="support")
    t.with_claims("the issuer as audience", AUD, aud=BOT)
    t.with_claims("audience a list with ours", AUD, aud=[GATEWAY, "evil"])
    t.with_claims("audience a list of ours alone", AUD, aud=[GATEWAY])
    t.with_claims("no audience", AUD, drop=["aud"])
    t.with_claims("a sign-off", USE, use="signoff")
    t.with_claims("an assertion", USE, use="assertion")
    t.with_claims("no use: an ID token", USE, drop=["use"])
    t.with_claims("no jti", JTI, drop=["jti"])
    t.with_claims("jti a number", JTI, jti=7)
    t.with_claims("jti with a line break", JTI_FORM, jti="a\nb")
    t.with_claims("jti with a space", JTI_FORM, jti="a b")
    t.with_claims("jti of 129", JTI_FORM, jti="a" * 129)
    t.with_claims("jti not ASCII", JTI_FORM, jti="\u00e9")
    t.with_claims("expired just now", EXPIRED, exp=now - 2)
    t.with_claims("expired long ago", EXPIRED, iat=now - 90600, nbf=now - 90600, exp=now - 90000)
    t.with_claims("not before later", EARLY, nbf=now + 300)
    t.with_claims("nbf a text", EARLY, nbf=str(now))
    t.with_claims("issued in the future", FUTURE, iat=now + 120, nbf=now + 120)
    t.with_claims("no exp", TIMES, drop=["exp"])
    t.with_claims("no iat", TIMES, drop=["iat"])
    t.with_claims("exp a text", TIMES, exp=str(now + 600))
    t.with_claims("exp a fraction", TIMES, exp=now + 600.5)
    t.with_claims("exp true", TIMES, exp=True)
    t.with_claims("exp beyond 64 bits less one", TIMES, exp=2 ** 63 - 1)
    t.with_claims("exp before iat", TIMES, exp=now - 20)
    t.with_claims("a second too long", LONG, iat=now - 10, exp=now - 10 + LIFETIME + 1)
    t.with_claims("lives for a year", LONG, exp=now + 365 * 86400)
    t.with_claims("no sub", SUB, drop=["sub"])
    t.with_claims("sub empty", SUB, sub="")
    t.with_claims("sub a list", SUB, sub=[c["sub"]])
    t.with_claims("sub with a space behind", SUB, sub=c["sub"] + " ")
    t.with_claims("no certificate binding", CNF, drop=["cnf"])
    t.with_claims("binding by jkt instead", CNF, cnf={"jkt": c["cnf"]["x5t#S256"]})
    t.with_claims("binding by jkt too", CNF, cnf={**c["cnf"], "jkt": c["cnf"]["x5t#S256"]})
    t.with_claims("binding by SHA-1", CNF, cnf={"x5t": "AAAAAAAAAAAAAAAAAAAAAAAAAAA"})
    t.with_claims("binding too short", CNF, cnf={"x5t#S256": "AAAA"})
    t.with_claims("binding padded", CNF, cnf={"x5t#S256": c["cnf"]["x5t#S256"] + "="})
    t.with_claims("binding a text", CNF, cnf=c["cnf"]["x5t#S256"])
    t.with_claims("no tool", REASON, drop=["tool"])
    t.with_claims("tool a list", REASON, tool=["support"])
    t.with_claims("tool with a space", MAY_TOOL, tool="support ")
    t.with_claims("a tool that does not exist", MAY_TOOL, tool="vault")
    t.with_claims("no reason", REASON, drop=["reason"])
    t.with_claims("no actions", ACTIONS, drop=["actions"])
    t.with_claims("actions empty", ACTIONS, actions=[])
    t.with_claims("actions a text", ACTIONS, actions="use")
    t.with_claims("an action twice", ACTIONS, actions=["use", "use"])
    t.with_claims("an action that is a number", ACTIONS, actions=["use", 1])
    t.with_claims("all and one", ACTIONS, actions=["*", "use"])
    t.with_claims("33 actions", ACTIONS, actions=[f"a{i}" for i in range(33)])
    t.with_claims("all actions", MAY_ACTIONS, actions=["*"])
    t.with_claims("one action too many", MAY_ACTIONS, actions=["use", "export"])
    t.with_claims("the sign-off action alone", MAY_ACTIONS, actions=["export"])
    for name, value in (("budget", {"requests": 1}), ("grant_id", "grt_AAAAAAAAAAAAAAAAAAAAAA"), ("basis", "approved"), ("person", "bob"), ("approved_by", []),
                        ("policy", "0" * 64), ("scope", "read"), ("act", {"sub": "bob@test.localhost"}), ("authorization_details", [])):
        t.with_claims("claim " + name, UNKNOWN, **{name: value})
    for name, double in (("exp", '"exp":1,'), ("iss", f'"iss":"{OTHER}",'), ("cnf", '"cnf":{},'), ("tool", '"tool":"billing",'), ("actions", '"actions":["*"],')):
        t.add(f"{name} twice", PAYLOAD, t.signed(claims="{" + double + t.text(c)[1:]))
    t.add("a member of cnf twice", PAYLOAD, t.signed(claims=t.text(c).replace('"cnf":{', '"cnf":{"x5t#S256":"AAAA",')))
    t.add("payload an array", PAYLOAD, t.signed(claims="[]"))
    t.add("NUL in a name", PAYLOAD, t.signed(claims=t.text(c)[:-1] + ',"x\\u0000":1}'))
    t.add("payload cut off", PAYLOAD, t.signed(claims=t.text(c)[:-1]))


def rows(keys, x5t, now, identity="alice@test.localhost"):
    """[{name, reason, token}], hostile each; and the table, which makes good ones."""
    t = Table(keys, x5t, now, identity)
    for part in (crossed, algorithms, tokens.headers, tokens.signatures, rsa_signatures, tokens.shapes, claims):
        part(t)
    assert len({r["name"] for r in t.rows}) == len(t.rows), "two rows of one name"
    return t.rows, t


def hostile_jwks(keys):
    """Sets of bot's that make the gateway refuse its config. The last ones are about whose key it is."""
    good, big = ec_jwk(keys.bot.public_key(), "bot-ec"), rsa_jwk(keys.rsa.public_key(), "bot-rsa")
    p384 = ec.generate_private_key(ec.SECP384R1()).public_key().public_numbers()
    small = rsa.generate_private_key(65537, 1024).public_key()
    n = keys.rsa.public_key().public_numbers().n
    private = keys.bot.private_numbers().private_value
    many = [ec_jwk(seeded(f"many {i}").public_key(), f"k{i}") for i in range(33)]
    sets = [
        ("no object", "needs 1 to 32", []), ("no keys", "needs 1 to 32", {}), ("keys empty", "needs 1 to 32", {"keys": []}), ("33 keys", "needs 1 to 32", {"keys": many}),
        ("a key that is a text", "is no object", {"keys": ["x"]}),
        ("no kid", "has no kid", {"keys": [{k: v for k, v in good.items() if k != "kid"}]}), ("kid empty", "has no kid", {"keys": [{**good, "kid": ""}]}),
        ("kid with a slash", "has no kid", {"keys": [{**good, "kid": "a/b"}]}), ("kid of 129", "has no kid", {"keys": [{**good, "kid": "a" * 129}]}),
        ("kid a number", "has no kid", {"keys": [{**good, "kid": 1}]}), ("a kid twice", "twice", {"keys": [good, {**big, "kid": "bot-ec"}]}),
        ("a private EC key", "private key", {"keys": [{**good, "d": number(private)}]}), ("a private RSA key", "private key", {"keys": [{**big, "d": "AQAB"}]}),
        ("a prime of an RSA key", "private key", {"keys": [{**big, "p": "AQAB"}]}), ("a shared secret", "secret", {"keys": [{"kty": "oct", "kid": "s", "k": "AAAA"}]}),
        ("a shared secret without its value", "shared secret", {"keys": [good, {"kty": "oct", "kid": "s", "alg": "HS256"}]}),
        ("RSA of 1024 bits", "2048 to 4096", {"keys": [rsa_jwk(small, "k")]}),
        ("RSA of 2040 bits", "2048 to 4096", {"keys": [{**big, "n": b64(n.to_bytes(256, "big")[1:])}]}),
        ("RSA of 8192 bits", "2048 to 4096", {"keys": [{**big, "n": b64(n.to_bytes(256, "big") * 4)}]}),
        ("modulus with a zero before it", "2048 to 4096", {"keys": [{**big, "n": b64(b"\0" + n.to_bytes(256, "big"))}]}),
        ("modulus even", "2048 to 4096", {"keys": [{**big, "n": number(n - 1)}]}), ("modulus padded", "2048 to 4096", {"keys": [{**big, "n": big["n"] + "=="}]}),
        ("no modulus", "2048 to 4096", {"keys": [{k: v for k, v in big.items() if k != "n"}]}),
    ]
    for e in ("AQ", "Aw", "EQ", "AQAA", "AAEAAQ", "AQABAQ", "AAAA", "", "AQAB=", b64(b"\xff" * 32)):
        sets.append((f"exponent {e or 'empty'}", "another exponent", {"keys": [{**big, "e": e}]}))
    sets += [
        ("RS256 on an EC key", "not of the type", {"keys": [{**good, "alg": "RS256"}]}), ("ES256 on an RSA key", "not of the type", {"keys": [{**big, "alg": "ES256"}]}),
        ("ES256 on P-384", "not of the type", {"keys": [{"kty": "EC", "crv": "P-384", "x": b64(p384.x.to_bytes(48, "big")), "y": b64(p384.y.to_bytes(48, "big")), "kid": "k",
                                                         "alg": "ES256"}]}),
        ("a point beside the curve", "bot-ec", {"keys": [{**good, "y": good["x"]}]}), ("a coordinate too short", "coordinates", {"keys": [{**good, "x": good["x"][:-4]}]}),
        ("a coordinate padded", "coordinates", {"keys": [{**good, "x": good["x"] + "="}]}),
        ("keys for encryption only", "no key for the algorithms", {"keys": [{**good, "use": "enc"}]}),
        ("keys of other algorithms only", "no key for the algorithms", {"keys": [{**big, "alg": "PS256"}]}),
        ("the key of another issuer", "a key of 'other' too", {"keys": [ec_jwk(keys.other.public_key(), "mine")]}),
        ("the gateway's own key", "own key", {"keys": [ec_jwk(keys.gateway.public_key(), "mine")]}),
        ("a key under the gateway's kid", "own key", {"keys": [ec_jwk(keys.bot.public_key(), thumbprint(keys.gateway.public_key()))]}),
    ]
    return [{"name": name, "reason": reason, "jwks": jwks} for name, reason, jwks in sets]


def main():
    keys = Keys(seeded("gateway"))
    hostile, t = rows(keys, b64(hashlib.sha256(b"a certificate").digest()), NOW)
    json.dump({"about": "tokens of other issuers; made by external.py", "now": NOW, "instance": GATEWAY, "max_lifetime_s": LIFETIME, "issuers": keys.issuers(),
               "gateway_jwks": tokens.jwks_of(keys.gateway.public_key()),
               "good": [{"name": "ES256", "token": t.signed()}, {"name": "RS256", "token": t.rs()}, {"name": "no nbf", "token": t.signed(claims={k: v for k, v in t.claims.items() if k != "nbf"})},
                        {"name": "no typ", "token": t.signed(header={"alg": "ES256", "kid": "bot-ec"})}, {"name": "two actions", "token": t.fresh("t2", actions=["view", "use"])},
                        {"name": "the longest life", "token": t.fresh("t3", iat=NOW - 10, exp=NOW - 10 + LIFETIME)}],
               "hostile": hostile, "jwks": hostile_jwks(keys)}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
