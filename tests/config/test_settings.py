"""The server's settings: four layers, each leaf with its source, each mistake with its place."""

import random
from pathlib import Path

import pytest

from fastserve.config import Address, WebhookTarget, check_settings
from fastserve.errors import InvalidConfig
from fastserve.settings import (
    FLAGS,
    find_settings_file,
    leaves,
    load_settings,
    parse_size,
    variable_of,
)

# One value of each setting as a file, the environment and a flag may write it, and what it becomes.
SAMPLES = {
    "repository": ('"/m"', "/m", Path("/m")),
    "state_dir": ('"/s"', "/s", Path("/s")),
    "listen.grpc": (
        '["127.0.0.1:1", "unix:/x"]',
        "127.0.0.1:1, unix:/x",
        (Address(host="127.0.0.1", port=1), Address(unix_path="/x")),
    ),
    "listen.http": ('"[::1]:7"', "[::1]:7", Address(host="::1", port=7)),
    "listen.transport": ('"grpcio"', "grpcio", "grpcio"),
    "security.certificate": ('"/c"', "/c", Path("/c")),
    "security.key": ('"/k"', "/k", Path("/k")),
    "security.client_ca": ('"/a"', "/a", Path("/a")),
    "security.token_file": ('"/t"', "/t", Path("/t")),
    "security.allow_insecure": ("true", "true", True),
    "security.allow_insecure_control": ("true", "true", True),
    "threads.io_threads": ("3", "3", 3),
    "threads.executors": ("4", "4", 4),
    "limits.max_message_bytes": ('"2MiB"', "2MiB", 2 << 20),
    "limits.max_concurrent_streams": ("5", "5", 5),
    "limits.max_header_bytes": ("2048", "2048", 2048),
    "limits.max_connections": ("6", "6", 6),
    "limits.max_queue_rows": ("7", "7", 7),
    "limits.max_queue_bytes": ('"8 KiB"', "8 KiB", 8192),
    "limits.max_total_queue_bytes": ('"1TiB"', "1TiB", 1 << 40),
    "limits.max_model_bytes": ('"1GiB"', "1GiB", 1 << 30),
    "limits.inline_budget_us": ("0", "0", 0),
    "lifecycle.watch": ("true", "true", True),
    "lifecycle.poll_seconds": ("0.5", "0.5", 0.5),
    "lifecycle.explicit": ("true", "true", True),
    "lifecycle.load_models": ('["a", "b"]', "a,b", ("a", "b")),
    "lifecycle.settle_seconds": ("2", "2", 2.0),
    "lifecycle.load_threads": ("2", "2", 2),
    "lifecycle.memory_budget_bytes": ('"512MiB"', "512MiB", 512 << 20),
    "lifecycle.check": ("false", "false", False),
    "lifecycle.check_seconds": ("1e1", "1e1", 10.0),
    "lifecycle.check_memory_bytes": ("1", "1", 1),
    "audit.enabled": ("false", "false", False),
    "audit.key_file": ('"/h"', "/h", Path("/h")),
    "audit.keep_days": ("365", "365", 365),
    "audit.keep_bytes": ('"1GiB"', "1GiB", 1 << 30),
    "capture.enabled": ("false", "false", False),
    "capture.folder": ('"/f"', "/f", Path("/f")),
    "capture.max_queue_bytes": ('"1MiB"', "1MiB", 1 << 20),
    "capture.max_disk_bytes": ('"1TiB"', "1TiB", 1 << 40),
    "capture.min_free_bytes": ("0", "0", 0),
    "capture.file_bytes": ('"4KiB"', "4KiB", 4096),
    "capture.file_rows": ("9", "9", 9),
    "capture.file_seconds": ("0.5", "0.5", 0.5),
    "capture.hash_key_file": ('"/h"', "/h", Path("/h")),
    "webhooks.targets": (
        '[{ url = "https://a/b" }, { url = "http://[::1]:7" }]',
        "https://a/b, http://[::1]:7",
        (WebhookTarget(url="https://a/b"), WebhookTarget(url="http://[::1]:7")),
    ),
    "webhooks.timeout_seconds": ("2", "2", 2.0),
    "webhooks.max_attempts": ("3", "3", 3),
    "webhooks.first_pause_seconds": ("0.5", "0.5", 0.5),
    "webhooks.max_pause_seconds": ("60", "60", 60.0),
    "webhooks.max_queue_events": ("8", "8", 8),
    "feedback.enabled": ("false", "false", False),
    "feedback.max_bytes": ('"2MiB"', "2MiB", 2 << 20),
    "feedback.max_record_bytes": ("1000", "1000", 1000),
    "feedback.max_age_seconds": ("60", "60", 60.0),
    "feedback.max_waiting": ("0", "0", 0),
    "feedback.max_wait_seconds": ("2.5", "2.5", 2.5),
    "feedback.max_segments": ("3", "3", 3),
    "drift.enabled": ("false", "false", False),
    "drift.base_seconds": ("30", "30", 30),
    "drift.window_seconds": ("600", "600", 600),
    "drift.minimum_rows": ("9", "9", 9),
    "drift.significance": ("1e-4", "1e-4", 1e-4),
    "drift.psi_raise": ("0.3", "0.3", 0.3),
    "drift.psi_clear": ("0.2", "0.2", 0.2),
    "drift.ks_raise": ("0.3", "0.3", 0.3),
    "drift.ks_clear": ("0.01", "0.01", 0.01),
    "drift.wasserstein_raise": ("1", "1", 1.0),
    "drift.wasserstein_clear": ("0.1", "0.1", 0.1),
    "drift.cramers_v_raise": ("0.3", "0.3", 0.3),
    "drift.cramers_v_clear": ("0.02", "0.02", 0.02),
    "drift.missing_raise": ("0.3", "0.3", 0.3),
    "drift.missing_clear": ("0.01", "0.01", 0.01),
    "drift.raise_windows": ("3", "3", 3),
    "drift.clear_windows": ("4", "4", 4),
    "drift.metric_features": ("20", "20", 20),
    "metrics.triton": ("true", "true", True),
    "tracing.enabled": ("true", "true", True),
    "tracing.share": ("0.5", "0.5", 0.5),
    "tracing.endpoint": ('"http://c:4317"', "http://c:4317", "http://c:4317"),
    "tracing.service_name": ('"scoring"', "scoring", "scoring"),
    "tracing.timeout_seconds": ("2.5", "2.5", 2.5),
    "access_log.enabled": ("true", "true", True),
    "access_log.share": ("0.25", "0.25", 0.25),
    "access_log.file": ('"/i"', "/i", Path("/i")),
    "access_log.max_file_bytes": ('"1MiB"', "1MiB", 1 << 20),
    "access_log.kept_files": ("2", "2", 2),
    "drain_seconds": ("1.5", "1.5", 1.5),
}


