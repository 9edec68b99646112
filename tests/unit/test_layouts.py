"""Models go out and come back the same in the layouts of others, and nothing comes in that could run code."""

import io
import json
import pickle
import zipfile
import zlib
from datetime import UTC, datetime

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper
from safetensors.numpy import save

from headrace.domain.model import Field, Signature
from headrace.errors import InvalidConfiguration, InvalidInput, NotFound, UnreadableArtifact
from headrace.registry.formats import check_files, is_pickle
from headrace.registry.lock import check_lock, pinned, read_lock, written
from headrace.registry.mlflow_folder import is_mlflow, read_mlflow, write_mlflow
from headrace.registry.model_pack import is_model_pack, read_model_pack, write_model_pack
from headrace.registry.package import package_of, plain_package
from headrace.registry.provenance import provenance_of
from headrace.registry.registry import ModelRegistry

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIGNATURE = Signature((Field("text", "string"),), (Field("label", "string", ("a", "b")), Field("confidence", "double")))


def graph():
    node = helper.make_node("Identity", ["x"], ["y"])
    kind = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    return helper.make_model(helper.make_graph([node], "g", kind[:1], kind[1:])).SerializeToString()


def arrays(**named: object):
    stream = io.BytesIO()
    np.savez(stream, **named)
    return stream.getvalue()


FILES = {"head.safetensors": save({"weights": np.ones(3, np.float32)}), "sub/config.json": b'{"labels": ["a", "b"]}'}


@pytest.fixture
def registry(tmp_path):
    return ModelRegistry(tmp_path / "models")


@pytest.fixture
def version(registry):
    return registry.register(
        "m", FILES, metrics={"f1": 0.9}, lineage={"data": "sha256:d", "seed": "0"}, signature=SIGNATURE
    )


@pytest.mark.parametrize(("write", "read"), [(write_mlflow, read_mlflow), (write_model_pack, read_model_pack)])
def test_a_model_comes_back_with_the_same_digest(registry, version, tmp_path, write, read):
    package = package_of(version, registry.folder_of(version))
    write(tmp_path / "out", version, package, created_at=NOON)
    write(tmp_path / "again", version, package, created_at=NOON)

    back = read(tmp_path / "out")
    again = ModelRegistry(tmp_path / "other").register(
        back.name, back.files, metrics=back.metrics, lineage=back.lineage, signature=back.signature
    )

    assert again.digest == version.digest
    assert contents(tmp_path / "out") == contents(tmp_path / "again")
    with pytest.raises(InvalidInput, match="not empty"):
        write(tmp_path / "out", version, package, created_at=NOON)


def contents(folder):
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_an_onnx_model_of_mlflow_is_taken_in_with_its_signature(tmp_path):
    (tmp_path / "MLmodel").write_text(
        yaml.safe_dump(
            {
                "flavors": {
                    "onnx": {"data": "model.onnx"},
                    "python_function": {"loader_module": "mlflow.onnx", "data": "model.onnx"},
                },
                "run_id": "abc",
                "signature": {
                    "inputs": '[{"name": "x", "tensor-spec": {"dtype": "float32", "shape": [-1, 3]}}]',
                    "outputs": '[{"type": "string"}]',
                },
            }
        )
    )
    (tmp_path / "model.onnx").write_bytes(graph())

    package = read_mlflow(tmp_path)

    assert is_mlflow(tmp_path)
    assert set(package.files) == {"model.onnx"}
    assert package.signature == Signature((Field("x", "float32[n,3]"),), (Field("0", "string"),))
    assert package.lineage == {"mlflow_run": "abc"}
    check_files(package.files)


def test_an_exported_onnx_graph_has_the_flavour_of_mlflow(registry, tmp_path):
    version = registry.register("g", {"model.onnx": graph()})
    write_mlflow(tmp_path / "out", version, package_of(version, registry.folder_of(version)), created_at=NOON)

    described = yaml.safe_load((tmp_path / "out" / "MLmodel").read_text())
    onnx.load(str(tmp_path / "out" / described["flavors"]["onnx"]["data"]))


