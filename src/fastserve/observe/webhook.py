"""Webhooks: tells HTTP servers of alarms. `publish` never waits and never raises.

Every target has a queue and a thread of its own: one that hangs delays nobody else. Events reach a
target in order, at least once; the idempotency key is the same in every attempt. What waits is in
memory alone: the end of the process loses it, and `close` counts it as failed.

    offered == delivered + failed + dropped + pending     (of each target, and of all)

HTTP is urllib3's, the library below requests and botocore: blocking, as these threads want it, with
verified TLS by default and no dependency of its own. It is imported when there is a target.
"""

import contextlib
import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec

from fastserve.config import WebhookSettings, WebhookTarget
from fastserve.errors import InvalidConfig
from fastserve.metric_source import MetricFamily
from fastserve.observe.audit_record import read_key
from fastserve.observe.logs import get_logger
from fastserve.observe.webhook_request import (
    Event,
    asked_pause,
    headers_of,
    is_delivered,
    is_wanted,
    make_event,
    may_pass,
    pause_seconds,
)

# Larger ones are no alarms.
MAX_BODY_BYTES: Final = 1 << 20
CLOSE_SECONDS: Final = 5.0

_log = get_logger("webhook")


class Answer(NamedTuple):
    """What a target said."""

    status: int
    headers: Mapping[str, str]


