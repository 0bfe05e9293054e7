"""All that `fastserve serve` can be told, and combinations that it refuses."""

from pathlib import Path
from typing import Annotated

import msgspec

from fastserve.config.address import Address
from fastserve.config.group import MIB, Bytes, Group, Threads, Transport
from fastserve.config.watch import (
    AccessLogSettings,
    CaptureSettings,
    DriftSettings,
    FeedbackSettings,
    MetricsSettings,
    TracingSettings,
    WebhookSettings,
    check_drift,
    check_tracing,
)
from fastserve.errors import InvalidConfig


class ListenSettings(Group, frozen=True):
    """Where the server answers, and through which transport. Loopback unless told otherwise."""

    grpc: tuple[Address, ...] = (Address(host="127.0.0.1", port=8001),)
    http: Address | None = Address(host="127.0.0.1", port=8002)
    transport: Transport = "native"


class SecuritySettings(Group, frozen=True):
    """Files of TLS and tokens. A client CA asks every client for a certificate (mutual TLS)."""

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    token_file: Path | None = None
    allow_insecure: bool = False
    # Without tokens: who reaches a public address may also load and unload models.
    allow_insecure_control: bool = False


class ThreadSettings(Group, frozen=True):
    """Numbers of threads; 0: planned from the CPUs that the process may use."""

    io_threads: Threads = 0
    executors: Threads = 0


class LimitSettings(Group, frozen=True):
    """What a client or a model may hold. Queue bounds are per version, model.toml may differ."""

    max_message_bytes: Annotated[int, msgspec.Meta(ge=1024, le=(1 << 31) - 1)] = 64 * MIB
    max_concurrent_streams: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 1024
    max_header_bytes: Annotated[int, msgspec.Meta(ge=1024, le=MIB)] = 16 * 1024
    max_connections: Annotated[int, msgspec.Meta(ge=1, le=1 << 20)] = 4096
    max_queue_rows: Annotated[int, msgspec.Meta(ge=1)] = 16_384
    max_queue_bytes: Bytes = 256 * MIB
    max_total_queue_bytes: Bytes = 1024 * MIB
    # A model file is a protobuf message, which cannot be larger than 2 GiB.
    max_model_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 31)] = 1 << 31
    # A sweep's batches predicted to finish within this run on the io thread; 0 turns that off, None
    # leaves it to the thread plan.
    inline_budget_us: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None


class LifecycleSettings(Group, frozen=True):
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


class AuditSettings(Group, frozen=True):
    """The log of operators' and automatic changes. The key signs it, where there is one.

    `keep_days`, `keep_bytes`: what is older, or more, is removed; 0 keeps all.
    """

    enabled: bool = True
    key_file: Path | None = None
    keep_days: Annotated[int, msgspec.Meta(ge=0, le=36_500)] = 0
    keep_bytes: Annotated[int, msgspec.Meta(ge=0)] = 0


class Settings(Group, frozen=True):
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


def check_settings(settings: Settings) -> None:
    """Refuses combinations that cannot work or would open the server by accident: InvalidConfig."""
    if not settings.repository.is_dir():
        raise InvalidConfig(f"repository {str(settings.repository)!r} is not a folder")
    _check_own_folder(settings.repository, "state_dir", settings.state_folder)
    _check_own_folder(settings.repository, "capture.folder", settings.capture_folder)
    if 0 < settings.audit.keep_bytes < MIB:
        raise InvalidConfig(
            f"audit.keep_bytes is {settings.audit.keep_bytes}, expected 1MiB or more, or 0 to keep "
            "all"
        )
    _check_lifecycle(settings.lifecycle)
    _check_tls(settings.security)
    check_drift(settings.drift)
    check_tracing(settings.tracing)
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
