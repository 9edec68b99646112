"""Parts of an answer that outlive the process, in threads and through the pipe of a guarded process."""

import time
from pathlib import Path

import pytest

from headrace import Guard, Service, checkpointed
from headrace.serving.context import Context, within
from headrace.serving.pool import Pool
from headrace.serving.runtimes.guarded import GuardedReplicas, origin_of
from headrace.serving.runtimes.threads import ThreadReplicas
from headrace_documents.readers.ocr import Ocr
from headrace_documents.readers.pictures import PictureReader
from headrace_documents.readers.reader import Limits

RELEASE = "sha256:1"


class Kept:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], bytes] = {}

    def find(self, release: str, name: str) -> bytes | None:
        return self.parts.get((release, name))

    def found(self, release: str, prefix: str) -> dict[str, bytes]:
        return {name: value for (own, name), value in self.parts.items() if own == release and name.startswith(prefix)}

    def save(self, release: str, name: str, value: bytes) -> None:
        self.parts[release, name] = value


class Pages(Service):
    """Reads the pages of a book; each line of the answer says how often it was computed in this process."""

    computed = 0

    async def read(self, book: str) -> list[str]:
        return [
            checkpointed(f"page {number}", str, lambda number=number: self._page(book, number)) for number in (1, 2)
        ]

    def _page(self, book: str, number: int) -> str:
        type(self).computed += 1
        return f"{book}, page {number}, computed {type(self).computed}"


class GuardedPages(Pages):
    """The same in a guarded process."""

    guard = Guard(wall_s=20, memory_bytes=512 * 1024 * 1024)


def in_threads():
    def make():
        service = Pages()
        service.load_once(None)
        return service

    Pages.computed = 0
    return ThreadReplicas(make, count=1)


def in_processes():
    return GuardedReplicas(
        origin_of(GuardedPages(), guard=GuardedPages.guard, artifact=None), GuardedPages.methods, count=1
    )


@pytest.fixture(params=[in_threads, in_processes], ids=["threads", "processes"])
async def pages(request):
    replicas = request.param()
    await replicas.start()

    async def read(book: str, kept: Kept | None, release: str = RELEASE) -> list[str]:
        context = Context(checkpoints=kept, release=release)
        return (await replicas.ask(Pages.methods["read"], book, context)).value

    yield read
    await replicas.close()


async def test_what_an_earlier_attempt_finished_is_not_computed_again(pages):
    kept = Kept()
    first = await pages("book", kept)
    # As if the process had died after the first page.
    kept.parts = {key: value for key, value in kept.parts.items() if key[1].endswith("page 1")}

    second = await pages("book", kept)

    assert first == ["book, page 1, computed 1", "book, page 2, computed 2"]
    assert second == ["book, page 1, computed 1", "book, page 2, computed 3"]


async def test_outside_a_job_everything_is_computed(pages):
    await pages("book", None)

    assert (await pages("book", None))[0].endswith("computed 3")


async def test_another_release_computes_for_itself(pages):
    kept = Kept()
    await pages("book", kept)

    assert (await pages("book", kept, release="sha256:2"))[0].endswith("computed 3")


async def test_what_was_kept_by_other_code_is_computed_anew(pages):
    kept = Kept()
    await pages("book", kept)
    kept.parts = dict.fromkeys(kept.parts, b"\xc1 no such code")

    assert (await pages("book", kept))[0].endswith("computed 3")


async def test_two_questions_of_one_guarded_service_keep_their_pages_apart():
    replicas = in_processes()
    await replicas.start()
    kept = Kept()
    try:
        for book in ("one", "two"):
            await replicas.ask(Pages.methods["read"], book, Context(checkpoints=kept, release=RELEASE))
    finally:
        await replicas.close()

    assert len(kept.parts) == 4


class Slow(Service):
    """Takes long enough to be worth keeping."""

    calls = 0

    async def add(self, number: int) -> int:
        type(self).calls += 1
        time.sleep(0.15)  # noqa: ASYNC251 - as a model computes
        return number + 1


async def test_a_stage_that_was_answered_is_not_asked_again():
    def make():
        service = Slow()
        service.load_once(None)
        return service

    pool = Pool("slow", ThreadReplicas(make, count=1), model=None)
    await pool.start()
    kept, answers, calls = Kept(), [], []
    for _ in range(2):
        context = Context(checkpoints=kept, release=RELEASE)
        with within(context):
            answers.append(await pool.call(Slow.methods["add"], 41))
        calls += context.calls
    await pool.close()

    assert answers == [42, 42]
    assert Slow.calls == 1
    assert [call.is_shared for call in calls] == [False, True]


def test_pages_that_were_read_by_ocr_are_kept():
    ocr_samples = Path(__file__).parents[2] / "samples" / "inbox" / "fax-0007.tif"
    ocr = Ocr.found(None)
    reader, kept = PictureReader(ocr), Kept()
    with within(Context(checkpoints=kept, release=RELEASE)):
        first = reader(ocr_samples.read_bytes(), Limits())
        names = [name for _, name in kept.parts]
        again = PictureReader(Unused())(ocr_samples.read_bytes(), Limits())

    assert names == [f"picture {number}" for number in range(1, first.pages + 1)]
    assert [each.characters for each in again.passages] == [each.characters for each in first.passages]
    assert again.passages[0].places.boxes.tolist() == first.passages[0].places.boxes.tolist()


class Unused:
    """An engine that must not be asked."""

    def read(self, *_arguments: object, **_more: object) -> None:
        raise AssertionError("The page was read again.")
