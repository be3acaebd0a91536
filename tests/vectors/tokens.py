#!/usr/bin/env python3
"""Hostile grant tokens: what a verifier must refuse, each with the reason it must give. Shares nothing with our own code.

    python3 tests/vectors/tokens.py > tests/vectors/tokens.json

`rows()` makes the table for any key and certificate: tests/scenarios/test_hostile_tokens.py presents it to a live gateway, signed with that gateway's
own key; authz/tokens_test.c reads tokens.json, made with a key and a clock that never change. Signatures are random, so
the file is made once and kept.
"""
import base64
import hashlib
import hmac
import json
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
NOW = 1800000000

# What the verifier must say: parts of its reasons, as authz/jwt.c gives them.
SIZE, PARTS, HEADER, ALG, TYP, MEMBERS, KID = ("empty or longer", "three parts", "header is not one JSON object", "algorithm is not ES256", "type is not JWT",
                                               "members other than", "unknown key")
PAYLOAD, LENGTH, RANGE, SIGNATURE = "payload is not one JSON object", "not 64 bytes of base64url", "out of range", "signature does not hold"
ISS, AUD, USE, JTI, TIMES, LONG, FUTURE, EARLY, EXPIRED = ("another issuer", "another audience", "not for this use", "no jti", "no sound iat and exp",
                                                           "lives longer", "issued in the future", "not valid yet", "has expired")
CLAIM, THUMB, ACTIONS = "missing or has the wrong type", "thumbprint is broken", "actions or approvers"


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def thumbprint(public):
    n = public.public_numbers()
    return b64(hashlib.sha256(json.dumps({"crv": "P-256", "kty": "EC", "x": b64(n.x.to_bytes(32, "big")), "y": b64(n.y.to_bytes(32, "big"))},
                                         sort_keys=True, separators=(",", ":")).encode()).digest())


def jwks_of(public):
    n = public.public_numbers()
    return {"keys": [{"kty": "EC", "crv": "P-256", "x": b64(n.x.to_bytes(32, "big")), "y": b64(n.y.to_bytes(32, "big")), "kid": thumbprint(public),
                      "alg": "ES256", "use": "sig"}]}


def raw_sign(key, data, digest=None):
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest or hashes.SHA256())))
    return r, s


def pair(r, s, size=32):
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


class Table:
    def __init__(self, key, issuer, x5t, now, person, identity, tool):
        self.key, self.now, self.rows = key, now, []
        self.kid = thumbprint(key.public_key())
        self.header = {"alg": "ES256", "kid": self.kid, "typ": "JWT"}
        self.claims = {"iss": issuer, "aud": issuer, "sub": identity, "iat": now - 10, "nbf": now - 10, "exp": now + 600, "jti": "jti_AAAAAAAAAAAAAAAAAAAAAA",
                       "grant_id": "grt_AAAAAAAAAAAAAAAAAAAAAA", "use": "grant", "basis": "approved", "cnf": {"x5t#S256": x5t}, "person": person,
                       "tool": tool, "actions": ["*"], "reason": "forged",
                       "approved_by": [{"person": "somebody-else", "statement": "stm_AAAAAAAAAAAAAAAAAAAAAA", "key": x5t}],
                       "budget": {}, "policy": "0" * 64, "key_storage": "unattested", "checkpoint": "none"}

    def text(self, value):
        return value if isinstance(value, (str, bytes)) else json.dumps(value, separators=(",", ":"))

    def part(self, value):
        text = self.text(value)
        return b64(text if isinstance(text, bytes) else text.encode())

    def signed(self, header=None, claims=None, key=None):
        signed = self.part(self.header if header is None else header) + "." + self.part(self.claims if claims is None else claims)
        return signed + "." + b64(pair(*raw_sign(key or self.key, signed.encode())))

    def add(self, name, reason, token):
        self.rows.append({"name": name, "reason": reason, "token": token})

    def with_header(self, name, reason, drop=(), **more):
        h = {k: v for k, v in self.header.items() if k not in drop}
        self.add(name, reason, self.signed(header={**h, **more}))

    def with_claims(self, name, reason, drop=(), **more):
        c = {k: v for k, v in self.claims.items() if k not in drop}
        self.add(name, reason, self.signed(claims={**c, **{k.replace("__", "#"): v for k, v in more.items()}}))

    def with_signature(self, name, reason, make):
        signed = self.part(self.header) + "." + self.part(self.claims)
        self.add(name, reason, signed + "." + make(signed.encode()))