@pytest.fixture
def written(tmp_path):
    def write(text):
        path = tmp_path / "fastserve.toml"
        path.write_text(text)
        return path

    return write


def value_at(settings, path):
    value = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def sources(loaded):
    return {entry.path: entry.source for entry in loaded.entries}


def toml(path, text):
    group, _, name = path.rpartition(".")
    return f"[{group}]\n{name} = {text}\n" if group else f"{name} = {text}\n"


def refused(file=None, environment=None, flags=None, *, check=False):
    flags = {"REPOSITORY": "."} | (flags or {})
    if check:
        settings = load_settings(file, environment or {}, flags).settings
        with pytest.raises(InvalidConfig) as error:
            check_settings(settings)
    else:
        with pytest.raises(InvalidConfig) as error:
            load_settings(file, environment or {}, flags)
    assert "\n" not in error.value.message
    return error.value.message


def test_samples_cover_every_setting():
    assert list(SAMPLES) == list(leaves())


@pytest.mark.parametrize("path", SAMPLES)
def test_setting_is_read_from_the_file_with_its_line(written, path):
    text, _, expected = SAMPLES[path]
    file = written(toml(path, text))
    flags = {} if path == "repository" else {"REPOSITORY": "."}
    loaded = load_settings(file, {}, flags)
    assert value_at(loaded.settings, path) == expected
    assert sources(loaded)[path] == f"{file}:{2 if '.' in path else 1}"


@pytest.mark.parametrize("path", SAMPLES)
def test_setting_is_read_from_the_environment(path):
    _, text, expected = SAMPLES[path]
    flags = {} if path == "repository" else {"REPOSITORY": "."}
    loaded = load_settings(None, {variable_of(path): text}, flags)
    assert value_at(loaded.settings, path) == expected
    assert sources(loaded)[path] == f"environment {variable_of(path)}"


