"""The gateway's config for tests: a dict, and its libconfig text."""

from harness.age import AUDITORS

DOMAIN = "test.localhost"
SUPPORT, BILLING, CONSOLE = f"support.{DOMAIN}", f"billing.{DOMAIN}", f"console.{DOMAIN}"

# name: (identities, groups). sam is in every group, so that only "not yourself" stands between sam and sam's own request.
PEOPLE = {
    "alice": (["alice@" + DOMAIN, "alice-admin@" + DOMAIN], ["support"]),
    "mallory": (["mallory@" + DOMAIN], ["support"]),
    "bob": (["bob@" + DOMAIN], ["support-lead"]),
    "carol": (["carol@" + DOMAIN], ["security"]),
    "sam": (["sam@" + DOMAIN, "sam-admin@" + DOMAIN], ["support", "support-lead", "security", "audit", "operations"]),
    "dan": (["dan@" + DOMAIN], ["audit"]),
    "olga": (["olga@" + DOMAIN], ["operations"]),
    "nina": (["nina@" + DOMAIN], []),
}


def need(group, count=1):
    return [{"group": group, "count": count}]


def action(name, path, allow="grant", **more):
    out = {"name": name, "path": path, "allow": allow, **more}
    if allow == "signoff":
        out.setdefault("signoff", need("security"))
    return out


# One action for each way a request can say "export": by path, by query, by form, by JSON, by method.
SUPPORT_ACTIONS = [
    action("use", "/**"),
    action("export", "/export", "signoff"),
    action("export-folder", "/exports/**", "signoff"),
    action("export-query", "/report", "signoff", query=[{"name": "format", "equals": "csv*"}]),
    action("export-form", "/admin/**", "signoff", body=[{"name": "action", "equals": "export*"}]),
    action("export-json", "/api/**", "signoff", body=[{"name": "data.action", "equals": "export*"}]),
    action("delete", "/items/**", "signoff", methods=["DELETE"]),
    action("never", "/internal/**", "deny"),
]


def tool(name, host, port, actions=None, **more):
    return {"name": name, "host": host, "upstream": f"http://127.0.0.1:{port}", "who": ["support"], "approvers": need("support-lead"),
            "actions": SUPPORT_ACTIONS if actions is None else actions, **more}


def default_config(port, origin_port, files):
    return {
        "instance": "gateway." + DOMAIN,
        "state": ".",
        "workers": 2,
        "listen": [f"127.0.0.1:{port}"],
        "console": CONSOLE,
        "tls": files,
        "approval_keys": "approval-keys",
        "people": [{"name": n, "identities": i, "groups": g} for n, (i, g) in PEOPLE.items()],
        "roles": {"auditors": ["audit"], "operators": ["operations"]},
        "tools": [tool("support", SUPPORT, origin_port), tool("billing", BILLING, origin_port, [action("use", "/**")])],
    }


def render(value, depth=0):
    pad = "  " * depth
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, dict):
        inside = "".join(f"{pad}  {k} = {render(v, depth + 1)};\n" for k, v in value.items())
        return "{\n" + inside + pad + "}"
    if value and isinstance(value[0], dict):
        return "( " + ", ".join(render(v, depth + 1) for v in value) + " )"
    if not value:
        return "[ ]"
    return "[ " + ", ".join(render(v) for v in value) + " ]"


def config_text(config):
    """Sealed to the tests' auditors unless it says otherwise."""
    recording = dict(config.get("recording") or {})
    if "sealed_to" not in recording and "unsealed" not in recording:
        recording["sealed_to"] = [k.public for k in AUDITORS[:2]]
    return "".join(f"{k} = {render(v)};\n" for k, v in {**config, "recording": recording}.items())
