"""Settings of the server: strict, frozen, grouped by who uses them. And how all settings are read.

Where the server's settings come from is `fastserve.settings`. Nothing is corrected in silence: a
key that is not known, a value of the wrong type or out of range is refused with its path, what was
got, what was expected and, for a key, the nearest name that exists.

Units end the names. Zero means "chosen by the server" where a comment says so.
"""

import difflib
import ipaddress
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeGuard, TypeVar
from urllib.parse import urlsplit

import msgspec

from fastserve.errors import InvalidConfig

_MIB: Final = 1 << 20
_MAX_PORT: Final = 65_535
_MAX_SHOWN: Final = 80

Rows = Annotated[int, msgspec.Meta(ge=1, le=1 << 20)]
Threads = Annotated[int, msgspec.Meta(ge=0, le=1024)]
Bytes = Annotated[int, msgspec.Meta(ge=1)]
Transport = Literal["native", "grpcio"]
WindowSeconds = Annotated[int, msgspec.Meta(ge=1, le=86_400)]
WindowCount = Annotated[int, msgspec.Meta(ge=1, le=100)]
Significance = Annotated[float, msgspec.Meta(gt=0, le=0.5)]
Threshold = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one owner."""


class Address(_Group, frozen=True):
    """Where to listen: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    unix_path: str = ""

    @property
    def is_public(self) -> bool:
        """Other machines may reach it. A name that is not an address counts, but for localhost."""
        if self.unix_path or self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    def __str__(self) -> str:
        if self.unix_path:
            return f"unix:{self.unix_path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`HOST:PORT`, `[V6]:PORT` or `unix:PATH`. Errors: InvalidConfig."""
    if text.startswith("unix:"):
        path = text.removeprefix("unix:").removeprefix("//")
        if not path:
            raise InvalidConfig(f"address {text!r} names no path: write unix:/run/fastserve.sock")
        return Address(unix_path=path)
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > _MAX_PORT:
        raise InvalidConfig(f"address {text!r}: expected HOST:PORT with a port up to 65535")
    return Address(host=host, port=int(port))


class ListenSettings(_Group, frozen=True):
    """Where the server answers, and through which transport. Loopback unless told otherwise."""

    grpc: tuple[Address, ...] = (Address(host="127.0.0.1", port=8001),)
    http: Address | None = Address(host="127.0.0.1", port=8002)
    transport: Transport = "native"


class SecuritySettings(_Group, frozen=True):
    """Files of TLS and tokens. A client CA asks every client for a certificate (mutual TLS)."""

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    token_file: Path | None = None
    allow_insecure: bool = False
    # Without tokens: who reaches a public address may also load and unload models.
    allow_insecure_control: bool = False


class ThreadSettings(_Group, frozen=True):
    """Numbers of threads; 0: planned from the CPUs that the process may use."""

    io_threads: Threads = 0
    executors: Threads = 0


class LimitSettings(_Group, frozen=True):
    """What a client or a model may hold. Queue bounds are per version, model.toml may differ."""

    max_message_bytes: Annotated[int, msgspec.Meta(ge=1024, le=(1 << 31) - 1)] = 64 * _MIB
    max_concurrent_streams: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1024
    max_header_bytes: Annotated[int, msgspec.Meta(ge=1024, le=_MIB)] = 16 * 1024
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 4096
    max_queue_rows: Annotated[int, msgspec.Meta(ge=1)] = 16_384
    max_queue_bytes: Bytes = 256 * _MIB
    max_total_queue_bytes: Bytes = 1024 * _MIB
    # A model file is a protobuf message, which cannot be larger than 2 GiB.
    max_model_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)] = 1 << 31
    # A sweep's batches predicted to finish within this run on the io thread; 0 turns that off, None
    # leaves it to the thread plan.
    inline_budget_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None


