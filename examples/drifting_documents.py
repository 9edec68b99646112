"""A replay of documents whose world changes: an alarm that names the cause, a webhook, a quarantine, a report.

    python examples/drifting_documents.py [--out FOLDER]

It starts `headrace up` on a free port, sends English mail from two offices, then lets the second office write German,
and shows what the watch makes of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from standardwebhooks import Webhook

ENGLISH = (
    "Dear {name}, please find enclosed the invoice number {number} for our delivery of {thing} in {month}.",
    "Dear {name}, thank you for your letter about the {thing}. We shall repair it before the end of {month}.",
    "Minutes of the meeting in {month}: {name} reported on the {thing}, and {number} items were agreed upon.",
    "Report {number}: the {thing} was tested by {name} in {month}, and no fault was found with any of its parts.",
)
GERMAN = (
    "Sehr geehrte Frau {name}, anbei erhalten Sie die Rechnung Nummer {number} für die Lieferung im {month}.",
    "Sehr geehrter Herr {name}, vielen Dank für Ihr Schreiben. Wir werden den Schaden bis Ende {month} beheben.",
)
WORDS = {
    "name": ("Miller", "Weaver", "Smith", "Cooper", "Baker", "Turner", "Fisher", "Carter"),
    "thing": ("water wheel", "mill stone", "sluice gate", "flour sieve", "drive belt", "grain lift"),
    "month": ("March", "April", "May", "June", "July", "August"),
}
NOISE = "".join(chr(0xE000 + place % 200) + (" " if place % 7 == 0 else "") for place in range(900))
SETTINGS = {
    "HEADRACE_MONITORING__REFERENCE_DECISIONS": "160",
    "HEADRACE_MONITORING__LEARN": "80",
    "HEADRACE_MONITORING__WINDOW_S": "5",
    "HEADRACE_MONITORING__FLUSH_S": "0.5",
    "HEADRACE_MONITORING__LOOK_S": "0.5",
    "HEADRACE_MONITORING__SHARE": "0.5",
    "HEADRACE_WEBHOOKS__ALLOWED_HOSTS": '["127.0.0.1"]',
}
PATIENCE_S = 180.0
HEADRACE = str(Path(sys.executable).with_name("headrace"))


def main() -> None:
    """Runs the story once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/watch"), help="where the report goes")
    out = parser.parse_args().out
    with TemporaryDirectory() as data, server(data) as url, inbox() as (address, received):
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            wanted = {"url": address, "events": ["headrace.alert.raised"]}
            secret = client.post("/v1/webhooks", json=wanted).json()["secret"]
            rng = random.Random(7)
            print("Two offices send English documents: the watch learns what is normal.")
            send(client, rng, 360, lambda: (ENGLISH, rng.choice(["north", "south"])))
            wait(lambda: client.get("/v1/monitors").json()["items"][0]["decisions"] >= 360)
            assert client.get("/v1/alerts").json()["items"] == [], "nothing has changed yet"

            print("Now the office in the south begins to write German.")
            send(client, rng, 160, lambda: random_office(rng))
            alert = wait(lambda: client.get("/v1/alerts?state=open").json()["items"])[0]
            print(f"ALARM  {alert['title']}\n       {alert['detail']}")
            for decision_id in alert["cause"]["decisions"][:3]:
                print(f"       look at {decision_id}")

            headers, body = wait(lambda: received)[0]
            event = Webhook(secret).verify(body, headers)
            assert event["data"]["id"] == alert["id"], "the webhook is about this alarm"
            print(f"WEBHOOK {event['type']} came, and its signature is right.")

            release_from_quarantine(client)
        report(data, out / "report.html")


def random_office(rng: random.Random) -> tuple[tuple[str, ...], str]:
    """Three in four documents come from the south, in German."""
    return (GERMAN, "south") if rng.random() < 0.75 else (ENGLISH, "north")


def send(client: httpx.Client, rng: random.Random, count: int, choose: Any) -> None:
    """Sends that many documents, each with its office as a tag."""
    for _ in range(count):
        templates, office = choose()
        facts = {name: rng.choice(words) for name, words in WORDS.items()} | {"number": rng.randint(100, 9999)}
        text = " ".join(rng.choice(templates).format(**facts) for _ in range(rng.randint(1, 4)))
        answer = client.post(
            "/v1/document-analyzer/analyze", json={"text": text}, headers={"X-Headrace-Tags": f"office={office}"}
        )
        answer.raise_for_status()


def release_from_quarantine(client: httpx.Client) -> None:
    """Noise is kept back and not answered, until an operator lets it go."""
    refused = client.post("/v1/document-analyzer/analyze", json={"text": NOISE})
    assert refused.json()["code"] == "quarantined", refused.text
    (kept,) = client.get("/v1/quarantine?state=held").json()["items"]
    print(f"KEPT   {kept['id']}: {kept['findings'][0]['detail']}")
    released = client.post(f"/v1/quarantine/{kept['id']}/release").json()
    print(f"       released, and answered as {released['decision_id']}")


def report(data: str, page: Path) -> None:
    """The report, as an operator asks for it."""
    command = [HEADRACE, "monitor", "report", "--data", data]
    subprocess.run([*command, "--segment", "office"], check=True)
    subprocess.run([*command, "--out", str(page)], check=True)


def wait(claim: Any) -> Any:
    """What `claim` gives once it gives something."""
    until = time.monotonic() + PATIENCE_S
    while not (found := claim()):
        if time.monotonic() > until:
            raise TimeoutError("It did not happen in time.")
        time.sleep(0.2)
    return found


@contextmanager
def server(data: str) -> Iterator[str]:
    """The address of `headrace up` on a free port, ended on the way out."""
    command = [HEADRACE, "up", "--port", "0", "--data", data]
    running = subprocess.Popen(command, env=os.environ | SETTINGS, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    try:
        yield _address(running.stderr)
    finally:
        running.terminate()
        running.wait(60)


def _address(lines: Any) -> str:
    """Told when it starts; the server is ready when it serves. The rest is read so that the pipe never fills."""
    url = ""
    for line in lines:
        told = json.loads(line) if line.startswith("{") else {}
        url = told.get("url", url)
        if told.get("event") == "serving":
            threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
            return url
    raise RuntimeError("The server did not start.")


@contextmanager
def inbox() -> Iterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """The address of a receiver of webhooks, and what it got."""
    received: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}/alerts", received
    finally:
        listening.shutdown()
        listening.server_close()


if __name__ == "__main__":
    main()
