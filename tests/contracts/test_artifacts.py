"""The promise of the artifacts, held against a folder, a bucket, and a server of the S3 protocol."""

import hashlib

import pytest

from headrace.errors import InvalidInput, NotFound, UnreadableArtifact
from headrace.storage.artifacts import Artifacts, FolderPlace, file_digest
from headrace.storage.bucket import BucketPlace
from headrace.storage.database import StoreUnavailable

LARGE = bytes(range(256)) * 20_000


@pytest.fixture(params=["folder", "bucket", "s3"])
def artifacts(request, tmp_path):
    if request.param == "folder":
        return Artifacts(FolderPlace(tmp_path / "artifacts"))
    if request.param == "s3":
        return Artifacts(BucketPlace(request.getfixturevalue("s3_url")))
    # The same library that speaks to buckets keeps one in memory.
    return Artifacts(BucketPlace("memory:///"))


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@pytest.mark.parametrize("content", [b"", b"water", LARGE])
def test_what_was_put_is_found_by_its_digest(artifacts, content):
    digest = artifacts.put(content)

    assert digest == artifacts.put(content) == digest_of(content)
    assert artifacts.exists(digest)
    assert artifacts.get(digest) == content


def test_files_go_in_and_come_out_as_they_were(artifacts, tmp_path):
    source, target = tmp_path / "in", tmp_path / "sub" / "out"
    source.write_bytes(LARGE)

    artifacts.fetch(artifacts.put_file(source), target)

    assert file_digest(target) == digest_of(LARGE)
    assert [each.name for each in target.parent.iterdir()] == ["out"]


def test_a_file_that_nobody_changes_is_taken_as_it_is_once(artifacts, tmp_path):
    source = tmp_path / "in"
    source.write_bytes(LARGE)

    known = artifacts.take(source, digest_of(LARGE))
    again = artifacts.take(source, None)
    source.unlink()

    assert known == again == digest_of(LARGE)
    assert artifacts.get(known) == LARGE


def test_what_is_not_there_is_said_not_to_be_there(artifacts, tmp_path):
    digest = digest_of(b"never put")

    assert not artifacts.exists(digest)
    with pytest.raises(NotFound, match=digest):
        artifacts.get(digest)
    with pytest.raises(NotFound, match=digest):
        artifacts.fetch(digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_deleted_is_gone_and_may_be_deleted_again(artifacts):
    digest = artifacts.put(b"water")

    artifacts.delete(digest)
    artifacts.delete(digest)

    assert not artifacts.exists(digest)


@pytest.mark.parametrize("name", ["", "water", "sha256:../../etc/passwd", f"sha256:{'G' * 64}"])
def test_what_is_no_digest_is_refused(artifacts, name):
    with pytest.raises(InvalidInput, match="no digest"):
        artifacts.get(name)


def test_a_damaged_blob_is_not_given_out(tmp_path):
    artifacts = Artifacts(FolderPlace(tmp_path))
    digest = artifacts.put(b"water")
    next(path for path in tmp_path.rglob("*") if path.is_file()).write_bytes(b"wine")

    with pytest.raises(UnreadableArtifact, match=digest):
        artifacts.get(digest)
    with pytest.raises(UnreadableArtifact, match=digest):
        artifacts.fetch(digest, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StoreUnavailable, match="file"):
        Artifacts(FolderPlace(tmp_path / "file")).put(b"water")