class LifecycleSettings(_Group, frozen=True):
    """How the repository is followed, and what a load may take.

    At most one of `watch`, `poll_seconds` and `explicit`; without any, models are loaded at the
    start, and later by RPC alone.
    """

    watch: bool = False
    # 0: no polling.
    poll_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    explicit: bool = False
    # Models to load at the start of an explicit server; "*" stands for all of them.
    load_models: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()
    # A plain copy counts as complete when its sizes and times stood still for so long.
    settle_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 1.0
    # Loads that may run at a time; 0: planned.
    load_threads: Threads = 0
    # Of all loaded versions together; 0: no budget.
    memory_budget_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0
    # In a child process first: a file that crashes or hangs the library then fails its load alone.
    check: bool = True
    check_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 60.0
    # 0: chosen from the file's size.
    check_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class AuditSettings(_Group, frozen=True):
    """The log of operators' and automatic changes. The key signs it, where there is one."""

    enabled: bool = True
    key_file: Path | None = None


class CaptureSettings(_Group, frozen=True):
    """Where sampled requests and answers are written; each model says which share, and of what."""

    enabled: bool = True
    # None: `capture` in the state folder.
    folder: Path | None = None
    # What waits for the writer; above it requests are dropped and counted.
    max_queue_bytes: Bytes = 64 * _MIB
    # Of all files together; above it the oldest are removed.
    max_disk_bytes: Bytes = 10 * 1024 * _MIB
    # Nothing is written while the disk has less.
    min_free_bytes: Annotated[int, msgspec.Meta(ge=0)] = 1024 * _MIB
    # A file is finished when one of the three is reached.
    file_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 128 * _MIB
    file_rows: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000
    file_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    # The key of fields that are hashed.
    hash_key_file: Path | None = None


class WebhookTarget(_Group, frozen=True):
    """One address that events are sent to."""

    url: str
    # The key that signs each delivery.
    secret_file: Path | None = None
    # Kinds of events, `drift` with all that begins with `drift.`; empty: all.
    events: tuple[Annotated[str, msgspec.Meta(min_length=1)], ...] = ()

    @property
    def origin(self) -> str:
        """Without path and query, which may hold a secret: fit for logs. Errors: InvalidConfig."""
        try:
            parts = urlsplit(self.url)
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise InvalidConfig("url: is no URL") from None
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidConfig("url: expected http://HOST/PATH or https://HOST/PATH")
        if "@" in parts.netloc:
            raise InvalidConfig("url: holds a user name or password: use secret_file instead")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return f"{parts.scheme}://{host}{port}"

    def __post_init__(self) -> None:
        if not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            raise InvalidConfig("url: expected printable ASCII without spaces")
        assert self.origin  # noqa: S101 - raises where it makes no sense

    def __str__(self) -> str:
        events = f" ({', '.join(self.events)})" if self.events else ""
        return self.origin + events


class WebhookSettings(_Group, frozen=True):
    """Who is told of alarms, and how stubbornly."""

    targets: Annotated[tuple[WebhookTarget, ...], msgspec.Meta(max_length=16)] = ()
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 5.0
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 8
    # Before the second attempt; each pause is up to twice the one before.
    first_pause_seconds: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    max_pause_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 300.0
    # Waiting for one target; above it new ones are dropped and counted.
    max_queue_events: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 256


class FeedbackSettings(_Group, frozen=True):
    """Labels that come back later: what is kept of predictions until then, and for how long."""

    enabled: bool = True
    # Of the store of predictions, with its index.
    max_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=16 << 30)] = 64 * _MIB
    # Of one request's outputs; of larger ones none is kept.
    max_record_bytes: Annotated[int, msgspec.Meta(ge=64, le=_MIB)] = 4096
    max_age_seconds: Annotated[float, msgspec.Meta(gt=0, le=31_536_000)] = 604_800.0
    # Labels that came before their prediction, and how long each waits for it.
    max_waiting: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 10_000
    max_wait_seconds: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 60.0
    # Values of a model's segment that are told apart where its model.toml names none.
    max_segments: Annotated[int, msgspec.Meta(ge=1, le=64)] = 16


