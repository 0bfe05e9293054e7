"""The composition root: builds the server from its settings, starts it, drains it, stops it.

No rule of the product lives here. Order matters twice. At the start models load in threads while
the rest of the server is still being imported, and ports open before models are ready, so that
health checks are answered from the first moment. At the end what feeds the engine stops before the
engine.
"""

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import uvloop

from fastserve import __version__
from fastserve._core import core
from fastserve.config import Address, check_settings
from fastserve.errors import FastserveError, InvalidConfig
from fastserve.figures import Figures
from fastserve.hosting import Hosting
from fastserve.models.checked_cache import CHECKED_FILE, CheckedCache
from fastserve.models.checker import Checker
from fastserve.models.loader import find_runtime_library, open_library
from fastserve.models.readiness import Readiness
from fastserve.models.threads import ThreadPlan, plan_threads, read_cpu_budget
from fastserve.observe.call_watch import CallWatch
from fastserve.observe.logs import configure_logs, get_logger
from fastserve.routing.shadow_figures import ShadowFigures
from fastserve.rpc.calls import Calls
from fastserve.rpc.method_table import Method
from fastserve.rpc.operations import Operations
from fastserve.rpc.transport import Served, Transport, open_transport
from fastserve.settings import SourcedSettings
from fastserve.state_folder import open_state_folder
from fastserve.token_reload import TokenReload
from fastserve.tokens import Token, read_tokens

if TYPE_CHECKING:
    from fastserve.http.side_port import SidePort
    from fastserve.observe.metrics import MetricsPage

EXIT_DRAINED: Final = 0
EXIT_FAILED: Final = 1
EXIT_BAD_SETTINGS: Final = 2

# Ports of the engine beside those of the io threads: the control plane's own.
_CONTROL_PORTS: Final = 2
_LOADS_FIRST_SECONDS: Final = 0.25

_log = get_logger("server")


def run(sourced: SourcedSettings) -> int:
    """Serves until SIGTERM or SIGINT, then drains. Returns the process's exit code.

    0: drained, every accepted call was answered. 1: could not start, or calls were cut off at the
    end of the drain. 2: the settings were refused.
    """
    configure_logs()
    settings = sourced.settings
    if sourced.file is not None:
        _log.info("settings read", file=str(sourced.file))
    try:
        check_settings(settings)
        tokens = read_tokens(settings.security.token_file)
    except InvalidConfig as error:
        _log.error("settings refused", reason=error.message)
        return EXIT_BAD_SETTINGS
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            return runner.run(Server(sourced, tokens).serve())
        except InvalidConfig as error:
            _log.error("settings refused", reason=error.message)
            return EXIT_BAD_SETTINGS
        except (FastserveError, core.CoreError, OSError) as error:
            _log.error("start failed", reason=str(error))
            return EXIT_FAILED