@pytest.mark.parametrize(
    "described", ["flavors: {sklearn: {pickled_model: model.pkl}}", "flavors: []", "- a", "a: [", "flavors: {x: 1}"]
)
def test_a_model_of_mlflow_that_cannot_be_trusted_is_refused(tmp_path, described):
    (tmp_path / "MLmodel").write_text(described)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps([1, 2]))

    with pytest.raises(UnreadableArtifact):
        read_mlflow(tmp_path)


def test_a_layout_that_points_out_of_its_folder_is_refused(tmp_path):
    home = tmp_path / "model"
    home.mkdir()
    (tmp_path / "secret.onnx").write_bytes(graph())
    (home / "MLmodel").write_text("flavors: {onnx: {data: ../secret.onnx}}")

    with pytest.raises(InvalidInput, match="outside"):
        read_mlflow(home)


def test_a_packed_model_keeps_to_the_specification(registry, version, tmp_path):
    write_model_pack(tmp_path / "out", version, package_of(version, registry.folder_of(version)), created_at=NOON)

    index = json.loads((tmp_path / "out" / "index.json").read_bytes())
    (described,) = index["manifests"]
    manifest = json.loads((tmp_path / "out" / "blobs" / described["digest"].replace(":", "/")).read_bytes())
    assert is_model_pack(tmp_path / "out")
    assert json.loads((tmp_path / "out" / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    assert manifest["artifactType"] == "application/vnd.cncf.model.manifest.v1+json"
    assert manifest["config"]["mediaType"] == "application/vnd.cncf.model.config.v1+json"
    assert [(each["mediaType"], each["annotations"]) for each in manifest["layers"]] == [
        ("application/vnd.cncf.model.weight.v1.raw", {"org.cncf.model.filepath": "head.safetensors"}),
        ("application/vnd.cncf.model.weight.config.v1.raw", {"org.cncf.model.filepath": "sub/config.json"}),
    ]


@pytest.mark.parametrize("damage", ["change", "delete"])
def test_a_packed_model_that_was_tampered_with_is_refused(registry, version, tmp_path, damage):
    write_model_pack(tmp_path / "out", version, package_of(version, registry.folder_of(version)), created_at=NOON)
    victim = max((tmp_path / "out" / "blobs" / "sha256").iterdir(), key=lambda each: each.stat().st_size)
    if damage == "change":
        victim.write_bytes(victim.read_bytes()[:-1] + b"\x00")
    else:
        victim.unlink()

    with pytest.raises(UnreadableArtifact, match="blob"):
        read_model_pack(tmp_path / "out")


def test_a_file_and_a_folder_are_packages(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.json").write_bytes(b"{}")
    (tmp_path / "a" / ".hidden").write_bytes(b"")

    assert plain_package(tmp_path / "a").files == {"x.json": b"{}"}
    assert plain_package(tmp_path / "a" / "x.json").files == {"x.json": b"{}"}
    with pytest.raises(NotFound):
        plain_package(tmp_path / "b")


class Evil:
    def __reduce__(self) -> tuple:
        return (print, ("ran",))


def torch_like():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Evil()))
    return stream.getvalue()


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_safetensors_whose_length_looks_like_a_pickle_are_none(length):
    header = b'{"__metadata__":{}}'.ljust(length)
    content = length.to_bytes(8, "little") + header

    assert is_pickle(content)
    check_files({"head.safetensors": content})
    with pytest.raises(UnreadableArtifact, match="is a pickle"):
        check_files({"head.safetensors": content[: length // 2]})


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_known_by_its_content(protocol):
    content = pickle.dumps(Evil(), protocol=protocol)

    assert is_pickle(content)
    assert is_pickle(zlib.compress(content))
    for name in ("m.safetensors", "m.onnx", "m.npz", "m.skops", "m.pkl", "m.bin"):
        with pytest.raises(UnreadableArtifact, match="pickle"):
            check_files({name: content})


def test_pickles_within_archives_are_found():
    objects = arrays(a=np.array([Evil()], dtype=object))

    with pytest.raises(UnreadableArtifact, match="pickle"):
        check_files({"m.npz": torch_like()})
    with pytest.raises(UnreadableArtifact, match="pickled"):
        check_files({"m.npz": objects})


def test_what_is_of_its_format_is_taken():
    schema = json.dumps({"__class__": "list", "__loader__": "ListNode", "content": []})
    skops = io.BytesIO()
    with zipfile.ZipFile(skops, "w") as archive:
        archive.writestr("schema.json", schema)

    check_files(
        {
            "a.npz": arrays(x=np.arange(3), y=np.array(["t"])),
            "b.onnx": graph(),
            "c.skops": skops.getvalue(),
            "d.safetensors": FILES["head.safetensors"],
            "e.json": b"[1]",
        }
    )
    assert not any(is_pickle(each) for each in (b"", b"{}", b"I am text.", graph(), FILES["head.safetensors"]))


@pytest.mark.parametrize("name", ["a.npz", "b.onnx", "c.skops", "d.safetensors", "e.json"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x00" * 64, b"nonsense"])
def test_what_is_not_of_its_format_is_refused(name, content):
    with pytest.raises(UnreadableArtifact):
        check_files({name: content})


def test_provenance_stands_beside_and_not_in_the_digest(registry, tmp_path):
    first = registry.register("m", FILES, provenance=provenance_of(tmp_path, source="x"))
    again = registry.register("m", FILES)

    assert first.digest == again.digest
    made = registry.provenance(again)
    assert made.source == "x"
    assert made.created_at
    assert made.commit is None
    assert "numpy" in made.libraries


def test_a_signature_says_what_does_not_fit():
    other = Signature((Field("text", "string"),), (Field("label", "long"),))

    assert SIGNATURE.misfits(SIGNATURE) == ()
    assert SIGNATURE.misfits(Signature()) == ()
    assert (
        Signature(SIGNATURE.inputs, (Field("label", "string", ("c",)), *SIGNATURE.outputs[1:])).misfits(SIGNATURE) == ()
    )
    assert "label is long and not string" in " ".join(other.misfits(SIGNATURE))
    assert "confidence is missing" in " ".join(other.misfits(SIGNATURE))
    assert "takes" in " ".join(Signature((Field("n", "long"),), SIGNATURE.outputs).misfits(SIGNATURE))


def test_a_lock_is_small_and_comes_back(registry, version, tmp_path):
    text = written(pinned([version]))
    (tmp_path / "headrace.lock").write_text(text)

    assert written(pinned([version])) == text
    assert f'digest = "{version.digest}"' in text
    assert "metrics.f1 = 0.9" in text
    assert read_lock(tmp_path / "headrace.lock") == pinned([version])
    assert read_lock(tmp_path / "none") is None


def test_a_lock_is_held_against_the_champions_and_says_how_to_mend_it(registry, version, tmp_path):
    path = tmp_path / "headrace.lock"
    check_lock(path, registry, ["m"])
    other = registry.register("m", FILES | {"sub/config.json": b"{}"})
    registry.move_alias(version, expected=None)
    path.write_text(written(pinned([version])))
    check_lock(path, registry, ["m"])

    registry.move_alias(other, expected=version.digest)
    with pytest.raises(InvalidConfiguration, match=f"headrace models alias m champion {version.digest}"):
        check_lock(path, registry, ["m"])
    path.write_text(written(pinned([])))
    with pytest.raises(InvalidConfiguration, match="does not pin m"):
        check_lock(path, registry, ["m"])
    path.write_text(written(pinned([version])).replace(version.digest, "sha256:" + "0" * 64))
    with pytest.raises(InvalidConfiguration, match="headrace models register"):
        check_lock(path, registry, ["m"])


@pytest.mark.parametrize("text", ["format = 2", "nonsense", "format = 1\n[models.m]\nx = 1", ""])
def test_a_lock_that_cannot_be_read_is_refused(registry, tmp_path, text):
    (tmp_path / "headrace.lock").write_text(text)

    with pytest.raises(InvalidConfiguration, match="cannot be read"):
        check_lock(tmp_path / "headrace.lock", registry, ["m"])


def test_a_version_is_named_in_every_way(registry, version):
    registry.move_alias(version, "challenger", expected=None)

    assert registry.named("m@challenger") == version
    assert registry.named(version.digest) == version
    assert registry.named(version.digest[:15]) == version
    assert registry.aliases("m") == {"challenger": version.digest}
    for unknown in ("m", "m@other", "n", "sha256:" + "0" * 64, "sha256:fff"):
        with pytest.raises(NotFound):
            registry.named(unknown)