@pytest.mark.parametrize("flag", FLAGS)
def test_flag_goes_over_environment_and_file(written, flag):
    path = FLAGS[flag]
    text, given, expected = SAMPLES[path]
    file = written(toml(path, text))
    value = list(expected) if isinstance(expected, tuple) else expected
    if isinstance(value, list):
        value = [str(item) for item in value]
    elif isinstance(value, Address):
        value = str(value)
    loaded = load_settings(file, {variable_of(path): given}, {"REPOSITORY": ".", flag: value})
    assert value_at(loaded.settings, path) == expected
    assert sources(loaded)[path] == flag


def test_layers_replace_each_other_leaf_by_leaf(written):
    file = written(
        "drain_seconds = 1\n"
        "[listen]\n"
        'grpc = [\n  "127.0.0.1:1",\n  "127.0.0.1:2",\n]\n'
        'http = "127.0.0.1:3"\n'
        "[limits]\nmax_queue_rows = 10\nmax_connections = 10\n"
    )
    environment = {"FASTSERVE_LISTEN__GRPC": "127.0.0.1:4", "FASTSERVE_LIMITS__MAX_QUEUE_ROWS": "2"}
    loaded = load_settings(file, environment, {"REPOSITORY": "models", "--http": "off"})
    assert [str(address) for address in loaded.settings.listen.grpc] == ["127.0.0.1:4"]
    assert loaded.settings.listen.http is None
    limits = loaded.settings.limits
    assert (limits.max_queue_rows, limits.max_connections) == (2, 10)
    shown = {entry.path: (entry.value, entry.source) for entry in loaded.entries}
    assert shown["listen.grpc"] == (["127.0.0.1:4"], "environment FASTSERVE_LISTEN__GRPC")
    assert shown["listen.http"] == ("off", "--http")
    assert shown["limits.max_queue_rows"] == (2, "environment FASTSERVE_LIMITS__MAX_QUEUE_ROWS")
    assert shown["limits.max_connections"] == (10, f"{file}:10")
    assert shown["drain_seconds"] == (1.0, f"{file}:1")
    assert shown["state_dir"] == ("models/.fastserve", "default")
    assert shown["threads.executors"] == (0, "default")
    assert list(shown) == list(leaves())