def algorithms(t):
    other, big = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    public = t.key.public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = t.part(t.claims)

    def other_alg(alg, sign):
        signed = t.part({**t.header, "alg": alg}) + "." + body
        return signed + "." + b64(sign(signed.encode()))
    for none in ("none", "None", "NONE", "nOnE", ""):
        t.add(f"alg '{none}', no signature", ALG, t.part({**t.header, "alg": none}) + "." + body + "." + "AAAA")
    t.add("alg none, empty third part", PARTS, t.part({"alg": "none"}) + "." + body + ".")
    t.with_header("alg none with a good signature", ALG, alg="none")
    for name, secret in (("PEM", pem), ("DER", der), ("PEM without its last newline", pem.rstrip()), ("x coordinate", public.public_numbers().x.to_bytes(32, "big")),
                         ("empty", b""), ("kid", t.kid.encode())):
        t.add(f"HS256 with the public key's {name} as secret", ALG, other_alg("HS256", lambda d, s=secret: hmac.new(s, d, hashlib.sha256).digest()))
    t.add("HS512 with the public key", ALG, other_alg("HS512", lambda d: hmac.new(pem, d, hashlib.sha512).digest()))
    t.add("RS256 by an RSA key", ALG, other_alg("RS256", lambda d: big.sign(d, padding.PKCS1v15(), hashes.SHA256())))
    t.add("PS256 by an RSA key", ALG, other_alg("PS256", lambda d: big.sign(d, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())))
    t.add("ES384 by a P-384 key", ALG, other_alg("ES384", lambda d: pair(*raw_sign(ec.generate_private_key(ec.SECP384R1()), d, hashes.SHA384()), 48)))
    t.add("ES256K", ALG, other_alg("ES256K", lambda d: pair(*raw_sign(ec.generate_private_key(ec.SECP256K1()), d))))
    t.add("EdDSA", ALG, other_alg("EdDSA", ed25519.Ed25519PrivateKey.generate().sign))
    t.with_header("alg in lower case", ALG, alg="es256")
    t.with_header("alg with a space", ALG, alg="ES256 ")
    t.with_header("alg a list", ALG, alg=["ES256"])
    t.with_header("alg null", ALG, alg=None)
    t.with_header("no alg", ALG, drop=["alg"])
    t.add("signed by another key under our kid", SIGNATURE, t.signed(key=other))
    t.with_header("another key, named by its own kid", KID, kid=thumbprint(other.public_key()))


