#!/usr/bin/env python3
"""Follows a published log and checks it, from the specifications alone: an implementation that shares nothing with ours.

    python3 tests/vectors/tlog.py FOLDER|URL VKEY [EARLIER-CHECKPOINT ...] [--witness WKEY ...]     check a log (STATE/log, or http://…/log)
    python3 tests/vectors/tlog.py --make                                       write tlog.json: proofs that our C must agree with

VKEY: the line of FOLDER/key as it was noted earlier. Checked are: the checkpoint's signature (C2SP signed-note, tlog-checkpoint; RFC 8032), every entry against its hash and every hash
against the tiles above (C2SP tlog-tiles; RFC 9162 s2.1), an inclusion proof for each leaf and a consistency proof from each earlier checkpoint, both computed from tiles and checked by
the algorithms of RFC 9162 s2.1.3.2 and s2.1.4.2; with --witness, that each of these witnesses cosigned the file `witnessed` of it, and that the log extends that. Ends with 0 if all holds; with 1 and a line at the first that does not.
"""
import base64
import hashlib
import json
import os
import sys
import urllib.error
import urllib.request

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


class Bad(Exception):
    """What is wrong with the log."""


def sha(data):
    return hashlib.sha256(data).digest()


def leaf_hash(entry):
    return sha(b"\0" + entry)


def node_hash(left, right):
    return sha(b"\1" + left + right)


def expect(good, text):
    if not good:
        raise Bad(text)


# ---- checkpoints (C2SP signed-note, tlog-checkpoint) ----

def read_vkey(text):
    """NAME+HASH+KEY: (name, key id, public key)."""
    name, key_id, key = text.strip().split("+", 2)
    raw = base64.b64decode(key, validate=True)
    expect(len(raw) == 33 and raw[0] == 1, "the key is not Ed25519")
    expect(sha(name.encode() + b"\n" + raw)[:4].hex() == key_id, "the key's hash does not fit the key")
    return name, bytes.fromhex(key_id), Ed25519PublicKey.from_public_bytes(raw[1:])


def read_checkpoint(note, vkey):
    """(size, root) of a checkpoint that this key signed."""
    name, key_id, key = read_vkey(vkey)
    text, mark, rest = note.partition("\n\n")
    expect(mark != "", "the checkpoint has no signatures")
    text += "\n"
    origin, size, root = text.split("\n")[:3]
    expect(origin == name, "the checkpoint is of another log")
    expect(size.isdecimal() and str(int(size)) == size, "the checkpoint's size is no number")
    for line in rest.splitlines():
        words = line.split(" ")
        if words[:2] != ["—", name] or len(words) != 3:
            continue
        raw = base64.b64decode(words[2], validate=True)
        if raw[:4] != key_id:
            continue
        try:
            key.verify(raw[4:], text.encode())
        except InvalidSignature:
            raise Bad("the checkpoint's signature does not hold") from None
        return int(size), base64.b64decode(root, validate=True)
    raise Bad("the checkpoint is not signed by this key")


# ---- witnesses (C2SP tlog-cosignature, cosignature/v1) ----

def note_text(note):
    text, mark, _ = note.partition("\n\n")
    expect(mark != "", "the checkpoint has no signatures")
    return text + "\n"


def check_cosignature(note, vkey):
    """When this witness cosigned the checkpoint. Bad: it did not, or a line in its name does not hold."""
    name, key_id, key = vkey.strip().split("+", 2)
    raw = base64.b64decode(key, validate=True)
    expect(len(raw) == 33 and raw[0] == 4, "the witness's key is not one for cosignatures")
    expect(sha(name.encode() + b"\n" + raw)[:4].hex() == key_id, "the key's hash does not fit the key")
    found = None
    for line in note.partition("\n\n")[2].splitlines():
        words = line.split(" ")
        if words[:2] != ["—", name] or len(words) != 3:
            continue
        said = base64.b64decode(words[2], validate=True)
        if said[:4].hex() != key_id:
            continue
        expect(len(said) == 4 + 8 + 64, "the cosignature has another length")
        time_s = int.from_bytes(said[4:12], "big")
        try:
            Ed25519PublicKey.from_public_bytes(raw[1:]).verify(said[12:], f"cosignature/v1\ntime {time_s}\n{note_text(note)}".encode())
        except InvalidSignature:
            raise Bad("the cosignature does not hold") from None
        found = max(found or 0, time_s)
    expect(found is not None, "this witness did not cosign it")
    return found