def test_relative_paths_start_from_the_file_and_those_of_other_layers_from_here(tmp_path, written):
    file = written('repository = "models"\n[listen]\ngrpc = ["unix:run/a.sock"]\n')
    settings = load_settings(file, {"FASTSERVE_SECURITY__TOKEN_FILE": "tokens"}, {}).settings
    assert settings.repository == tmp_path / "models"
    assert settings.state_folder == tmp_path / "models" / ".fastserve"
    assert settings.listen.grpc[0].unix_path == str(tmp_path / "run/a.sock")
    assert settings.security.token_file == Path("tokens")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[limits]\nmax_queue_row = 1",
            "limits.max_queue_row: no such key; did you mean 'max_queu",
        ),
        ("[limit]\nx = 1", "limit: no such key; did you mean 'limits'?"),
        ('[limits]\nmax_queue_rows = "1"', "limits.max_queue_rows: expected `int`, got `str`"),
        (
            '[limits]\nmax_queue_bytes = "1GB"',
            "limits.max_queue_bytes: expected bytes, as a number",
        ),
        ("[limits]\nmax_queue_bytes = 1.5", "limits.max_queue_bytes: expected `int`, got `float`"),
        ('[limits]\nmax_queue_rows = "1KiB"', "limits.max_queue_rows: expected `int`, got `str`"),
        ("limits = 1", "limits: expected `object`, got `int`"),
        ("repository = 1", "repository: expected `str`, got `int`"),
        ('repository = ""', "repository: expected a path, got ''"),
        ('repository = "a\\u0000b"', "repository: expected a path, got"),
        ('[listen]\ngrpc = "127.0.0.1:1"', "listen.grpc: expected `array`, got `str`"),
        ('[listen]\ngrpc = ["nowhere"]', "listen.grpc.0: address 'nowhere': expected HOST:PORT"),
        ('[listen]\ngrpc = ["off"]', "listen.grpc.0: address 'off': expected HOST:PORT"),
        ("[listen]\ngrpc = [8001]", "listen.grpc.0: expected the text HOST:PORT or unix:PATH"),
        ('[listen]\nhttp = { host = "x" }', "listen.http: expected the text HOST:PORT"),
        ('[listen]\ntransport = "quic"', "listen.transport: expected one of 'grpcio', 'native'"),
        ("drain_seconds = nan", "drain_seconds: expected `float`"),
        ("[lifecycle]\nwatch = 1", "lifecycle.watch: expected `bool`, got `int`"),
        ("[lifecycle]\ncheck_seconds = 0", "lifecycle.check_seconds: expected `float` > 0"),
        ("x = = 1", "not TOML: "),
        ("a = " + "[" * 100_000, "nested too deep"),
    ],
)
def test_file_is_refused_with_its_name_place_and_what_was_expected(written, text, expected):
    file = written(text)
    message = refused(file)
    assert message.startswith(f"{file}: {expected}")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("LIMITS__MAX_QUEUE_ROWS", "many", "limits.max_queue_rows: expected `int`, got `str`"),
        ("LIMITS__MAX_QUEUE_ROWS", "1_000", "limits.max_queue_rows: expected `int`, got `str`"),
        ("LIMITS__MAX_QUEUE_ROWS", "0", "limits.max_queue_rows: expected `int` >= 1"),
        ("LIMITS__MAX_QUEUE_ROWS", "", "is empty: give a value or unset it"),
        ("LIMITS__MAX_QUEUE_BYTES", "1GB", "limits.max_queue_bytes: expected bytes, as a number"),
        ("LIFECYCLE__WATCH", "yes", "lifecycle.watch: expected `bool`, got `str`"),
        ("LIFECYCLE__WATCH", "1", "lifecycle.watch: expected `bool`, got `str`"),
        ("DRAIN_SECONDS", "nan", "drain_seconds: expected `float`, got `str`"),
        (
            "LIFECYCLE__LOAD_MODELS",
            "a,,b",
            "lifecycle.load_models.1: expected `str` of length >= 1",
        ),
        ("LISTEN__GRPC", "127.0.0.1:1,,", "listen.grpc.1: address '': expected HOST:PORT"),
        ("LIMITS__MAX_QUEUE_ROW", "1", "no such setting; did you mean FASTSERVE_LIMITS__MAX_QUEUE"),
        ("LIMITS_MAX_QUEUE_ROWS", "1", "no such setting; did you mean FASTSERVE_LIMITS__MAX_QUEUE"),
        ("REPOSITORY_DIR", "x", "no such setting; did you mean FASTSERVE_REPOSITORY?"),
        ("GREETING", "x", "no such setting; "),
        ("PORT", "8001", "no such setting; "),
    ],
)
def test_environment_is_refused_with_the_variable_and_what_was_expected(name, text, expected):
    message = refused(environment={f"FASTSERVE_{name}": text})
    assert message.startswith(f"environment FASTSERVE_{name}: {expected}")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("FASTSERVE_ENDPOINT", "127.0.0.1:1"),
        ("FASTSERVE_TOKEN", "secret-token"),
        ("FASTSERVE_CONFIG", "x.toml"),
        # What Kubernetes sets for Services named fastserve and fastserve-canary.
        ("FASTSERVE_SERVICE_HOST", "10.0.0.1"),
        ("FASTSERVE_SERVICE_PORT", "8001"),
        ("FASTSERVE_SERVICE_PORT_GRPC", "8001"),
        ("FASTSERVE_PORT", "tcp://10.0.0.1:8001"),
        ("FASTSERVE_PORT_8001_TCP", "tcp://10.0.0.1:8001"),
        ("FASTSERVE_PORT_8001_TCP_ADDR", "10.0.0.1"),
        ("FASTSERVE_CANARY_SERVICE_HOST", "10.0.0.1"),
        ("FASTSERVE_CANARY_PORT", "udp://10.0.0.1:8001"),
        ("FASTSERVED", "x"),
        ("PATH", "/bin"),
    ],
)
def test_environment_of_others_is_left_alone(name, text):
    loaded = load_settings(None, {name: text}, {"REPOSITORY": "."})
    assert set(sources(loaded).values()) == {"REPOSITORY", "default"}


def test_empty_list_in_the_environment_is_an_empty_list():
    loaded = load_settings(None, {"FASTSERVE_LISTEN__GRPC": ""}, {"REPOSITORY": "."})
    assert loaded.settings.listen.grpc == ()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"--io-threads": -1}, "--io-threads: threads.io_threads: expected `int` >= 0"),
        ({"--grpc": ("nowhere",)}, "--grpc: listen.grpc.0: address 'nowhere'"),
        ({"--memory-budget": "2GB"}, "--memory-budget: lifecycle.memory_budget_bytes: expected by"),
        ({"--poll": -0.5}, "--poll: lifecycle.poll_seconds: expected `float` >= 0"),
    ],
)
def test_flag_is_refused_with_its_name_and_what_was_expected(flags, expected):
    assert refused(flags=flags).startswith(expected)


