#!/usr/bin/env python3
"""Writes digest.json: vectors of the request digest (authz/digest.h), by a second implementation that shares nothing with ours.

    python3 tests/vectors/digest.py > tests/vectors/digest.json
"""
import hashlib
import json
import sys

FIELDS = ["content-type", "content-encoding", "content-disposition", "accept", "if-match"]


def item(data):
    return len(data).to_bytes(4, "big") + data


def digest(v):
    body = bytes.fromhex(v["body_hex"])
    fields = [(n, v["fields"][n]) for n in FIELDS if n in v["fields"]]
    out = b"countersign-request-v1\n"
    for part in (v["method"], v["authority"], v["target"], str(len(fields))):
        out += item(part.encode())
    for name, value in fields:
        out += item(name.encode()) + item(value.encode())
    out += item(str(len(body)).encode()) + item(hashlib.sha256(body).digest())
    return hashlib.sha256(out).hexdigest()


def vector(name, method="GET", authority="support.acme.localhost:8443", target="/", fields=None, body=b""):
    v = {"name": name, "method": method, "authority": authority, "target": target, "fields": fields or {}, "body_hex": body.hex()}
    v["digest"] = digest(v)
    return v


FORM = {"content-type": "application/x-www-form-urlencoded"}
VECTORS = [
    vector("smallest"),
    vector("another method", method="HEAD"),
    vector("another port", authority="support.acme.localhost"),
    vector("query", target="/admin/?q=a%20b&p=1"),
    vector("form", "POST", target="/admin/audience/", fields=FORM, body=b"action=export&id=7"),
    vector("form, one byte changed", "POST", target="/admin/audience/", fields=FORM, body=b"action=export&id=8"),
    vector("form, one byte moved to the target", "POST", target="/admin/audience/a", fields=FORM, body=b"ction=export&id=7"),
    vector("empty field is not an absent one", fields={"accept": ""}),
    vector("value moved to another field", fields={"if-match": "x"}),
    vector("value moved from that field", fields={"accept": "x"}),
    vector("every field", "PUT", target="/f", body=b"\x00\xff", fields={n: "value of " + n for n in FIELDS}),
    vector("length is not counted in characters", "POST", fields={"content-disposition": "attachment; filename=\"\u00e9.csv\""}, body="\u20ac".encode()),
    vector("long body", "POST", target="/upload", fields={"content-type": "application/octet-stream"}, body=bytes(i * 7 % 251 for i in range(3000))),
]
json.dump({"format": "countersign-request-v1", "fields": FIELDS, "vectors": VECTORS}, sys.stdout, indent=1, ensure_ascii=True)
print()