class Witness:
    """One that signs what it is given: whether that extends what it signed before is for check_log to say."""

    def __init__(self, name, key):
        self.name, self.key = name, key
        self.raw = b"\4" + key.public_key().public_bytes_raw() if hasattr(key.public_key(), "public_bytes_raw") else b"\4" + raw_public(key)
        self.key_id = sha(name.encode() + b"\n" + self.raw)[:4]

    def vkey(self):
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(self.raw).decode()}"

    def line(self, note, time_s, shown=None):
        signature = self.key.sign(f"cosignature/v1\ntime {time_s}\n{note_text(note)}".encode())
        said = self.key_id + (time_s if shown is None else shown).to_bytes(8, "big") + signature
        return f"— {self.name} {base64.b64encode(said).decode()}\n"

    def cosign(self, note, time_s):
        return note + self.line(note, time_s)


def raw_public(key):
    from cryptography.hazmat.primitives import serialization
    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


# ---- tiles (C2SP tlog-tiles) ----

class Files:
    """A folder, or a base address, of a published log."""

    def __init__(self, where):
        self.where, self.kept = where.rstrip("/"), {}

    def get(self, name):
        if name not in self.kept:
            self.kept[name] = self.fetch(name)
        return self.kept[name]

    def fetch(self, name):
        try:
            if self.where.startswith(("http://", "https://")):
                with urllib.request.urlopen(f"{self.where}/{name}", timeout=60) as r:
                    return r.read()
            with open(os.path.join(self.where, name), "rb") as f:
                return f.read()
        except (OSError, urllib.error.URLError) as e:
            raise Bad(f"{name} cannot be read: {e}") from None


def tile_name(kind, index, width):
    number = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        number = f"x{index % 1000:03d}/{number}"
    return f"tile/{kind}/{number}" + (f".p/{width}" if width < WIDTH else "")


