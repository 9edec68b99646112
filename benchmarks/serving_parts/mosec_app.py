"""The tiny model on Mosec, with its dynamic batching."""

import os

from mosec import Server, Worker
from tiny import Tiny


class Classifier(Worker):
    def __init__(self):
        self._tiny = Tiny()

    def forward(self, data):
        return self._tiny.predict([each["text"] for each in data])


if __name__ == "__main__":
    server = Server()
    server.append_worker(
        Classifier,
        num=2,
        max_batch_size=int(os.environ.get("BATCH", "32")),
        max_wait_time=int(os.environ.get("WAIT", "1")),
    )
    server.run()