def headers(t):
    jwk = jwks_of(ec.generate_private_key(ec.SECP256R1()).public_key())["keys"][0]
    t.with_header("no kid", MEMBERS, drop=["kid"])
    t.with_header("empty kid", KID, kid="")
    t.with_header("kid with a path", KID, kid="../../../../dev/null")
    t.with_header("kid with SQL", KID, kid="x' UNION SELECT 'key")
    t.with_header("kid in another case", KID, kid=t.kid.swapcase())
    t.with_header("kid a prefix of ours", KID, kid=t.kid[:-1])
    t.with_header("kid a list", KID, kid=[t.kid])
    t.with_header("kid a number", KID, kid=7)
    t.with_header("crit exp", MEMBERS, crit=["exp"])
    t.with_header("crit empty", MEMBERS, crit=[])
    t.with_header("crit unknown and there", MEMBERS, crit=["x"], x=1)
    t.with_header("b64 false", MEMBERS, b64=False, crit=["b64"])
    t.with_header("zip", MEMBERS, zip="DEF")
    t.with_header("jwk of the attacker", MEMBERS, jwk=jwk)
    t.with_header("jku of the attacker", MEMBERS, jku="https://evil.example/jwks.json")
    t.with_header("x5u of the attacker", MEMBERS, x5u="https://evil.example/cert.pem")
    t.with_header("x5c of the attacker", MEMBERS, x5c=["AAAA"])
    t.with_header("cty nested", MEMBERS, cty="JWT")
    t.with_header("claims copied to the header", MEMBERS, iss=t.claims["iss"])
    t.with_header("typ at+jwt", TYP, typ="at+jwt")
    t.with_header("typ of a security event", TYP, typ="secevent+jwt")
    t.with_header("typ in lower case", TYP, typ="jwt")
    t.with_header("typ a number", TYP, typ=1)
    kid = t.kid
    t.add("alg twice, the good one last", HEADER, t.signed(header='{"alg":"none","alg":"ES256","kid":"%s"}' % kid))
    t.add("alg twice, the good one first", HEADER, t.signed(header='{"alg":"ES256","alg":"none","kid":"%s"}' % kid))
    t.add("kid twice", HEADER, t.signed(header='{"alg":"ES256","kid":"x","kid":"%s"}' % kid))
    t.add("alg twice, one escaped", HEADER, t.signed(header='{"alg":"ES256","\\u0061lg":"none","kid":"%s"}' % kid))
    t.add("NUL in the kid", HEADER, t.signed(header='{"alg":"ES256","kid":"%s\\u0000"}' % kid))
    t.add("something behind the header", HEADER, t.signed(header='{"alg":"ES256","kid":"%s"}{}' % kid))
    t.add("comment in the header", HEADER, t.signed(header='{"alg":"ES256",/**/"kid":"%s"}' % kid))
    t.add("single quotes", HEADER, t.signed(header="{'alg':'ES256','kid':'%s'}" % kid))
    t.add("header an array", HEADER, t.signed(header='["ES256"]'))
    t.add("header a text", HEADER, t.signed(header='"ES256"'))
    t.add("header not UTF-8", HEADER, t.signed(header=b'{"alg":"ES256","kid":"\xff"}'))
    t.add("header with a byte order mark", HEADER, t.signed(header=b'\xef\xbb\xbf{"alg":"ES256","kid":"%s"}' % kid.encode()))
    t.add("header nested without end", HEADER, t.signed(header='{"alg":' + "[" * 1000))


def signatures(t):
    r0 = lambda d: raw_sign(t.key, d)
    t.with_signature("r zero", RANGE, lambda d: b64(pair(0, r0(d)[1])))
    t.with_signature("s zero", RANGE, lambda d: b64(pair(r0(d)[0], 0)))
    t.with_signature("r and s zero", RANGE, lambda d: b64(bytes(64)))
    t.with_signature("r the order", RANGE, lambda d: b64(pair(ORDER, r0(d)[1])))
    t.with_signature("s the order", RANGE, lambda d: b64(pair(r0(d)[0], ORDER)))
    t.with_signature("r and s the order", RANGE, lambda d: b64(pair(ORDER, ORDER)))
    t.with_signature("s above the order", RANGE, lambda d: b64(pair(r0(d)[0], 2 ** 256 - 1)))
    t.with_signature("r and s one", SIGNATURE, lambda d: b64(pair(1, 1)))
    t.with_signature("r the order less one", SIGNATURE, lambda d: b64(pair(ORDER - 1, ORDER - 1)))
    t.with_signature("r and s swapped", SIGNATURE, lambda d: b64(pair(*reversed(r0(d)))))
    t.with_signature("s with one bit changed", SIGNATURE, lambda d: b64(pair(r0(d)[0], r0(d)[1] ^ 1)))
    t.with_signature("DER", LENGTH, lambda d: b64(t.key.sign(d, ec.ECDSA(hashes.SHA256()))))
    t.with_signature("DER with zeros", LENGTH, lambda d: b64(encode_dss_signature(0, 0)))
    t.with_signature("63 bytes", LENGTH, lambda d: b64(pair(*r0(d))[1:]))
    t.with_signature("65 bytes", LENGTH, lambda d: b64(pair(*r0(d)) + b"\0"))
    t.with_signature("a zero before r and s", LENGTH, lambda d: b64(b"\0" + r0(d)[0].to_bytes(32, "big") + b"\0" + r0(d)[1].to_bytes(32, "big")))
    t.with_signature("as hex", LENGTH, lambda d: pair(*r0(d)).hex())
    t.with_signature("padded base64", LENGTH, lambda d: base64.urlsafe_b64encode(pair(*r0(d))).decode())
    t.with_signature("standard base64", LENGTH, lambda d: "+/" + b64(pair(*r0(d)))[2:])
    t.with_signature("last character not canonical", LENGTH, lambda d: not_canonical(b64(pair(*r0(d)))))
    t.with_signature("P-384 in 64 bytes", SIGNATURE, lambda d: b64(pair(*raw_sign(t.key, d, hashes.SHA384()))))
    t.with_signature("over the payload alone", SIGNATURE, lambda d: b64(pair(*r0(d.split(b".")[1]))))
    t.with_signature("over header and payload without the dot", SIGNATURE, lambda d: b64(pair(*r0(d.replace(b".", b"")))))
    good = t.signed()
    h, p, s = good.split(".")
    t.add("payload of another token", SIGNATURE, h + "." + t.part({**t.claims, "person": "mallory"}) + "." + s)
    t.add("header padded", HEADER, h + "=." + p + "." + s)
    t.add("payload padded", PAYLOAD, h + "." + p + "=." + s)
    t.add("header in standard base64", HEADER, h[:-1] + "+." + p + "." + s)


