"""Every answer that went out is stored or refused, whatever the store does, and what is kept of it is what may be."""

import json
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest

from headrace import Columns
from headrace.domain.decision import Account, Decision, answer_part, new_id
from headrace.errors import HeadraceError
from headrace.serving.answered import Answered, digest_of
from headrace.serving.attachments import Attachments
from headrace.serving.context import Context
from headrace.serving.journal import Journal
from headrace.serving.keeping import LOST, Inputs, Keeping
from headrace.serving.recorder import Recorder
from headrace.serving.wire import Codec
from headrace.storage.artifacts import Artifacts, FolderPlace
from headrace.storage.memory import MemoryDecisions

PATIENCE_S = 60


class Away(HeadraceError):
    retryable = True


class Moody(MemoryDecisions):
    """Fails while it `is_away`, and for good where a decision of the endpoint `poison` comes."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.came = threading.Event()

    def add(self, decisions, *, settles=None):
        self.came.set()
        if self.is_away:
            raise Away("away")
        if any(each.endpoint == "poison" for each in decisions):
            raise ValueError("it has a taste")
        super().add(decisions, settles=settles)


@dataclass(frozen=True)
class Corn:
    name: str
    content: bytes = b""


class Flour:
    def __init__(self, name) -> None:
        self.name = name

    def body(self):
        return {"flour": self.name}

    def text(self):
        return f"flour of {self.name}"

    def explanation(self):
        return {"why": f"because of {self.name}"}

    def confidence(self):
        return 1.0


class Speechless(Flour):
    def explanation(self):
        raise RuntimeError("no words")


class Weighed(Flour):
    def explanation(self):
        return {"weights": Columns({"weight": [1.0, 2.0]})}


def answered(name="rye", endpoint="mill/run", content=b""):
    identity = new_id("dec")
    body = {"decision_id": identity, "degraded": [], "flour": name, "timings_ms": {"total": 1.0}}
    decision = Decision(
        id=identity,
        created_at=datetime.now(UTC),
        endpoint=endpoint,
        release="sha256:r",
        variant="champion",
        input_digest="sha256:i",
        body=json.dumps(body, separators=(",", ":")).encode(),
        duration_ms=1.0,
        text=f"flour of {name}",
    )
    return Answered(decision=decision, question=Corn(name, content), value=Flour(name), context=Context())


@pytest.fixture
def outcomes():
    return Counter()


@pytest.fixture
def made(tmp_path, outcomes):
    """Makes recorders, which are closed at the end."""
    recorders = []

    def make(store, *, journal=True, keeping=None, bound=10_000):
        folder = tmp_path / "journal"
        recorder = Recorder(
            store,
            on_outcome=lambda outcome, count: outcomes.update({outcome: count}),
            journal=Journal(folder) if journal is True else journal,
            keeping=keeping,
            bound=bound,
        )
        recorders.append(recorder)
        return recorder

    yield make
    for recorder in recorders:
        recorder.close(within_s=PATIENCE_S)


def test_all_are_stored_with_what_is_slow_to_make(made, outcomes):
    store = Moody()
    recorder = made(store)
    all_answered = [answered(str(number)) for number in range(1000)]

    for each in all_answered:
        recorder(each)
        assert recorder.find(each.decision.id) is not None
    recorder.close(within_s=PATIENCE_S)

    assert outcomes == {"accepted": 1000, "stored": 1000}
    assert recorder.missing() == recorder.waiting == 0
    kept = store.find(all_answered[7].decision.id)
    assert json.loads(kept.explanation) == {"why": "because of 7"}
    assert kept.answer_digest == digest_of(b'{"degraded":[],"flour":"7"}')


def test_what_comes_while_a_batch_is_stored_waits_for_company(made, outcomes):
    batches, others = [], [answered(str(number)) for number in range(30)]
    stored_twice = threading.Event()

    class Slow(Moody):
        def add(self, decisions, *, settles=None):
            # They come while the store writes.
            for each in others if not batches else ():
                recorder(each)
            super().add(decisions, settles=settles)
            batches.append(len(decisions))
            if len(batches) == 2:
                stored_twice.set()

    recorder = made(Slow())

    recorder(answered("first"))

    assert stored_twice.wait(PATIENCE_S)
    assert batches == [1, 30]
    recorder.close(within_s=PATIENCE_S)
    assert outcomes == {"accepted": 31, "stored": 31}


def test_while_the_store_is_away_the_journal_keeps_all_of_it(made, outcomes):
    store = Moody()
    store.is_away = True
    recorder = made(store, bound=50)

    for number in range(500):
        recorder(answered(str(number)))
    store.came.wait(PATIENCE_S)
    assert outcomes == {"accepted": 500}
    assert recorder.waiting == 500
    assert recorder.missing() == 0
    store.is_away = False
    recorder.close(within_s=PATIENCE_S)

    assert outcomes == {"accepted": 500, "stored": 500}
    assert len(store.listed(cursor=None, limit=1000).items) == 500
    assert recorder.waiting == recorder.missing() == store.missing() == 0


def test_what_a_store_that_stays_away_leaves_is_stored_by_the_next_process(made, outcomes, tmp_path):
    away = Moody()
    away.is_away = True
    first = made(away)
    for number in range(20):
        first(answered(str(number)))
    first.close(within_s=PATIENCE_S)
    store = Moody()
    second = made(store)

    assert second.recover(tmp_path / "journal") == 20
    assert second.recover(tmp_path / "journal") == 0

    found = store.listed(cursor=None, limit=100).items
    assert len(found) == 20
    assert found[0].answer_digest == digest_of(answer_part(found[0].body))
    assert store.missing() == second.missing() == 0


def test_what_the_next_process_stores_has_its_input_and_lacks_its_explanation(made, tmp_path):
    codec = Codec(Corn)
    keeping = Keeping(inputs=Inputs.FULL, codecs={"mill/run": codec})
    away = Moody()
    away.is_away = True
    first = made(away, keeping=keeping)
    small, large = (answered("oats", content=b"x" * size) for size in (10, 60_000))
    for each in (small, large):
        first(each)
    first.close(within_s=PATIENCE_S)
    store = Moody()

    assert made(store, keeping=keeping).recover(tmp_path / "journal") == 2

    assert codec.decode(store.find(small.decision.id).input) == small.question
    assert codec.decode(store.find(large.decision.id).input) == large.question
    assert store.find(small.decision.id).explanation == LOST


def attaching(journal, artifacts):
    attachments = Attachments(journal.folder, journal.process, put=artifacts.take, has=artifacts.exists)
    codecs = {"mill/run": Codec(Corn)}
    return Keeping(inputs=Inputs.FULL, codecs=codecs, put=artifacts.put, attachments=attachments)


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_a_large_input_is_attached_to_the_journal_and_outlives_its_process(made, tmp_path):
    artifacts = Artifacts(FolderPlace(tmp_path / "artifacts"))
    journal, away = Journal(tmp_path / "journal"), Moody()
    away.is_away = True
    keeping = attaching(journal, artifacts)
    first = made(away, journal=journal, keeping=keeping)
    given = answered("oats", content=os.urandom(3_000_000))

    first.expect("mill/run", given.question, given.context)
    first(given)
    first.close(within_s=PATIENCE_S)
    keeping.attachments.close()
    assert len(list((tmp_path / "journal").glob("*.input"))) == 1
    store = Moody()
    second = Journal(tmp_path / "journal")
    assert made(store, journal=second, keeping=attaching(second, artifacts)).recover(tmp_path / "journal") == 1

    kept = store.find(given.decision.id)
    assert Codec(Corn).decode(artifacts.get(kept.input_blob)) == given.question
    assert list((tmp_path / "journal").glob("*.input")) == []


def test_an_attachment_goes_when_its_decision_is_stored_and_what_is_kept_already_is_not_written(made, tmp_path):
    artifacts = Artifacts(FolderPlace(tmp_path / "artifacts"))
    journal, store = Journal(tmp_path / "journal"), Moody()
    keeping = attaching(journal, artifacts)
    recorder = made(store, journal=journal, keeping=keeping)
    content = os.urandom(100_000)
    fresh, again = (answered("oats", content=content) for _ in range(2))

    recorder.expect("mill/run", fresh.question, fresh.context)
    recorder(fresh)
    while recorder.waiting:
        assert recorder.find(fresh.decision.id).input_blob is not None
    recorder.expect("mill/run", again.question, again.context)
    assert again.context.attachment.awaited() == store.find(fresh.decision.id).input_blob
    recorder(again)
    failed = answered("rye", content=os.urandom(100_000))
    recorder.expect("mill/run", failed.question, failed.context)
    failed.context.attachment.discard()
    recorder.close(within_s=PATIENCE_S)
    keeping.attachments.close()

    assert store.find(again.decision.id).input_blob == store.find(fresh.decision.id).input_blob
    assert Codec(Corn).decode(artifacts.get(store.find(again.decision.id).input_blob)) == again.question
    assert len(files_in(tmp_path / "artifacts")) == 1
    assert files_in(tmp_path / "journal") == []


def test_a_decision_that_is_stored_while_it_is_looked_up_is_told_with_its_input(made, tmp_path):
    """Whoever looks it up comes too late to its attachment, which goes as soon as the decision is stored."""
    artifacts, journal, store = Artifacts(FolderPlace(tmp_path / "a")), Journal(tmp_path / "journal"), Moody()
    keeping = attaching(journal, artifacts)
    asking, gone = threading.current_thread(), threading.Event()
    discard = keeping.attachments._discard

    def put(path, _digest):
        if threading.current_thread() is asking:
            assert gone.wait(PATIENCE_S)
        return artifacts.put_file(path)

    def discarded(name):
        discard(name)
        gone.set()

    keeping.attachments._put, keeping.attachments._discard = put, discarded
    recorder = made(store, journal=journal, keeping=keeping)
    given = answered("oats", content=os.urandom(100_000))
    recorder.expect("mill/run", given.question, given.context)
    recorder(given)

    found = recorder.find(given.decision.id)

    assert found.input_blob is not None
    assert found == store.find(given.decision.id)


def test_what_cannot_be_attached_is_kept_as_before(made, tmp_path):
    artifacts, journal, store = Artifacts(FolderPlace(tmp_path / "a")), Journal(tmp_path / "journal"), Moody()
    keeping = attaching(journal, artifacts)
    recorder = made(store, journal=journal, keeping=keeping)
    given = answered("oats", content=os.urandom(100_000))
    # A folder stands where the file would be written.
    (tmp_path / "journal" / f"{journal.process}.1.input.unfinished").mkdir()

    recorder.expect("mill/run", given.question, given.context)
    recorder(given)
    recorder.close(within_s=PATIENCE_S)

    assert Codec(Corn).decode(artifacts.get(store.find(given.decision.id).input_blob)) == given.question


@pytest.mark.parametrize("refusing", ["journal", "store"])
def test_an_attachment_goes_with_an_answer_whose_record_is_refused(made, outcomes, tmp_path, refusing):
    artifacts, store = Artifacts(FolderPlace(tmp_path / "a")), Moody()
    journal = Journal(tmp_path / "journal", bound_bytes=1 if refusing == "journal" else 1_000_000)
    keeping = attaching(journal, artifacts)
    recorder = made(store, journal=journal, keeping=keeping)
    if refusing == "store":
        store.add = lambda *_, **__: 1 / 0
    given = answered("oats", content=os.urandom(100_000))

    recorder.expect("mill/run", given.question, given.context)
    recorder(given)
    recorder.close(within_s=PATIENCE_S)
    keeping.attachments.close()

    assert outcomes == {"accepted": 1, "refused": 1}
    assert list((tmp_path / "journal").glob("*.input*")) == []
    assert recorder.missing() == recorder.waiting == 0


def test_an_author_whose_explanation_fails_does_not_take_the_recorder_with_it(made, outcomes):
    store = Moody()
    recorder = made(store)
    speechless = msgspec.structs.replace(answered("oats"), value=Speechless("oats"))
    others = [answered(str(number)) for number in range(3)]

    for each in (others[0], speechless, *others[1:]):
        recorder(each)
    assert recorder.find(speechless.decision.id).explanation == LOST
    recorder.close(within_s=PATIENCE_S)

    assert outcomes == {"accepted": 4, "stored": 4}
    assert store.find(speechless.decision.id).explanation == LOST
    assert json.loads(store.find(others[2].decision.id).explanation) == {"why": "because of 2"}


def test_no_more_is_attached_than_the_bound(tmp_path):
    attachments = Attachments(tmp_path, "mill", put=lambda path, _: str(path), bound_bytes=1000)

    first, second = (attachments.begin(lambda: b"x" * 600, 600) for _ in range(2))
    first.discard()
    attachments.close()

    assert second is None
    assert files_in(tmp_path) == []


def test_an_explanation_in_columns_is_found_as_json_from_the_first_moment(made):
    store = Moody()
    store.is_away = True
    recorder = made(store)
    given = msgspec.structs.replace(answered(), value=Weighed("rye"))

    recorder(given)

    assert recorder.find(given.decision.id).explanation == b'{"weights":[{"weight":1.0},{"weight":2.0}]}'


def test_a_recovery_that_is_broken_off_counts_nothing_twice(made, tmp_path):
    away = Moody()
    away.is_away = True
    first = made(away)
    given = [answered(str(number)) for number in range(5)]
    for each in given:
        first(each)
    process = first._journal.process
    first.close(within_s=PATIENCE_S)
    store = Moody()
    store.add([each.decision for each in given[:3]], settles=Account(process, through=3, stored=3))

    second = made(store)

    assert second.recover(tmp_path / "journal") == 2
    assert store.account(process) == Account(process, through=5, stored=5)


def test_one_that_cannot_be_stored_is_refused_and_the_others_are_not(made, outcomes):
    store = Moody()
    recorder = made(store)

    for number in range(10):
        recorder(answered(str(number), endpoint="poison" if number == 4 else "mill/run"))
    recorder.close(within_s=PATIENCE_S)

    assert outcomes == {"accepted": 10, "stored": 9, "refused": 1}
    assert recorder.missing() == 0
    assert store.missing() == 0


def test_a_full_journal_refuses_and_says_so(made, outcomes, tmp_path):
    store = Moody()
    store.is_away = True
    recorder = made(store, journal=Journal(tmp_path / "small", bound_bytes=2000, segment_bytes=500))

    for number in range(100):
        recorder(answered(str(number)))
    assert outcomes["refused"] > 0
    store.is_away = False
    until = time.monotonic() + PATIENCE_S
    while recorder.waiting and time.monotonic() < until:
        time.sleep(0.01)

    assert outcomes["accepted"] == outcomes["stored"] + outcomes["refused"] == 100
    assert recorder.missing() == recorder.waiting == 0


def test_without_a_journal_what_a_store_fails_at_twice_is_refused(made, outcomes):
    store = Moody()
    store.is_away = True
    recorder = made(store, journal=None)

    for number in range(5):
        recorder(answered(str(number)))
    recorder.close(within_s=PATIENCE_S)

    assert outcomes == {"accepted": 5, "refused": 5}
    assert recorder.missing() == 0


@pytest.mark.parametrize(
    ("inputs", "has_digest", "has_input"), [("none", False, False), ("digest", True, False), ("full", True, True)]
)
def test_inputs_are_kept_by_policy(made, inputs, has_digest, has_input):
    store = Moody()
    codec = Codec(Corn)
    recorder = made(store, keeping=Keeping(inputs=Inputs(inputs), codecs={"mill/run": codec}))
    given = answered("oats")

    recorder(given)
    recorder.close(within_s=PATIENCE_S)

    kept = store.find(given.decision.id)
    assert bool(kept.input_digest) is has_digest
    assert (kept.input is not None and codec.decode(kept.input) == given.question) is has_input


def test_a_large_input_lies_with_the_artifacts(made):
    store, blobs = Moody(), {}

    def put(content):
        blobs[digest_of(content)] = content
        return digest_of(content)

    codec = Codec(Corn)
    recorder = made(store, keeping=Keeping(inputs=Inputs.FULL, codecs={"mill/run": codec}, put=put))
    given = answered("oats", content=b"x" * 100_000)

    recorder(given)
    recorder.close(within_s=PATIENCE_S)

    kept = store.find(given.decision.id)
    assert kept.input is None
    assert codec.decode(blobs[kept.input_blob]) == given.question


def test_nothing_that_redaction_takes_out_is_written_anywhere(made, tmp_path):
    store = Moody()
    store.is_away = True
    keeping = Keeping(
        inputs=Inputs.FULL,
        codecs={"mill/run": Codec(Corn)},
        redact=lambda text: text.replace("Ada", "***"),
    )
    recorder = made(store, keeping=keeping)
    given = answered("Ada")

    recorder(given)
    journals = [path.read_bytes() for path in (tmp_path / "journal").glob("*.journal")]
    assert journals
    assert not any(b"Ada" in journal for journal in journals)
    store.is_away = False
    recorder.close(within_s=PATIENCE_S)

    kept = store.find(given.decision.id)
    assert (kept.text, kept.explanation, kept.input) == ("flour of ***", b'{"why":"because of ***"}', None)
    assert json.loads(kept.body)["flour"] == "***"
    # The digest is of the answer as it went out, so that a replay can still be held against it.
    assert kept.answer_digest == digest_of(answer_part(given.decision.body))


def test_what_another_process_is_about_to_store_is_waited_for(made):
    store = Moody()
    recorder = made(store)
    other = answered()

    threading.Timer(0.2, store.add, [[other.decision]]).start()

    assert recorder.find(other.decision.id) == other.decision
    assert recorder.find("dec_0") is None
    assert recorder.find("dec_00000000-0000-7000-8000-000000000000") is None
