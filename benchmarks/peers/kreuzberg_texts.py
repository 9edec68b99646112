"""The text of documents by kreuzberg, for `extraction.py`: paths on stdin, one JSON line each on stdout."""

import json
import sys
from time import process_time

import kreuzberg

for line in sys.stdin:
    path = line.strip()
    begun = process_time()
    try:
        text, error = kreuzberg.extract_file_sync(path).content, ""
    # Whatever a peer raises is its answer to the document.
    except Exception as failure:  # noqa: BLE001
        text, error = "", f"{type(failure).__name__}: {failure}"[:200]
    print(json.dumps({"text": text, "error": error, "cpu_s": process_time() - begun}), flush=True)