def not_canonical(text):
    """The last of 86 characters carries two of the 512 bits and four that must be zero."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) | 1]


def shapes(t):
    good = t.signed()
    h, p, s = good.split(".")
    t.add("two parts", PARTS, h + "." + p)
    t.add("one part", PARTS, h)
    t.add("four parts", PARTS, good + "." + s)
    t.add("five parts, like a JWE", PARTS, good + "." + s + "." + s)
    t.add("no header", PARTS, "." + p + "." + s)
    t.add("no payload", PARTS, h + ".." + s)
    t.add("detached", PARTS, h + ".." + s)
    t.add("a trailing dot", PARTS, good + ".")
    t.add("JSON serialization", PARTS, json.dumps({"payload": p, "protected": h, "signature": s}, separators=(",", ":")))
    t.add("with a scheme before it", HEADER, "Bearer" + "-" + good)
    t.add("huge", SIZE, h + "." + "A" * 5000 + "." + s)
    t.add("huge and well signed", SIZE, t.signed(claims={**t.claims, "pad": "x" * 4000}))
    t.add("two tokens with a comma", PARTS, good + "," + good)
    t.add("a token within a token", SIGNATURE, h + "." + t.part({**t.claims, "token": good[:60]}) + "." + s)


def claims(t):
    now = t.now
    t.with_claims("another issuer", ISS, iss="evil.example")
    t.with_claims("issuer in capitals", ISS, iss=t.claims["iss"].upper())
    t.with_claims("issuer with a slash", ISS, iss=t.claims["iss"] + "/")
    t.with_claims("no issuer", ISS, drop=["iss"])
    t.with_claims("issuer a list", ISS, iss=[t.claims["iss"]])
    t.with_claims("issuer nested", ISS, iss={"iss": {"iss": t.claims["iss"]}})
    t.with_claims("another audience", AUD, aud="support")
    t.with_claims("audience a list with ours", AUD, aud=[t.claims["aud"], "evil"])
    t.with_claims("no audience", AUD, drop=["aud"])
    t.with_claims("audience empty", AUD, aud="")
    t.with_claims("a sign-off", USE, use="signoff")
    t.with_claims("an assertion", USE, use="assertion")
    t.with_claims("no use", USE, drop=["use"])
    t.with_claims("use null", USE, use=None)
    t.with_claims("no jti", JTI, drop=["jti"])
    t.with_claims("jti empty", JTI, jti="")
    t.with_claims("expired just now", EXPIRED, exp=now - 2)
    t.with_claims("expired long ago", EXPIRED, iat=now - 90000, nbf=now - 90000, exp=now - 86400)
    t.with_claims("not before later", EARLY, nbf=now + 300)
    t.with_claims("nbf a text", EARLY, nbf=str(now))
    t.with_claims("issued in the future", FUTURE, iat=now + 300, nbf=now + 300)
    t.with_claims("no exp", TIMES, drop=["exp"])
    t.with_claims("no iat", TIMES, drop=["iat"])
    t.with_claims("exp a text", TIMES, exp=str(now + 600))
    t.with_claims("exp a fraction", TIMES, exp=now + 600.5)
    t.with_claims("exp null", TIMES, exp=None)
    t.with_claims("exp true", TIMES, exp=True)
    t.with_claims("exp negative", TIMES, exp=-1)
    t.with_claims("exp beyond 64 bits less one", TIMES, exp=2 ** 63 - 1)
    t.with_claims("exp before iat", TIMES, exp=now - 20)
    t.with_claims("lives for a year", LONG, exp=now + 365 * 86400)
    for name, double in (("exp", '"exp":1,'), ("iss", '"iss":"evil",'), ("aud", '"aud":"evil",'), ("cnf", '"cnf":{},'), ("tool", '"tool":"vault",')):
        t.add(f"{name} twice", PAYLOAD, t.signed(claims="{" + double + t.text(t.claims)[1:]))
    t.add("exp overflow", PAYLOAD, t.signed(claims=t.text(t.claims)[:-1] + ',"x":18446744073709551616}'))
    t.add("payload an array", PAYLOAD, t.signed(claims="[]"))
    t.add("payload null", PAYLOAD, t.signed(claims="null"))
    t.add("payload nested without end", PAYLOAD, t.signed(claims='{"a":' * 500 + "["))
    t.add("payload cut off", PAYLOAD, t.signed(claims=t.text(t.claims)[:-1]))
    t.add("NaN in the payload", PAYLOAD, t.signed(claims=t.text(t.claims)[:-1] + ',"x":NaN}'))
    t.add("NUL in a name", PAYLOAD, t.signed(claims=t.text(t.claims)[:-1] + ',"x\\u0000":1}'))
    t.add("lone surrogate", PAYLOAD, t.signed(claims=t.text(t.claims)[:-1] + ',"x":"\\ud800"}'))
    t.with_claims("no certificate binding", CLAIM, drop=["cnf"])
    t.with_claims("binding by jkt instead", CLAIM, cnf={"jkt": t.claims["cnf"]["x5t#S256"]})
    t.with_claims("binding by x5t of SHA-1", CLAIM, cnf={"x5t": "AAAAAAAAAAAAAAAAAAAAAAAAAAA"})
    t.with_claims("binding too short", THUMB, cnf={"x5t#S256": "AAAA"})
    t.with_claims("binding padded", THUMB, cnf={"x5t#S256": t.claims["cnf"]["x5t#S256"] + "="})
    t.with_claims("no person", CLAIM, drop=["person"])
    t.with_claims("no tool", CLAIM, drop=["tool"])
    t.with_claims("no actions", ACTIONS, actions=[])
    t.with_claims("actions of another type", ACTIONS, actions="*")
    t.with_claims("nobody approved it", ACTIONS, approved_by=[])
    t.with_claims("approved by its holder", ACTIONS, approved_by=[{**t.claims["approved_by"][0], "person": t.claims["person"]}])
    t.with_claims("basis of nobody's making", ACTIONS, basis="because")


def rows(key, issuer, x5t, now, person="alice", identity="alice@test.localhost", tool="support"):
    """[{name, reason, token}], hostile each; and the one good token they were made from."""
    t = Table(key, issuer, x5t, now, person, identity, tool)
    for part in (algorithms, headers, signatures, shapes, claims):
        part(t)
    assert len({r["name"] for r in t.rows}) == len(t.rows), "two rows of one name"
    return t.rows, t.signed()


def main():
    key = ec.derive_private_key(int.from_bytes(hashlib.sha256(b"countersign test vectors").digest(), "big") % (ORDER - 1) + 1, ec.SECP256R1())
    hostile, good = rows(key, "gateway.test.localhost", b64(hashlib.sha256(b"a certificate").digest()), NOW)
    json.dump({"about": "grant tokens; made by tokens.py", "now": NOW, "issuer": "gateway.test.localhost", "jwks": jwks_of(key.public_key()), "good": good,
               "hostile": hostile}, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
