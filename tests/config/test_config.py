"""model.toml and addresses: strict, with messages that say where, what was got and expected."""

import os

import pytest

from fastserve.config import convert, parse_address
from fastserve.errors import InvalidConfig
from fastserve.model_config import ModelConfig, read_model_config


def refused(data):
    with pytest.raises(InvalidConfig) as error:
        convert(data, ModelConfig, source="model.toml")
    return error.value.message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"batching": {"max_row": 8}}, "batching.max_row: no such key; did you mean 'max_rows'?"),
        ({"batchin": {}}, "batchin: no such key; did you mean 'batching'?"),
        (
            {"limits": {"zzz": 1}},
            "limits.zzz: no such key; known here: max_queue_rows, max_queue_bytes",
        ),
        (
            {"runtime": {"providers": [{"nam": "CPU"}]}},
            "runtime.providers.0.nam: no such key; did you mean 'name'?",
        ),
    ],
)
def test_convert_names_the_nearest_key_when_one_is_unknown(data, expected):
    assert refused(data) == f"model.toml: {expected}"


@pytest.mark.parametrize(
    ("data", "place", "expected", "got"),
    [
        ({"batching": {"max_rows": "8"}}, "batching.max_rows", "`int | null`", "'8'"),
        ({"batching": {"max_rows": 0}}, "batching.max_rows", ">= 1", "0"),
        ({"batching": {"enabled": 1}}, "batching.enabled", "`bool | null`", "1"),
        ({"weight": -1}, "weight", ">= 1", "-1"),
        ({"inline": "yes"}, "inline", "`bool`", "'yes'"),
        ({"runtime": {"optimization_level": 3}}, "runtime.optimization_level", "0, 1, 2, 99", "3"),
        ({"runtime": {"config_entries": {"a": 1}}}, "runtime.config_entries", "`str`", "1"),
    ],
)
def test_convert_says_place_expected_and_got_when_a_value_is_wrong(data, place, expected, got):
    message = refused(data)
    assert message.startswith(f"model.toml: {place}")
    assert expected in message
    assert got in message


def test_read_model_config_takes_every_documented_key(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text(
        "inline = false\nweight = 3\n"
        "[batching]\nenabled = true\nmax_rows = 32\nmax_delay_us = 500\n"
        "[limits]\nmax_queue_rows = 100\nmax_queue_bytes = 1000\n"
        "[runtime]\nintra_op_threads = 2\ncpu_arena = false\noptimization_level = 1\n"
        'providers = [{ name = "XNNPACK", options = { intra_op_num_threads = "2" } }]\n'
        '[runtime.config_entries]\n"session.disable_prepacking" = "1"\n'
    )
    config = read_model_config(path)
    assert (config.inline, config.weight) == (False, 3)
    assert (config.batching.enabled, config.batching.max_rows) == (True, 32)
    assert config.limits.max_queue_rows == 100
    assert config.runtime.providers[0].options == {"intra_op_num_threads": "2"}
    assert config.runtime.config_entries == {"session.disable_prepacking": "1"}


@pytest.mark.parametrize("content", [b"weight = = 1", b"\xff\xfe", b"weight = 1\nweight = 2"])
def test_read_model_config_names_the_file_when_it_is_not_toml(tmp_path, content):
    path = tmp_path / "model.toml"
    path.write_bytes(content)
    with pytest.raises(InvalidConfig, match=r"^model\.toml: "):
        read_model_config(path)


@pytest.mark.parametrize(
    ("text", "shown", "is_public"),
    [
        ("127.0.0.1:8001", "127.0.0.1:8001", False),
        ("localhost:0", "localhost:0", False),
        ("[::1]:8001", "[::1]:8001", False),
        ("0.0.0.0:8001", "0.0.0.0:8001", True),
        ("[::]:8001", "[::]:8001", True),
        ("models.example:8001", "models.example:8001", True),
        ("unix:/run/fastserve.sock", "unix:/run/fastserve.sock", False),
    ],
)
def test_parse_address_knows_who_can_reach_it(text, shown, is_public):
    address = parse_address(text)
    assert str(address) == shown
    assert address.is_public is is_public


@pytest.mark.parametrize("text", ["", "8001", ":8001", "host:", "host:65536", "host:-1", "unix:"])
def test_parse_address_refuses_what_is_not_one(text):
    with pytest.raises(InvalidConfig):
        parse_address(text)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_read_model_config_opens_regular_files_inside_the_repository_alone(tmp_path, kind):
    root = tmp_path / "repository"
    root.mkdir()
    path = root / "model.toml"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        (tmp_path / "outside.toml").write_text("weight = 2")
        path.symlink_to(tmp_path / "outside.toml")
    with pytest.raises(InvalidConfig, match=r"regular file|leads out"):
        read_model_config(path, root)


def test_read_model_config_refuses_what_is_nested_too_deep(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text("x = " + "[" * 100_000)
    with pytest.raises(InvalidConfig):
        read_model_config(path)
