"""Webhooks against real HTTP servers: signed, repeated, bounded, and nobody waits for another."""

import contextlib
import json
import random
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from hook import SECONDS, Hook

from fastserve.config import WebhookSettings, WebhookTarget
from fastserve.errors import InvalidConfig
from fastserve.observe import webhook
from fastserve.observe.webhook import Webhooks
from fastserve.observe.webhook_request import (
    asked_pause,
    is_wanted,
    make_event,
    may_pass,
    pause_seconds,
    sign,
)

SECRET = b"a secret of nobody at all"
PAGE = Path(__file__).parents[2] / "docs" / "webhooks.md"


@pytest.fixture
def make_hook():
    with contextlib.ExitStack() as stack:

        def make(*answers, **options):
            hook = Hook(*answers, **options)
            stack.callback(hook.close)
            return hook

        yield make


class Pauses(list):
    """Time between attempts that passes at once, but is remembered."""

    def __call__(self, closing, seconds):
        self.append(seconds)
        return False


@pytest.fixture
def open_webhooks():
    opened = []

    def make(*targets, pause=None, clock=lambda: 1_769_000_000.25, chance=lambda: 1.0, **settings):
        # Only tests of the time itself wait for it.
        kept = [t if isinstance(t, WebhookTarget) else WebhookTarget(url=t.url) for t in targets]
        options = {"timeout_seconds": float(SECONDS)} | settings
        hooks = Webhooks.open(
            WebhookSettings(targets=tuple(kept), **options),
            pause=Pauses() if pause is None else pause, clock=clock, chance=chance,
        )  # fmt: skip
        opened.append(hooks)
        return hooks

    yield make
    for hooks in opened:
        hooks.close()


def settled(hooks):
    """Everything that was published is over; the counts are those of the end."""
    hooks.close(SECONDS)
    counts = hooks.counts
    assert counts.pending == 0
    assert counts.offered == counts.delivered + counts.failed + counts.dropped
    return counts


def verifier():
    """The function that docs/webhooks.md shows."""
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(compile(snippet, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    return names["is_genuine"]


def test_delivery_is_the_payload_that_the_page_shows(make_hook, open_webhooks):
    hook = make_hook()
    hooks = open_webhooks(hook)
    event_id = hooks.publish("drift.raised", {"feature": "x[3]", "score": 0.31})
    path, headers, body = hook.take()
    assert path == "/hooks/T0?token=sesame"
    assert json.loads(body) == {
        "id": event_id, "event": "drift.raised", "time": 1_769_000_000.25,
        "payload": {"feature": "x[3]", "score": 0.31},
    }  # fmt: skip
    assert headers["Idempotency-Key"] == event_id
    assert headers["Fastserve-Event"] == "drift.raised"
    assert headers["Content-Type"] == "application/json"
    assert headers["Fastserve-Signature"] is None
    assert settled(hooks).delivered == 1


def test_signature_is_verified_by_the_page_s_own_function(make_hook, open_webhooks, tmp_path):
    (tmp_path / "key").write_bytes(SECRET + b"\n")
    hook = make_hook()
    hooks = open_webhooks(WebhookTarget(url=hook.url, secret_file=tmp_path / "key"))
    hooks.publish("drift", {"score": 1})
    _, headers, body = hook.take()
    is_genuine, header = verifier(), headers["Fastserve-Signature"]
    now = 1_769_000_010.0
    assert is_genuine(header, body, SECRET, now)
    assert not is_genuine(header, body + b" ", SECRET, now)
    assert not is_genuine(header, body, b"another secret of nobody", now)
    assert not is_genuine(header, body, SECRET, now + 301)
    assert not is_genuine("t=1,v1=00", body, SECRET, now)
    assert not is_genuine("", body, SECRET, now)


def test_signature_covers_the_time():
    one, other = sign(b"body", SECRET, 100), sign(b"body", SECRET, 101)
    assert one.partition("v1=")[2] != other.partition("v1=")[2]


def test_failing_target_is_asked_again_with_the_same_key_and_growing_pauses(
    make_hook, open_webhooks
):
    hook = make_hook((503, {}), (500, {}), (429, {"Retry-After": "7"}))
    pauses = Pauses()
    hooks = open_webhooks(hook, pause=pauses, first_pause_seconds=1.0)
    hooks.publish("drift", {})
    requests = [hook.take() for _ in range(4)]
    assert len({headers["Idempotency-Key"] for _, headers, _ in requests}) == 1
    assert len({body for _, _, body in requests}) == 1
    counts = settled(hooks)
    assert (counts.delivered, counts.attempts) == (1, 4)
    assert pauses == [1.0, 2.0, 7.0]


def test_each_attempt_is_signed_with_its_own_time(make_hook, open_webhooks, tmp_path):
    (tmp_path / "key").write_bytes(SECRET)
    hook = make_hook((503, {}))
    moments = iter([100.0, 101.0, 500.0])
    hooks = open_webhooks(
        WebhookTarget(url=hook.url, secret_file=tmp_path / "key"), clock=lambda: next(moments)
    )
    hooks.publish("drift", {})
    for now in (101, 500):
        _, headers, body = hook.take()
        assert headers["Fastserve-Signature"] == sign(body, SECRET, now)


def test_target_is_given_up_after_so_many_attempts(make_hook, open_webhooks):
    hook = make_hook(*[(503, {})] * 3)
    hooks = open_webhooks(hook, max_attempts=3)
    hooks.publish("drift", {})
    hooks.publish("drift", {})
    counts = settled(hooks)
    assert (counts.delivered, counts.failed, counts.attempts) == (1, 1, 4)


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410])
def test_answer_that_stays_ends_the_delivery_and_no_redirect_is_followed(
    make_hook, open_webhooks, status
):
    elsewhere = make_hook()
    hook = make_hook((status, {"Location": elsewhere.url}))
    hooks = open_webhooks(hook)
    hooks.publish("drift", {})
    counts = settled(hooks)
    assert (counts.failed, counts.attempts) == (1, 1)
    assert elsewhere.requests.empty()


