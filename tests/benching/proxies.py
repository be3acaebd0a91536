"""The proxies that are compared, and the origin behind all of them. Same certificates, same CA, TLS 1.3, upstream connections kept."""
import json
import os
import random
import time

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from benching import processes
from harness import config_text
from harness.certificates import b64url
from harness.config_text import SUPPORT
from harness.gateway import Gateway
from harness.people import Person, canonical, detached_jws

CONNECTIONS = 8000
MIB = 1 << 20

NGINX_HEAD = """daemon off; master_process on; worker_processes 1; worker_rlimit_nofile 18000; user {user};
pid {dir}/nginx.pid; error_log {dir}/error.log warn;
events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; server_tokens off; sendfile on; tcp_nopush on; types {{ }}
  default_type application/json; client_max_body_size 0; client_header_timeout 300s; client_body_timeout 300s; open_file_cache max=100;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
"""

NGINX_PROXY = """
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 256; keepalive_requests 1000000000; keepalive_time 1h; }}
  {auth_upstream}
  server {{
    listen 127.0.0.1:{port} ssl http2 backlog=8192;
    ssl_certificate {certificate}; ssl_certificate_key {key}; ssl_client_certificate {client_ca}; ssl_verify_client on;
    ssl_protocols TLSv1.3; ssl_session_tickets off; ssl_session_cache off; ssl_conf_command NumTickets 0;
    http2_max_concurrent_streams 256;
    location / {{
      {auth_request}
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0; proxy_request_buffering off;
    }}
    {auth_location}
  }}
}}
"""

AUTH_LOCATION = """location = /_authorize {
      internal; proxy_pass http://authorizer; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass_request_body off;
      proxy_set_header Content-Length "";
    }"""

HAPROXY = """global
  nbthread 1
  maxconn {connections}
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode http
  timeout connect 10s
  timeout client 600s
  timeout server 600s
  timeout http-keep-alive 600s
  timeout http-request 300s
frontend front
  bind 127.0.0.1:{port} backlog 8192 ssl crt {bundle} ca-file {client_ca} verify required alpn h2,http/1.1
  {check}
  default_backend back
backend back
  http-reuse always
  server origin 127.0.0.1:{origin}
"""

HAPROXY_CHECK = """http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_header_query('$.alg') -m str ES256 }}
  http-request deny deny_status 401 unless {{ http_auth_bearer,jwt_verify("ES256","{public}") -m int 1 }}"""