class DriftSettings(_Group, frozen=True):
    """Whether what is served is still like the reference profile; model.toml may differ.

    A feature's alarm is raised when its difference is certain (`significance`) and one of its
    scores reaches the threshold that raises, and cleared when all of them are below those that
    clear; fastserve.drift.judgement says why both are asked for, and how the numbers were chosen.
    """

    enabled: bool = True
    # How often what was seen is taken: the shortest window.
    base_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    # The windows that are judged; a multiple of `base_seconds`.
    window_seconds: WindowSeconds = 300
    # A window with fewer is not judged.
    minimum_rows: Annotated[int, msgspec.Meta(ge=1)] = 500
    # The chance of any false finding among all features of a window, before effect sizes count.
    significance: Significance = 0.001
    psi_raise: Threshold = 0.2
    psi_clear: Threshold = 0.1
    ks_raise: Threshold = 0.07
    ks_clear: Threshold = 0.05
    wasserstein_raise: Threshold = 0.2
    wasserstein_clear: Threshold = 0.15
    cramers_v_raise: Threshold = 0.1
    cramers_v_clear: Threshold = 0.07
    missing_raise: Threshold = 0.05
    missing_clear: Threshold = 0.025
    # So many judged windows in a row raise, and clear.
    raise_windows: WindowCount = 1
    clear_windows: WindowCount = 2
    # Of a version, those with the highest scores; the metrics page shows no more.
    metric_features: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 200


class MetricsSettings(_Group, frozen=True):
    """What stands on the metrics page."""

    # Triton's names beside ours.
    triton: bool = False


Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class TracingSettings(_Group, frozen=True):
    """Spans of calls, sent to an OpenTelemetry collector over OTLP/gRPC (extra `otel`).

    A call whose caller sampled its trace is traced; `share` is of those that are in no trace.
    """

    enabled: bool = False
    share: Share = 0.01
    # http://HOST:PORT or https://HOST:PORT; None: OTEL_EXPORTER_OTLP_ENDPOINT, else localhost:4317.
    endpoint: str | None = None
    # None: OTEL_SERVICE_NAME, else "fastserve".
    service_name: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    # Of one batch of spans, with all its attempts.
    timeout_seconds: Annotated[float, msgspec.Meta(gt=0, le=300)] = 10.0


class AccessLogSettings(_Group, frozen=True):
    """One JSON line for each sampled call: into a file, or on stderr."""

    enabled: bool = False
    share: Share = 1.0
    file: Path | None = None
    max_file_bytes: Annotated[int, msgspec.Meta(ge=1 << 16)] = 64 * _MIB
    # Full files beside the one that is written: `file.1` is the newest.
    kept_files: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 5


class Settings(_Group, frozen=True):
    """All that `fastserve serve` can be told."""

    repository: Path
    # Of the audit log, labels and the like; None: `.fastserve` in the repository.
    state_dir: Path | None = None
    listen: ListenSettings = ListenSettings()
    security: SecuritySettings = SecuritySettings()
    threads: ThreadSettings = ThreadSettings()
    limits: LimitSettings = LimitSettings()
    lifecycle: LifecycleSettings = LifecycleSettings()
    audit: AuditSettings = AuditSettings()
    capture: CaptureSettings = CaptureSettings()
    webhooks: WebhookSettings = WebhookSettings()
    feedback: FeedbackSettings = FeedbackSettings()
    drift: DriftSettings = DriftSettings()
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings = TracingSettings()
    access_log: AccessLogSettings = AccessLogSettings()
    # How long calls in flight may go on after SIGTERM.
    drain_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0

    @property
    def state_folder(self) -> Path:
        """`state_dir`, or its default. It need not exist yet."""
        return self.repository / ".fastserve" if self.state_dir is None else self.state_dir

    @property
    def capture_folder(self) -> Path:
        """`capture.folder`, or its default. It need not exist yet."""
        folder = self.capture.folder
        return self.state_folder / "capture" if folder is None else folder


_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def decode_toml(data: bytes, *, name: str) -> object:
    """What the TOML says, as plain values. Errors: InvalidConfig with `name` and the place."""
    try:
        return msgspec.toml.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"{name}: not TOML: {error}") from error
    except RecursionError:
        raise InvalidConfig(f"{name}: nested too deep") from None


