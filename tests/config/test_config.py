"""Settings and model.toml: strict, with messages that say where, what was got and expected."""

import os
from pathlib import Path

import pytest

from fastserve.config import (
    ModelConfig,
    build_settings,
    convert,
    parse_address,
    read_model_config,
    read_tokens,
)
from fastserve.errors import InvalidConfig


@pytest.fixture
def tls_files(tmp_path):
    paths = {name: tmp_path / name for name in ("cert.pem", "key.pem", "tokens")}
    for path in paths.values():
        path.write_text("a-token-of-some-length\n")
    return {
        "certificate": paths["cert.pem"],
        "key": paths["key.pem"],
        "token_file": paths["tokens"],
    }


def refused(data):
    with pytest.raises(InvalidConfig) as error:
        convert(data, ModelConfig, source="model.toml")
    return error.value.message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"batching": {"max_row": 8}}, "batching.max_row: no such key; did you mean 'max_rows'?"),
        ({"batchin": {}}, "batchin: no such key; did you mean 'batching'?"),
        ({"zzz": 1}, "zzz: no such key; known here: batching, limits, runtime, inline, weight"),
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


def test_build_settings_binds_loopback_by_default(tmp_path):
    settings = build_settings(tmp_path)
    assert not any(address.is_public for address in settings.listen.grpc)
    assert settings.listen.http is not None
    assert not settings.listen.http.is_public


@pytest.mark.parametrize("missing", [{"certificate", "key"}, {"token_file"}])
def test_build_settings_refuses_a_public_address_without_tls_and_tokens(
    tmp_path, tls_files, missing
):
    given = {name: path for name, path in tls_files.items() if name not in missing}
    with pytest.raises(InvalidConfig, match="--allow-insecure"):
        build_settings(tmp_path, grpc=["0.0.0.0:8001"], **given)


def test_build_settings_takes_a_public_address_with_tls_and_tokens(tmp_path, tls_files):
    settings = build_settings(tmp_path, grpc=["0.0.0.0:8001"], **tls_files)
    assert settings.listen.grpc[0].is_public


def test_build_settings_takes_a_public_address_when_told_that_it_is_insecure(tmp_path):
    settings = build_settings(
        tmp_path, grpc=["0.0.0.0:8001"], http="0.0.0.0:8002", allow_insecure=True
    )
    assert settings.security.allow_insecure


def test_build_settings_refuses_public_http_even_with_tls_on_grpc(tmp_path, tls_files):
    with pytest.raises(InvalidConfig, match=r"HTTP address 0\.0\.0\.0:8002"):
        build_settings(tmp_path, http="0.0.0.0:8002", **tls_files)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"io_threads": -1}, "threads.io_threads"),
        ({"transport": "quic"}, "expected one of 'grpcio', 'native'"),
        ({"drain_seconds": -1.0}, "drain_seconds"),
        ({"limits": {"max_conections": 1}}, "did you mean 'max_connections'?"),
        ({"grpc": []}, "no gRPC address"),
        ({"certificate": "cert.pem"}, "the key is missing"),
        ({"client_ca": "ca.pem"}, "mutual TLS"),
    ],
)
def test_build_settings_says_what_is_wrong(tmp_path, values, expected):
    with pytest.raises(InvalidConfig) as error:
        build_settings(tmp_path, **values)
    assert expected in error.value.message


def test_build_settings_refuses_a_repository_that_is_not_a_folder(tmp_path):
    with pytest.raises(InvalidConfig, match="is not a folder"):
        build_settings(tmp_path / "missing")


def test_read_tokens_skips_comments_and_empty_lines(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("# of the canary\n\nfirst-token\n  second-token  \n")
    assert read_tokens(path) == ("first-token", "second-token")
    assert read_tokens(None) == ()


@pytest.mark.parametrize(
    "content", ["", "# none\n", "short\n", "two words here\n", "tök-en-token\n"]
)
def test_read_tokens_refuses_a_file_that_would_protect_nothing(tmp_path, content):
    path = tmp_path / "tokens"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidConfig):
        read_tokens(path)


@pytest.mark.parametrize("kind", ["fifo", "link"])
def test_read_model_config_opens_regular_files_inside_the_repository_alone(tmp_path, kind):
    root = tmp_path / "repository"
    root.mkdir()
    path = root / "model.toml"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        (tmp_path / "outside.toml").write_text("weight = 2")
        path.symlink_to(tmp_path / "outside.toml")
    with pytest.raises(InvalidConfig, match=r"regular file|leads out"):
        read_model_config(path, root)


def test_read_tokens_refuses_a_device_without_reading_it():
    with pytest.raises(InvalidConfig, match="is not a regular file"):
        read_tokens(Path("/dev/zero"))


def test_read_model_config_refuses_what_is_nested_too_deep(tmp_path):
    path = tmp_path / "model.toml"
    path.write_text("x = " + "[" * 100_000)
    with pytest.raises(InvalidConfig):
        read_model_config(path)
