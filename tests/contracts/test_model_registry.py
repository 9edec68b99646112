"""The registry in a folder, in a bucket, and in a bucket that a server of the S3 protocol keeps."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import obstore
import pytest
from safetensors.numpy import load_file, save

from headrace.domain.model import Provenance
from headrace.errors import Conflict, NotFound, UnreadableArtifact
from headrace.registry.places.folder import write_whole
from headrace.registry.registry import ModelRegistry
from headrace.storage.bucket import BucketPlace
from headrace.storage.database import StoreUnavailable

FILES = {
    "head.safetensors": save({"weights": np.arange(3_000_000, dtype=np.float32)}),
    "parts/config.json": b'{"labels": ["a", "b"]}',
}


@dataclass
class Home:
    """Where a registry is: `opened` by machines that have nothing but their own folder in common with no other."""

    bucket: BucketPlace | None
    folder: Path

    def opened(self, machine="here"):
        if self.bucket is None:
            return ModelRegistry(self.folder)
        return ModelRegistry(self.folder / machine, bucket=self.bucket)

    def overwrite(self, name, content):
        if self.bucket is None:
            write_whole(self.folder / name, iter((content,)))
        else:
            self.bucket.write(name, iter((content,)))


@pytest.fixture(params=["folder", "memory", "s3"])
def home(request, tmp_path):
    if request.param == "folder":
        return Home(None, tmp_path)
    url = "memory:///" if request.param == "memory" else request.getfixturevalue("s3_url")
    return Home(BucketPlace(url), tmp_path)


@pytest.fixture
def in_a_bucket(tmp_path, s3_url):
    return Home(BucketPlace(s3_url), tmp_path)


def test_what_one_machine_registers_another_finds_whole(home):
    made = Provenance(created_at="2026-11-28T12:00:00+00:00", commit="abc", is_dirty=False)
    version = home.opened().register("m", FILES, metrics={"accuracy": 0.9}, provenance=made)
    home.opened().move_alias(version, expected=None)

    there = home.opened("there")
    folder = there.folder_of(there.named("m"))

    assert there.find("m") == version
    assert there.versions() == [version]
    assert there.aliases("m") == {"champion": version.digest}
    assert there.provenance(version) == made
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert load_file(folder / "head.safetensors")["weights"][-1] == 2_999_999


def test_what_is_not_there_is_said_not_to_be_there(home):
    registry = home.opened()

    assert registry.find("m") is None
    assert registry.versions() == []
    assert registry.aliases("m") == {}
    with pytest.raises(NotFound):
        registry.version("sha256:" + "0" * 64)


def test_of_many_machines_that_move_an_alias_from_one_state_exactly_one_succeeds(home):
    small = {"config.json": b"{}"}
    versions = [home.opened().register("m", small, metrics={"accuracy": share / 100}) for share in range(8)]

    def move(version):
        try:
            home.opened(version.digest[7:12]).move_alias(version, expected=None)
        except Conflict:
            return None
        return version.digest

    with ThreadPoolExecutor(8) as threads:
        moved = [digest for digest in threads.map(move, versions) if digest]

    assert moved == [home.opened().alias("m")]


def test_an_alias_moves_on_from_where_it_is_and_from_nowhere_else(home):
    registry = home.opened()
    first, second = (registry.register("m", {"config.json": content}) for content in (b"1", b"2"))
    registry.move_alias(first, expected=None)

    registry.move_alias(second, expected=first.digest)

    assert home.opened("there").alias("m") == second.digest
    with pytest.raises(Conflict, match=second.digest):
        registry.move_alias(first, expected=first.digest)


@pytest.mark.parametrize("damage", [lambda b: b[:-1] + b"\xff", lambda b: b[:-1], lambda b: b + b"x", lambda _: b""])
def test_a_tampered_file_is_refused_and_mended_by_registering_again(home, damage):
    version = home.opened().register("m", FILES)
    name = f"versions/{version.digest[7:]}/files/head.safetensors"
    home.overwrite(name, damage(FILES["head.safetensors"]))

    with pytest.raises(UnreadableArtifact, match=r"head\.safetensors"):
        home.opened("there").folder_of(version)
    assert not list(home.folder.rglob(".new-*"))

    home.opened().register("m", FILES)
    assert home.opened("there").folder_of(version)


def test_a_tampered_manifest_is_refused(home):
    version = home.opened().register("m", FILES)
    manifest = json.loads(version.manifest())
    manifest["metrics"]["accuracy"] = 1.0
    home.overwrite(f"versions/{version.digest[7:]}/manifest.json", json.dumps(manifest).encode())

    with pytest.raises(UnreadableArtifact, match="changed"):
        home.opened("there").version(version.digest)


def test_a_version_without_its_manifest_is_not_there_yet(home):
    home.overwrite(f"versions/{'0' * 64}/files/config.json", b"{}")

    assert home.opened().versions() == []


def test_a_copy_that_was_changed_is_fetched_anew(in_a_bucket):
    version = in_a_bucket.opened().register("m", FILES)
    copy = in_a_bucket.opened().folder_of(version) / "parts" / "config.json"
    copy.write_bytes(b'{"labels": ["b", "a"]}')

    in_a_bucket.opened().folder_of(version)

    assert copy.read_bytes() == FILES["parts/config.json"]


def test_a_version_of_which_there_is_a_copy_needs_no_bucket(in_a_bucket):
    version = in_a_bucket.opened().register("m", FILES)
    for name in obstore.list(in_a_bucket.bucket._store).collect():
        in_a_bucket.bucket.delete(name["path"])

    registry = in_a_bucket.opened()

    assert registry.version(version.digest) == version
    assert registry.folder_of(version)


def test_a_bucket_that_does_not_answer_is_named(tmp_path, s3_url, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    with pytest.raises(StoreUnavailable, match="s3://"):
        ModelRegistry(tmp_path, bucket=BucketPlace(s3_url)).find("m")


def test_a_bucket_that_is_not_there_is_named(tmp_path, s3_url):
    with pytest.raises(StoreUnavailable, match="s3://nowhere"):
        ModelRegistry(tmp_path, bucket=BucketPlace("s3://nowhere/models")).register("m", FILES)