def test_repository_is_asked_for_in_every_place_where_it_may_be_named():
    with pytest.raises(InvalidConfig, match="FASTSERVE_REPOSITORY") as error:
        load_settings(None, {}, {})
    assert error.value.message.startswith("no repository: ")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("limits = { max_queue_rows = 1 }", {"limits.max_queue_rows": 1}),
        ("\nlimits.max_queue_rows = 1", {"limits.max_queue_rows": 2}),
        ('[ limits ] # x\n"max_queue_rows" = 1', {"limits.max_queue_rows": 2}),
        ('# a = 1\n[listen]\ngrpc = [\n"unix:/a=b"\n]\nhttp = "off"', {"listen.http": 6}),
    ],
)
def test_line_of_a_setting_is_found_however_toml_writes_it(written, text, lines):
    file = written(text)
    found = sources(load_settings(file, {}, {"REPOSITORY": "."}))
    assert {path: found[path] for path in lines} == {p: f"{file}:{n}" for p, n in lines.items()}


def test_any_bytes_for_a_file_are_taken_or_refused(tmp_path):
    """One line of InvalidConfig, whatever a settings file holds."""
    good = "\n".join(toml(path, text) for path, (text, _, _) in SAMPLES.items() if "." in path)
    random_bytes = random.Random(7)
    file = tmp_path / "fastserve.toml"
    seen = set()
    for _ in range(500):
        data = bytearray(good.encode())
        for _ in range(random_bytes.randrange(1, 4)):
            at = random_bytes.randrange(len(data))
            data[at : at + random_bytes.randrange(3)] = random_bytes.randbytes(
                random_bytes.randrange(3)
            )
        file.write_bytes(data)
        try:
            load_settings(file, {}, {"REPOSITORY": "."})
        except InvalidConfig:
            seen.add("refused")
        else:
            seen.add("taken")
    assert "refused" in seen


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("4096", 4096), ("1B", 1), ("1KiB", 1024), ("2 MiB", 2 << 20), ("3GiB", 3 << 30)],
)
def test_parse_size_counts_bytes(text, expected):
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "1GB", "1gib", "1.5GiB", "-1", "GiB", "0x10", "1 GiB "])
def test_parse_size_refuses_what_is_unclear(text):
    with pytest.raises(InvalidConfig, match="KiB, MiB, GiB or TiB"):
        parse_size(text)


def test_settings_file_is_the_named_one_then_the_environments_then_the_one_here(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    environment = {"FASTSERVE_CONFIG": "b.toml"}
    assert find_settings_file(None, {}) is None
    Path("fastserve.toml").touch()
    assert find_settings_file(None, {}) == Path("fastserve.toml")
    assert find_settings_file(None, environment) == Path("b.toml")
    assert find_settings_file(Path("a.toml"), environment) == Path("a.toml")
    with pytest.raises(InvalidConfig, match="FASTSERVE_CONFIG: is empty"):
        find_settings_file(None, {"FASTSERVE_CONFIG": ""})


@pytest.mark.parametrize("place", ["absent.toml", "."])
def test_settings_file_that_cannot_be_read_is_named(tmp_path, place):
    assert refused(tmp_path / place).startswith(str(tmp_path / place))


# Combinations.


@pytest.fixture
def tls_flags(tmp_path):
    paths = {name: tmp_path / name for name in ("cert.pem", "key.pem", "tokens")}
    for path in paths.values():
        path.write_text("a-token-of-some-length\n")
    return {
        "--tls-cert": paths["cert.pem"],
        "--tls-key": paths["key.pem"],
        "--token-file": paths["tokens"],
    }


def accepted(flags):
    settings = load_settings(None, {}, {"REPOSITORY": "."} | flags).settings
    check_settings(settings)
    return settings


def test_defaults_bind_loopback_alone():
    settings = accepted({})
    assert not any(address.is_public for address in settings.listen.grpc)
    assert settings.listen.http is not None
    assert not settings.listen.http.is_public


@pytest.mark.parametrize("missing", [{"--tls-cert", "--tls-key"}, {"--token-file"}])
def test_public_address_is_refused_without_tls_and_tokens(tls_flags, missing):
    flags = {name: path for name, path in tls_flags.items() if name not in missing}
    message = refused(flags={"--grpc": ["0.0.0.0:8001"], **flags}, check=True)
    assert "--allow-insecure" in message


def test_public_address_is_taken_with_tls_and_tokens(tls_flags):
    assert accepted({"--grpc": ["0.0.0.0:8001"], **tls_flags}).listen.grpc[0].is_public


def test_public_address_is_taken_when_told_that_it_is_insecure():
    flags = {"--grpc": ["0.0.0.0:8001"], "--http": "0.0.0.0:8002", "--allow-insecure": True}
    assert accepted(flags).security.allow_insecure


def test_public_http_is_refused_even_with_tls_on_grpc(tls_flags):
    message = refused(flags={"--http": "0.0.0.0:8002", **tls_flags}, check=True)
    assert "HTTP address 0.0.0.0:8002" in message


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"--grpc": []}, "no gRPC address"),
        ({"--tls-cert": "cert.pem"}, "the key is missing"),
        ({"--tls-client-ca": "ca.pem"}, "mutual TLS"),
        ({"--watch": True, "--poll": 5.0}, "lifecycle.watch and lifecycle.poll_seconds exclude"),
        ({"--explicit": True, "--watch": True}, "lifecycle.watch and lifecycle.explicit exclude"),
        ({"--load-model": ["a"]}, "lifecycle.load_models goes with lifecycle.explicit alone"),
        ({"REPOSITORY": "/absent"}, "repository '/absent' is not a folder"),
    ],
)
def test_combination_that_cannot_work_is_refused(flags, expected):
    assert expected in refused(flags=flags, check=True)