class Log:
    """A log of a certain size, by its tiles."""

    def __init__(self, files, size):
        self.files, self.size = files, size

    def width(self, level, index):
        return min(WIDTH, (self.size >> 8 * level) - index * WIDTH)

    def tile(self, level, index):
        width = self.width(level, index)
        data = self.files.get(tile_name(level, index, width))
        expect(len(data) == 32 * width, f"tile {level}/{index} has {len(data)} bytes, not those of {width} hashes")
        return [data[i:i + 32] for i in range(0, len(data), 32)]

    def entries(self, index):
        data, out = self.files.get(tile_name("entries", index, self.width(0, index))), []
        while data:
            n = int.from_bytes(data[:2], "big")
            expect(len(data) >= 2 + n > 2, f"entries {index} is cut off")
            out.append(data[2:2 + n])
            data = data[2 + n:]
        expect(len(out) == self.width(0, index), f"entries {index} holds {len(out)} entries, not {self.width(0, index)}")
        return out

    def full(self, level, at):
        """Root of the full subtree number `at` of 2^level leaves."""
        tile_level, inside = divmod(level, 8)
        tile = self.tile(tile_level, (at << inside) // WIDTH)
        start = (at << inside) % WIDTH
        hashes = tile[start:start + (1 << inside)]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
        return hashes[0]

    def range_root(self, start, end):
        """MTH of the leaves from start to end, where start is where such a subtree can begin (RFC 9162 s2.1.1)."""
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self.full(level, start >> level)
        k = 1 << (count - 1).bit_length() - 1
        return node_hash(self.range_root(start, start + k), self.range_root(start + k, end))

    def root(self):
        return self.range_root(0, self.size) if self.size else sha(b"")

    def inclusion(self, index, start=0, end=None):
        """PATH of RFC 9162 s2.1.3.1."""
        end = self.size if end is None else end
        if end - start == 1:
            return []
        k = start + (1 << (end - start - 1).bit_length() - 1)
        if index < k:
            return self.inclusion(index, start, k) + [self.range_root(k, end)]
        return self.inclusion(index, k, end) + [self.range_root(start, k)]

    def consistency(self, old, start=0, end=None, whole=True):
        """SUBPROOF of RFC 9162 s2.1.4.1."""
        end = self.size if end is None else end
        if old == end:
            return [] if whole else [self.range_root(start, end)]
        k = start + (1 << (end - start - 1).bit_length() - 1)
        if old <= k:
            return self.consistency(old, start, k, whole) + [self.range_root(k, end)]
        return self.consistency(old, k, end, False) + [self.range_root(start, k)]


# ---- proofs (RFC 9162) ----

def inclusion_holds(size, root, index, leaf, proof):
    if index >= size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while fn & 1 == 0 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def consistency_holds(first, first_root, second, second_root, proof):
    if first == second:
        return not proof and first_root == second_root
    if first == 0 or first > second:
        return first == 0 and not proof
    if first & (first - 1) == 0:
        proof = [first_root, *proof]
    if not proof:
        return False
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = proof[0]
    for c in proof[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while fn & 1 == 0 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


# ---- a whole log ----

def check_entries(log):
    """Every entry is canonical JSON of a leaf and has the hash that tile 0 says; the tiles above are the roots of those below."""
    for i in range((log.size + WIDTH - 1) // WIDTH):
        hashes = log.tile(0, i)
        for k, entry in enumerate(log.entries(i)):
            expect(leaf_hash(entry) == hashes[k], f"leaf {i * WIDTH + k + 1} is not what its hash says")
            said = json.loads(entry)
            expect(set(said) == {"digest", "time_ms", "type"} and json.dumps(said, sort_keys=True, separators=(",", ":")).encode() == entry,
                   f"leaf {i * WIDTH + k + 1} is not written as leaves are")
    level = 1
    while log.size >> 8 * level:
        for i in range(((log.size >> 8 * level) + WIDTH - 1) // WIDTH):
            for k, h in enumerate(log.tile(level, i)):
                below = log.tile(level - 1, i * WIDTH + k)
                while len(below) > 1:
                    below = [node_hash(below[j], below[j + 1]) for j in range(0, len(below), 2)]
                expect(below[0] == h, f"tile {level}/{i}, hash {k} is not the root of the tile below")
        level += 1


def check_log(where, vkey, earlier=()):
    """The size of the log, all of which holds together. Bad: what does not."""
    files = Files(where)
    size, root = read_checkpoint(files.get("checkpoint").decode(), vkey)
    log = Log(files, size)
    check_entries(log)
    expect(log.root() == root, "the leaves do not lead to the checkpoint's root")
    for i in range(0, size, max(1, size // 500)):
        expect(inclusion_holds(size, root, i, leaf_hash(log.entries(i // WIDTH)[i % WIDTH]), log.inclusion(i)), f"leaf {i + 1} cannot be proved")
    for note in earlier:
        old, old_root = read_checkpoint(note, vkey)
        expect(old <= size, f"the log was cut: {old} leaves were signed, {size} are here")
        expect(old == 0 or consistency_holds(old, old_root, size, root, log.consistency(old)), f"the log is not the one that had {old} leaves before")
    return size


# ---- vectors ----

class Memory(Log):
    """A log of given leaf hashes, without files."""

    def __init__(self, hashes):
        super().__init__(None, len(hashes))
        self.hashes = hashes

    def full(self, level, at):
        hashes = self.hashes[at << level:at + 1 << level]
        while len(hashes) > 1:
            hashes = [node_hash(hashes[i], hashes[i + 1]) for i in range(0, len(hashes), 2)]
        return hashes[0]


def make():
    sizes = [1, 2, 3, 4, 7, 8, 11, 16, 31, 64, 70]
    hashes = [leaf_hash(b"entry %d" % i) for i in range(max(sizes))]
    logs = {n: Memory(hashes[:n]) for n in sizes}
    out = {"entries": "the bytes of 'entry N', N from 0", "roots": {str(n): logs[n].root().hex() for n in sizes}, "inclusion": [], "consistency": []}
    for n in sizes:
        for i in sorted({0, n // 2, n - 1}):
            out["inclusion"].append({"size": n, "index": i, "proof": [h.hex() for h in logs[n].inclusion(i)]})
        for old in sizes:
            if old <= n:
                out["consistency"].append({"old": old, "size": n, "proof": [h.hex() for h in logs[n].consistency(old)]})
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "tlog.json"), "w", encoding="ascii") as f:
        json.dump(out, f, indent=1)
        f.write("\n")


def main():
    if sys.argv[1:] == ["--make"]:
        make()
        return 0
    if len(sys.argv) < 3:
        print(__doc__.split("\n\n")[1], file=sys.stderr)
        return 2
    earlier, witnesses = [], []
    if "--witness" in sys.argv:
        at = sys.argv.index("--witness")
        sys.argv, witnesses = sys.argv[:at], sys.argv[at + 1:]
    for path in sys.argv[3:]:
        with open(path, encoding="utf-8") as f:
            earlier.append(f.read())
    try:
        if witnesses:
            earlier.append(Files(sys.argv[1]).get("witnessed").decode())
        for vkey in witnesses:
            check_cosignature(earlier[-1], vkey)
        size = check_log(sys.argv[1], sys.argv[2], earlier)
    except (Bad, ValueError) as e:
        print(f"NOT WHOLE: {e}")
        return 1
    print(f"whole: {size} leaves")
    return 0


if __name__ == "__main__":
    sys.exit(main())
