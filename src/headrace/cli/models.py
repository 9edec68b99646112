"""`headrace models`: which versions there are, what they are made of, and which of them answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich import box
from rich.table import Table

from headrace.assembly import kept_models, models_of, opened_registry, settings_here
from headrace.cli.application import DEFAULT, load_application
from headrace.cli.failure import clean
from headrace.cli.terminal import answers, remarks
from headrace.domain.model import CHAMPION, ModelVersion
from headrace.errors import HeadraceError, InvalidInput
from headrace.registry.lock import FILE, pinned, written
from headrace.registry.mlflow_folder import is_mlflow, read_mlflow, write_mlflow
from headrace.registry.model_pack import is_model_pack, read_model_pack, write_model_pack
from headrace.registry.package import Package, package_of, plain_package
from headrace.registry.provenance import provenance_of
from headrace.registry.registry import ModelRegistry

models = typer.Typer(
    help="List, register, verify and pin the versions of models.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
DATA = Annotated[str | None, typer.Option(metavar="DIR", help="Where models and decisions are kept.")]
AS_JSON = Annotated[bool, typer.Option("--json", help="As JSON, for machines.")]
REFERENCE = Annotated[str, typer.Argument(metavar="NAME[@ALIAS]", help="Or a digest, or the beginning of one.")]
APP = Annotated[str, typer.Option(help="The application, as module:attribute.")]


@models.command("list")
def listed(*, data: DATA = None, as_json: AS_JSON = False) -> None:
    """List all versions.

    Example: [bold]headrace models list[/bold]
    """
    registry = _registry(data)
    versions = registry.versions()
    if as_json:
        typer.echo(msgspec.json.encode([_fields(registry, each) for each in versions]).decode())
        return
    table = Table("model", "aliases", "digest", "MB", "metrics", "made", box=box.SIMPLE_HEAD)
    for each in versions:
        figures = ", ".join(f"{name} {value:g}" for name, value in sorted(each.metrics.items())[:3])
        size = f"{each.size_bytes / 1e6:.1f}"
        made = registry.provenance(each).created_at[:16]
        table.add_row(clean(each.name), ", ".join(_aliases(registry, each)), each.digest[:19], size, figures, made)
    answers().print(table)


@models.command()
def show(reference: REFERENCE, *, data: DATA = None, as_json: AS_JSON = False) -> None:
    """Show one version: its files, figures and where it comes from.

    Example: [bold]headrace models show document-classifier@champion[/bold]
    """
    registry = _registry(data)
    fields = _fields(registry, registry.named(reference))
    if as_json:
        typer.echo(msgspec.json.encode(fields).decode())
        return
    console = answers()
    for name, value in fields.items():
        if not isinstance(value, dict):
            console.print(f"{name:<12}{clean(str(value))}")
            continue
        console.print(name)
        for key, each in value.items():
            console.print(f"  {clean(str(key)):<24}{clean(str(each))}")


@models.command()
def register(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, a folder, an MLflow or OCI layout directory.")],
    *,
    name: Annotated[str | None, typer.Option(help="The model's name, where the layout does not say it.")] = None,
    alias: Annotated[str | None, typer.Option(help="Let this alias mean it: champion, challenger, or another.")] = None,
    data: DATA = None,
) -> None:
    """Take a version in: safetensors, ONNX, skops, .npz and .json are, pickles are not.

    Example: [bold]headrace models register exported/ --name document-classifier --alias challenger[/bold]
    """
    registry = opened_registry(settings_here({"data": data}))
    package = _package(path)
    named = name or package.name
    if not named:
        raise InvalidInput(f"Nothing in {path} says how the model is called.", remedy="Say it by --name.")
    version = registry.register(
        named,
        package.files,
        metrics=package.metrics,
        lineage=package.lineage,
        signature=package.signature,
        provenance=provenance_of(Path.cwd(), source=path.name),
    )
    if alias is not None:
        registry.move_alias(version, alias, expected=registry.alias(named, alias))
    typer.echo(version.digest)


@models.command("alias")
def move(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    alias: Annotated[str, typer.Argument(metavar="ALIAS", help="champion, challenger, or a name of your own.")],
    reference: REFERENCE,
    *,
    data: DATA = None,
) -> None:
    """Let an alias mean a version from now on; refused when somebody else moves it meanwhile.

    Example: [bold]headrace models alias document-classifier champion sha256:3f…[/bold]
    """
    registry = _registry(data)
    before = registry.alias(name, alias)
    version = registry.named(reference)
    if version.name != name:
        raise InvalidInput(f"{reference} is a version of {version.name}, not of {name}.", remedy="Check both.")
    registry.move_alias(version, alias, expected=before)
    typer.echo(f"{name}@{alias} is now {version.digest}")


@models.command()
def verify(
    references: Annotated[list[str] | None, typer.Argument(metavar="[NAME[@ALIAS]]...", help="All when none.")] = None,
    *,
    data: DATA = None,
) -> None:
    """Hold every file of versions against its digest.

    Example: [bold]headrace models verify[/bold]
    """
    registry = _registry(data)
    versions = [registry.named(each) for each in references] if references else registry.versions()
    failed = 0
    for version in versions:
        try:
            registry.folder_of(version)
        except HeadraceError as error:
            failed += 1
            remarks().print(f"{version.name} {version.digest[:19]}: {clean(str(error))}")
        else:
            typer.echo(f"{version.name} {version.digest} is whole")
    if failed:
        raise typer.Exit(1 if failed == len(versions) else 3)


@models.command()
def lock(
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")] = Path(FILE),
    data: DATA = None,
    app: APP = DEFAULT,
) -> None:
    """Pin the champions of the application's models in headrace.lock, which belongs into git.

    Example: [bold]headrace models lock && git add headrace.lock[/bold]
    """
    registry = _registry(data)
    names = models_of(load_application(app).platform.pipelines)
    champions = [version for name in names if (version := registry.find(name)) is not None]
    for version in champions:
        registry.folder_of(version)
    text = written(pinned(champions))
    before = out.read_text(encoding="utf-8") if out.is_file() else None
    if text != before:
        out.write_text(text, encoding="utf-8")
    for version in champions:
        typer.echo(f"{version.name} {version.digest}")
    for name in sorted(set(names) - {version.name for version in champions}):
        remarks().print(f"{name} has no champion and is not pinned.")


@models.command()
def export(
    reference: REFERENCE,
    *,
    mlflow: Annotated[Path | None, typer.Option(metavar="DIR", help="As an MLflow model directory.")] = None,
    modelpack: Annotated[Path | None, typer.Option(metavar="DIR", help="As a CNCF ModelPack OCI layout.")] = None,
    data: DATA = None,
) -> None:
    """Write a version out as plain files for other programs.

    Example: [bold]headrace models export document-classifier --modelpack packed/[/bold]
    """
    if (mlflow is None) == (modelpack is None):
        raise typer.BadParameter("Name one of --mlflow and --modelpack.")
    registry = _registry(data)
    version = registry.named(reference)
    package = package_of(version, registry.folder_of(version))
    made = registry.provenance(version).created_at
    created_at = datetime.fromisoformat(made) if made else datetime(1970, 1, 1, tzinfo=UTC)
    if mlflow is not None:
        write_mlflow(mlflow, version, package, created_at=created_at)
    if modelpack is not None:
        write_model_pack(modelpack, version, package, created_at=created_at)
    typer.echo(str(mlflow or modelpack))


def _registry(data: str | None) -> ModelRegistry:
    return opened_registry(kept_models(data))


def _package(path: Path) -> Package:
    if is_mlflow(path):
        return read_mlflow(path)
    if is_model_pack(path):
        return read_model_pack(path)
    return plain_package(path)


def _aliases(registry: ModelRegistry, version: ModelVersion) -> list[str]:
    found = [alias for alias, digest in registry.aliases(version.name).items() if digest == version.digest]
    return sorted(found, key=lambda alias: (alias != CHAMPION, alias))


def _fields(registry: ModelRegistry, version: ModelVersion) -> dict[str, Any]:
    made = registry.provenance(version)
    return {
        "name": version.name,
        "digest": version.digest,
        "aliases": _aliases(registry, version),
        "size_bytes": version.size_bytes,
        "created_at": made.created_at or None,
        "commit": made.commit,
        "is_dirty": made.is_dirty,
        "source": made.source or None,
        "files": {name: file.sha256 for name, file in version.files.items()},
        "metrics": dict(version.metrics),
        "lineage": dict(version.lineage),
        "signature": {
            "inputs": [f"{each.name}: {each.type}" for each in version.signature.inputs],
            "outputs": [f"{each.name}: {each.type}" for each in version.signature.outputs],
        },
        "libraries": dict(made.libraries),
    }
