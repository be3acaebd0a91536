"""An independent reader of recordings: tarfile, age (harness/age.py), gzip, and a small WARC 1.1 parser. It shares nothing with the writer."""
import gzip
import io
import json
import tarfile
import zlib
from dataclasses import dataclass, field

from harness import age


@dataclass
class Record:
    """One WARC record (ISO 28500)."""
    fields: dict
    block: bytes
    member: str = ""

    @property
    def type(self):
        return self.fields.get("warc-type", "")


@dataclass
class Exchange:
    """What the recording holds of one exchange: HTTP texts with bodies joined over continuations."""
    key: str
    request: bytes = b""
    response: bytes = b""
    records: list = field(default_factory=list)

    @property
    def request_line(self):
        return self.request.split(b"\r\n", 1)[0].decode("latin-1")

    @property
    def response_body(self):
        return self.response.partition(b"\r\n\r\n")[2]

    @property
    def request_body(self):
        return self.request.partition(b"\r\n\r\n")[2]


def gzip_members(data):
    """Each gzip member by itself: a record must be readable alone (WARC annex D)."""
    while data:
        d = zlib.decompressobj(wbits=31)
        out = d.decompress(data) + d.flush()
        if not d.eof:
            raise ValueError("a gzip member is cut off")
        yield out
        data = d.unused_data


def parse_record(data, member):
    head, mark, rest = data.partition(b"\r\n\r\n")
    lines = head.decode("utf-8").split("\r\n")
    if not mark or lines[0] not in ("WARC/1.1", "WARC/1.0"):
        raise ValueError(f"{member}: not a WARC record: {lines[0]!r}")
    fields = {n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines[1:])}
    length = int(fields["content-length"])
    if len(rest) != length + 4 or rest[length:] != b"\r\n\r\n":
        raise ValueError(f"{member}: the record's length is wrong: {length} said, {len(rest)} there")
    for needed in ("warc-type", "warc-record-id", "warc-date"):
        if needed not in fields:
            raise ValueError(f"{member}: {needed} is missing")
    return Record(fields, rest[:length], member)


def whole_part(data):
    """The tar up to its last whole member: the gateway may be writing one at this moment, or have just made the file."""
    end = at = 0
    while at + 512 <= len(data) and data[at]:
        extended = data[at + 156:at + 157] == b"x"         # belongs to the member after it
        at += 512 + (int(data[at + 124:at + 135], 8) + 511) // 512 * 512
        if not extended and at <= len(data):
            end = at
    return data[:end] + bytes(1024)


def unsealed_members(data, key=age.AUDITORS[0]):
    """(name, gzip bytes) of each segment, opened with that auditor's key where it is sealed."""
    with tarfile.open(fileobj=io.BytesIO(whole_part(data)), mode="r:") as tar:
        for member in tar:
            if member.isfile() and member.name.endswith((".warc.gz", ".warc.gz.age")):
                content = tar.extractfile(member).read()
                yield member.name, age.open_file(content, key) if member.name.endswith(".age") else content


def read_tar(data, key=age.AUDITORS[0]):
    """All WARC records of a recording, in order."""
    return [parse_record(one, name) for name, content in unsealed_members(data, key) for one in gzip_members(content)]


def everything_readable(data):
    """The tar, and every byte that its members decompress to: to look for what must not be kept."""
    out = [data]
    for _, content in unsealed_members(data):
        out += [content, gzip.decompress(content)]
    return b"\0".join(out)


def exchanges(records):
    """Requests and responses put together: a record names its partner by WARC-Concurrent-To, a continuation its origin by
    WARC-Segment-Origin-ID. Returns them in the order of their first record."""
    by_id, found = {}, {}
    for r in records:
        rid = r.fields["warc-record-id"]
        root = r.fields.get("warc-segment-origin-id") or r.fields.get("warc-concurrent-to") or r.fields.get("warc-refers-to") or rid
        group = by_id.get(root) or by_id.get(rid)
        if group is None:
            group = found.setdefault(root, Exchange(root))
        by_id[rid] = by_id[root] = group
        group.records.append(r)
        kind = r.type
        if kind == "continuation":
            origin = next((x for x in group.records if x.fields["warc-record-id"] == r.fields.get("warc-segment-origin-id")), None)
            kind = origin.type if origin else ""
        if kind == "request":
            group.request += r.block
        elif kind == "response":
            group.response += r.block
    return [e for e in found.values() if e.request or e.response]


def index_lines(data, key=age.AUDITORS[0]):
    """[(name of the member, its first line, the other lines)] of each sealed index, as json."""
    found = []
    with tarfile.open(fileobj=io.BytesIO(whole_part(data)), mode="r:") as tar:
        for member in tar:
            if not member.name.endswith((".index.jsonl.gz", ".index.jsonl.gz.age")):
                continue
            content = tar.extractfile(member).read()
            text = gzip.decompress(age.open_file(content, key) if member.name.endswith(".age") else content)
            lines = [json.loads(line) for line in text.decode("ascii").splitlines()]
            found.append((member.name, lines[0], lines[1:]))
    return found
