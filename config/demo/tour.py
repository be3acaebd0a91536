#!/usr/bin/python3
"""The story of one session, played over real TLS with real certificates against the running demo (config/demo/run --tour).

Each step is one line; the first that is not as promised says what was expected and what came, and ends with 1.
"""
import argparse
import hashlib
import html
import os
import re
import signal
import subprocess
import tarfile
import time
from pathlib import Path

from tourlib import Demo, NotAsPromised, Story, Watched, expect, expect_in, shorten, until

REASON = "ticket 4711: newsletter of Amber Bakery was not sent"
LOCK_REASON = "phished this morning"
STOP_WITHIN_S = 1.0
SLOW = "/reports/archive/64/?rate=512"
HTML = ("--header", "Accept: text/html,application/xhtml+xml", "--header", "Sec-Fetch-Mode: navigate", "--header", "Sec-Fetch-Dest: document",
        "--header", "Sec-Fetch-Site: none")


class Tour:
    def __init__(self, demo, story):
        self.demo, self.tell = demo, story.tell
        self.alice, self.bob, self.carol = demo.person("alice"), demo.person("bob"), demo.person("carol")
        self.dan, self.olga, self.nobody = demo.person("dan"), demo.person("olga"), demo.nobody()
        self.audiences = demo.tool + "/admin/support/audience/"
        self.request_id = self.held_id = self.session = None
        self.export_body = self.exported = ""

    def play(self):
        for chapter in (self.refused, self.asking, self.working, self.exporting, self.widening, self.stopping, self.looking):
            chapter()

    # 1. Nobody gets in without a certificate and a grant.

    def refused(self):
        self.tell("without a certificate the tool is refused, over HTTP/2 and HTTP/1.1, and told why", self.no_certificate)
        self.tell("a certificate of some other CA is worth nothing", self.other_ca)
        self.tell("alice, with her certificate but without a grant, is refused and told how to ask", self.no_grant)
        self.tell("nothing of this reached the tool", self.nothing_reached)

    def no_certificate(self):
        for http in ("2", "1.1"):
            self.nobody.get(self.demo.tool + "/admin/", http=http).refused("certificate-missing")
        page = self.nobody.get(self.demo.tool + "/admin/", *HTML)
        expect(page.status == 403 and page.get("content-type").startswith("text/html"), "a readable page for a browser", page)

    def other_ca(self):
        folder = self.demo.folder
        run = {"check": True, "capture_output": True, "cwd": folder}
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "other.key", "-out", "other.pem",
                        "-days", "2", "-subj", "/CN=alice", "-addext", f"subjectAltName=email:alice@{self.demo.domain}",
                        "-addext", "extendedKeyUsage=clientAuth"], **run)
        self.nobody.get(self.demo.tool + "/admin/", "--cert", str(folder / "other.pem"), "--key", str(folder / "other.key")).refused("certificate-untrusted")

    def no_grant(self):
        for http in ("2", "1.1"):
            problem = self.alice.get(self.demo.tool + "/admin/", http=http).refused("grant-required")
            expect_in("countersign request support", problem["next"], "what to do next")

    def nothing_reached(self):
        expect(self.demo.tool_saw() == self.seen_before, "no request in the tool's own access log", "some")

    # 2. A second person says yes, with a key.

    def asking(self):
        self.tell("alice asks for the tool, for 30 minutes, with a reason", self.ask)
        self.tell("alice approves her own request: refused, though she has an approval key", self.approve_own)
        self.tell("carol, who is no support lead, can't approve it either", self.approve_wrong_group)
        self.tell("bob sees who asks and why, and approves with his key", self.approve)

    def ask(self):
        answer = self.alice.does_json("request", "support", "--reason", REASON, "--for", "30m")
        self.request_id = item_of(answer)["id"]
        return self.request_id

    def approve_own(self):
        said = self.alice.may_not("approve", self.request_id, "--yes")
        self.alice.get(self.demo.tool + "/admin/").refused("grant-required")
        expect(said.strip(), "a reason why not", said)

    def approve_wrong_group(self):
        self.carol.may_not("approve", self.request_id, "--yes")
        self.alice.get(self.demo.tool + "/admin/").refused("grant-required")

    def approve(self):
        expect_in(REASON, self.bob.does("pending"), "bob's list of what waits")
        self.bob.does("approve", self.request_id, "--yes")
        status = self.alice.does_json("status")
        states = {t["tool"]: t["state"] for t in status["tools"]}
        expect(states.get("support") == "granted", "alice's status to say: support granted", states)

    # 3. Working: in a browser's way and a script's, both versions of HTTP.

    def working(self):
        self.tell("before the first page alice is told that the session is recorded", self.notice)
        self.tell("alice lists customers over HTTP/2; the tool knows who she is", self.browse)
        self.tell("over HTTP/1.1 too, and she writes a note about a customer", self.edit)
        self.tell("a large download arrives whole, byte for byte, over both", self.download)

    def notice(self):
        page = self.alice.get(self.demo.tool + "/admin/", *HTML)
        to = page.get("location")
        expect(page.status == 303 and to.startswith(self.demo.console + "/notice/"), "303 to the console's notice page", page)
        page = self.alice.get(to, *HTML).good()
        expect_in("recorded", page.text, "the notice page")
        form = {"to": hidden(page.text, "to")}
        answer = self.alice.post(to.partition("?")[0], "&".join(f"{k}={quote(v)}" for k, v in form.items() if v), *HTML[:2])
        expect(answer.status == 303 and answer.get("location").startswith(self.demo.tool), "303 back to the tool", answer)

    def browse(self):
        # The grant reaches the gateway's workers by itself, within moments.
        page = until(lambda: (p := self.alice.get(self.demo.tool + "/admin/support/customer/")).status == 200 and p, 5, "alice's grant to open the tool")
        expect_in("Amber Bakery", page.text, "the list of customers")
        expect_in(f"alice@{self.demo.domain}", page.text, "the tool's greeting")
        self.csrf = hidden(page.text, "csrfmiddlewaretoken")

    def edit(self):
        form = self.alice.get(self.demo.tool + "/admin/support/staffnote/add/", http="1.1").good()
        body = f"csrfmiddlewaretoken={hidden(form.text, 'csrfmiddlewaretoken')}&customer=1&author=alice&written=2026-01-15&text=Sent+the+newsletter+again"
        answer = self.alice.post(self.demo.tool + "/admin/support/staffnote/add/", body, http="1.1")
        expect(answer.status == 302 and answer.get("location").endswith("/admin/support/staffnote/"), "302 back to the list", answer)

    def download(self):
        expected = hashlib.sha256(b"".join(hashlib.shake_128(b"acme-archive-%d" % (i % 16)).digest(65536) for i in range(8 * 16))).hexdigest()
        for http in ("2", "1.1"):
            answer = self.alice.get(self.demo.tool + "/reports/archive/8/", http=http).good()
            came = hashlib.sha256(answer.body).hexdigest()
            expect(came == expected, f"8 MiB with SHA-256 {expected}", f"{len(answer.body)} bytes with {came}")

    # 4. The export waits for another person, and runs once.

    def exporting(self):
        self.tell("alice exports the contacts of an audience: held, nothing reaches the tool", self.export_held)
        self.tell("spelled differently (//, %61, /x/../) it is held or refused all the same", self.other_spellings)
        self.tell("alice signs off her own export: refused", self.signoff_own)
        self.tell("bob, who is not in security, can't sign it off", self.signoff_wrong_group)
        self.tell("carol sees the exact request and signs it off", self.signoff)
        self.tell("one byte changed: held, as a request of its own", self.changed_byte)
        self.tell("the same bytes as before: the export runs", self.export_runs)
        self.tell("the same bytes again: held again, for a new sign-off", self.export_again)

    def export(self, body=None, http="2", path=None):
        return self.alice.post(self.demo.tool + path if path else self.audiences, body or self.export_body, http=http)

    def export_held(self):
        page = self.alice.get(self.audiences).good()
        self.export_body = f"csrfmiddlewaretoken={hidden(page.text, 'csrfmiddlewaretoken')}&action=export_csv&_selected_action=1&_selected_action=2"
        before = self.demo.tool_saw()
        self.held_id = self.export().refused("signoff-required")["held_id"]
        joined = self.export(http="1.1").refused("signoff-required")["held_id"]
        expect(joined == self.held_id, "the same request to join the one that waits", f"{joined} beside {self.held_id}")
        expect(self.demo.tool_saw() == before, "no request in the tool's access log", "some")
        return self.held_id

    def other_spellings(self):
        before = self.demo.tool_saw()
        for path in ("/admin/support/%61udience/", "//admin/support/audience/", "/admin/x/../support/audience/", "/admin/support/audience/?x=1",
                     "/admin/./support/audience/", "/%61dmin/support/audience/"):
            answer = self.export(path=path)
            held = answer.status == 403 and answer.problem_type == "signoff-required"
            expect(held or answer.status == 400, f"POST {path} to be held or refused with 400", answer)
        for body in (self.export_body + "&action=delete_selected", "action=&" + self.export_body, self.export_body.replace("export_csv", "export%5Fcsv")):
            self.export(body).refused("signoff-required")
        expect(self.demo.tool_saw() == before, "no request in the tool's access log", "some")

    def signoff_own(self):
        self.alice.may_not("approve", self.held_id, "--yes")
        self.export().refused("signoff-required")

    def signoff_wrong_group(self):
        self.bob.may_not("approve", self.held_id, "--yes")
        self.export().refused("signoff-required")

    def signoff(self):
        expect_in(self.held_id, self.carol.does("pending"), "carol's list of what waits")
        shown = self.carol.does("approve", self.held_id, "--yes")
        expect_in("export_csv", shown, "what carol was shown")

    def changed_byte(self):
        held = self.export(self.export_body[:-1] + "3").refused("signoff-required")["held_id"]
        expect(held != self.held_id, "a new held request", held)

    def export_runs(self):
        answer = self.export().good()
        expect(answer.get("content-type").startswith("text/csv"), "a CSV file", answer)
        self.exported = answer.text
        rows = answer.text.splitlines()
        expect(len(rows) > 5 and rows[1].startswith("Amber Bakery,"), "the contacts of Amber Bakery", answer)
        return f"{len(rows) - 1} contacts"

    def export_again(self):
        held = self.export(http="1.1").refused("signoff-required")["held_id"]
        expect(held != self.held_id, "a new held request", held)

    # 5. Nobody widens the policy alone.

    def widening(self):
        self.tell("olga makes bob a signer of exports, in the config file: nothing changes, it waits for two operators", self.edit_people)
        self.tell("olga signs exactly that change: one yes is not enough, and bob, who is no operator, has none", self.one_operator)
        self.tell("carol, the second operator, signs it too: now it counts", self.second_operator)

    def bobs_groups(self):
        return self.bob.does_json("status")["groups"]

    def edit_people(self):
        people = self.demo.state / "gateway" / "people.conf"
        text = people.read_text()
        wider = re.sub(r'(name = "bob".*?groups = \[ )', r'\1"security", ', text, count=1)
        expect(wider != text, "bob's line in people.conf", text)
        people.write_text(wider)
        os.kill(self.demo.gateway_pid, signal.SIGHUP)
        item = until(lambda: next((i for i in self.olga.does_json("pending")["items"] if i["kind"] == "policy"), None), 10, "the change to wait")
        expect(item["changes"] == "group security gains bob", "that change, in words", item)
        expect("security" not in self.bobs_groups(), "bob to be in no other group than before", self.bobs_groups())
        self.change_id = item["id"]
        return self.change_id

    def one_operator(self):
        expect_in("group security gains bob", self.olga.does("approve", self.change_id, "--yes"), "what olga is shown")
        self.olga.may_not("approve", self.change_id, "--yes")
        self.bob.may_not("approve", self.change_id, "--yes")
        expect("security" not in self.bobs_groups(), "bob to be in no other group than before", self.bobs_groups())

    def second_operator(self):
        expect_in("group security gains bob", self.carol.does("approve", self.change_id, "--yes"), "what carol is shown")
        until(lambda: "security" in self.bobs_groups(), 10, "bob to be in security")

    # 6. Stop means now.

    def stopping(self):
        self.tell("olga locks alice: an idle connection and two downloads in flight end at once", self.lock)
        self.tell("alice is out, and told so", self.locked_out)

    def lock(self):
        idle, slow = Watched(self.alice.connect()), Watched(self.alice.connect())
        idle.ask("/admin/support/apikey/", f"{self.demo.tool_host}:{self.demo.port}")
        expect(idle.read_answer() == 200, "the idle connection's own request to be answered with 200", "another status")
        slow.ask(SLOW, f"{self.demo.tool_host}:{self.demo.port}")
        over_h2 = self.alice.curl_start(self.demo.tool + SLOW)
        idle.watch()
        slow.watch()
        try:
            until(lambda: len(slow.received) > 100_000 and over_h2.size() > 100_000, 10, "both downloads to be under way")
            expect(idle.ended_at is None, "the idle connection to stay open until the lock", f"it ended: {idle.how}")
            start = time.monotonic()
            self.olga.does("lock", "person", "alice", "--reason", LOCK_REASON)
            locked = time.monotonic()
            until(lambda: idle.ended_at and slow.ended_at and over_h2.ended_at, 10, "all three to end")
        finally:
            over_h2.stop()
        last = max(idle.ended_at, slow.ended_at, over_h2.ended_at)
        expect(last - locked < STOP_WITHIN_S, f"all three to end within {STOP_WITHIN_S} s of the lock", f"{last - locked:.2f} s")
        expect(over_h2.process.returncode != 0 and slow.how != "closed", "both downloads to break off, not to end like a whole file",
               f"curl exit {over_h2.process.returncode}; HTTP/1.1: {slow.how}")
        return f"{max(0, last - start) * 1000:.0f} ms after the order"

    def locked_out(self):
        for http in ("2", "1.1"):
            self.alice.get(self.demo.tool + "/admin/", http=http).refused("locked")
        self.export().refused("locked")

    # 7. What happened can be looked at, and nobody can change it unseen.

    def looking(self):
        self.tell("alice can't look at sessions: she is no auditor", lambda: self.alice.may_not("sessions") and None)
        self.tell("dan lists the sessions and finds hers", self.sessions)
        self.tell("dan sees the held export in it, and who said yes to what", self.show)
        self.tell("dan replays it and sees what she saw, to the last contact", self.replay)
        self.tell("no cookie of hers was kept, and no form token that she sent", self.redacted)
        self.tell("verify says that the recording is whole", self.verify)
        self.tell("one byte of the recording flipped: verify says which segment", self.flip)

    def sessions(self):
        found = [s for s in self.dan.does_json("sessions")["sessions"] if s.get("person") == "alice" and s.get("tool") == "support"]
        expect(len(found) == 1, "one session of alice with the tool support", found)
        self.session = found[0].get("id") or found[0]["session"]
        return self.session

    def show(self):
        # What just happened is in a segment within two seconds; a look before that says that the rest is still to come.
        shown = until(lambda: (out := self.dan.run("show", self.session)[1]).count("ended: locked") == 2 and out, 10,
                      "the session as shown to hold both downloads that the lock ended")
        for what in (REASON, self.held_id, "bob", "carol", "export"):
            expect_in(what, shown, "the session as shown")
        ran = [line for line in shown.splitlines() if re.search(r"POST /admin/support/audience/  200 ", line)]
        expect(len(ran) == 1 and all(what in ran[0] for what in ("export", self.held_id, "carol")),
               "the export to have run once, with carol's yes", ran)

    def replay(self):
        shown = self.dan.does("replay", self.session, "--speed", "0")
        for what in ("Amber Bakery", "export_csv", *(row.split(",")[2] for row in self.exported.splitlines()[1:])):
            expect_in(what, shown, "the replay")

    def redacted(self):
        secrets = [line.split("\t")[6] for line in Path(self.alice.jar).read_text().splitlines() if line.count("\t") == 6]
        # As she sent it; the page that the tool had put it into is kept as she saw it.
        secrets += re.findall(r"csrfmiddlewaretoken=[^&]+", self.export_body)
        expect(len(secrets) >= 2, "alice's cookie jar to hold her session", secrets)
        self.save()
        # A segment is an age file by itself; put one after the other they are none.
        one = f"tar -xOf {self.saved}/recording.tar $member | age -d -i {self.dan.key.removesuffix('.key')}.auditor-key | zcat"
        kept = subprocess.run(f"set -e; for member in $(tar -tf {self.saved}/recording.tar); do {one}; done", shell=True, capture_output=True, check=True).stdout
        expect(len(kept) > 10_000, "the recording to be readable with tar, age and zcat", f"{len(kept)} bytes")
        for secret in secrets:
            expect(secret.encode() not in kept, "no cookie or token in the recording", secret)

    def save(self):
        self.saved = self.demo.folder / "saved"
        if not self.saved.exists():
            self.dan.does("verify", self.session, "--save", str(self.saved))

    def verify(self):
        said = self.dan.does("verify", self.session)
        expect_in("whole", said, "what verify says")
        self.saved_verify(self.saved / "recording.tar", 0)

    def saved_verify(self, recording, exit_code):
        """The offline way: no gateway, no certificate, only the saved files."""
        args = ["verify", "--file", str(recording), "--log", str(self.saved / "log.json"), "--log-key", str(self.saved / "log-key"),
                "--session", self.session]
        code, out, err = self.demo.run(*args)
        expect(code == exit_code, f"`countersign {' '.join(args)}` to end with {exit_code}", f"exit {code}: {shorten(out + err)}")
        return out + err

    def flip(self):
        whole = (self.saved / "recording.tar").read_bytes()
        with tarfile.open(self.saved / "recording.tar") as tar:
            members = [m for m in tar.getmembers() if m.isfile()]
        expect(len(members) >= 2, "several segments", [m.name for m in members])
        member = members[len(members) // 2]
        changed = bytearray(whole)
        changed[member.offset_data + member.size // 2] ^= 1
        path = self.demo.folder / "changed.tar"
        path.write_bytes(changed)
        number = int(re.match(r"\d+", member.name).group())
        said = self.saved_verify(path, 1)
        expect(re.search(rf"segment 0*{number}\b", said), f"segment {number} to be named", said)
        return f"segment {number} of {len(members)}"


def item_of(answer):
    return answer.get("request") or answer.get("item") or answer


def hidden(page, name):
    """The value of a hidden field in a page."""
    for tag in re.findall(r"<input[^>]*>", page):
        if f'name="{name}"' in tag:
            value = re.search(r'value="([^"]*)"', tag)
            return html.unescape(value.group(1)) if value else ""
    raise NotAsPromised(f"a form with the hidden field {name}", shorten(page))


def quote(text):
    from urllib.parse import quote_plus
    return quote_plus(text)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--state", required=True)
    options.add_argument("--countersign", required=True)
    options.add_argument("--domain", required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--gateway-pid", type=int, required=True)
    given = options.parse_args()
    demo = Demo(given.state, given.countersign, given.domain, given.port)
    demo.gateway_pid = given.gateway_pid
    story = Story()
    try:
        tour = Tour(demo, story)
        tour.seen_before = demo.tool_saw()
        tour.play()
    finally:
        demo.done()
    print(f"the tour took {story.seconds():.1f} s; all {story.number} steps were as promised", flush=True)


if __name__ == "__main__":
    main()
