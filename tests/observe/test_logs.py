"""Log lines: one bounded JSON object each, whatever a client put into a field."""

import io
import json
import logging

import pytest

from fastserve.observe.logs import MAX_FIELD_CHARACTERS, configure_logs, get_logger


@pytest.fixture
def lines():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logs(stream)

    def read():
        return stream.getvalue().splitlines(keepends=True)

    yield read
    root.handlers[:], level = before
    root.setLevel(level)


def only(lines):
    (line,) = lines()
    assert line.endswith("\n")
    return json.loads(line)


def test_line_has_event_level_time_and_area(lines):
    get_logger("server").info("ready", grpc="127.0.0.1:8001", models=3)
    record = only(lines)
    assert record["event"] == "ready"
    assert (record["level"], record["area"], record["models"]) == ("info", "server", 3)
    assert record["time"].endswith("Z")


@pytest.mark.parametrize(
    "text",
    ["a\r\nb", '"}\n{"event": "ready"', "\x1b[2J", "\u2028\u2029\u0085", "\x00\x7f", "\ud800"],
)
def test_line_stays_one_printable_object(lines, text):
    get_logger("rpc").info("refused", name=text, names=[text], pairs={text: text})
    (line,) = lines()
    assert line.isascii()
    assert line[:-1].isprintable()
    assert json.loads(line)["event"] == "refused"


@pytest.mark.parametrize("value", ["x" * 10**6, ["y" * 10**6], {"k" * 10**6: 1}, object])
def test_line_is_bounded(lines, value):
    get_logger("rpc").info("refused", value=value)
    (line,) = lines()
    assert len(line) < 3 * MAX_FIELD_CHARACTERS


def test_line_bounds_the_number_of_items(lines):
    get_logger("rpc").info("refused", names=list(range(10_000)))
    assert only(lines)["names"][-1] == "... 9900 more"


def test_line_keeps_values_within_values(lines):
    evidence = {"measure": "ks", "rows": 2800, "window": {"start": 1.5, "is_open": False}}
    get_logger("watch").info("alarm.raise", after={"evidence": evidence, "ranks": [1, None]})
    assert only(lines)["after"] == {"evidence": evidence, "ranks": [1, None]}


@pytest.mark.parametrize("make", [lambda inner: [inner], lambda inner: {"k": inner}])
def test_line_bounds_what_lies_deep(lines, make):
    value = "x"
    for _ in range(900):
        value = make(value)
    get_logger("rpc").info("refused", value=value, wide={"k": {"j": "y" * 10**6}})
    (line,) = lines()
    assert len(line) < 3 * MAX_FIELD_CHARACTERS


def int_of(text):
    raise ValueError(text)


def test_line_carries_the_traceback_of_an_error(lines):
    with pytest.raises(ValueError, match="deep") as error:
        int_of("deep\ntrouble")
    get_logger("rpc").error("handler failed", exc_info=error.value)
    record = only(lines)
    assert "ValueError: deep\ntrouble" in record["traceback"]
    assert "test_logs.py" in record["traceback"]


def test_loggers_of_libraries_come_out_the_same_way(lines):
    logging.getLogger("asyncio").error("task %s failed", "t1")
    record = only(lines)
    assert (record["event"], record["area"]) == ("library", "asyncio")
    assert (record["level"], record["message"]) == ("error", "task t1 failed")


def test_debug_lines_stay_out(lines):
    get_logger("rpc").debug("detail")
    assert lines() == []
