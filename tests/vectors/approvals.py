#!/usr/bin/env python3
"""Checks signed answers offline: an implementation that shares nothing with ours, written from authz/README.md ("A proof", "How a yes is signed").

    python3 tests/vectors/approvals.py FILE [approval-keys]

FILE: a proof (`countersign proof ID > FILE`), or the log.json that `countersign verify SESSION --save DIR` kept. For each approval and denial in it: the key
counted then for the person it names, who is not the one who asked; the signature holds over the statement's canonical JSON (RFC 8785): a detached JWS (RFC 7515;
ES256, RFC 7518 s3.4, or EdDSA, RFC 8037), or WebAuthn (ES256, EdDSA, RS256) by a key that another person confirmed before. In a proof the answers must also be
about the request it shows, and each leaf must have its digest. With a copy of the gateway's approval-keys file, kept elsewhere, certificates' keys are taken from there
instead of from the file itself. Ends with 0 if all hold; at the first that does not, with 1.
"""
import base64
import hashlib
import json
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

UP, UV, BE = 0x01, 0x04, 0x08


class Bad(Exception):
    pass


def must(holds, why):
    if not holds:
        raise Bad(why)


def decode(text):
    must(isinstance(text, str) and "=" not in text, "not base64url without padding")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def no_twins(pairs):
    must(len(dict(pairs)) == len(pairs), "a JSON object has a member twice")
    return dict(pairs)


def keys_of_file(path):
    with open(path, encoding="ascii") as f:
        rows = [line.split() for line in f if line.strip() and not line.startswith("#")]
    return {row[1]: (row[0], row[2]) for row in rows}


def content(leaf):
    return leaf.get("content") or {}


def certificate_key(leaves, answer, said, kept):
    """(person, spki) of a certificate's key: from the kept file, else the newest registration before the answer that was not removed."""
    if kept is not None:
        must(said["key"] in kept, "its key does not stand in the file of keys")
        return kept[said["key"]]
    found = None
    for leaf in leaves:
        if leaf["seq"] < answer["seq"] and content(leaf).get("key") == said["key"]:
            if leaf["type"] == "key.registered":
                found = content(leaf)
            elif leaf["type"] == "key.removed":
                found = None
    must(found is not None, "its key is not registered")
    return found["person"], found["spki"]


def confirmed_key(leaves, answer, said):
    """The registration of an authenticator's key, or of a certificate's that came later, if another person had confirmed it by then and nobody had taken it away."""
    before = [leaf for leaf in leaves if leaf["seq"] < answer["seq"] and content(leaf).get("item") == content(answer)["key_item"]]
    made = [content(leaf) for leaf in before if leaf["type"] == "key.proposed"]
    must(len(made) == 1 and made[0]["key"] == said["key"] and made[0]["method"] == said["method"], "its key is not registered")
    yes = [content(leaf) for leaf in before if leaf["type"] == "approval"]
    must(len(yes) == 1, "nobody had confirmed its key")
    confirmed = yes[0]["statement"]
    must(confirmed["purpose"] == "register-key" and confirmed["scope"]["key"] == said["key"] and confirmed["approver"] != made[0]["person"],
         "its key was not confirmed by another person")
    must(yes[0]["counts_from"] <= answer["time_ms"] // 1000, "its key did not count yet")
    must(not any(leaf["type"] == "key.withdrawn" for leaf in before), "its key had been withdrawn")
    return made[0]


def verify(key, signature, data, der):
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            if not der:
                must(len(signature) == 64, "the signature has the wrong length")
                signature = utils.encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, rsa.RSAPublicKey) and der:
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            raise Bad("the key is of a kind that does not sign answers")
    except InvalidSignature:
        raise Bad("the signature does not hold over the statement") from None


def check_jws(key, said, jws):
    head, middle, signature = jws.split(".")
    alg = "ES256" if isinstance(key, ec.EllipticCurvePublicKey) else "EdDSA"
    must(middle == "" and json.loads(decode(head)) == {"alg": alg, "kid": said["key"]}, "the header is not that of a detached signature by this key")
    verify(key, decode(signature), (head + "." + encode(canonical(said))).encode(), der=False)


def check_webauthn(key, said, made, given, count):
    client_data, data = decode(given["client_data"]), decode(given["authenticator_data"])
    client = json.loads(client_data, object_pairs_hook=no_twins)
    must(client["type"] == "webauthn.get", "it is another kind of ceremony")
    must(client["challenge"] == encode(hashlib.sha256(canonical(said)).digest()), "it is about another statement")
    must(client["origin"] == made["origin"], "it was signed on another page")
    must(client.get("crossOrigin", False) is False and "topOrigin" not in client, "it was signed in another page's frame")
    must(len(data) >= 37 and data[:32] == hashlib.sha256(made["rp_id"].encode()).digest(), "it was signed for another RP ID")
    must(data[32] & UP and data[32] & UV, "the authenticator did not verify the person")
    must(not (said["method"] == "hardware" and data[32] & BE), "the key can be copied, so it is not one in hardware")
    must(int.from_bytes(data[33:37], "big") == count, "the counter is not the one in the log")
    verify(key, decode(given["signature"]), data + hashlib.sha256(client_data).digest(), der=True)


DECISIONS = {"approval": "approve", "denial": "deny", "review.done": "approve", "delegate.named": "approve"}
ORDERS = {"review.done": ("review", "session", "outcome", "words"), "delegate.named": ("delegation", "delegate", "tools", "kinds", "until_s")}