class Server:
    """One server process. Thread: the event loop's."""

    def __init__(self, sourced: SourcedSettings, tokens: tuple[Token, ...]) -> None:
        settings = sourced.settings
        self._settings = settings
        self._entries = sourced.entries
        self._tokens = tokens
        self._threads = plan_threads(
            read_cpu_budget(),
            io_threads=settings.threads.io_threads,
            executors=settings.threads.executors,
            inline_budget_us=settings.limits.inline_budget_us,
        )
        limits = settings.limits
        self._engine = core.Engine(
            executors=self._threads.executors,
            max_ports=self._threads.io_threads + _CONTROL_PORTS,
            max_queue_rows=limits.max_queue_rows,
            max_queue_bytes=limits.max_queue_bytes,
            max_total_queue_bytes=limits.max_total_queue_bytes,
            inline_budget_ns=self._threads.inline_budget_us * 1000,
        )
        library = find_runtime_library()
        self._state = open_state_folder(settings)
        checked = CheckedCache(self._state.path and self._state.path / CHECKED_FILE)
        # Begins to start its process, which takes as long as opening the library here; where all
        # may have been checked before, it waits until it is needed.
        is_eager = not len(checked)
        checker = Checker(library, is_eager=is_eager) if settings.lifecycle.check else None
        self._library = open_library(library)
        self._hosting = Hosting(
            settings,
            self._engine,
            library=self._library,
            checker=checker,
            checked=checked,
            state=self._state,
            threads=self._threads.cpus,
        )
        self._readiness = Readiness(self._hosting.catalog)
        self._watch = CallWatch(
            settings.tracing,
            settings.access_log,
            transport=settings.listen.transport,
            actors=[token.name for token in tokens],
        )
        self._figures = Figures(
            self._engine,
            self._hosting,
            self._readiness,
            self._state,
            max_queue_rows=limits.max_queue_rows,
        )
        self._figures.sources.update(self._hosting.watching.sources())
        self._figures.sources["calls"] = self._watch.metrics
        self._figures.sources["routes"] = self._hosting.route_figures
        self._figures.sources["bandits"] = self._hosting.strategies.bandits
        self._figures.sources["shadow"] = ShadowFigures(self._hosting.shadows)
        self._transport: Transport | None = None
        self._token_reload: TokenReload | None = None
        self._side_port: SidePort | None = None
        self._page: MetricsPage | None = None

    async def serve(self) -> int:
        """Until a signal; the exit code."""
        stop = _signals()
        loading = asyncio.create_task(self._hosting.start(), name="load")
        # Begins to read the disk before what follows takes the interpreter.
        await asyncio.sleep(0)
        self._watch.start()
        feed = self._watch.feed
        try:
            self._transport = open_transport(
                self._settings,
                Served(
                    self._engine,
                    self._readiness,
                    tuple(self._methods()),
                    Calls(
                        self._watch.log,
                        None if feed is None else feed.put,
                        self._watch.actors,
                    ),
                    lambda: self._hosting.router.headers,
                ),
                io_threads=self._threads.io_threads,
                tokens=self._tokens,
            )
            self._figures.transport = self._transport
            self._token_reload = TokenReload(
                self._settings.security.token_file,
                self._tokens,
                self._state,
                self._transport.replace_tokens,
            )
            self._token_reload.start()
            grpc = await self._transport.start()
            bound = _bind(self._settings.listen.http)
            # Small models are served before the HTTP server's import takes the interpreter; large
            # ones do not delay it.
            await asyncio.wait({loading}, timeout=_LOADS_FIRST_SECONDS)
            http = self._start_side_port(bound)
            stopping = asyncio.create_task(stop.get(), name="wait for a signal")
            await asyncio.wait({loading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await loading
                self._log_ready(grpc, http)
            name = await stopping
            return await self._drain(name, stop)
        finally:
            # A load under way uses the engine, and ends by itself.
            loading.cancel()
            await asyncio.wait({loading})
            await self._stop()

    def _methods(self) -> Iterator[Method]:
        """All but health, reflection and the inferences themselves."""
        # Imported while models load.
        from fastserve.rpc.audit import AuditServicer  # noqa: PLC0415
        from fastserve.rpc.capture import CaptureServicer  # noqa: PLC0415
        from fastserve.rpc.control import ControlServicer  # noqa: PLC0415
        from fastserve.rpc.feedback import FeedbackServicer  # noqa: PLC0415
        from fastserve.rpc.inference import InferenceServicer  # noqa: PLC0415
        from fastserve.rpc.release import ReleaseServicer  # noqa: PLC0415
        from fastserve.rpc.repository import RepositoryServicer  # noqa: PLC0415
        from fastserve.rpc.rollout import RolloutServicer  # noqa: PLC0415
        from fastserve.rpc.settings import SettingsServicer  # noqa: PLC0415
        from fastserve.rpc.shadow import ShadowServicer  # noqa: PLC0415
        from fastserve.rpc.upload import Upload  # noqa: PLC0415
        from fastserve.rpc.watch import WatchServicer  # noqa: PLC0415

        hosting = self._hosting
        watching = hosting.watching
        operations = Operations(
            hosting.catalog, hosting.lifecycle, hosting.drain, hosting.choices, self._state
        )
        upload = Upload(
            self._settings.repository,
            hosting.upload_pool,
            max_bytes=self._settings.limits.max_model_bytes,
        )
        yield from InferenceServicer(hosting.catalog, self._readiness, hosting.on_demand).methods()
        yield from RepositoryServicer(
            hosting.catalog, operations, hosting.pool, is_following=hosting.is_following
        ).methods()
        yield from ControlServicer(hosting.catalog, operations, hosting.inspector, upload).methods()
        if self._state.audit is not None:
            yield from AuditServicer(self._state.audit, self._readiness).methods()
        yield from CaptureServicer(lambda: watching.capturing.capture).methods()
        yield from SettingsServicer(self._entries).methods()
        yield from ReleaseServicer(hosting.router, hosting.catalog, hosting.strategies).methods()
        yield from RolloutServicer(hosting.rollouts.controller).methods()
        yield from FeedbackServicer(watching.feedback, hosting.catalog).methods()
        yield from WatchServicer(watching.monitor, operations).methods()
        yield from ShadowServicer(hosting.shadows, operations).methods()

    def _start_side_port(self, bound: socket.socket | None) -> Address | None:
        """Answers the connections that `bound` got since it was bound, and those to come."""
        address = self._settings.listen.http
        if address is None or bound is None:
            return None
        from fastserve.http.side_port import SidePort  # noqa: PLC0415 - slow to import

        self._side_port = SidePort(bound, self._readiness, self._metrics_page)
        self._side_port.start()
        if address.unix_path:
            return address
        return Address(host=address.host, port=bound.getsockname()[1])

    def _metrics_page(self) -> "MetricsPage":
        if self._page is None:
            from fastserve.observe.metrics import MetricsPage  # noqa: PLC0415 - slow to import

            self._page = MetricsPage(
                self._figures, __version__, is_triton=self._settings.metrics.triton
            )
        return self._page

    def _log_ready(self, grpc: list[Address], http: Address | None) -> None:
        plan: ThreadPlan = self._threads
        _log.info(
            "ready",
            grpc=str(grpc[0]),
            grpc_all=[str(address) for address in grpc],
            http=None if http is None else str(http),
            transport=self._settings.listen.transport,
            version=__version__,
            onnxruntime=self._library.version,
            models=len(self._hosting.catalog.ready_versions),
            not_ready=self._hosting.catalog.unready(),
            io_threads=plan.io_threads,
            executors=plan.executors,
            cpus=plan.reason,
            start_ms=round(_milliseconds_since_process_start(), 1),
        )

    async def _drain(self, signal_name: str, stop: "asyncio.Queue[str]") -> int:
        """Lets calls in flight finish. A second signal, or the end of the time, cuts them off."""
        seconds = self._settings.drain_seconds
        _log.info("draining", signal=signal_name, seconds=seconds)
        self._readiness.start_drain()
        if self._transport is None:
            return EXIT_DRAINED
        draining = asyncio.create_task(self._transport.drain(seconds), name="drain")
        again = asyncio.create_task(stop.get(), name="wait for a second signal")
        await asyncio.wait({draining, again}, return_when=asyncio.FIRST_COMPLETED)
        for task in (draining, again):
            task.cancel()
        left = self._transport.open_calls
        is_clean = left == 0
        _log.info("drained" if is_clean else "drain cut off", open_calls=left)
        return EXIT_DRAINED if is_clean else EXIT_FAILED

    async def _stop(self) -> None:
        if self._side_port is not None:
            await self._side_port.stop()
        if self._token_reload is not None:
            await self._token_reload.stop()
        if self._page is not None:
            self._page.close()
        if self._transport is not None:
            await self._transport.stop()
        # Both wait for others: disks, collectors, webhooks. The audit log is last, to have it all.
        await asyncio.gather(asyncio.to_thread(self._watch.close), self._hosting.stop())
        self._state.close()
        self._engine.close()


def _signals() -> "asyncio.Queue[str]":
    """Names of the stop signals as they come."""
    names: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, names.put_nowait, signal.Signals(number).name)
    return names


def _bind(address: Address | None) -> socket.socket | None:
    """Errors: OSError with the address."""
    if address is None:
        return None
    if address.unix_path:
        bound = socket.socket(socket.AF_UNIX)
        target: str | tuple[str, int] = address.unix_path
    else:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        bound = socket.socket(family)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        target = (address.host, address.port)
    try:
        bound.bind(target)
        bound.listen(128)
    except OSError as error:
        bound.close()
        raise OSError(f"cannot listen on {address}: {error.strerror or error}") from error
    return bound


def _milliseconds_since_process_start() -> float:
    """Since the kernel started the process; its clock ticks every 10 ms."""
    # Fields after the name, which may hold spaces; starttime is field 22 of proc(5).
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return (time.clock_gettime(time.CLOCK_BOOTTIME) - started) * 1000
