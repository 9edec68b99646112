"""One peer of the queue benchmark, run inside a venv of its own: prints how many no-op jobs go in and out a second.

    python queue_peers.py redis|rabbitmq raw|stored|taskiq|dramatiq|celery URL COUNT

Each job leaves one byte in a file; the drain is timed from the first byte to the last, without the worker's start.
`stored` is a raw program that writes a row for each job to SQLite, in one flushed transaction for all that it has
been given, before it acknowledges: what a job costs whose answer may not be lost.
"""

# ruff: noqa: PLC0415 - each library is installed in the venv of its own peer alone

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

AT_ONCE = 128
MARKS = os.environ.get("QUEUE_MARKS", "")
NAME = os.environ.get("QUEUE_NAME", "")


def mark() -> None:
    """One job is done."""
    descriptor = os.open(MARKS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b".")
    os.close(descriptor)


def seconds_of_drain(count: int, *, within_s: float = 300.0) -> float:
    """Seconds from the first job's end to the last one's."""
    deadline, first = time.perf_counter() + within_s, 0.0
    while time.perf_counter() < deadline:
        size = Path(MARKS).stat().st_size if Path(MARKS).exists() else 0
        if size and not first:
            first, seen = time.perf_counter(), size
        if size >= count:
            return (time.perf_counter() - first) * count / max(1, count - seen)
        time.sleep(0.002)
    raise TimeoutError(f"{size} of {count}")


def flushed_rows() -> sqlite3.Connection:
    """A table in a file that is flushed at every commit."""
    rows = sqlite3.connect(f"{MARKS}.db", isolation_level=None, check_same_thread=False)
    for statement in (
        "PRAGMA journal_mode=WAL",
        "PRAGMA synchronous=FULL",
        "CREATE TABLE results (id TEXT, body BLOB)",
    ):
        rows.execute(statement)
    return rows


def store(rows: sqlite3.Connection, ids: list[str]) -> None:
    rows.execute("BEGIN IMMEDIATE")
    rows.executemany("INSERT INTO results VALUES (?, ?)", [(each, b"a") for each in ids])
    rows.execute("COMMIT")


