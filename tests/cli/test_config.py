"""`fastserve config show`: of a running server, and of one that is not started."""

import json

import pytest

from fastserve.settings import FLAGS, leaves


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "models"


def shown(outcome):
    assert outcome.code == 0, outcome.err
    return {each["path"]: (each["value"], each["source"]) for each in json.loads(outcome.out)}


def test_serve_has_a_flag_for_each_name_that_settings_know():
    from fastserve.cli.serve import serve

    names = {
        parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.name.upper()
        for parameter in serve.params
    }
    assert names - {"--config", "--debug"} == set(FLAGS)


def test_show_asks_the_server_and_shows_every_setting(demo_server, fastserve):
    arguments = ("config", "show", "--endpoint", demo_server.grpc)
    settings = shown(fastserve(*arguments, "--json"))
    assert list(settings) == list(leaves())
    assert settings["listen.grpc"] == (["127.0.0.1:0"], "--grpc")
    table = fastserve(*arguments).out.splitlines()
    assert table[0].split() == ["PATH", "VALUE", "SOURCE"]
    rows = {line.split()[0]: line.split()[1:] for line in table[1:]}
    assert rows["listen.grpc"] == ["127.0.0.1:0", "--grpc"]
    assert rows["lifecycle.check"] == ["true", "default"]
    assert rows["security.token_file"] == ["-", "default"]


def test_show_offline_reads_file_and_environment_as_serve_does(repository, fastserve, monkeypatch):
    (repository.parent / "fastserve.toml").write_text('repository = "models"\n')
    monkeypatch.setenv("FASTSERVE_LIFECYCLE__LOAD_MODELS", "a,b")
    monkeypatch.setenv("FASTSERVE_LIFECYCLE__EXPLICIT", "true")
    settings = shown(fastserve("config", "show", "--offline", "--json"))
    assert settings["repository"] == ("models", "fastserve.toml:1")
    assert settings["lifecycle.load_models"] == (
        ["a", "b"],
        "environment FASTSERVE_LIFECYCLE__LOAD_MODELS",
    )
    assert settings["drain_seconds"] == (30.0, "default")


def test_show_of_a_file_reads_that_file(repository, fastserve):
    (repository.parent / "fastserve.toml").write_text("this is not read")
    (repository / "other.toml").write_text('repository = "."\ndrain_seconds = 1\n')
    settings = shown(fastserve("config", "show", "--config", repository / "other.toml", "--json"))
    assert settings["repository"] == (str(repository), f"{repository}/other.toml:1")
    assert settings["drain_seconds"] == (1.0, f"{repository}/other.toml:2")


def test_show_offline_shows_all_then_says_why_serve_would_refuse(repository, fastserve):
    outcome = fastserve("config", "show", "--offline")
    assert outcome.code == 2
    assert outcome.out.splitlines()[1].split() == ["repository", "-", "not", "set"]
    assert outcome.err.startswith("fastserve: no repository: ")
    (repository.parent / "fastserve.toml").write_text(
        'repository = "models"\n[lifecycle]\nwatch = true\nexplicit = true\n'
    )
    outcome = fastserve("config", "show", "--offline")
    assert outcome.code == 2
    assert "lifecycle.watch" in outcome.out
    assert outcome.err == (
        "fastserve: lifecycle.watch and lifecycle.explicit exclude each other: choose one\n"
    )


def test_show_offline_refuses_what_serve_refuses(repository, fastserve):
    (repository.parent / "fastserve.toml").write_text("drain_second = 1\n")
    outcome = fastserve("config", "show", "--offline")
    assert (outcome.code, outcome.out) == (2, "")
    assert "did you mean 'drain_seconds'?" in outcome.err


def test_show_of_a_server_that_is_not_ours_says_so(peer, fastserve):
    outcome = fastserve("config", "show")
    assert outcome.code == 1
    assert outcome.err.startswith("fastserve: ")
    assert outcome.err.count("\n") == 1


def test_show_of_nobody_has_its_own_exit_code(fastserve):
    outcome = fastserve("config", "show", "--endpoint", "127.0.0.1:9")
    assert outcome.code == 3
    assert outcome.err.startswith("fastserve: cannot reach 127.0.0.1:9: ")


def test_show_takes_the_servers_own_token_file(start_server, tmp_path, fastserve):
    (tmp_path / "repository").mkdir()
    tokens = tmp_path / "tokens"
    tokens.write_text("# operators\nci operator ci-token-1\nweb infer web-token\n")
    server = start_server(tmp_path / "repository", "--token-file", tokens)
    arguments = ("config", "show", "--json", "--endpoint", server.grpc)
    settings = shown(fastserve(*arguments, "--token-file", tokens))
    assert settings["security.token_file"] == (str(tokens), "--token-file")
    outcome = fastserve(*arguments, "--token", "web-token")
    assert outcome.code == 1
    assert outcome.err == (
        "fastserve: ShowConfig needs the role operator, the token 'web' has infer\n"
    )


@pytest.mark.parametrize(("variable", "expected"), [("anna", "anna"), ("än\nna", "?n?na")])
def test_actor_is_what_a_header_can_carry(monkeypatch, variable, expected):
    from fastserve.cli.endpoint import claimed_actor

    monkeypatch.setenv("FASTSERVE_ACTOR", variable)
    assert claimed_actor() == expected


def test_actor_is_login_and_machine_where_nothing_is_said(monkeypatch):
    from fastserve.cli.endpoint import claimed_actor

    monkeypatch.delenv("FASTSERVE_ACTOR", raising=False)
    monkeypatch.setenv("LOGNAME", "anna")
    assert claimed_actor().startswith("anna@")
