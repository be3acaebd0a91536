"""What a load balancer says first (PROXY protocol v2)."""
import socket
import struct

SIG = b"\r\n\r\n\0\r\nQUIT\n"


def v4(source, command=0x21):
    return SIG + struct.pack(">BBH", command, 0x11, 12) + socket.inet_aton(source) + socket.inet_aton("198.51.100.2") + struct.pack(">HH", 4711, 443)


def v6(source):
    return SIG + struct.pack(">BBH", 0x21, 0x21, 36) + socket.inet_pton(socket.AF_INET6, source) + bytes(16) + struct.pack(">HH", 4711, 443)
