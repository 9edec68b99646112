"""A platform whose models lie in a bucket: one machine registers and promotes, another serves what it never had."""

import json

import msgspec
import pytest
from buckets import s3_server, s3_url
from rolled import SAYING, app, asked, settings_in

from headrace.assembly import opened_registry
from headrace.errors import UnreadableArtifact
from headrace.settings import ArtifactSettings
from headrace.storage.bucket import BucketPlace

__all__ = ["s3_server", "s3_url"]


@pytest.fixture
def settings_of(tmp_path, s3_url):
    """Settings of a machine that has a folder of its own, and the bucket with others."""
    return lambda machine: msgspec.structs.replace(
        settings_in(tmp_path / machine), artifacts=ArtifactSettings(url=s3_url)
    )


def registered(settings, word):
    registry = opened_registry(settings)
    version = registry.register("oracle", {SAYING: json.dumps({"word": word}).encode()})
    registry.move_alias(version, expected=registry.alias("oracle"))
    return version


async def test_a_machine_answers_by_what_another_registered(settings_of):
    version = registered(settings_of("workshop"), "wheat")

    async with app.running(settings_of("server")) as running:
        answered = await asked(running, "a")

    assert json.loads(answered.body)["word"] == "wheat"
    assert running.champions["mill"].models == {"oracle": version.digest}
    assert (settings_of("server").models_folder / "versions" / version.digest[7:] / "files" / SAYING).is_file()


async def test_what_was_tampered_with_in_the_bucket_does_not_serve(settings_of, s3_url):
    version = registered(settings_of("workshop"), "wheat")
    name = f"versions/{version.digest[7:]}/files/{SAYING}"
    BucketPlace(s3_url).write(name, iter((b'{"word": "weed"}',)))

    with pytest.raises(UnreadableArtifact, match="changed"):
        async with app.running(settings_of("server")):
            pass
