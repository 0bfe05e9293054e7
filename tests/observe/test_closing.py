"""What waits for others at its end is closed at the same time, and nothing holds the rest up."""

import sys
import threading
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from hook import Hook

from fastserve.config import WebhookSettings, WebhookTarget
from fastserve.observe.closing import close_together
from fastserve.observe.logs import configure_logs
from fastserve.observe.webhook import Webhooks


def test_parts_are_closed_at_the_same_time():
    both = threading.Barrier(2)
    ended = []

    def close():
        both.wait(30)
        ended.append(1)

    close_together({"a": close, "b": close}, 60)
    assert ended == [1, 1]


def test_target_that_hangs_holds_up_nothing_else():
    hook = Hook()
    hook.may_answer.clear()
    try:
        hooks = Webhooks.open(WebhookSettings(targets=(WebhookTarget(url=hook.url),)))
        hooks.publish("drift.raised", {})
        hook.take()
        # The target answers once the other part is closed: after it, the event would be lost.
        close_together({"webhooks": hooks.close, "capture": hook.may_answer.set})
        assert (hooks.counts.delivered, hooks.counts.failed) == (1, 0)
    finally:
        hook.close()


def test_part_that_never_ends_is_left_behind(capsys):
    configure_logs()
    never = threading.Event()
    ended = threading.Event()
    close_together({"disk": never.wait, "webhooks": ended.set}, 0.05)
    assert ended.wait(30)
    assert '"not closed in time"' in capsys.readouterr().err
    never.set()


def test_part_that_fails_costs_no_other(capsys):
    configure_logs()
    ended = threading.Event()

    def fail():
        raise OSError("the disk is gone")

    close_together({"disk": fail, "webhooks": ended.set}, 60)
    assert ended.is_set()
    assert "the disk is gone" in capsys.readouterr().err
