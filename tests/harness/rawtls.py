"""A TLS 1.3 client that says what no library will (RFC 8446): any bytes as a certificate, no or a wrong proof of its key, early data nobody offered."""
import hashlib
import hmac
import os
import socket
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ALERT, HANDSHAKE, DATA = 21, 22, 23
HELLO, TICKET, END_OF_EARLY, CERTIFICATE_REQUEST, CERTIFICATE, VERIFY, FINISHED, KEY_UPDATE = 1, 4, 5, 13, 11, 15, 20, 24
ECDSA_P256, CLIENT_CONTEXT, SERVER_CONTEXT = 0x0403, b"TLS 1.3, client CertificateVerify", b"TLS 1.3, server CertificateVerify"
EMPTY = hashlib.sha256(b"").digest()


def extract(salt, key):
    return hmac.new(salt, key, hashlib.sha256).digest()


def expand(secret, label, context=b"", size=32):
    """HKDF-Expand-Label for one block of SHA-256."""
    full = b"tls13 " + label
    info = struct.pack(">HB", size, len(full)) + full + bytes([len(context)]) + context
    return hmac.new(secret, info + b"\1", hashlib.sha256).digest()[:size]


def vec(size, *parts):
    """A vector with its length before it."""
    content = b"".join(parts)
    return len(content).to_bytes(size, "big") + content


def message(kind, *parts):
    return bytes([kind]) + vec(3, *parts)


class Direction:
    """One direction's keys, and how many records they have seen."""

    def __init__(self, secret):
        self.secret, self.count = secret, 0
        self.aead, self.iv = AESGCM(expand(secret, b"key", size=16)), expand(secret, b"iv", size=12)

    def nonce(self):
        self.count += 1
        return bytes(a ^ b for a, b in zip(self.iv, (self.count - 1).to_bytes(12, "big")))

    def seal(self, kind, data):
        head = struct.pack(">BHH", DATA, 0x0303, len(data) + 17)
        return head + self.aead.encrypt(self.nonce(), data + bytes([kind]), head)

    def open(self, head, data):
        plain = self.aead.decrypt(self.nonce(), data, head).rstrip(b"\0")
        return plain[-1], plain[:-1]

    def updated(self):
        return Direction(expand(self.secret, b"traffic upd"))


