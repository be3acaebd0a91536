#!/usr/bin/env python3
"""Checks every signed answer in a log.json that `countersign verify SESSION --save DIR` kept: an implementation that shares nothing with ours.

    python3 tests/vectors/approvals.py DIR/log.json [approval-keys]

For each approval and denial: the key is the one registered for the person it names, who is not the one who asked; the signature (detached JWS,
RFC 7515; ES256, RFC 7518 s3.4, or EdDSA, RFC 8037) holds over the statement's canonical JSON (RFC 8785). With a copy of the gateway's approval-keys file, kept elsewhere, the keys are taken from there
instead of from the log itself. Ends with 0 if all hold; at the first that does not, with 1.
"""
import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def keys_of_log(leaves):
    return {leaf["content"]["key"]: (leaf["content"]["person"], decode(leaf["content"]["spki"])) for leaf in leaves if leaf["type"] == "key.registered"}


def keys_of_file(path):
    with open(path, encoding="ascii") as f:
        rows = [line.split() for line in f if line.strip() and not line.startswith("#")]
    return {row[1]: (row[0], decode(row[2])) for row in rows}


def check(answer, keys):
    """The reason why this answer does not count, or None."""
    said, (head, middle, signature) = answer["statement"], answer["jws"].split(".")
    if said["key"] not in keys:
        return "its key is not registered"
    person, spki = keys[said["key"]]
    if encode(hashlib.sha256(spki).digest()) != said["key"]:
        return "the registered key has another fingerprint"
    if person != said["approver"] or person == said["requester"]:
        return "the key belongs to somebody else, or to the one who asked"
    key, raw = serialization.load_der_public_key(spki), decode(signature)
    is_p256 = isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    if middle != "" or json.loads(decode(head)) != {"alg": "ES256" if is_p256 else "EdDSA", "kid": said["key"]}:
        return "the header is not that of a detached signature by this key"
    if len(raw) != 64:
        return "the signature has the wrong length"
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    signed = (head + "." + encode(text)).encode()
    try:
        if is_p256:
            pair = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
            key.verify(pair, signed, ec.ECDSA(hashes.SHA256()))
        else:
            key.verify(raw, signed)
    except InvalidSignature:
        return "the signature does not hold over the statement"
    return None


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        leaves = json.load(f)["leaves"]
    keys = keys_of_file(sys.argv[2]) if len(sys.argv) > 2 else keys_of_log(leaves)
    answers = [leaf["content"] for leaf in leaves if leaf["type"] in ("approval", "denial") and "content" in leaf]
    for answer in answers:
        said, why = answer["statement"], check(answer, keys)
        print(f"{'BAD ' if why else 'good'} {said['approver']} {said['decision']} {said['purpose']} of {said['requester']}: {json.dumps(said['scope'])}")
        if why:
            sys.exit(f"     {why}")
    print(f"{len(answers)} answers, all good")


if __name__ == "__main__":
    main()
