"""Hostile framings for test_framings: bytes of HTTP/1.1, and HTTP/2 requests that an HTTP/1.1 tool could misread.

A value is (what is sent, what may come of it): REFUSED; or the one reading (method, target, body) in which it may be passed on, if at all."""
H = "Host: support.test.localhost:PORT\r\n"
SECOND = "GET /smuggled HTTP/1.1\r\n" + H + "\r\n"
REFUSED = None
GET, ABCD = ("GET", "/a", b""), ("POST", "/a", b"abcd")
CHUNKED = "POST /a HTTP/1.1\r\n" + H + "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(line, target="/a"):
    return f"GET {target} HTTP/1.1\r\n{H}{line}\r\n"


def sized(length, body="abcd", more=""):
    return f"POST /a HTTP/1.1\r\n{H}Content-Type: text/plain\r\n{more}Content-Length:{length}\r\n\r\n{body}"


def coded(value, body="4\r\nabcd\r\n0\r\n\r\n"):
    return f"POST /a HTTP/1.1\r\n{H}Content-Type: text/plain\r\nTransfer-Encoding:{value}\r\n\r\n{body}"


H1 = {
    # lengths
    "length: with leading zeros": (sized(" 0004"), ABCD),
    "length: tabs and spaces around it": (sized("\t 4 \t"), "maybe"),
    "length: no space": (sized("4"), ABCD),
    "length: a comma behind": (sized(" 4,"), REFUSED), "length: a comma before": (sized(" ,4"), REFUSED), "length: a semicolon": (sized(" 4;"), REFUSED),
    "length: a fraction": (sized(" 4.0"), REFUSED), "length: an exponent": (sized(" 4e0"), REFUSED), "length: a vertical tab": (sized(" \x0b4"), REFUSED),
    "length: a form feed behind": (sized(" 4\x0c"), REFUSED), "length: a no-break space": (sized(" \xa04"), REFUSED), "length: an underscore": (sized(" 1_0"), REFUSED),
    "length: octal with a letter": (sized(" 0o4"), REFUSED), "length: quoted": (sized(' "4"'), REFUSED), "length: minus zero": (sized(" -0", ""), REFUSED),
    "length: 2^64-1": (sized(" 18446744073709551615"), REFUSED), "length: 2^64": (sized(" 18446744073709551616", ""), REFUSED),
    "length: 2^64+4": (sized(" 18446744073709551620"), REFUSED), "length: 2^63": (sized(" 9223372036854775808"), REFUSED),
    "length: forty digits": (sized(" " + "1" * 40), REFUSED), "length: a thousand zeros and 4": (sized(" " + "0" * 1000 + "4"), ABCD),
    "length: twice in different cases": (sized(" 4", more="content-length: 4\r\n"), REFUSED),
    "length: the second with another value and case": (sized(" 4", more="CONTENT-LENGTH: 60\r\n"), REFUSED),
    "length: a look-alike with an underscore": (sized(" 4", more="Content_Length: 60\r\n"), ABCD),
    "length: a look-alike with a dot": (sized(" 4", more="Content.Length: 60\r\n"), ABCD),
    "length: a NUL inside": (sized(" 4\x00"), REFUSED), "length: words": (sized(" four"), REFUSED),
    "length: on a GET": (f"GET /a HTTP/1.1\r\n{H}Content-Length: 4\r\n\r\nabcd", ("GET", "/a", b"abcd")),
    "length: shorter than what follows": (sized(" 4", "abcd" + SECOND), "pipelined"),
    "length: a name cut by CR": (f"POST /a HTTP/1.1\r\n{H}Content-\rLength: 4\r\n\r\nabcd", REFUSED),
    "length: folded": (f"POST /a HTTP/1.1\r\n{H}Content-Length:\r\n 4\r\n\r\nabcd", REFUSED),
    "length: the name folded": (f"POST /a HTTP/1.1\r\n{H}Content-Length\r\n : 4\r\n\r\nabcd", REFUSED),
    # transfer codings
    "coding: mixed case": (coded(" cHuNkEd"), ABCD), "coding: tabs around it": (coded("\tchunked\t"), ABCD),
    "coding: twice in a list": (coded(" chunked, chunked"), REFUSED), "coding: with a parameter": (coded(" chunked;q=1"), REFUSED),
    "coding: a comma before": (coded(" ,chunked"), REFUSED), "coding: a comma behind": (coded(" chunked,"), REFUSED), "coding: empty": (coded(""), REFUSED),
    "coding: a NUL": (coded(" chunked\x00"), REFUSED), "coding: a no-break space": (coded(" \xa0chunked"), REFUSED), "coding: single quotes": (coded(" 'chunked'"), REFUSED),
    "coding: a backspace": (coded(" chunked\x08"), REFUSED), "coding: another letter": (coded(" chun\xc7ed"), REFUSED), "coding: deflate": (coded(" deflate"), REFUSED),
    "coding: chunked, gzip": (coded(" chunked, gzip"), REFUSED), "coding: cow": (coded(" cow"), REFUSED), "coding: x-chunked": (coded(" x-chunked"), REFUSED),
    "coding: identity in a second field": (coded(" chunked\r\nTransfer-Encoding: identity"), REFUSED),
    "coding: an empty second field": (coded(" chunked\r\nTransfer-Encoding:"), REFUSED),
    "coding: a look-alike with an underscore": (f"POST /a HTTP/1.1\r\n{H}Transfer_Encoding: chunked\r\nContent-Length: 4\r\n\r\nabcd", ABCD),
    "coding: a vertical tab before the colon": (f"POST /a HTTP/1.1\r\n{H}Transfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "coding: on a GET": (f"GET /a HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", ("GET", "/a", b"abcd")),
    "coding: the name behind a NUL": (f"POST /a HTTP/1.1\r\n{H}\x00Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", REFUSED),
    "coding: in TE": (f"POST /a HTTP/1.1\r\n{H}TE: chunked\r\nContent-Length: 4\r\n\r\nabcd", REFUSED),
    "coding: with a length of 0": (f"POST /a HTTP/1.1\r\n{H}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n", REFUSED),
    # chunks
    "chunk: leading zeros": (CHUNKED + "0004\r\nabcd\r\n000\r\n\r\n", ABCD), "chunk: sixteen zeros and 4": (CHUNKED + "0" * 16 + "4\r\nabcd\r\n0\r\n\r\n", "maybe"),
    "chunk: a space behind the size": (CHUNKED + "4 \r\nabcd\r\n0\r\n\r\n", "maybe"), "chunk: a tab behind the size": (CHUNKED + "4\t\r\nabcd\r\n0\r\n\r\n", "maybe"),
    "chunk: an empty extension": (CHUNKED + "4;\r\nabcd\r\n0\r\n\r\n", "maybe"), "chunk: an extension": (CHUNKED + "4;a\r\nabcd\r\n0\r\n\r\n", ABCD),
    "chunk: a quoted CRLF in an extension": (CHUNKED + '4;a="\r\n"\r\nabcd\r\n0\r\n\r\n', REFUSED), "chunk: LF in an extension": (CHUNKED + "4;a\nb\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: CR in an extension": (CHUNKED + "4;a\rb\r\nabcd\r\n0\r\n\r\n", REFUSED), "chunk: NUL in an extension": (CHUNKED + "4;a\x00\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: LF CR in an extension": (CHUNKED + "4;\n\r\nabcd\r\n0\r\n\r\n", REFUSED), "chunk: minus": (CHUNKED + "-4\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: an underscore": (CHUNKED + "4_\r\nabcd\r\n0\r\n\r\n", REFUSED), "chunk: no size": (CHUNKED + "\r\nabcd\r\n0\r\n\r\n", REFUSED), "chunk: g": (CHUNKED + "g\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: more data than said": (CHUNKED + "4\r\nabcde\r\n0\r\n\r\n", REFUSED), "chunk: less data than said": (CHUNKED + "5\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: ends with LF": (CHUNKED + "4\r\nabcd\n0\r\n\r\n", REFUSED), "chunk: ends with CR": (CHUNKED + "4\r\nabcd\r0\r\n\r\n", REFUSED), "chunk: size ends with CR CR LF": (CHUNKED + "4\r\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: 2^32+4": (CHUNKED + "100000004\r\nabcd\r\n0\r\n\r\n", REFUSED), "chunk: 2^63": (CHUNKED + "8000000000000000\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: 2^64-1": (CHUNKED + "ffffffffffffffff\r\nabcd\r\n0\r\n\r\n", REFUSED), "chunk: 2^64+4": (CHUNKED + "10000000000000004\r\nabcd\r\n0\r\n\r\n", REFUSED),
    "chunk: 0x0 at the end": (CHUNKED + "4\r\nabcd\r\n0x0\r\n\r\n", REFUSED), "chunk: the last one ends with LF": (CHUNKED + "4\r\nabcd\r\n0\n\r\n", REFUSED),
    "chunk: the end is LF": (CHUNKED + "4\r\nabcd\r\n0\r\n\n", REFUSED), "chunk: a last one with a space before": (CHUNKED + "4\r\nabcd\r\n 0\r\n\r\n", REFUSED),
    "chunk: a quoted extension": (CHUNKED + '4;a="b;c"\r\nabcd\r\n0\r\n\r\n', "maybe"), "chunk: extensions of 20 KB": (CHUNKED + ("1;" + "x" * 200 + "\r\na\r\n") * 100 + "0\r\n\r\n", "maybe"),
    "chunk: ten thousand of one byte": (CHUNKED + "1\r\na\r\n" * 10000 + "0\r\n\r\n", ("POST", "/a", b"a" * 10000)),
    "chunk: a request in the data": (CHUNKED + f"{len(SECOND.replace('PORT', '12345')):x}\r\n{SECOND.replace('PORT', '12345')}\r\n0\r\n\r\n", ("POST", "/a", SECOND.replace("PORT", "12345").encode())),
    "chunk: a request behind the last": (CHUNKED + "4\r\nabcd\r\n0\r\n\r\n" + SECOND, "pipelined"),
    "trailer: a space before the colon": (CHUNKED + "4\r\nabcd\r\n0\r\nX : y\r\n\r\n", REFUSED), "trailer: folded": (CHUNKED + "4\r\nabcd\r\n0\r\nX: y\r\n z\r\n\r\n", REFUSED),
    "trailer: bare LF": (CHUNKED + "4\r\nabcd\r\n0\r\nX: y\nZ: a\r\n\r\n", REFUSED), "trailer: no colon": (CHUNKED + "4\r\nabcd\r\n0\r\nGET /smuggled HTTP/1.1\r\n\r\n", REFUSED),
    "trailer: NUL": (CHUNKED + "4\r\nabcd\r\n0\r\nX: \x00\r\n\r\n", REFUSED), "trailer: transfer-encoding": (CHUNKED + "4\r\nabcd\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n", "maybe"),
    "trailer: authorization": (CHUNKED + "4\r\nabcd\r\n0\r\nAuthorization: Basic eA==\r\n\r\n", "maybe"), "trailer: client-cert": (CHUNKED + "4\r\nabcd\r\n0\r\nClient-Cert: :AA==:\r\n\r\n", "maybe"),
    "trailer: cookie": (CHUNKED + "4\r\nabcd\r\n0\r\nCookie: a=b\r\n\r\n", "maybe"), "trailer: a thousand": (CHUNKED + "4\r\nabcd\r\n0\r\n" + "X: y\r\n" * 1000 + "\r\n", REFUSED),
    # request lines
    "line: a vertical tab behind": (f"GET /a HTTP/1.1\x0b\r\n{H}\r\n", REFUSED), "line: a vertical tab inside": (f"GET\x0b/a HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: NUL in the target": (f"GET /a\x00 HTTP/1.1\r\n{H}\r\n", REFUSED), "line: CR CR LF": (f"GET /a HTTP/1.1\r\r\n{H}\r\n", REFUSED), "line: LF first": (f"\nGET /a HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: many empty lines first": ("\r\n" * 50 + f"GET /a HTTP/1.1\r\n{H}\r\n", REFUSED), "line: a fragment": (f"GET /a#b HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: no slash": (f"GET a HTTP/1.1\r\n{H}\r\n", REFUSED), "line: another authority behind two slashes": (f"GET //evil.example/a HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: scheme http": (f"GET http://support.test.localhost:PORT/a HTTP/1.1\r\n{H}\r\n", REFUSED), "line: no authority": (f"GET https:///a HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: userinfo": (f"GET https://support.test.localhost:PORT@evil.example/a HTTP/1.1\r\n{H}\r\n", REFUSED), "line: another port": (f"GET https://support.test.localhost:1/a HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: a space in the target": (f"GET /a b HTTP/1.1\r\n{H}\r\n", REFUSED), "line: a byte above 127": (f"GET /a\xe9 HTTP/1.1\r\n{H}\r\n", REFUSED), "line: twice the version": (f"GET /a HTTP/1.1 HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: HTTPS/1.1": (f"GET /a HTTPS/1.1\r\n{H}\r\n", REFUSED), "line: HTTP/01.1": (f"GET /a HTTP/01.1\r\n{H}\r\n", REFUSED), "line: HTTP/1.01": (f"GET /a HTTP/1.01\r\n{H}\r\n", REFUSED),
    "line: HTTP/1.": (f"GET /a HTTP/1.\r\n{H}\r\n", REFUSED), "line: HTTP/0.9": (f"GET /a HTTP/0.9\r\n{H}\r\n", REFUSED), "line: HTTP/3.0": (f"GET /a HTTP/3.0\r\n{H}\r\n", REFUSED), "line: ICY": (f"GET /a ICY/1.1\r\n{H}\r\n", REFUSED),
    "line: a method of 10 KB": ("G" * 10000 + f" /a HTTP/1.1\r\n{H}\r\n", REFUSED), "line: a target of 40 KB": (f"GET /{'a' * 40000} HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: encoded CRLF": (f"GET /a%0d%0aX:%20y HTTP/1.1\r\n{H}\r\n", "maybe"), "line: encoded NUL": (f"GET /a%00 HTTP/1.1\r\n{H}\r\n", REFUSED), "line: a percent that escapes nothing": (f"GET /a%zz HTTP/1.1\r\n{H}\r\n", ("GET", "/a%25zz", b"")), "line: an escape of old scripts": (f"GET /a%u0065 HTTP/1.1\r\n{H}\r\n", REFUSED),
    "line: an empty method": (f" /a HTTP/1.1\r\n{H}\r\n", REFUSED), "line: an asterisk for OPTIONS": (f"OPTIONS * HTTP/1.1\r\n{H}\r\n", "maybe"), "line: HTTP/1.0 with keep-alive": (f"GET /a HTTP/1.0\r\n{H}Connection: keep-alive\r\n\r\n", GET),
    # hosts
    "host: a trailing dot": ("GET /a HTTP/1.1\r\nHost: support.test.localhost.:PORT\r\n\r\n", "maybe"), "host: two ports": ("GET /a HTTP/1.1\r\nHost: support.test.localhost:PORT:1\r\n\r\n", REFUSED),
    "host: port 65536": ("GET /a HTTP/1.1\r\nHost: support.test.localhost:65536\r\n\r\n", REFUSED), "host: a port with a sign": ("GET /a HTTP/1.1\r\nHost: support.test.localhost:+PORT\r\n\r\n", REFUSED),
    "host: a tab inside": ("GET /a HTTP/1.1\r\nHost: support.test.\tlocalhost:PORT\r\n\r\n", REFUSED), "host: a percent escape": ("GET /a HTTP/1.1\r\nHost: %73upport.test.localhost:PORT\r\n\r\n", REFUSED),
    "host: a backslash": ("GET /a HTTP/1.1\r\nHost: support.test.localhost:PORT\\@evil\r\n\r\n", REFUSED), "host: a query": ("GET /a HTTP/1.1\r\nHost: support.test.localhost:PORT?x\r\n\r\n", REFUSED),
    "host: an open bracket": ("GET /a HTTP/1.1\r\nHost: [::1\r\n\r\n", REFUSED), "host: upper case": ("GET /a HTTP/1.1\r\nHost: Support.Test.LOCALHOST:PORT\r\n\r\n", GET),
    "host: a space before the colon": ("GET /a HTTP/1.1\r\nHost : support.test.localhost:PORT\r\n\r\n", REFUSED), "host: the second one folded": (f"GET /a HTTP/1.1\r\n{H} Host: x\r\n\r\n", REFUSED),
    "host: of absolute-form and another Host": ("GET https://support.test.localhost:PORT/a HTTP/1.1\r\nHost: billing.test.localhost\r\n\r\n", REFUSED),
    # connection, upgrade, expect
    "connection: names content-length": (sized(" 4", more="Connection: Content-Length\r\n"), "maybe"), "connection: names host": (get("Connection: Host\r\n"), "maybe"),
    "connection: names transfer-encoding": (f"POST /a HTTP/1.1\r\n{H}Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n", "maybe"),
    "connection: names the gateway's fields": (get("Connection: Client-Cert, Countersign-Assertion, X-Forwarded-For\r\n"), "maybe"),
    "connection: close and keep-alive": (get("Connection: close, keep-alive\r\n"), GET), "connection: no token": (get("Connection: a b\r\n"), "maybe"),
    "upgrade: h2c": (get("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"), "maybe"),
    "upgrade: h2c and a request behind": (get("Connection: Upgrade\r\nUpgrade: h2c\r\n") + SECOND, "pipelined"), "upgrade: websocket without a key": (get("Connection: Upgrade\r\nUpgrade: websocket\r\n"), "maybe"),
    "upgrade: TLS/1.2": (get("Connection: Upgrade\r\nUpgrade: TLS/1.2\r\n"), "maybe"), "upgrade: not named by connection": (get("Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"), "maybe"),
    "upgrade: a wrong version": (get("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 777\r\n") + SECOND, "pipelined"),
    "expect: unknown": (sized(" 4", more="Expect: 200-ok\r\n"), "maybe"), "expect: twice": (sized(" 4", more="Expect: 100-continue\r\nExpect: 100-continue\r\n"), "maybe"),
    "expect: with the body at once": (sized(" 4", "abcd" + SECOND, more="Expect: 100-continue\r\n"), "pipelined"),
    # fields
    "field: DEL in a value": (get("X: a\x7f\r\n"), REFUSED), "field: ESC in a value": (get("X: a\x1b[2J\r\n"), REFUSED), "field: a name above 127": (get("X\xe9: a\r\n"), REFUSED), "field: a name in quotes": (get('"X": a\r\n'), REFUSED),
    "field: a name with a slash": (get("X/Y: a\r\n"), REFUSED), "field: a name with @": (get("X@Y: a\r\n"), REFUSED), "field: an unusual but legal name": (get("!#$%&'*+.^`|~: a\r\n"), GET), "field: empty": (get("X:\r\n"), GET),
    "field: 60 KB": (get("X: " + "y" * 60000 + "\r\n"), REFUSED), "field: a name of 10 KB": (get("X" * 10000 + ": y\r\n"), "maybe"), "field: CR at the end of a value": (get("X: a\r\r\n"), REFUSED),
    "field: a line of spaces": (get("   \r\n"), REFUSED), "field: NEL in a value": (get("X: a\x85b\r\n"), GET),
}

# Another's identity, by every spelling: passed on or not, the tool must not see it.
SPOOFED = ["Client-Cert", "client-cert", "Client_Cert", "Client.Cert", "CLIENT-CERT", "Countersign-Assertion", "Countersign_Assertion", "Countersign.Assertion", "countersign_assertion",
           "Client-Cert-Chain", "Client_Cert_Chain", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "Countersign-Person", "Countersign_Person"]

INNER = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
# (fields and pseudo-fields for Wire.request, body or None, what may come of it)
H2 = {
    "a body like the end of chunks": (dict(method="POST"), INNER, ("POST", "/a", INNER)),
    "a body like the end of chunks, with its length": (dict(method="POST", fields=[("content-length", str(len(INNER)))]), INNER, ("POST", "/a", INNER)),
    "a length with leading zeros": (dict(method="POST", fields=[("content-length", "0004")]), b"abcd", ABCD),
    "a body on a GET": (dict(), b"abcd", ("GET", "/a", b"abcd")),
    "an empty body": (dict(method="POST"), b"", ("POST", "/a", b"")),
    "a length of 0 and an empty body": (dict(method="POST", fields=[("content-length", "0")]), b"", ("POST", "/a", b"")),
    "a length look-alike": (dict(method="POST", fields=[("content_length", "60")]), b"abcd", ABCD),
    "a coding look-alike": (dict(method="POST", fields=[("transfer_encoding", "chunked")]), b"abcd", ABCD),
    "expect": (dict(method="POST", fields=[("expect", "100-continue")]), b"abcd", ABCD),
    "te: trailers": (dict(fields=[("te", "trailers")]), None, GET),
    "an encoded CRLF in the path": (dict(path="/a%0d%0aX:y"), None, "maybe"),
    "an encoded space and version in the path": (dict(path="/a%20HTTP/1.1"), None, "maybe"),
    "CRLF in the query": (dict(path="/a?x\r\nX: y"), None, REFUSED), "LF in the query": (dict(path="/a?x\nX: y"), None, REFUSED), "a space in the query": (dict(path="/a?x y"), None, REFUSED),
    "a NUL in the path": (dict(path="/a\0"), None, REFUSED), "two slashes": (dict(path="//evil.example/a"), None, REFUSED), "a path of 40 KB": (dict(path="/" + "a" * 40000), None, REFUSED),
    "an absolute path": (dict(path="http://evil.example/a"), None, REFUSED), "a method with CRLF": (dict(method="GET / HTTP/1.1\r\nX: y\r\n\r\nGET"), None, REFUSED), "a method in lower case": (dict(method="get"), None, "maybe"),
    "PRI": (dict(method="PRI"), None, "maybe"), "an authority with CRLF": (dict(authority="support.test.localhost\r\nX: y"), None, REFUSED), "an authority with a slash": (dict(authority="support.test.localhost/x"), None, REFUSED),
    "a scheme with CRLF": (dict(scheme="https\r\nX: y"), None, REFUSED), "a name with CRLF": (dict(fields=[("x: y\r\nz", "1")]), None, REFUSED), "a name with a space": (dict(fields=[("transfer-encoding ", "chunked")]), None, REFUSED),
    "a name with a tab": (dict(fields=[("content-length\t", "4")]), None, REFUSED), "a value with CRLF and a request": (dict(fields=[("x", "y\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")]), None, REFUSED),
    "a value with a lone CR": (dict(fields=[("x", "y\rtransfer-encoding: chunked")]), None, REFUSED), "a cookie with CRLF": (dict(fields=[("cookie", "a=b\r\nX: y")]), None, REFUSED),
    "upgrade: h2c": (dict(fields=[("upgrade", "h2c")]), None, REFUSED), "http2-settings": (dict(fields=[("http2-settings", "AAMAAABkAAQAAP__")]), None, REFUSED),
    "trailer": (dict(method="POST", fields=[("trailer", "content-length")]), b"abcd", "maybe"), "range": (dict(fields=[("range", "bytes=0-1")]), None, GET),
    "HEAD with a length": (dict(method="HEAD", fields=[("content-length", "0")]), None, ("HEAD", "/a", b"")),
    "a host in another case": (dict(fields=[("host", "Support.Test.LOCALHOST:PORT")]), None, "maybe"),
    "early-data": (dict(fields=[("early-data", "1")]), None, "maybe"), "max-forwards": (dict(method="OPTIONS", fields=[("max-forwards", "0")]), None, "maybe"),
}