async def raw_redis(url: str, count: int, *, is_stored: bool = False) -> dict[str, float]:
    from redis.asyncio import Redis

    rows = flushed_rows() if is_stored else None

    redis, stream = Redis.from_url(url), NAME
    await redis.xgroup_create(stream, "g", id="0", mkstream=True)
    begun = time.perf_counter()

    async def add(own: int) -> None:
        for _ in range(own):
            await redis.xadd(stream, {"job": "x"})

    await asyncio.gather(*(add(count // 32) for _ in range(32)))
    enqueue = count / (time.perf_counter() - begun)
    begun, cpu, done = time.perf_counter(), time.process_time(), 0
    while done < count:
        found = await redis.xreadgroup("g", "c", {stream: ">"}, count=AT_ONCE, block=1000)
        for _, entries in found:
            if rows is not None:
                await asyncio.to_thread(store, rows, [receipt.decode() for receipt, _ in entries])
            for receipt, _ in entries:
                mark()
                pipe = redis.pipeline(transaction=False)
                pipe.xack(stream, "g", receipt)
                pipe.xdel(stream, receipt)
                await pipe.execute()
                done += 1
    drain, cpu_us = count / (time.perf_counter() - begun), (time.process_time() - cpu) / count * 1e6
    await redis.delete(stream)
    await redis.aclose()
    return {"enqueue": enqueue, "drain": drain, "drain_cpu_us": cpu_us}


async def raw_rabbitmq(url: str, count: int, *, is_stored: bool = False) -> dict[str, float]:
    import aio_pika

    rows = flushed_rows() if is_stored else None
    connection = await aio_pika.connect_robust(url)
    channel = await connection.channel(publisher_confirms=True)
    await channel.set_qos(prefetch_count=AT_ONCE)
    queue = await channel.declare_queue(NAME, durable=True, arguments={"x-queue-type": "quorum"})
    begun = time.perf_counter()

    async def add(own: int) -> None:
        for _ in range(own):
            message = aio_pika.Message(b"x", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await channel.default_exchange.publish(message, routing_key=NAME)

    await asyncio.gather(*(add(count // 32) for _ in range(32)))
    enqueue = count / (time.perf_counter() - begun)
    begun, cpu, done, given = time.perf_counter(), time.process_time(), 0, []
    async with queue.iterator() as messages:
        async for message in messages:
            given.append(message)
            # The window is full, or this is the last: then all that it holds is stored at once.
            if rows is not None and len(given) < AT_ONCE // 2 and done + len(given) < count:
                continue
            if rows is not None:
                await asyncio.to_thread(store, rows, [str(each.delivery_tag) for each in given])
            for each in given:
                mark()
                await each.ack()
            done += len(given)
            given.clear()
            if done == count:
                break
    drain, cpu_us = count / (time.perf_counter() - begun), (time.process_time() - cpu) / count * 1e6
    await queue.delete(if_unused=False, if_empty=False)
    await connection.close()
    return {"enqueue": enqueue, "drain": drain, "drain_cpu_us": cpu_us}


async def taskiq(kind: str, url: str, count: int) -> dict[str, float]:
    import taskiq
    from taskiq.receiver import Receiver

    if kind == "redis":
        from taskiq_redis import RedisStreamBroker

        broker = RedisStreamBroker(url, queue_name=NAME)
    else:
        from taskiq_aio_pika import AioPikaBroker

        broker = AioPikaBroker(url, queue_name=NAME, exchange_name=NAME, qos=AT_ONCE)

    @broker.task
    async def job() -> None:
        mark()

    broker.is_worker_process = True
    await broker.startup()
    begun = time.perf_counter()

    async def add(own: int) -> None:
        for _ in range(own):
            await job.kiq()

    await asyncio.gather(*(add(count // 32) for _ in range(32)))
    enqueue = count / (time.perf_counter() - begun)
    receiver = Receiver(broker, max_async_tasks=AT_ONCE, ack_type=taskiq.acks.AcknowledgeType.WHEN_SAVED)
    listening = asyncio.create_task(receiver.listen(asyncio.Event()))
    seconds = await asyncio.to_thread(seconds_of_drain, count)
    listening.cancel()
    return {"enqueue": enqueue, "drain": count / seconds}


def dramatiq(kind: str, url: str, count: int) -> dict[str, float]:
    import dramatiq as library

    if kind == "redis":
        from dramatiq.brokers.redis import RedisBroker

        broker = RedisBroker(url=url, namespace=NAME)
    else:
        from dramatiq.brokers.rabbitmq import RabbitmqBroker

        broker = RabbitmqBroker(url=url, confirm_delivery=True)
    library.set_broker(broker)

    @library.actor(queue_name=NAME.replace("-", "_"))
    def job() -> None:
        mark()

    begun = time.perf_counter()
    adders = [threading.Thread(target=lambda: [job.send() for _ in range(count // 4)]) for _ in range(4)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    enqueue = count / (time.perf_counter() - begun)
    worker = library.Worker(broker, worker_threads=8)
    worker.start()
    seconds = seconds_of_drain(count)
    worker.stop()
    return {"enqueue": enqueue, "drain": count / seconds}


def celery_app(url: str):  # noqa: ANN201 - the library is in the peer's venv alone
    from celery import Celery

    app = Celery(NAME, broker=url)
    app.conf.update(
        task_default_queue=NAME,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_ignore_result=True,
        worker_prefetch_multiplier=16,
        broker_transport_options={"confirm_publish": True},
    )

    @app.task(name="job")
    def job() -> None:
        mark()

    return app, job


def celery(url: str, count: int) -> dict[str, float]:
    _, job = celery_app(url)
    begun = time.perf_counter()
    for _ in range(count):
        job.delay()
    enqueue = count / (time.perf_counter() - begun)
    command = [sys.executable, __file__, "worker", "celery", url, "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            seconds = seconds_of_drain(count)
        finally:
            process.terminate()
    return {"enqueue": enqueue, "drain": count / seconds}


def measured(kind: str, peer: str, url: str, count: int) -> dict[str, float]:
    if peer in {"raw", "stored"}:
        raw = raw_redis if kind == "redis" else raw_rabbitmq
        return asyncio.run(raw(url, count, is_stored=peer == "stored"))
    if peer == "taskiq":
        # Its receiver does not end when it is cancelled, which `run` would wait for; `main` ends the process.
        return asyncio.new_event_loop().run_until_complete(taskiq(kind, url, count))
    return dramatiq(kind, url, count) if peer == "dramatiq" else celery(url, count)


def main() -> None:
    global MARKS, NAME
    kind, peer, url, count = sys.argv[1:5]
    if kind == "worker":
        app, _ = celery_app(url)
        app.worker_main(["worker", "--pool", "threads", "--concurrency", "8", "--loglevel", "error", "-Q", NAME])
        return
    with tempfile.TemporaryDirectory() as folder:
        MARKS, NAME = str(Path(folder) / "marks"), f"mill-{uuid.uuid4().hex[:8]}"
        os.environ.update(QUEUE_MARKS=MARKS, QUEUE_NAME=NAME)
        figures = measured(kind, peer, url, int(count))
        print(json.dumps(figures))
        sys.stdout.flush()
        os._exit(0)


if __name__ == "__main__":
    main()