def write(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


class Origin:
    """nginx with answers of every size; `/json` is another body each time. PUT /up takes and stores a body."""

    def __init__(self, folder, down_bytes):
        self.dir, self.port, self.down_bytes = os.path.join(folder, "origin"), processes.free_port(), down_bytes
        files = os.path.join(self.dir, "files")
        os.makedirs(files)
        os.makedirs(self.dir + "/upload")
        source = random.Random(4711)       # the same bytes in every run; they don't compress
        for name, size in (("100", 100), ("10k", 10240), ("1m", MIB)):
            with open(os.path.join(files, name), "wb") as f:
                f.write(source.randbytes(size))
        with open(os.path.join(files, "down"), "wb") as f:
            for _ in range(down_bytes // MIB):
                f.write(source.randbytes(MIB))
        open(os.path.join(self.dir, "upload", "up"), "wb").close()
        pieces = [self.json_piece(source, 2040) for _ in range(5)]
        sets = "".join(f"set $p{i} '{p}'; " for i, p in enumerate(pieces))
        conf = NGINX_HEAD.format(dir=self.dir, user="root" if os.getuid() == 0 else "nobody") + f"""
  server {{
    listen 127.0.0.1:{self.port} backlog=8192; root {files};
    location = /json {{ {sets} return 200 '{{"id":"$request_id",$p0$p1$p2$p3$p4"end":0}}'; }}
    location = /up {{ root {self.dir}/upload; dav_methods PUT; client_body_buffer_size 256k; }}
  }}
}}
"""
        log = os.path.join(self.dir, "log")
        self.process = processes.start(["nginx", "-p", self.dir, "-c", write(self.dir + "/nginx.conf", conf)], processes.LOAD_CORE, log)
        processes.wait_port(self.port, self.process, log)

    @staticmethod
    def json_piece(source, size):
        text = ""
        while len(text) < size - 60:
            text += f'"customer-{source.randrange(10**6)}":"{source.choice(["open", "paid", "late"])} {source.randrange(10**9)}",'
        return text

    def stop(self):
        processes.stop(self.process)


class Proxy:
    """A running proxy: .port, .ca to trust, .pids() of all that belongs to it."""

    fields = ()

    def __init__(self, name):
        self.name, self.started = name, []

    def pids(self):
        return processes.tree(*(p.pid for p in self.started))

    def stop(self):
        for p in reversed(self.started):
            processes.stop(p)

    def launch(self, argv, log, port=None):
        self.started.append(processes.start(argv, processes.PROXY_CORE, log))
        if port:
            processes.wait_port(port, self.started[-1], log)


class Nginx(Proxy):
    def __init__(self, name, folder, origin, trust, token=None):
        super().__init__(name)
        here = os.path.join(folder, name)
        os.makedirs(here)
        auth = {"auth_upstream": "", "auth_request": "", "auth_location": ""}
        if token is not None:
            sock = os.path.join(here, "auth.sock")
            self.launch([os.path.join(os.environ["COUNTERSIGN_BUILD"], "cs_authorizer"), sock, token.public], here + "/auth.log")
            auth = {"auth_upstream": f"upstream authorizer {{ server unix:{sock}; keepalive 128; keepalive_requests 1000000000; keepalive_time 1h; }}",
                    "auth_request": "auth_request /_authorize;", "auth_location": AUTH_LOCATION}
            self.fields = (f"authorization: Bearer {token.text}",)
        self.port, self.ca = processes.free_port(), trust["server_root"]
        user = "root" if os.getuid() == 0 else "nobody"
        conf = NGINX_HEAD.format(dir=here, user=user) + NGINX_PROXY.format(port=self.port, origin=origin.port, **auth, **trust)
        self.launch(["nginx", "-p", here, "-c", write(here + "/nginx.conf", conf)], here + "/log", self.port)


class Haproxy(Proxy):
    def __init__(self, name, folder, origin, trust, token=None):
        super().__init__(name)
        here = os.path.join(folder, name)
        os.makedirs(here)
        with open(trust["certificate"], encoding="ascii") as c, open(trust["key"], encoding="ascii") as k:
            bundle = write(here + "/server.pem", c.read() + k.read())
        self.port, self.ca = processes.free_port(), trust["server_root"]
        self.fields = (f"authorization: Bearer {token.text}",) if token else ()
        conf = HAPROXY.format(port=self.port, origin=origin.port, bundle=bundle, client_ca=trust["client_ca"], connections=CONNECTIONS,
                              check=HAPROXY_CHECK.format(public=token.public) if token else "")
        self.launch(["haproxy", "-db", "-f", write(here + "/haproxy.cfg", conf)], here + "/log", self.port)


class Countersign(Proxy):
    """The whole gateway, parent, proxy and authz, with policy, a grant that bob approved, and recording: full, metadata or off."""

    def __init__(self, name, origin, extra="", record="full"):
        super().__init__(name)
        self.record = record
        self.gateway = Gateway(origin, build=os.environ["COUNTERSIGN_BUILD"], start=False, change=lambda c: self.change(c, origin))
        self.extra = extra
        self.port, self.ca = self.gateway.port, self.gateway.ca

    def change(self, config, origin):
        config["workers"] = 1
        actions = [config_text.action("use", "/**"), config_text.action("export", "/export/**", "signoff")]
        if self.record == "off":          # for named files only, so each path that the cases ask for is one
            actions[:0] = [config_text.action("file-" + name, "/" + name, methods=["GET", "HEAD"], record="off") for name in ("100", "10k", "1m", "json", "down")]
        more = {"record": "metadata"} if self.record == "metadata" else {}
        config["tools"] = [config_text.tool("support", SUPPORT, origin.port, actions, max_duration="1h", **more)]
        # One person at one address asks for all of it: shares of persons and sources must not stand in the way.
        config["limits"] = {"connections": CONNECTIONS, "connections_per_source": CONNECTIONS, "connections_per_person": CONNECTIONS,
                            "handshakes": CONNECTIONS, "handshakes_per_source": CONNECTIONS, "handshakes_per_second": 1000000,
                            "exchanges_per_person": CONNECTIONS, "body_bytes_per_person": "1024MiB", "head": "300s", "idle": "600s", "streams": 256}

    def run(self):
        if self.extra:
            tool = self.gateway.config["tools"][0]
            name, _, value = self.extra.rstrip("; ").partition("=")
            tool[name.strip()] = json.loads(value)
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {processes.PROXY_CORE})
        try:
            self.gateway.start(wait=False)
        finally:
            os.sched_setaffinity(0, mine)
        self.gateway.wait_ready()
        self.started = [self.gateway.process]
        self.grant()

    def grant(self):
        alice, bob = self.gateway.person("alice"), self.gateway.person("bob")
        asked = alice.ask(reason="tests/bench", duration_s=3600)
        if asked.status not in (200, 201):
            raise RuntimeError(f"asking for a grant: {asked.status} {asked.body[:300]!r}")
        answer = bob.decide(bob.pending()[0]["id"])
        end = time.monotonic() + 20
        while alice.get("/100").status != 200:
            if time.monotonic() > end:
                raise RuntimeError(f"no grant: bob's yes was answered {answer.status} {answer.body[:300]!r}")
            time.sleep(0.1)

    def trust(self):
        """Everybody's certificates are this gateway's."""
        state = self.gateway.state
        files = {k: os.path.join(state, v) for k, v in self.gateway.config["tls"].items()}
        return {"certificate": files["certificate"], "key": files["key"], "client_ca": files["client_ca"], "server_root": self.ca}

    def stop(self):
        complaint = self.gateway.stop()
        if complaint:
            print(f"bench: {self.name}: {complaint}; log {self.gateway.log_path}")


class Laden(Countersign):
    """Countersign with so many tools, rules and grants, all of them valid, metadata recorded; most rules are of the tool that is asked."""

    def __init__(self, name, origin, tools, rules, grants):
        self.tools, self.rules, self.grants = tools, rules, grants
        super().__init__(name, origin, record="metadata")

    def others(self):
        return [f"other{i:04}" for i in range(1, self.tools)]

    def askers(self):
        return [f"asker{i:02}" for i in range(max(1, -(-self.grants // max(1, self.tools - 1))))]

    def change(self, config, origin):
        super().change(config, origin)
        support = config["tools"][0]
        more = self.rules - (self.tools - 1) - len(support["actions"])
        support["actions"] += [config_text.action(f"rule{i:04}", f"/area{i % 50}/rule{i:04}/**", "grant" if i % 2 else "signoff") for i in range(more)]
        config["tools"] += [config_text.tool(n, f"{n}.{config_text.DOMAIN}", origin.port, [config_text.action("use", "/**")], max_duration="1h") for n in self.others()]
        config["people"] += [{"name": n, "identities": [f"{n}@{config_text.DOMAIN}"], "groups": ["support"]} for n in self.askers()]

    def grant(self):
        super().grant()
        bob = self.gateway.person("bob")
        left = self.grants - 1
        with bob.h1(config_text.CONSOLE) as yes:
            for name in self.askers():
                cred = self.gateway.issue_person(f"{name}@{config_text.DOMAIN}", name)
                with Person(self.gateway, name, cred).h1(config_text.CONSOLE) as asks:
                    for tool in self.others()[:left]:
                        self.one_grant(asks, yes, bob.cred, tool)
                        left -= 1

    @staticmethod
    def one_grant(asks, yes, cred, tool):
        def call(c, path, body):
            r = c.request("POST", path, [("Content-Type", "application/json")], json.dumps(body).encode())
            if r.status not in (200, 201):
                raise RuntimeError(f"{path}: {r.status} {r.body[:300]!r}")
            return r.json()
        asked = call(asks, "/api/v1/requests", {"tool": tool, "reason": "tests/bench", "duration_s": 3600})["request"]["id"]
        statement = call(yes, f"/api/v1/items/{asked}/statement", {"decision": "approve", "key": cred.fingerprint()})["statement"]
        call(yes, "/api/v1/decisions", {"statement_id": statement["id"], "jws": detached_jws(cred.private_key(), cred.fingerprint(), canonical(statement))})


class Token:
    """An ES256 JWT of an hour, for the two that verify one with every request."""

    def __init__(self, folder):
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        self.public = write(os.path.join(folder, "jwt-public.pem"), public.decode())
        now = int(time.time())
        claims = {"iss": "bench", "sub": "alice@test.localhost", "aud": "support", "iat": now, "exp": now + 3600, "jti": "1", "tool": "support"}
        signed = b64url(b'{"alg":"ES256","typ":"JWT"}') + "." + b64url(json.dumps(claims).encode())
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        self.text = signed + "." + b64url(r.to_bytes(32, "big") + s.to_bytes(32, "big"))