class RawTLS:
    """hello() and server_flight() bring it to where the client's certificate is due; what comes then is the test's own."""

    def __init__(self, port, host, alpn=b"http/1.1", timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.host, self.alpn, self.transcript, self.buf, self.messages = host, alpn, b"", b"", b""
        self.out = self.into = None
        self.alert, self.ended, self.data, self.tickets, self.request_context = None, False, b"", [], None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    # Records.
    def send(self, kind, data):
        try:
            self.sock.sendall(self.out.seal(kind, data) if self.out else struct.pack(">BHH", kind, 0x0301, len(data)) + data)
        except OSError:
            self.ended = True

    def exactly(self, n):
        while len(self.buf) < n:
            try:
                piece = self.sock.recv(1 << 16)
            except ConnectionError:
                piece = b""
            if not piece:
                self.ended = True
                return None
            self.buf += piece
        out, self.buf = self.buf[:n], self.buf[n:]
        return out

    def record(self):
        """(kind, content); None at the end. Alerts end it too."""
        while True:
            head = self.exactly(5)
            data = head and self.exactly(int.from_bytes(head[3:], "big"))
            if data is None:
                return None
            kind = head[0]
            if kind == 20:
                continue
            if self.into and kind == DATA:
                kind, data = self.into.open(head, data)
            if kind == ALERT:
                self.alert, self.ended = data[1], True
                return None
            return kind, data

    def handshake_message(self):
        while len(self.messages) < 4 or len(self.messages) < 4 + int.from_bytes(self.messages[1:4], "big"):
            got = self.record()
            if got is None:
                raise ConnectionError(f"the handshake ended, alert {self.alert}")
            assert got[0] == HANDSHAKE, got[0]
            self.messages += got[1]
        size = 4 + int.from_bytes(self.messages[1:4], "big")
        out, self.messages = self.messages[:size], self.messages[size:]
        return out

    # The handshake.
    def hello(self, psk=None, early=None, more=b""):
        """psk: a ticket of an earlier connection; early: bytes to send at once under it, whatever the ticket says."""
        self.share, self.psk = x25519.X25519PrivateKey.generate(), psk
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
        public = self.share.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        ext = lambda kind, *parts: struct.pack(">H", kind) + vec(2, *parts)
        exts = (ext(0, vec(2, b"\0", vec(2, self.host.encode()))) + ext(10, vec(2, b"\0\x1d")) + ext(13, vec(2, bytes.fromhex("040308040805080605030603080704010501")))
                + ext(43, vec(1, b"\3\4")) + ext(51, vec(2, b"\0\x1d", vec(2, public))) + ext(45, vec(1, b"\1")) + (ext(16, vec(2, vec(1, self.alpn))) if self.alpn else b"") + more)
        if early is not None:
            exts += ext(42)
        if psk:
            exts += ext(41, vec(2, vec(2, psk["ticket"]), struct.pack(">I", psk["age_add"])), vec(2, vec(1, bytes(32))))
        hello = message(HELLO, b"\3\3", os.urandom(32), vec(1, os.urandom(32)), vec(2, b"\x13\1"), b"\1\0", vec(2, exts))
        if psk:
            binder = expand(extract(bytes(32), psk["psk"]), b"res binder", EMPTY)
            proof = hmac.new(expand(binder, b"finished"), hashlib.sha256(hello[:-35]).digest(), hashlib.sha256).digest()
            hello = hello[:-32] + proof
        self.transcript = hello
        self.send(HANDSHAKE, hello)
        if early is not None:
            keys = Direction(expand(extract(bytes(32), psk["psk"]), b"c e traffic", self.hash()))
            self.sock.sendall(keys.seal(DATA, early))
        return self

    def hash(self):
        return hashlib.sha256(self.transcript).digest()

    def server_flight(self):
        """To the server's Finished; True if it took the ticket."""
        hello = self.handshake_message()
        self.transcript += hello
        at = 39 + hello[38]
        exts, self.resumed, peer = hello[at + 5:], False, b""
        while exts:
            kind, size = struct.unpack(">HH", exts[:4])
            if kind == 51:
                peer = exts[8:4 + size]
            self.resumed = self.resumed or kind == 41
            exts = exts[4 + size:]
        shared = self.share.exchange(x25519.X25519PublicKey.from_public_bytes(peer))
        early = extract(bytes(32), self.psk["psk"] if self.resumed else bytes(32))
        secret = extract(expand(early, b"derived", EMPTY), shared)
        self.client_secret, server = expand(secret, b"c hs traffic", self.hash()), expand(secret, b"s hs traffic", self.hash())
        self.out, self.into = Direction(self.client_secret), Direction(server)
        self.master = extract(expand(secret, b"derived", EMPTY), bytes(32))
        while True:
            m = self.handshake_message()
            self.transcript += m
            if m[0] == CERTIFICATE_REQUEST:
                self.request_context = m[5:5 + m[4]]
            if m[0] == FINISHED:
                break
        self.client_app, self.server_app = expand(self.master, b"c ap traffic", self.hash()), expand(self.master, b"s ap traffic", self.hash())
        self.into = Direction(self.server_app)
        return self.resumed

    def say(self, *messages):
        for m in messages:
            self.transcript += m
        self.send(HANDSHAKE, b"".join(messages)[:16000])
        for at in range(16000, len(b"".join(messages)), 16000):
            self.send(HANDSHAKE, b"".join(messages)[at:at + 16000])

    def certificate(self, *ders, context=None, extensions=b""):
        context = self.request_context if context is None else context
        return message(CERTIFICATE, vec(1, context or b""), vec(3, *(vec(3, d) + vec(2, extensions) for d in ders)))

    def verify(self, key, context=CLIENT_CONTEXT, scheme=ECDSA_P256, over=None, signature=None):
        content = b" " * 64 + context + b"\0" + (self.hash() if over is None else over)
        return message(VERIFY, struct.pack(">H", scheme), vec(2, key.sign(content, ec.ECDSA(hashes.SHA256())) if signature is None else signature))

    def finish(self, wrong=False):
        proof = hmac.new(expand(self.client_secret, b"finished"), self.hash(), hashlib.sha256).digest()
        self.say(message(FINISHED, bytes(32) if wrong else proof))
        self.out = Direction(self.client_app)
        self.resumption = expand(self.master, b"res master", self.hash())

    def prove(self, key, *ders):
        """As a good client does."""
        self.say(self.certificate(*ders))
        if ders:
            self.say(self.verify(key))
        self.finish()
        return self

    # What comes after it.
    def exchange(self, request, until=b"\r\n\r\n"):
        """Send bytes, read until they are answered or the connection ends; all that was said so far."""
        self.send(DATA, request)
        while until not in self.data and not self.ended:
            try:
                got = self.record()
            except (InvalidTag, TimeoutError, socket.timeout):
                break
            if got is None:
                break
            if got[0] == DATA:
                self.data += got[1]
            elif got[0] == HANDSHAKE and got[1][0] == TICKET:
                self.keep_ticket(got[1])
        return self.data

    def keep_ticket(self, m):
        body = m[4:]
        nonce_at = 9
        nonce = body[nonce_at:nonce_at + body[8]]
        at = nonce_at + body[8]
        size = int.from_bytes(body[at:at + 2], "big")
        self.tickets.append({"age_add": int.from_bytes(body[4:8], "big"), "ticket": body[at + 2:at + 2 + size], "psk": expand(self.resumption, b"resumption", nonce),
                             "extensions": body[at + 4 + size:]})
