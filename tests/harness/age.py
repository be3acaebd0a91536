"""An independent reader of age v1 files, from the specification (C2SP age), and the keys of the tests' two auditors. It shares nothing with the writer."""
import base64
import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHUNK = 64 * 1024


def polymod(values):
    sum_ = 1
    for v in values:
        top = sum_ >> 25
        sum_ = (sum_ & 0x1ffffff) << 5 ^ v
        for i, g in enumerate((0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3)):
            sum_ ^= g if top >> i & 1 else 0
    return sum_


def bech32(prefix, raw):
    """BIP 173, without its limit on length."""
    bits = "".join(f"{b:08b}" for b in raw)
    bits += "0" * (-len(bits) % 5)
    groups = [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]
    spread = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(spread + groups + [0] * 6) ^ 1
    return prefix + "1" + "".join(LETTERS[g] for g in groups + [check >> 5 * (5 - i) & 31 for i in range(6)])


class Key:
    """An auditor's pair."""

    def __init__(self, raw):
        self.raw = raw
        self.secret = X25519PrivateKey.from_private_bytes(raw)
        self.public_raw = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.public = bech32("age", self.public_raw)

    def text(self):
        return bech32("age-secret-key-", self.raw).upper() + "\n"


AUDITORS = [Key(hashlib.sha256(b"the tests' auditor %d" % i).digest()) for i in range(3)]   # the third is for changes of keys


def unpadded(text):
    raw = base64.b64decode(text + b"=" * (-len(text) % 4), validate=True)
    if base64.b64encode(raw).rstrip(b"=") != text:
        raise ValueError("base64 that is not the one right text")
    return raw


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def file_key_of(stanzas, key):
    for words, body in stanzas:
        if words[0] != b"X25519":
            continue
        share = unpadded(words[1])
        common = key.secret.exchange(X25519PublicKey.from_public_bytes(share))
        wrap = hkdf(common, share + key.public_raw, b"age-encryption.org/v1/X25519")
        try:
            return ChaCha20Poly1305(wrap).decrypt(bytes(12), body, None)
        except InvalidTag:
            continue
    raise PermissionError("sealed to other keys")


def recipients_of(data):
    return sum(line.startswith(b"-> X25519 ") for line in data.split(b"\n---", 1)[0].split(b"\n"))


def open_file(data, key):
    """What is in an age file. ValueError, InvalidTag: it is not whole. PermissionError: not for this key."""
    at = data.index(b"\n---") + 4
    end = data.index(b"\n", at)
    lines = data[:at - 4].split(b"\n")
    if lines[0] != b"age-encryption.org/v1":
        raise ValueError("no age file")
    stanzas = [(lines[i][3:].split(b" "), unpadded(lines[i + 1])) for i in range(1, len(lines), 2)]
    file_key = file_key_of(stanzas, key)
    said = unpadded(data[at + 1:end])
    if not hmac.compare_digest(said, hmac.new(hkdf(file_key, b"", b"header"), data[:at], hashlib.sha256).digest()):
        raise ValueError("the header was altered")
    nonce, body = data[end + 1:end + 17], data[end + 17:]
    aead = ChaCha20Poly1305(hkdf(file_key, nonce, b"payload"))
    pieces = [body[i:i + CHUNK + 16] for i in range(0, len(body), CHUNK + 16)]
    return b"".join(aead.decrypt(n.to_bytes(11, "big") + bytes([n == len(pieces) - 1]), piece, None) for n, piece in enumerate(pieces))
