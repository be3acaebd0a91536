"""Many live streams and WebSockets of one person, in a process of its own so that the clock it reads is not held up by the tool's: opens them, says "ready", reads until all have ended,
and prints when the last byte of each came, and when it ended (CLOCK_MONOTONIC, the same for every process).

    python3 -m harness.lock_watch PORT CA CERT KEY H2_CONNECTIONS STREAMS_EACH WEBSOCKETS_H1
"""
import json
import select
import ssl
import sys
import time

import h2.events

from harness.certificates import Credential
from harness.clients import H1, H2
from harness.config_text import SUPPORT
from harness.websocket import h1_handshake

PATIENCE_S = 120


class Place:
    """A connection with what lives on it: {stream: [last byte, end]}; stream 0 on a WebSocket over HTTP/1.1."""

    def __init__(self, conn, streams):
        self.conn, self.live, self.over = conn, {s: [None, None] for s in streams}, False

    def end(self, now, streams=None):
        for s in self.live if streams is None else streams:
            if s in self.live and self.live[s][1] is None:
                self.live[s][1] = now
        self.over = all(end is not None for _, end in self.live.values())

    def take(self, data, now):
        if 0 in self.live:
            self.live[0][0] = now
            return
        for e in self.conn.conn.receive_data(data):
            if isinstance(e, h2.events.DataReceived):
                self.live[e.stream_id][0] = now
                self.conn.conn.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
            elif isinstance(e, (h2.events.StreamReset, h2.events.StreamEnded)):
                self.end(now, [e.stream_id])
            elif isinstance(e, h2.events.ConnectionTerminated):
                self.end(now)

    def read(self):
        """All that is there."""
        sock = self.conn.sock
        while not self.over:
            try:
                data = sock.recv(1 << 16)
            except (ssl.SSLWantReadError, BlockingIOError):
                break
            except (OSError, ssl.SSLError):
                data = b""
            now = time.monotonic()
            if not data:
                self.end(now)
                self.over = True
            else:
                self.take(data, now)
        try:
            out = b"" if 0 in self.live else self.conn.conn.data_to_send()
            if out and not self.over:
                sock.sendall(out)
        except (OSError, ssl.SSLError):
            pass


def read_until(places, done):
    poll, by_fd, until = select.poll(), {p.conn.sock.fileno(): p for p in places}, time.monotonic() + PATIENCE_S
    for fd in by_fd:
        poll.register(fd, select.POLLIN)
    while not done() and time.monotonic() < until:
        for fd, _ in poll.poll(100):
            by_fd[fd].read()
            if by_fd[fd].over:
                poll.unregister(fd)
    assert done(), f"{sum(last is None for p in places for last, _ in p.live.values())} never began, {sum(end is None for p in places for _, end in p.live.values())} have not ended"


def main():
    port, ca, cert, key, connections, streams, sockets = sys.argv[1:]
    port, cred, places = int(port), Credential("watch", cert, key), []
    for _ in range(int(connections)):
        c = H2(port, SUPPORT, ca, cred)
        places.append(Place(c, [c.open("GET", "/drip") for _ in range(int(streams))]))

    class Who:
        class gateway:
            pass
    Who.gateway.port = port
    for _ in range(int(sockets)):
        c = H1(port, SUPPORT, ca, cred)
        c.send(h1_handshake(Who, "/ws-drip"))
        answer = c.read_head()
        assert answer.status == 101, answer
        places.append(Place(c, [0]))
    for p in places:
        p.conn.sock.setblocking(False)
        p.read()                          # what TLS has read already
    read_until(places, lambda: all(last is not None for p in places for last, _ in p.live.values()))
    print("ready", flush=True)
    read_until(places, lambda: all(p.over for p in places))
    print(json.dumps([times for p in places for times in p.live.values()]), flush=True)


if __name__ == "__main__":
    main()
