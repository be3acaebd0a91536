#!/usr/bin/python3
"""podman_args.py SERVICE <resolved-compose.yaml: the arguments of `podman run` for that service, one a line.

What docker/check runs is what compose.yaml says, except for the network: the containers share the host's, where the services' names are
other names of loopback. A key that is not known here is an error, so that nothing of compose.yaml goes unchecked in silence.
"""
import re
import sys

import yaml

# The check's own business: it builds, orders and starts by itself, on the host's network.
NOT_HERE = {"build", "depends_on", "networks", "network_mode", "ports", "restart"}


def seconds(text):
    found = re.fullmatch(r"(\d+)s", text)
    if not found:
        raise SystemExit(f"podman_args: stop_grace_period is '{text}'; expected whole seconds, such as 45s")
    return found.group(1)


def many(flag):
    return lambda values: [f"{flag}={value}" for value in values]


OPTIONS = {
    "cap_drop": many("--cap-drop"),
    "environment": lambda values: [f"--env={name}={value}" for name, value in sorted(values.items())],
    "read_only": lambda value: ["--read-only", "--read-only-tmpfs=false"] if value else [],
    "security_opt": many("--security-opt"),
    "stop_grace_period": lambda value: [f"--stop-timeout={seconds(value)}"],
    "tmpfs": many("--tmpfs"),
    "volumes": many("--volume"),
}


def arguments(name, services):
    service = services[name]
    unknown = set(service) - set(OPTIONS) - NOT_HERE - {"image", "command"}
    if unknown:
        raise SystemExit(f"podman_args: {name}: what to do with {', '.join(sorted(unknown))}? Add it to OPTIONS or NOT_HERE")
    out = [f"--add-host={other}:127.0.0.1" for other in sorted(services)]
    for key, make in OPTIONS.items():
        if key in service:
            out += make(service[key])
    return out + [service["image"]] + service.get("command", [])


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: podman_args.py SERVICE <resolved-compose.yaml")
    services = yaml.safe_load(sys.stdin)["services"]
    if sys.argv[1] not in services:
        sys.exit(f"podman_args: compose.yaml has no service '{sys.argv[1]}'")
    print("\n".join(arguments(sys.argv[1], services)))


main()