class Post(Protocol):
    """Sends one request; blocks for a bounded time. Errors: OSError, urllib3's HTTPError."""

    def __call__(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer: ...


class WebhookCounts(msgspec.Struct, frozen=True):
    """Deliveries (an event to one target) since the start."""

    offered: int = 0
    delivered: int = 0
    # Refused by the target, or tried as often as is allowed.
    failed: int = 0
    # No room in the queue.
    dropped: int = 0
    attempts: int = 0

    @property
    def pending(self) -> int:
        return self.offered - self.delivered - self.failed - self.dropped


class Webhooks:
    """Made by `open`, ended by `close`. Thread: any."""

    def __init__(self, targets: Sequence["_Target"], clock: Callable[[], float]) -> None:
        self._targets = tuple(targets)
        self._clock = clock
        for target in self._targets:
            target.start()

    @classmethod
    def open(
        cls,
        settings: WebhookSettings,
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[threading.Event, float], bool] = threading.Event.wait,
        chance: Callable[[], float] = random.random,
    ) -> Self:
        """Errors: InvalidConfig for a secret file, or when urllib3 is not installed.

        `pause(closing, seconds)` waits between attempts, and returns True when `closing` was set.
        """
        if not settings.targets:
            return cls((), clock)
        post = _make_post(settings.timeout_seconds)
        return cls(
            [
                _Target(target, settings, post=post, clock=clock, pause=pause, chance=chance)
                for target in settings.targets
            ],
            clock,
        )

    def publish(self, kind: str, payload: Any) -> str:
        """Tells every target that wants this kind. The event's id; "" when it is no JSON."""
        event_id = uuid.uuid4().hex
        try:
            event = make_event(event_id, kind, payload, self._clock())
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            # Of the payload only its type: it may hold what no log should.
            _log.error("event not sent", kind=kind, reason=type(error).__name__)
            return ""
        for target in self._targets:
            target.offer(event)
        return event_id

    @property
    def counts(self) -> WebhookCounts:
        """Of all targets."""
        each = [msgspec.structs.asdict(target.counts) for target in self._targets]
        names = WebhookCounts.__struct_fields__
        return WebhookCounts(**{name: sum(one[name] for one in each) for name in names})

    @property
    def stamp(self) -> Hashable:
        """With `families`: a fastserve.metric_source.MetricSource."""
        return self.counts

    def families(self) -> Iterator[MetricFamily]:
        now = msgspec.structs.asdict(self.counts)
        outcomes = ("offered", "delivered", "failed", "dropped")
        yield MetricFamily(
            "fastserve_webhook_deliveries_total",
            "Events to targets by what became of them",
            "counter",
            [({"outcome": name}, now[name]) for name in outcomes],
        )
        yield MetricFamily(
            "fastserve_webhook_attempts_total",
            "Requests sent to targets",
            "counter",
            [({}, now["attempts"])],
        )

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Tries once more what waits, for at most `seconds` together; nothing is offered then."""
        for target in self._targets:
            target.begin_close()
        deadline = time.monotonic() + seconds
        for target in self._targets:
            target.end_close(max(0.0, deadline - time.monotonic()))


class _Target:
    """One address, its queue and its thread."""

    def __init__(
        self,
        target: WebhookTarget,
        settings: WebhookSettings,
        *,
        post: Post,
        clock: Callable[[], float],
        pause: Callable[[threading.Event, float], bool],
        chance: Callable[[], float],
    ) -> None:
        self._target = target
        self._settings = settings
        self._secret = None if target.secret_file is None else read_key(target.secret_file)
        self._post = post
        self._clock = clock
        self._pause = pause
        self._chance = chance
        self._changed = threading.Condition()
        self._queue: deque[Event] = deque()
        self._closing = threading.Event()
        self._is_over = False
        self.counts = WebhookCounts()
        # A daemon: a target that never answers must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, name=f"webhook {target.origin}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def offer(self, event: Event) -> None:
        if not is_wanted(event.kind, self._target.events):
            return
        with self._changed:
            is_full = (
                len(self._queue) >= self._settings.max_queue_events
                or len(event.body) > MAX_BODY_BYTES
                or self._closing.is_set()
            )
            self._count(offered=1, dropped=int(is_full))
            if not is_full:
                self._queue.append(event)
                self._changed.notify()
        if is_full:
            self._say("webhook dropped", event, reason="no room, or too large, or closing")

    def begin_close(self) -> None:
        with self._changed:
            self._closing.set()
            self._changed.notify()

    def end_close(self, seconds: float) -> None:
        self._thread.join(seconds)
        with self._changed:
            # What the thread is still at is not counted again: it may yet be delivered.
            self._is_over = True
            lost = self.counts.pending
            self._count(failed=lost)
            self._queue.clear()
        if lost:
            _log.error("webhooks lost at the end", target=self._target.origin, events=lost)

    def _run(self) -> None:
        while (event := self._take()) is not None:
            is_done = self._deliver(event)
            with self._changed:
                # After the end of close() it is counted already.
                if not self._is_over:
                    self._count(delivered=int(is_done), failed=int(not is_done))

    def _take(self) -> Event | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing.is_set())
            return self._queue.popleft() if self._queue else None

    def _deliver(self, event: Event) -> bool:
        """True when the target took it. Waits between attempts, unless the server closes."""
        for attempt in range(1, self._settings.max_attempts + 1):
            with self._changed:
                self._count(attempts=1)
            asked = 0.0
            try:
                answer = self._post(
                    self._target.url, event.body, headers_of(event, self._secret, self._clock())
                )
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may do
                reason = type(error).__name__
            else:
                if is_delivered(answer.status):
                    return True
                reason = f"status {answer.status}"
                if not may_pass(answer.status):
                    self._say("webhook refused", event, reason=reason)
                    return False
                asked = asked_pause(answer.headers)
            if attempt == self._settings.max_attempts or self._wait(attempt, asked):
                break
        self._say("webhook given up", event, reason=reason, attempts=attempt)
        return False

    def _wait(self, attempt: int, asked: float) -> bool:
        """True when the server closes: there is no time for another attempt."""
        longest = self._settings.max_pause_seconds
        own = pause_seconds(
            attempt,
            first=self._settings.first_pause_seconds,
            longest=longest,
            chance=self._chance(),
        )
        return self._pause(self._closing, min(longest, max(own, asked)))

    def _say(self, what: str, event: Event, **more: object) -> None:
        _log.error(what, target=self._target.origin, id=event.id, kind=event.kind, **more)

    def _count(self, **more: int) -> None:
        now = msgspec.structs.asdict(self.counts)
        self.counts = WebhookCounts(**{name: now[name] + more.get(name, 0) for name in now})


def _make_post(timeout_seconds: float) -> Post:
    """Errors: InvalidConfig when urllib3 is not installed."""
    try:
        import urllib3  # noqa: PLC0415 - only for those who have targets
    except ImportError:
        raise InvalidConfig(
            "webhooks need urllib3: run `pip install 'fastserve[webhooks]'`"
        ) from None
    # The environment's proxies are not asked, certificates are verified (urllib3's default).
    pool = urllib3.PoolManager(
        cert_reqs="CERT_REQUIRED",
        timeout=urllib3.Timeout(connect=timeout_seconds, read=timeout_seconds),
        retries=False,
    )

    def post(url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        response = pool.request(
            "POST", url, body=body, headers=headers, redirect=False, retries=False,
            preload_content=False,
        )  # fmt: skip
        answer = Answer(response.status, response.headers)
        # Whatever the target goes on to say is not read: it may be endless.
        with contextlib.suppress(Exception):
            response.close()
        return answer

    return post
