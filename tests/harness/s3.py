"""Object storage that speaks as much of S3 as PUT and GET of objects need, on loopback with TLS: it checks each signature by itself (AWS Signature Version 4, from the specification) and never lets an object change."""
import base64
import datetime as dt
import hashlib
import hmac
import http.server
import os
import socketserver
import ssl
import sys
import threading
import traceback
from urllib.parse import unquote

from harness.receivers import server_certificate

KEY, SECRET, REGION, BUCKET = "AKIDCOUNTERSIGN", "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY", "eu-test-1", "evidence"


def signing_key(secret, day, region, service):
    key = ("AWS4" + secret).encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def fault(method, path, headers, body, secret=SECRET, now=None):
    """What is wrong with the signature; None: nothing. headers: [(name, value)] as they came."""
    fields = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(" ".join(value.split()))
    auth = fields.get("authorization", [""])[0]
    if not auth.startswith("AWS4-HMAC-SHA256 "):
        return "not signed"
    parts = dict(p.strip().split("=", 1) for p in auth[len("AWS4-HMAC-SHA256 "):].split(","))
    credential = parts["Credential"].split("/")
    signed = parts["SignedHeaders"].split(";")
    stamp = fields["x-amz-date"][0]
    content = fields["x-amz-content-sha256"][0]
    if credential != [KEY, stamp[:8], REGION, "s3", "aws4_request"]:
        return f"credential {credential}"
    if signed != sorted(signed) or "host" not in signed or any(n.startswith("x-amz-") and n not in signed for n in fields):
        return f"signed headers {signed}"
    if content != hashlib.sha256(body).hexdigest():
        return "the content's digest is wrong, or left out"
    at = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.timezone.utc)
    if abs(((now or dt.datetime.now(dt.timezone.utc)) - at).total_seconds()) > 900:
        return "the time is wrong"
    canonical = "\n".join([method, path, "", *(f"{n}:{','.join(fields[n])}" for n in signed), "", ";".join(signed), content])
    text = "\n".join(["AWS4-HMAC-SHA256", stamp, "/".join(credential[1:]), hashlib.sha256(canonical.encode()).hexdigest()])
    want = hmac.new(signing_key(secret, stamp[:8], REGION, "s3"), text.encode(), hashlib.sha256).hexdigest()
    return None if hmac.compare_digest(want, parts["Signature"]) else "the signature is wrong"


class Storage:
    """objects: {name below the bucket: bytes}. `behave(n, name)` may give a status to answer instead; faults: what was wrong with requests, in words."""

    def __init__(self, folder, host="storage.localhost", certificate_for=None):
        self.objects, self.faults, self.asked, self.behave, self.lock = {}, [], 0, lambda n, name: None, threading.Lock()
        self.read, self.read_faults, self.behave_read = 0, [], lambda n, name: None
        self.host = host
        self.ca, self.cert, self.key = server_certificate(folder, certificate_for or host, label="storage")
        self.port = 0
        self.begin()
        self.url = f"https://{host}:{self.port}/{BUCKET}/gateway-1"

    def begin(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if len(body) < int(self.headers["Content-Length"]):      # the sender died in the middle of it: nothing came
                    self.close_connection = True
                    return
                status, said = outer.take(self.path, self.headers.items(), body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def do_GET(self):
                status, said = outer.give(self.path, self.headers.items())
                self.send_response(status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_):
                if isinstance(sys.exc_info()[1], (ssl.SSLEOFError, ConnectionError)):
                    return                                               # likewise
                outer.faults.append(traceback.format_exc()[-300:])

        self.server = Server(("127.0.0.1", self.port), Handler)
        self.port = self.server.server_address[1]
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert, self.key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def take(self, path, headers, body):
        with self.lock:
            self.asked += 1
            n = self.asked
        name = unquote(path).removeprefix(f"/{BUCKET}/gateway-1/")
        instead = self.behave(n, name)
        if instead:
            return instead, b"<Error><Code>SlowDown</Code></Error>"
        wrong = fault("PUT", path, headers, body)
        checksum = dict((k.lower(), v) for k, v in headers).get("x-amz-checksum-sha256")
        if checksum != base64.b64encode(hashlib.sha256(body).digest()).decode():
            wrong = wrong or "the checksum is wrong"
        with self.lock:
            if name.startswith("recordings/") and self.objects.get(name, body) != body:
                wrong = f"{name} came with other bytes"
            if wrong:
                self.faults.append(wrong)
                return 403, f"<Error><Code>SignatureDoesNotMatch</Code><Message>{wrong}</Message></Error>".encode()
            self.objects[name] = body
        return 200, b""

    def give(self, path, headers):
        with self.lock:
            self.read += 1
            n = self.read
        name = unquote(path).removeprefix(f"/{BUCKET}/gateway-1/")
        instead = self.behave_read(n, name)
        if isinstance(instead, bytes):
            return 200, instead
        if instead:
            return instead, b"<Error><Code>SlowDown</Code></Error>"
        wrong = fault("GET", path, headers, b"")
        with self.lock:
            if wrong:
                self.read_faults.append(wrong)
                return 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>"
            return (200, self.objects[name]) if name in self.objects else (404, b"<Error><Code>NoSuchKey</Code></Error>")

    def recording(self, session):
        """What was copied of a session, put together as the documents say."""
        with self.lock:
            names = sorted(n for n in self.objects if n.startswith(f"recordings/{session}/"))
            if [os.path.basename(n) for n in names] != [f"{i + 1:06}.tar" for i in range(len(names))]:
                return b""
            return b"".join(self.objects[n] for n in names) + bytes(1024)

    def end(self):
        """Away: nothing listens."""
        self.server.shutdown()
        self.server.server_close()
