"""Who gets notices: an HTTPS webhook and an SMTP server with TLS, on loopback, that behave as a test says. Real sockets, the standard library's TLS."""
import base64
import email
import hashlib
import hmac
import http.server
import json
import os
import re
import socket
import socketserver
import ssl
import threading
import time

from harness.certificates import Authority, key_pem, write_pem
from harness.people import wait_until

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
import datetime as dt

SECRET = "0123456789abcdef0123456789abcdef"


def server_certificate(folder, name="hooks.localhost", authority=None, label="receiver"):
    """(CA file, certificate, key) for a server of that name."""
    authority = authority or Authority.new("receivers")
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(authority.cert.subject).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - dt.timedelta(days=1)).not_valid_after(now + dt.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), True)
            .add_extension(x509.BasicConstraints(False, None), True)
            .sign(authority.key, hashes.SHA256()))
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, f"{label}-{n}") for n in ("ca.pem", "cert.pem", "key.pem")]
    write_pem(paths[0], authority.cert.public_bytes(serialization.Encoding.PEM))
    write_pem(paths[1], cert.public_bytes(serialization.Encoding.PEM))
    write_pem(paths[2], key_pem(key))
    return paths


def verify(secret, headers, body, now=None, window_s=300):
    """What a receiver does (proxy/courier/README.md): True if the request is the gateway's, and fresh."""
    parts = dict(p.split("=", 1) for p in headers["Countersign-Signature"].split(","))
    mac = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(mac, parts["v1"]) and abs((now or time.time()) - int(parts["t"])) <= window_s


class Webhook:
    """`behave(n, body)` decides the n-th answer: a status, or (status, headers, body), or a function of the handler; "hang" says nothing until the end."""

    def __init__(self, folder, name="hooks.localhost", tls=True, authority=None, certificate_for=None):
        self.got, self.lock, self.behave, self.stopping = [], threading.Lock(), lambda n, body: 200, threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with outer.lock:
                    n = len(outer.got)
                    outer.got.append((dict(self.headers), body, self.path))
                answer = outer.behave(n, body)
                if answer == "hang":
                    outer.stopping.wait(60)
                    self.close_connection = True
                    return
                if callable(answer):
                    answer(self)
                    self.close_connection = True
                    return
                status, headers, content = answer if isinstance(answer, tuple) else (answer, {}, b"")
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass

            def get_request(self):
                s, a = super().get_request()
                s.settimeout(30)
                return s, a

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.ca = None
        if tls:
            self.ca, cert, key = server_certificate(folder, certificate_for or name, authority, f"hook-{self.port}")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(cert, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}/in?k=1"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def bodies(self):
        with self.lock:
            return [json.loads(b) for _, b, _ in self.got]

    def events(self):
        return [b.get("event") for b in self.bodies()]

    def wait_for(self, event, seconds=60, count=1):
        found = wait_until(lambda: (f := [b for b in self.bodies() if b.get("event") == event]) and len(f) >= count and f, seconds, f"{count} of {event}")
        return found[-1]

    def close(self):
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()


class Mailbox:
    """An SMTP server (RFC 5321): implicit TLS, or STARTTLS. Keeps (sender, [recipients], message). `refuse` names addresses it does not take."""

    def __init__(self, folder, implicit=True, starttls=True, name="mail.localhost", login=None, certificate_for=None, refuse=()):
        self.got, self.lock, self.implicit, self.starttls, self.login, self.refuse = [], threading.Lock(), implicit, starttls, login, set(refuse)
        self.clear_lines, self.data_answer = [], "250 taken"
        self.ca, cert, key = server_certificate(folder, certificate_for or name, None, f"mail-{id(self)}")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(cert, key)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"{'smtps' if implicit else 'smtp'}://{name}:{self.port}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk_safely, args=(s,), daemon=True).start()

    def talk_safely(self, s):
        s.settimeout(30)
        try:
            if self.implicit:
                s = self.context.wrap_socket(s, server_side=True)
            self.talk(s)
        except (OSError, ValueError):
            pass
        finally:
            s.close()

    def talk(self, s):
        f, tls, authed = s.makefile("rwb", 0), self.implicit, False
        sender, to = None, []

        def say(line):
            f.write(line.encode() + b"\r\n")
        say("220 mail.localhost ESMTP")
        while line := f.readline():
            text = line.decode("latin-1").rstrip("\r\n")
            verb = text.split(" ")[0].upper()
            if not tls:
                self.clear_lines.append(text)
            if verb == "EHLO":
                more = ["AUTH PLAIN"] if self.login and tls else []
                more += ["STARTTLS"] if self.starttls and not tls else []
                for m in more:
                    say("250-" + m)
                say("250 8BITMIME")
            elif verb == "STARTTLS" and self.starttls and not tls:
                say("220 go")
                s = self.context.wrap_socket(s, server_side=True)
                f, tls = s.makefile("rwb", 0), True
            elif verb == "AUTH":
                parts = text.split(" ")
                if len(parts) < 3:
                    say("334 ")
                    parts.append(f.readline().decode().strip())
                authed = base64.b64decode(parts[2]).decode().split("\0")[1:] == list(self.login)
                say("235 in" if authed else "535 no")
            elif verb == "MAIL":
                if self.login and not authed:
                    say("530 log in first")
                    continue
                sender, to = re.search(r"<(.*?)>", text)[1], []
                say("250 ok")
            elif verb == "RCPT":
                address = re.search(r"<(.*?)>", text)[1]
                if address in self.refuse:
                    say("550 nobody of that name")
                else:
                    to.append(address)
                    say("250 ok")
            elif verb == "DATA":
                if not to:
                    say("554 nobody to give it to")
                    continue
                say("354 go on")
                lines = []
                while (line := f.readline()) and line != b".\r\n":
                    lines.append(line[1:] if line.startswith(b"..") else line)
                with self.lock:
                    if self.data_answer.startswith("250"):
                        self.got.append((sender, to, b"".join(lines)))
                say(self.data_answer)
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")

    def messages(self):
        with self.lock:
            return [(a, b, email.message_from_bytes(m)) for a, b, m in self.got]

    def wait_for(self, words, seconds=60):
        """The first message whose subject holds these words: (sender, recipients, message)."""
        return wait_until(lambda: next((m for m in self.messages() if words in (m[2]["Subject"] or "")), None), seconds, f"a mail about {words}")

    def close(self):
        self.listener.close()