def read_regular_file(path: Path, *, name: str, max_bytes: int, root: Path | None = None) -> bytes:
    """The whole file, read once. Never blocks on a pipe or a device.

    Errors: InvalidConfig when it is not a regular file, leads out of `root`, is larger than
    `max_bytes`, or changes while it is read; `name` is what the message calls it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        raise InvalidConfig(f"{name}: cannot be opened: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)  # here: a file object of a folder cannot be made
        raise InvalidConfig(f"{name}: is not a regular file")
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        # The place of what was really opened: a link that is swapped meanwhile changes nothing.
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        if root is not None and not opened.is_relative_to(root.resolve()):
            raise InvalidConfig(f"{name}: leads out of the repository")
        if status.st_size > max_bytes:
            raise InvalidConfig(
                f"{name}: has {status.st_size} bytes, more than the limit of {max_bytes}"
            )
        data = file.readall()
    if len(data) != status.st_size:
        raise InvalidConfig(
            f"{name}: changed while it was read ({status.st_size} bytes, then {len(data)}); "
            "copy into a hidden folder first, then rename"
        )
    return data


def check_settings(settings: Settings) -> None:
    """Refuses combinations that cannot work or would open the server by accident: InvalidConfig."""
    if not settings.repository.is_dir():
        raise InvalidConfig(f"repository {str(settings.repository)!r} is not a folder")
    _check_own_folder(settings.repository, "state_dir", settings.state_folder)
    _check_own_folder(settings.repository, "capture.folder", settings.capture_folder)
    _check_lifecycle(settings.lifecycle)
    _check_tls(settings.security)
    check_drift(settings.drift)
    _check_tracing(settings.tracing)
    if not settings.listen.grpc:
        raise InvalidConfig("no gRPC address: give at least one HOST:PORT")
    if not settings.security.allow_insecure:
        _check_exposure(settings.listen, settings.security)


def _check_own_folder(repository: Path, name: str, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InvalidConfig(f"{name} {str(folder)!r} is not a folder")
    try:
        inside = folder.resolve().relative_to(repository.resolve())
    except ValueError:
        return
    if not inside.parts or not inside.parts[0].startswith("."):
        raise InvalidConfig(
            f"{name} {str(folder)!r} lies among the models: choose a folder outside the "
            "repository, or one whose name there begins with a dot"
        )


def _check_lifecycle(lifecycle: LifecycleSettings) -> None:
    modes = {
        "lifecycle.watch": lifecycle.watch,
        "lifecycle.poll_seconds": lifecycle.poll_seconds,
        "lifecycle.explicit": lifecycle.explicit,
    }
    chosen = [path for path, value in modes.items() if value]
    if len(chosen) > 1:
        raise InvalidConfig(f"{' and '.join(chosen)} exclude each other: choose one")
    if lifecycle.load_models and not lifecycle.explicit:
        raise InvalidConfig(
            "lifecycle.load_models goes with lifecycle.explicit alone: every other server loads "
            "all models"
        )


def check_drift(drift: DriftSettings) -> None:
    """Errors: InvalidConfig for windows that do not fit together, or thresholds the wrong way."""
    if drift.window_seconds % drift.base_seconds:
        raise InvalidConfig(
            f"drift.window_seconds is {drift.window_seconds}, expected a multiple of "
            f"drift.base_seconds, which is {drift.base_seconds}"
        )
    for name in ("psi", "ks", "wasserstein", "cramers_v", "missing"):
        raising, clearing = getattr(drift, f"{name}_raise"), getattr(drift, f"{name}_clear")
        if clearing > raising:
            raise InvalidConfig(
                f"drift.{name}_clear is {clearing:g}, expected at most drift.{name}_raise, "
                f"which is {raising:g}"
            )


def _check_tracing(tracing: TracingSettings) -> None:
    endpoint = tracing.endpoint
    if endpoint is not None and not re.fullmatch(r"https?://[^\s/]+/?", endpoint):
        raise InvalidConfig(
            f"tracing.endpoint {endpoint!r}: expected http://HOST:PORT, or https:// for TLS"
        )


def _check_tls(security: SecuritySettings) -> None:
    if (security.certificate is None) != (security.key is None):
        missing = "key" if security.key is None else "certificate"
        raise InvalidConfig(f"TLS needs a certificate and a key: the {missing} is missing")
    if security.client_ca is not None and security.certificate is None:
        raise InvalidConfig("a client CA asks for mutual TLS: give a certificate and a key as well")


def _check_exposure(listen: ListenSettings, security: SecuritySettings) -> None:
    for address in listen.grpc:
        if address.is_public and (security.certificate is None or security.token_file is None):
            raise InvalidConfig(
                f"gRPC address {address} can be reached from other machines and needs TLS "
                "(certificate and key) and a token file; say --allow-insecure to serve without"
            )
    if listen.http is not None and listen.http.is_public:
        raise InvalidConfig(
            f"HTTP address {listen.http} can be reached from other machines and has neither TLS "
            "nor tokens; say --allow-insecure to serve metrics and health there"
        )


def convert(data: object, kind: type[_Struct], *, source: str) -> _Struct:
    """`data` as a `kind`, strictly. Errors: InvalidConfig: where, got, expected, nearest."""
    try:
        return msgspec.convert(data, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise InvalidConfig(f"{source}: {_explain(error, data, kind)}") from None


def _decode(kind: type[Any], value: object) -> object:
    if kind is not Path:
        raise NotImplementedError(f"no conversion to {kind}")
    if not isinstance(value, str):
        # msgspec adds the place, as to its own messages.
        raise TypeError(f"Expected `str`, got `{type(value).__name__}`")
    return Path(value)


# The form of msgspec's messages: "Expected `int`, got `str` - at `$.limits.max_queue_rows`".
_PLACED = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")


def _explain(error: msgspec.ValidationError, data: object, kind: type[msgspec.Struct]) -> str:
    match = _PLACED.match(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    steps, node, value = _walk(kind, data, re.findall(r"\[\.\.\.\]|[^.\[\]]+", path))
    place = ".".join(steps)
    if isinstance(error.__cause__, InvalidConfig):
        # A group's own rule, in its own words.
        return ".".join([*steps, error.__cause__.message])
    unknown = _UNKNOWN.search(what)
    if unknown is None:
        if isinstance(node, msgspec.inspect.LiteralType):
            what = f"expected one of {', '.join(repr(value) for value in node.values)}"
        return f"{place or 'the whole'}: {what[0].lower()}{what[1:]} (value {_shorten(value)})"
    names = [field.encode_name for field in node.fields] if _is_struct(node) else []
    nearest = difflib.get_close_matches(unknown["name"], names, n=1, cutoff=0.4)
    advice = f"did you mean {nearest[0]!r}?" if nearest else f"known here: {', '.join(names)}"
    return f"{'.'.join([*steps, unknown['name']])}: no such key; {advice}"


def _walk(
    kind: type[msgspec.Struct], data: object, path: list[str]
) -> tuple[list[str], msgspec.inspect.Type, object]:
    """The steps of `path` with the keys of maps filled in, and the type and the value at its end.

    msgspec writes `[...]` for a value of a map; the key is that of the first value it refuses.
    """
    node: msgspec.inspect.Type = msgspec.inspect.type_info(kind)
    steps: list[str] = []
    for part in path:
        step, node = part, _without_none(node)
        if isinstance(node, msgspec.inspect.DictType) and isinstance(data, Mapping):
            step = _refused_key(data, node.value_type) if part == "[...]" else part
            node, data = node.value_type, data.get(step)
        elif isinstance(node, msgspec.inspect.VarTupleType) and isinstance(data, list | tuple):
            node = node.item_type
            data = data[int(step)] if step.isdigit() and int(step) < len(data) else data
        elif isinstance(node, msgspec.inspect.StructType) and isinstance(data, Mapping):
            found = [field.type for field in node.fields if field.encode_name == step]
            node, data = found[0] if found else node, data.get(step)
        steps.append(step)
    return steps, node, data


def _without_none(node: msgspec.inspect.Type) -> msgspec.inspect.Type:
    if isinstance(node, msgspec.inspect.UnionType):
        kinds = [each for each in node.types if not isinstance(each, msgspec.inspect.NoneType)]
        return kinds[0] if len(kinds) == 1 else node
    return node


def _refused_key(data: Mapping[Any, object], value_type: msgspec.inspect.Type) -> str:
    kind: Any = object
    if _is_struct(value_type):
        kind = value_type.cls
    elif isinstance(value_type, msgspec.inspect.StrType):
        kind = str
    elif isinstance(value_type, msgspec.inspect.IntType):
        kind = Annotated[int, msgspec.Meta(ge=value_type.ge, le=value_type.le)]
    for key, value in data.items():
        try:
            msgspec.convert(value, kind, dec_hook=_decode)
        except msgspec.ValidationError:
            return str(key)
    return "..."


def _is_struct(node: msgspec.inspect.Type) -> TypeGuard[msgspec.inspect.StructType]:
    return isinstance(node, msgspec.inspect.StructType)


def _shorten(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