def test_target_that_is_not_there_is_asked_again(open_webhooks, free_port):
    pauses = Pauses()
    target = WebhookTarget(url=f"http://127.0.0.1:{free_port()}/")
    hooks = open_webhooks(target, max_attempts=4, pause=pauses)
    hooks.publish("drift", {})
    counts = settled(hooks)
    assert (counts.failed, counts.attempts, len(pauses)) == (1, 4, 3)


def test_target_that_takes_and_never_answers_is_left_after_the_time_limit(open_webhooks):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        target = WebhookTarget(url=f"http://127.0.0.1:{silent.getsockname()[1]}/")
        hooks = open_webhooks(target, max_attempts=2, timeout_seconds=0.05)
        hooks.publish("drift", {})
        counts = settled(hooks)
    assert (counts.failed, counts.attempts) == (1, 2)


def test_hanging_target_delays_nobody_else(make_hook, open_webhooks):
    hanging, quick = make_hook(), make_hook()
    hanging.may_answer.clear()
    hooks = open_webhooks(hanging, quick)
    for number in range(20):
        hooks.publish("drift", {"number": number})
    seen = [json.loads(quick.take()[2])["payload"]["number"] for _ in range(20)]
    assert seen == list(range(20))
    assert hanging.requests.qsize() <= 1
    hanging.may_answer.set()
    assert settled(hooks).delivered == 40


def test_full_queue_drops_the_new_ones_and_counts_them(make_hook, open_webhooks):
    hook = make_hook()
    hook.may_answer.clear()
    hooks = open_webhooks(hook, max_queue_events=3)
    hooks.publish("drift", {"number": 0})
    hook.take()  # it is out of the queue
    for number in range(1, 10):
        hooks.publish("drift", {"number": number})
    assert hooks.counts.dropped == 6
    hook.may_answer.set()
    counts = settled(hooks)
    assert (counts.offered, counts.delivered, counts.dropped) == (10, 4, 6)


def test_target_gets_only_the_kinds_that_it_asked_for(make_hook, open_webhooks):
    hook, all_of_it = make_hook(), make_hook()
    hooks = open_webhooks(
        WebhookTarget(url=hook.url, events=("drift", "quality.raised")), all_of_it
    )
    kinds = ["drift", "drift.raised", "drifting", "quality.raised", "quality.cleared"]
    for kind in kinds:
        hooks.publish(kind, {})
    assert settled(hooks).delivered == 3 + 5
    got = [hook.take()[1]["Fastserve-Event"] for _ in range(3)]
    assert got == ["drift", "drift.raised", "quality.raised"]
    assert not is_wanted("drifting", ("drift",))