@pytest.mark.parametrize("mode", [{}, {"--watch": True}, {"--poll": 5.0}, {"--explicit": True}])
def test_each_mode_is_taken_alone(mode):
    accepted(mode)


def test_state_folder_may_lie_outside_the_models_alone(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (tmp_path / "file").touch()
    for folder in (tmp_path / "state", models / ".state", models / ".state" / "deep"):
        accepted({"REPOSITORY": models, "--state-dir": folder})
    for folder in (models, models / "state", models / "state" / ".deep"):
        message = refused(flags={"REPOSITORY": models, "--state-dir": folder}, check=True)
        assert "lies among the models" in message
    message = refused(flags={"REPOSITORY": models, "--state-dir": tmp_path / "file"}, check=True)
    assert "is not a folder" in message


def test_webhook_targets_are_tables_of_the_file_and_shown_without_what_may_be_secret(
    tmp_path, written
):
    file = written(
        '[webhooks]\nmax_attempts = 2\n\n[[webhooks.targets]]\nurl = "https://a.example:8443/T0/secret"\n'
        'secret_file = "key"\nevents = ["drift"]\n[[webhooks.targets]]\nurl = "http://b/?token=1"\n'
    )
    loaded = load_settings(file, {}, {"REPOSITORY": "."})
    assert loaded.settings.webhooks.targets[0].secret_file == tmp_path / "key"
    shown = {entry.path: (entry.value, entry.source) for entry in loaded.entries}
    assert shown["webhooks.targets"] == (
        ["https://a.example:8443 (drift)", "http://b"],
        f"{file}:4",
    )


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://a/b", "expected http://HOST/PATH"),
        ("https:///b", "expected http://HOST/PATH"),
        ("https://user:sesame@a/b", "holds a user name"),
        ("https://a:port/", "is no URL"),
        ("https://a/b c", "printable ASCII"),
    ],
)
def test_webhook_address_is_refused_with_its_key(written, url, problem):
    message = refused(written(f"[[webhooks.targets]]\nurl = {url!r}\n"))
    assert "webhooks.targets" in message
    assert problem in message
    assert "sesame" not in message


def test_capture_folder_lies_in_the_state_folder_and_never_among_models(tmp_path):
    loaded = load_settings(None, {}, {"REPOSITORY": str(tmp_path)})
    assert loaded.settings.capture_folder == tmp_path / ".fastserve" / "capture"
    environment = {"FASTSERVE_CAPTURE__FOLDER": str(tmp_path / "capture")}
    message = refused(environment=environment, flags={"REPOSITORY": str(tmp_path)}, check=True)
    assert message.startswith("capture.folder")
    assert "lies among the models" in message


def test_audit_log_that_would_be_kept_in_next_to_nothing_is_refused():
    message = refused(environment={"FASTSERVE_AUDIT__KEEP_BYTES": "64KiB"}, check=True)
    assert message == "audit.keep_bytes is 65536, expected 1MiB or more, or 0 to keep all"
