"""The registry keeps what it was given, or says that it could not."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from safetensors.numpy import save

from headrace.errors import Conflict, InvalidInput, NotFound, UnreadableArtifact
from headrace.registry.registry import ModelRegistry

FILES = {"head.safetensors": save({"weights": np.ones(3, np.float32)}), "config.json": b'{"labels": ["a", "b"]}'}


@pytest.fixture
def registry(tmp_path):
    return ModelRegistry(tmp_path / "models")


def test_the_same_files_give_the_same_digest_and_others_another(registry):
    first = registry.register("m", FILES, metrics={"accuracy": 0.9})
    again = registry.register("m", dict(reversed(FILES.items())), metrics={"accuracy": 0.9})
    other = registry.register("m", FILES | {"config.json": b"{}"}, metrics={"accuracy": 0.9})

    assert first.digest == again.digest != other.digest


def test_a_registered_version_is_found_whole_by_a_second_registry(registry, tmp_path):
    version = registry.register("m", FILES, lineage={"seed": "0"})
    registry.move_alias(version, expected=None)

    second = ModelRegistry(tmp_path / "models")
    found = second.find("m")

    assert found == version
    assert {path.name: path.read_bytes() for path in second.folder_of(found).iterdir()} == FILES


def test_no_alias_is_none_and_an_unknown_digest_is_not_found(registry):
    assert registry.find("m") is None
    with pytest.raises(NotFound):
        registry.version("sha256:" + "0" * 64)


@pytest.mark.parametrize("damage", [lambda b: b[:-1] + b"\xff", lambda b: b[:-1], lambda _: b""])
def test_a_tampered_file_is_refused_and_mended_by_registering_again(registry, damage):
    version = registry.register("m", FILES)
    victim = registry.folder_of(version) / "head.safetensors"
    victim.write_bytes(damage(victim.read_bytes()))

    with pytest.raises(UnreadableArtifact, match=r"head\.safetensors"):
        registry.folder_of(version)

    registry.register("m", FILES)
    assert registry.folder_of(version)


def test_a_tampered_manifest_is_refused(registry, tmp_path):
    version = registry.register("m", FILES)
    path = next(tmp_path.rglob("manifest.json"))
    manifest = json.loads(path.read_bytes())
    manifest["metrics"]["accuracy"] = 1.0
    path.write_text(json.dumps(manifest))

    with pytest.raises(UnreadableArtifact, match="changed"):
        registry.version(version.digest)


def test_a_damaged_alias_is_refused(registry, tmp_path):
    registry.move_alias(registry.register("m", FILES), expected=None)
    (tmp_path / "models/aliases/m/champion").write_bytes(b"../../etc\xff")

    with pytest.raises(UnreadableArtifact, match="does not hold a digest"):
        registry.find("m")


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"model.pkl": b"x"},
        {"model.joblib": b"x"},
        {"head.safetensors": pickle.dumps({"a": 1})},
        {"config.json": pickle.dumps([1])},
        {"config.json": b"{"},
        {"head.safetensors": b"\xff" * 40},
        {"../head.json": b"{}"},
        {"/etc/head.json": b"{}"},
        {"a\\b.json": b"{}"},
    ],
)
def test_files_of_other_formats_and_places_are_refused(registry, files):
    with pytest.raises(UnreadableArtifact):
        registry.register("m", files)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "ü" * 3, "a" * 200])
def test_a_name_that_could_leave_the_folder_is_refused(registry, name):
    with pytest.raises(InvalidInput):
        registry.register(name, FILES)


def test_of_many_who_move_an_alias_from_one_state_exactly_one_succeeds(registry):
    versions = [registry.register("m", FILES, metrics={"accuracy": share / 100}) for share in range(16)]

    def move(version):
        try:
            registry.move_alias(version, expected=None)
        except Conflict:
            return None
        return version.digest

    with ThreadPoolExecutor(16) as threads:
        moved = [digest for digest in threads.map(move, versions) if digest]

    assert moved == [registry.alias("m")]


def test_an_alias_moves_only_from_where_the_caller_saw_it(registry):
    old, new = (registry.register("m", FILES, lineage={"seed": seed}) for seed in "01")
    registry.move_alias(old, expected=None)

    with pytest.raises(Conflict, match="by now"):
        registry.move_alias(new, expected=new.digest)
    registry.move_alias(new, expected=old.digest)

    assert registry.find("m") == new
    assert registry.versions() == sorted([old, new], key=lambda version: version.digest)