def test_payload_that_is_no_json_is_refused_and_not_counted(make_hook, open_webhooks):
    hook = make_hook()
    hooks = open_webhooks(hook)
    assert hooks.publish("drift", object()) == ""
    assert hooks.counts.offered == 0


def test_close_stops_waiting_and_counts_what_it_lost(make_hook, open_webhooks):
    hook = make_hook(*[(503, {})] * 100)
    paused = threading.Event()

    def pause(closing, seconds):
        paused.set()
        return closing.wait(SECONDS)

    hooks = open_webhooks(hook, pause=pause, max_attempts=100)
    hooks.publish("drift", {})
    hooks.publish("drift", {})
    assert paused.wait(SECONDS)
    counts = settled(hooks)
    # Each of them once more at the end, and no longer.
    assert (counts.failed, counts.attempts) == (2, 2)
    assert hooks.publish("drift", {}) != ""
    assert hooks.counts.dropped == 1


def test_logs_name_the_event_and_the_host_and_nothing_of_payload_or_path(
    make_hook, open_webhooks, monkeypatch
):
    hook = make_hook((400, {}))
    lines = []
    monkeypatch.setattr(webhook, "_log", Recorder(lines))
    hooks = open_webhooks(hook)
    event_id = hooks.publish("drift", {"value": "private"})
    settled(hooks)
    assert event_id in str(lines)
    assert f"127.0.0.1:{hook.server.server_port}" in str(lines)
    for secret in ("private", "sesame", "T0"):
        assert secret not in str(lines)


class Recorder:
    def __init__(self, lines):
        self._lines = lines

    def error(self, *arguments, **fields):
        self._lines.append((arguments, fields))


def test_certificate_is_verified(make_hook, open_webhooks, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
         certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip
    hook = make_hook(tls=(certificate, key))
    hooks = open_webhooks(hook, max_attempts=1)
    hooks.publish("drift", {})
    assert settled(hooks).failed == 1
    assert hook.requests.empty()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    trusting = open_webhooks(hook, max_attempts=1)
    trusting.publish("drift", {})
    assert settled(trusting).delivered == 1


def test_short_secret_is_refused(open_webhooks, tmp_path):
    (tmp_path / "key").write_text("short")
    with pytest.raises(InvalidConfig, match="expected 16 or more"):
        open_webhooks(WebhookTarget(url="http://a/", secret_file=tmp_path / "key"))


def test_nothing_is_done_without_targets(open_webhooks):
    hooks = open_webhooks()
    hooks.publish("drift", {})
    assert settled(hooks).offered == 0


def test_pauses_double_up_to_the_longest_and_are_shortened_by_at_most_a_half():
    whole = [pause_seconds(n, first=1, longest=60, chance=1.0) for n in range(1, 9)]
    assert whole == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_seconds(10_000, first=1, longest=60, chance=1.0) == 60
    chance = random.Random(1)
    for attempt in range(1, 9):
        pause = pause_seconds(attempt, first=1, longest=60, chance=chance.random())
        assert whole[attempt - 1] / 2 <= pause <= whole[attempt - 1]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7.0), ("", 0.0), ("-1", 0.0), ("soon", 0.0), ("9" * 30, 0.0),
     ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0)],
)  # fmt: skip
def test_retry_after_counts_in_seconds_alone(text, seconds):
    assert asked_pause({"Retry-After": text}) == seconds


def test_statuses_that_may_pass_are_those_that_the_page_names():
    assert {status for status in range(300, 600) if may_pass(status)} == {
        408, 425, 429, *range(500, 600)
    }  # fmt: skip


def test_event_is_encoded_once():
    event = make_event("id", "drift", {"a": [1, None, True]}, 1.5)
    assert event.body == b'{"id":"id","event":"drift","time":1.5,"payload":{"a":[1,null,true]}}'


def test_metrics_are_those_of_the_page(make_hook, open_webhooks):
    hooks = open_webhooks(make_hook())
    hooks.publish("drift", {})
    settled(hooks)
    page = PAGE.read_text()
    for family in hooks.families():
        assert family.name in page
    (outcomes, attempts) = hooks.families()
    assert ({"outcome": "delivered"}, 1) in outcomes.samples
    assert attempts.samples == [({}, 1)]
