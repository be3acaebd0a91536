"""A checker of WACZ files, written from the specification (WACZ 1.1.1, CDXJ, ISO 28500) with Python's own zipfile: every complaint as a line of text."""
import gzip
import hashlib
import io
import json
import re
import zipfile

from harness.recording import gzip_members, parse_record


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def package_complaints(z):
    package = json.loads(z.read("datapackage.json"))
    for needed, wanted in (("profile", "data-package"), ("wacz_version", "1.1.1")):
        if package.get(needed) != wanted:
            yield f"datapackage.json: {needed} is {package.get(needed)!r}"
    if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", package.get("created", "")):
        yield "datapackage.json: created is no time"
    listed = {r["path"]: r for r in package["resources"]}
    there = {n for n in z.namelist() if not n.startswith("datapackage")}
    if set(listed) != there:
        yield f"resources {sorted(listed)} are not the files {sorted(there)}"
    for path, r in listed.items():
        data = z.read(path)
        if r["bytes"] != len(data) or r["hash"] != sha256(data) or r["name"] != path.split("/")[-1]:
            yield f"{path}: name, size or digest is wrong"
    digest = json.loads(z.read("datapackage-digest.json"))
    if digest != {"path": "datapackage.json", "hash": sha256(z.read("datapackage.json"))}:
        yield "datapackage-digest.json is wrong"


def index_complaints(z, seen):
    lines = z.read("indexes/index.cdx").decode().splitlines()
    if lines != sorted(lines):
        yield "the index is not sorted"
    for line in lines:
        key, when, facts = line.split(" ", 2)
        facts = json.loads(facts)
        at, length = int(facts["offset"]), int(facts["length"])
        data = z.read("archive/" + facts["filename"])[at:at + length]
        members = list(gzip_members(data))
        record = parse_record(members[0], line[:60])
        head, _, body = record.block.partition(b"\r\n\r\n")
        host, _, path = re.fullmatch(r"https://([^/:]+)(:\d+)?(/.*)", facts["url"]).groups()
        wanted = ",".join(reversed(host.split("."))) + (re.search(r":\d+", facts["url"][8:]) or [""])[0] + ")" + path.lower()
        if len(members) != 1 or record.type != "response" or record.fields["warc-target-uri"] != facts["url"]:
            yield f"{line[:80]}: does not lead to its record"
        if key != wanted or when != re.sub(r"\D", "", record.fields["warc-date"])[:14]:
            yield f"{line[:80]}: key or time is wrong: {wanted}"
        if facts["digest"] != sha256(body) or head.split(b" ")[1].decode() != facts["status"]:
            yield f"{line[:80]}: digest or status is wrong"
        seen.append(facts)


def page_complaints(z, seen):
    first, *pages = [json.loads(line) for line in z.read("pages/pages.jsonl").decode().splitlines()]
    if first.get("format") != "json-pages-1.0" or not first.get("id"):
        yield "pages.jsonl: its first line is not a header"
    urls = {f["url"] for f in seen}
    for p in pages:
        if p["url"] not in urls or not {"id", "ts", "title"} <= set(p):
            yield f"page {p['url']}: not in the index, or incomplete"


def check(data):
    """(complaints, facts of the index, records)"""
    seen = []
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        bad = z.testzip()
        complaints = [f"{bad}: damaged"] if bad else []
        complaints += [f"{i.filename}: not stored" for i in z.infolist() if i.compress_type != zipfile.ZIP_STORED]
        complaints += [*package_complaints(z), *index_complaints(z, seen), *page_complaints(z, seen)]
        warc = z.read("archive/data.warc.gz")
    records = [parse_record(one, "data.warc.gz") for one in gzip_members(warc)]
    assert gzip.decompress(warc)
    return complaints, seen, records
