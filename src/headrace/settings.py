"""The only reader of `headrace.toml` and of the environment.

A setting comes from the file in the working folder, then from `HEADRACE_<SECTION>__<KEY>` in the environment, then from
flags; the last one wins. An unknown key is an error that names the nearest known one. Nothing needs to be set.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

import msgspec

from headrace.errors import InvalidConfiguration

FILE, PREFIX = "headrace.toml", "HEADRACE_"
_SIZE = re.compile(r"\s*(\d[\d_]*(?:\.\d+)?)\s*([KMGT]i?B|B)?\s*", re.IGNORECASE | re.ASCII)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_UNITS |= {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
AtLeastOne = Annotated[int, msgspec.Meta(ge=1)]
Size = Annotated[str | int, msgspec.Meta(description="a number of bytes, or a text such as 50 MiB")]


class ServerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[server]`. `auth`: "auto" is open on loopback and asks for keys on other addresses; "keys"; "off".

    `processes` answer at one port; "auto" is one a core. `drain_s` is how long what came in may take when it stops.
    `grpc_port` is where the Open Inference Protocol is spoken over gRPC as well; 0 is nowhere.
    Files are fetched by URL from `allowed_url_hosts`, and from `allowed_private_url_hosts` at private addresses too.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    auth: Literal["auto", "keys", "off"] = "auto"
    processes: str | int = 1
    grpc_port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    drain_s: NotNegative = 30.0
    allowed_url_hosts: tuple[str, ...] = ()
    allowed_private_url_hosts: tuple[str, ...] = ()


class StoreSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[store]`. What decisions are kept in, for how long and how many of them at most."""

    url: str = "sqlite:///{data}/headrace.db"
    keep_days: Positive = 30.0
    keep_decisions: AtLeastOne = 1_000_000


class DecisionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[decisions]`. `inputs` are kept by "none", "digest" or "full"; only in full can an answer be replayed.

    `keep` bounds the size of all decisions together, `journal` what may wait on this disc while the store is away.
    """

    inputs: str = "full"
    keep: Size = "10 GiB"
    journal: Size = "1 GiB"


class ArtifactSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[artifacts]`. Where models lie: a folder, or a bucket (s3://, gs://, az://) whose files are copied to `copies`.

    `cache` bounds what is kept warm of releases that nobody uses.
    """

    url: str = "{data}/models"
    copies: str = "{data}/copies"
    cache: Size = "512 MiB"


class BrokerSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[broker]`. Who carries tickets to workers: "embedded" is the store itself, else redis://, rediss:// or amqp://.

    `prefix` sets apart the queues of several platforms on one server.
    """

    url: str = "embedded"
    prefix: str = "headrace"


class JobSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[jobs]`. `concurrency`: jobs run at once by a worker, "auto" adapts. `job_seconds` bounds one attempt.

    A worker that is silent for `lease_s` has lost its jobs. `artifacts` is where inputs lie that are not small.
    `release_gone`: a job whose release no living worker can answer by is bound to the one that serves ("rebind"), or
    fails ("fail"); one of which the code alone has changed is always bound anew.
    """

    concurrency: str | int = "auto"
    lease_s: Positive = 10.0
    attempts: AtLeastOne = 5
    deaths: AtLeastOne = 5
    job_seconds: Positive = 3600.0
    drain_s: NotNegative = 20.0
    keep_days: Positive = 7.0
    release_gone: Literal["rebind", "fail"] = "rebind"
    artifacts: str = "{data}/artifacts"


class WebhookSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[webhooks]`. `allowed_hosts` may be told although their addresses are private.

    `secrets` (`whsec_...`) sign for addresses that a job named itself; without any, one is made and kept in `data`.
    """

    allowed_hosts: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    source: str = "/headrace"
    timeout_s: Positive = 15.0


class MonitoringSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[monitoring]`. `alpha`: the chance that a release in whose traffic nothing changes ever raises a drift alarm.

    The first `reference_decisions` of a release are its reference. Sketches are kept by `window_s`, handed on every
    `flush_s` and looked at every `look_s`. Watching takes at most `share` of a core in each process.
    """

    enabled: bool = True
    alpha: Share = 0.01
    reference_decisions: AtLeastOne = 500
    learn: Count = 200
    window_s: Positive = 300.0
    flush_s: Positive = 5.0
    look_s: Positive = 5.0
    calm_s: NotNegative = 60.0
    share: Share = 0.02
    keep_days: Positive = 30.0


class QualitySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[quality]`. `rules` by name have thresholds `tell`, `suspect` and `quarantine`; an empty table turns one off.

    `languages` are those expected, all if empty; `anomalies` is the share of normal inputs to be flagged as unusual.
    """

    languages: tuple[str, ...] = ()
    anomalies: Share = 0.01
    rules: dict[str, dict[str, float]] = {}


class AlertRuleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[alerts.<name>]`. A figure with a bound; see `docs/how-to/watch-for-drift.md` for the figures."""

    figure: str
    above: float | None = None
    below: float | None = None
    severity: str = "warning"
    for_s: NotNegative = 0.0
    calm_s: NotNegative = 60.0
    recovers_at: float | None = None


class OutcomeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[outcomes.<metric>]`. What the business goes by. `worth` of one unit in `currency`; below 0 it is a cost.

    With `cost_of_a_person`, what a decision by a person costs, reports say what other thresholds would have been worth.
    `least` and `most` are what an outcome can be, where that is known: intervals allow for what was not seen yet.
    """

    unit: str = ""
    direction: str = "up"
    worth: float = 1.0
    currency: str = ""
    within_days: Positive = 30.0
    cost_of_a_person: float | None = None
    least: float | None = None
    most: float | None = None


class CostSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[costs]`. What a million tokens that language models read (`prompt_million`) or write cost, in `currency`."""

    prompt_million: NotNegative = 0.0
    completion_million: NotNegative = 0.0
    currency: str = ""


class TelemetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[telemetry]`. `otlp`: the address of a collector for spans, none if empty; `share` of the traces begun here."""

    otlp: str = ""
    headers: dict[str, str] = {}
    share: Share = 1.0


class LimitSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[limits]`. `inflight`: questions answered at once, "auto" is learned from how long they wait for their turn.

    `request_seconds` is the usual budget. `requests_per_minute` is what each caller may ask, 0 is as often as they
    like; the processes of one server count together, several servers each by themselves. `answers` bounds the answers
    that a process keeps for who asks the same again; 0 keeps none.
    """

    upload: Size = "50 MiB"
    archive: Size = "4 GiB"
    pages: AtLeastOne = 2000
    document_seconds: Positive = 60.0
    request_seconds: Positive = 120.0
    inflight: str | int = "auto"
    requests_per_minute: Count = 0
    answers: Size = 0

    @property
    def archive_bytes(self) -> int:
        """`archive` as a number."""
        return size_bytes(self.archive)

    @property
    def upload_bytes(self) -> int:
        """`upload` as a number."""
        return size_bytes(self.upload)

    @property
    def answers_bytes(self) -> int:
        """`answers` as a number."""
        return size_bytes(self.answers)


class ReplicaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `[services.<name>]` may say of any service, besides the service's own options.

    `replicas` is a number, bounds as "2..6" between which guarded workers follow the waiting, or "auto", one to one a
    core. `memory` bounds each guarded worker; of services in threads, a process that holds more than they may together
    is replaced by a fresh one, and then ends. `fallback` names the lesser ways that may answer, best first; by default
    all that the service has.
    `timeout_s` is how long one way is waited for while there is a lesser one; by default it is learned.
    `url` is a host of the Open Inference Protocol that answers instead of replicas here, or several by commas; `key` is
    what it wants as API key.
    """

    replicas: str | int = "auto"
    memory: Size = ""
    fallback: tuple[str, ...] | None = None
    timeout_s: Positive | None = None
    url: str = ""
    host: str = ""
    key: str = ""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings. `data` is the folder of everything that is kept; `services` are tables that assembly checks."""

    data: str = ".headrace"
    server: ServerSettings = ServerSettings()
    store: StoreSettings = StoreSettings()
    decisions: DecisionSettings = DecisionSettings()
    artifacts: ArtifactSettings = ArtifactSettings()
    broker: BrokerSettings = BrokerSettings()
    jobs: JobSettings = JobSettings()
    webhooks: WebhookSettings = WebhookSettings()
    limits: LimitSettings = LimitSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    quality: QualitySettings = QualitySettings()
    alerts: dict[str, AlertRuleSettings] = {}
    outcomes: dict[str, OutcomeSettings] = {}
    costs: CostSettings = CostSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    services: dict[str, dict[str, Any]] = {}

    @property
    def store_url(self) -> str:
        """Where the store is."""
        return self.store.url.replace("{data}", self.data)

    @property
    def job_artifacts_url(self) -> str:
        """Where the inputs and results of jobs are that are not small."""
        return self.jobs.artifacts.replace("{data}", self.data)

    @property
    def models_url(self) -> str:
        """Where the registry is."""
        return self.artifacts.url.replace("{data}", self.data)

    @property
    def models_folder(self) -> Path:
        """The folder with the files of models: the registry, or the copies of one that lies in a bucket."""
        url = self.models_url
        is_folder = "://" not in url or url.startswith("file://")
        return Path(url.removeprefix("file://") if is_folder else self.artifacts.copies.replace("{data}", self.data))

    @property
    def cache_bytes(self) -> int:
        """`[artifacts] cache` as a number."""
        return size_bytes(self.artifacts.cache)


def load_settings(folder: Path, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Settings:
    """The settings of `folder`; `overrides` are `{"server.port": 8001}` from flags, and None there means not given.

    Raises:
        InvalidConfiguration: a key is unknown, or a value is of the wrong type; the message names both.
    """
    tables = _file(folder / FILE)
    for path, value in [*_environment(environ), *overrides.items()]:
        if value is not None:
            _put(tables, path.split("."), value)
    settings: Settings = checked(tables, Settings, at="")
    return settings


def settings_here(overrides: Mapping[str, Any]) -> Settings:
    """The settings of the working folder and of this process's environment."""
    return load_settings(Path.cwd(), os.environ, overrides)


def checked(table: Mapping[str, Any], kind: type[Any], *, at: str) -> Any:
    """`table` as `kind`; raises `InvalidConfiguration` that names the key at fault and its place."""
    _check_keys(table, kind, at)
    try:
        return msgspec.convert(table, kind, strict=False)
    except msgspec.ValidationError as error:
        where = f"[{at}] " if at else ""
        raise InvalidConfiguration(f"{where}{error}.", remedy=f"Mend it in {FILE} or in the environment.") from error


def size_bytes(size: str | int, *, of: str = "") -> int:
    """`"50 MiB"` as a number of bytes; `of` says in the error what it is the size of."""
    if isinstance(size, int) and size >= 0:
        return size
    found = _SIZE.fullmatch(str(size))
    if not found:
        raise InvalidConfiguration(f"{of}{size!r} is no size.", remedy='Write it as "50 MiB".')
    return int(float(found[1].replace("_", "")) * _UNITS[(found[2] or "B").lower()])


def _file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidConfiguration(f"{path.name} cannot be read: {error}.", remedy="It has to be TOML.") from error
    except OSError as error:
        remedy = "It has to be a file that this user may read."
        raise InvalidConfiguration(f"{path.name} cannot be read: {error.strerror}.", remedy=remedy) from error


def _environment(environ: Mapping[str, str]) -> list[tuple[str, Any]]:
    """`HEADRACE_SERVICES__CLASSIFIER__FEATURES=["words"]` as a path and its value, TOML where it is TOML."""
    found = []
    for name, text in sorted(environ.items()):
        if name.startswith(PREFIX) and _is_setting(name.removeprefix(PREFIX).lower()):
            path = name.removeprefix(PREFIX).lower().replace("__", ".")
            try:
                value = tomllib.loads(f"value = {text}")["value"]
            except tomllib.TOMLDecodeError:
                value = text
            found.append((path, value))
    return found


def _is_setting(name: str) -> bool:
    """Whether a variable means a setting: other programs' scripts may keep variables of their own by our name."""
    return "__" in name or name.partition("_")[0] in _fields_of(Settings)


def _put(tables: dict[str, Any], path: list[str], value: Any) -> None:
    for part in path[:-1]:
        inner = tables.setdefault(part, {})
        if not isinstance(inner, dict):
            raise InvalidConfiguration(f"{part!r} is both a value and a section.", remedy="Name one of them otherwise.")
        tables = inner
    tables[path[-1]] = value


def _check_keys(table: Mapping[str, Any], kind: type[Any], at: str) -> None:
    known = _fields_of(kind)
    for key, value in table.items():
        if key not in known:
            near = get_close_matches(key, known, n=1, cutoff=0.0)
            raise InvalidConfiguration(
                f"{f'[{at}] ' if at else ''}{key!r} is no known setting.",
                remedy=f"Did you mean {near[0]!r}?" if near else "This section has none.",
            )
        inner = known[key]
        if isinstance(value, Mapping) and _fields_of(inner):
            _check_keys(value, inner, f"{at}.{key}" if at else key)
        elif inner == Size and isinstance(value, str | int) and value != "":
            size_bytes(value, of=f"[{at}] {key} = ")


def _fields_of(kind: Any) -> dict[str, Any]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {field.name: field.type for field in msgspec.structs.fields(kind)}
    return get_type_hints(kind) if isinstance(kind, type) and is_dataclass(kind) else {}
