"""How long the answer to a ten-page PDF takes over HTTP, for one caller; the target is a p99 below 1 s.

python benchmarks/http_latency.py [--quick]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[1]
PAGES, LINES = 10, 44
SENTENCE = "The supplier delivers clause {page}.{line} of the agreement within thirty days of the date of this order."
TARGET_MS = 1000.0


def ten_pages() -> bytes:
    """A PDF of ten full pages of text, written by hand: it has to be the same everywhere."""
    pages = []
    for page in range(1, PAGES + 1):
        lines = [SENTENCE.format(page=page, line=line) for line in range(1, LINES + 1)]
        shown = " T* ".join(f"({line}) Tj" for line in lines)
        pages.append(f"BT /F1 10 Tf 16 TL 56 790 Td {shown} ET".encode())
    return _pdf(pages)


def _pdf(pages: list[bytes]) -> bytes:
    count = len(pages)
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, content in enumerate(pages):
        resources = "/Resources << /Font << /F1 3 0 R >> >>"
        page = f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] {resources} /Contents {5 + 2 * number} 0 R >>"
        objects.append(page.encode())
        objects.append(b"<< /Length %d >>\nstream\n%b\nendstream" % (len(content), content))
    written, places = io.BytesIO(b"%PDF-1.4\n"), []
    written.seek(0, io.SEEK_END)
    for number, each in enumerate(objects, 1):
        places.append(written.tell())
        written.write(b"%d 0 obj\n%b\nendobj\n" % (number, each))
    start = written.tell()
    written.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    written.writelines(b"%010d 00000 n \n" % place for place in places)
    written.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return written.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer answers")
    count = 40 if parser.parse_args().quick else 300
    with tempfile.TemporaryDirectory() as home:
        process = subprocess.Popen(
            [sys.executable, "-c", "from headrace.cli.main import run; run()", "up", "--port", "0", "--data", home],
            cwd=home,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            figure(answers(url_of(process), count))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def url_of(process: subprocess.Popen[str]) -> str:
    """Where it listens, once it is ready."""
    url = ""
    assert process.stderr is not None
    for line in process.stderr:
        told = json.loads(line)
        url = told.get("url", url)
        if told["event"] == "ready":
            return url
    raise SystemExit("The server did not start.")


def answers(url: str, count: int) -> tuple[list[float], list[str]]:
    """Milliseconds of each answer, and the Server-Timing of the last ones."""
    document = ten_pages()
    took, timings = [], []
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        for number in range(count + 5):
            begun = time.perf_counter()
            response = client.post("/v1/document-analyzer/analyze", content=document)
            milliseconds = (time.perf_counter() - begun) * 1000
            response.raise_for_status()
            assert response.json()["document"]["pages"] == PAGES
            if number >= 5:
                took.append(milliseconds)
                timings.append(response.headers["server-timing"])
    return took, timings[-1:]


def figure(measured: tuple[list[float], list[str]]) -> None:
    took, timings = measured
    steps = statistics.quantiles(took, n=100)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    print(
        json.dumps(
            {
                "benchmark": "http_latency",
                "figure": "ten-page PDF, one caller",
                "p50_ms": round(steps[49], 1),
                "p99_ms": round(steps[98], 1),
                "target_p99_ms": TARGET_MS,
                "answers": len(took),
                "server_timing": timings[0],
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
                "commit": commit,
            }
        )
    )


if __name__ == "__main__":
    main()