def check_order(leaf, said):
    """A review or a delegation: its leaf says what was signed."""
    order = content(leaf)
    must(all(order[name] == said["scope"][name] for name in ORDERS[leaf["type"]]), "the leaf says something else than what was signed")
    if leaf["type"] == "review.done":
        must(said["purpose"] == "review" and order["by"] == said["approver"] and order["person"] == said["requester"], "the review is somebody else's")
    else:
        must(said["purpose"] == "delegate" and order["delegator"] == said["approver"], "the delegation is somebody else's")


def check_behalf(leaf, leaves, said):
    """An answer in somebody else's place: by a delegation of hers, to this person, for this tool and kind, that held then."""
    behalf = said["scope"].get("on_behalf_of")
    if behalf is None:
        return
    before = [one for one in leaves if one["seq"] < leaf["seq"] and content(one).get("delegation") == content(leaf)["delegation"] and one["type"].startswith("delegate.")]
    must(len(before) == 1 and before[0]["type"] == "delegate.named", "there was no such delegation then")
    d = content(before[0])
    must(behalf != said["requester"], "it was answered in the place of the one who asked")
    must(d["delegator"] == behalf and d["delegate"] == said["approver"] and d["until_s"] > leaf["time_ms"] // 1000, "its delegation is another's, or was over")
    must(d["tools"] == "*" or said["scope"]["tool"] in d["tools"].split(","), "its delegation is for other tools")
    must(said["purpose"] in d["kinds"].split(","), "its delegation is for other answers")


def check(leaf, leaves, instance, kept):
    answer, said = content(leaf), content(leaf)["statement"]
    must(instance is None or said["instance"] == instance, "it was signed for another gateway")
    must(said["decision"] == DECISIONS[leaf["type"]], "the leaf says something else than what was signed")
    if leaf["type"] in ORDERS:
        check_order(leaf, said)
    check_behalf(leaf, leaves, said)
    must(said["approver"] != said["requester"], "who asked answered")
    must(said["iat"] <= leaf["time_ms"] // 1000 <= said["exp"], "it was answered outside the statement's time")
    made = None
    if said["method"] == "command-line" and "key_item" not in answer:
        person, spki = certificate_key(leaves, leaf, said, kept)
    else:
        made = confirmed_key(leaves, leaf, said)
        person, spki = made["person"], made["spki"]
    must(encode(hashlib.sha256(decode(spki)).digest()) == said["key"], "the registered key has another fingerprint")
    must(person == said["approver"], "the key belongs to somebody else")
    key = serialization.load_der_public_key(decode(spki))
    jws = said["method"] == "command-line"
    must(("jws" in answer) == jws and ("webauthn" in answer) != jws, "it is signed in another way than it says")
    if jws:
        check_jws(key, said, answer["jws"])
    else:
        check_webauthn(key, said, made, answer["webauthn"], answer["sign_count"])


def fits(facts, name, value):
    """A yes may be for less than was asked; in whose place it was given is checked with the delegation."""
    if name == "on_behalf_of":
        return True
    if name == "duration_s":
        return 1 <= value <= facts[name]
    if name == "actions":
        asked = facts.get("actions") or "*"
        return asked == "*" or set(value.split(",")) <= set(asked.split(","))
    return facts.get(name) == value


def check_proof(proof):
    """Each leaf has its digest, and each answer is about the item that the proof shows."""
    must(proof["format"] == "countersign-approval-v1", "this is another format")
    made = {content(leaf)["item"]: content(leaf) for leaf in proof["leaves"] if leaf["type"] in ("request.created", "held.created", "key.proposed", "policy.proposed")}
    for leaf in proof["leaves"]:
        must(encode(hashlib.sha256(decode(leaf["salt"]) + canonical(leaf["content"])).digest()) == leaf["digest"], f"leaf {leaf['seq']} was changed")
        said = content(leaf).get("statement")
        if said is None or leaf["type"] in ORDERS:
            continue
        facts = made.get(content(leaf)["item"])
        must(facts is not None and facts["person"] == said["requester"] and facts["identity"] == said["identity"]
             and (said["purpose"] != "policy" or facts["policy"] == said["policy"])
             and all(fits(facts, name, value) for name, value in said["scope"].items() if not (name == "answer" and said["decision"] == "deny")), "an answer is about something else")


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        kept_file = json.load(f, object_pairs_hook=no_twins)
    kept = keys_of_file(sys.argv[2]) if len(sys.argv) > 2 else None
    leaves = kept_file["leaves"]
    answers = [leaf for leaf in leaves if leaf["type"] in DECISIONS and "content" in leaf]
    try:
        if "format" in kept_file:
            check_proof(kept_file)
        for leaf in answers:
            said = content(leaf)["statement"]
            try:
                check(leaf, leaves, kept_file.get("instance"), kept)
            except (KeyError, TypeError, ValueError) as e:
                raise Bad(f"it is malformed ({e!r})") from None
            print(f"good {said['approver']} {said['decision']} {said['purpose']} of {said['requester']}, {said['method']}: {json.dumps(said['scope'])}")
    except Bad as why:
        sys.exit(f"BAD: {why}")
    must(answers, "there is no answer in it")
    print(f"{len(answers)} answers, all good")


if __name__ == "__main__":
    main()
