"""`fastserve route` against a real server: what people type, read and are refused."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def route(start_server, repository):
    """A function that runs the command: (exit code, stdout, stderr)."""
    server = start_server(repository)

    def run(*words):
        done = subprocess.run(
            [sys.executable, "-m", "fastserve", "route", *words, "--endpoint", server.grpc],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_route_is_set_shown_explained_turned_back_and_removed(route):
    assert route("show")[1] == "no model has a route: requests get the version that serves\n"
    code, out, err = route(
        *("set", "m", "--weight", "1=90", "--weight", "2=10", "--sticky", "header:x-user"),
        *("--rule", "x-tenant=acme:3", "--rule", "x-tenant=ac*:2", "--rule", "x-debug:3"),
        *("--fallback", "1", "--reason", "first look"),
    )
    assert code == 0, err
    for line in (
        "m: weights, generation 1",
        "      2      10  10.00 %  READY",
        "rule 1: x-tenant=acme -> version 3",
        "rule 2: x-tenant=ac* -> version 2",
        "rule 3: x-debug -> version 3",
        "sticky key: header:x-user",
        "fallback: version 1",
    ):
        assert line in out.splitlines()
    assert out.splitlines()[-1].endswith(": first look")
    explained = route("explain", "m", "--header", "X-Tenant=acme")[1].splitlines()
    assert explained[:2] == ["m: version 3", "because: rule 1 matches: x-tenant=acme"]
    assert " of 65,536" in route("explain", "m", "--key", "anna")[1]
    # --keep takes over all but the weights.
    kept = json.loads(
        route("set", "m", "--weight", "1=1", "--weight", "2=1", "--keep", "--json")[1]
    )
    assert kept["route"]["sticky"] == "header:x-user"
    assert len(kept["route"]["rules"]) == 3
    assert "goes back to: weights 1=90, 2=10" in route("show", "m")[1]
    turned = json.loads(route("back", "m", "--json")[1])
    assert [entry["weight"] for entry in turned["route"]["entries"]] == [90.0, 10.0]
    assert route("remove", "m", "--generation", "3")[1] == (
        "m: no route (generation 4); the version that serves answers\n"
    )


def test_blue_green_names_the_version_to_go_back_to(route):
    assert "goes back to: version 3" in route("set", "m", "--blue-green", "2")[1]
    assert "goes back to: version 2" in route("back", "m")[1]


REFUSED = [
    (("set", "m"), 2, "give --weight at least once, or --blue-green"),
    (("set", "m", "--weight", "1"), 2, "expected VERSION=NUMBER"),
    (("set", "m", "--weight", "1=nan"), 2, "expected VERSION=NUMBER"),
    (("set", "m", "--weight", "1=1", "--rule", "x"), 2, "expected HEADER=VALUE:VERSION"),
    (("set", "m", "--blue-green", "1", "--weight", "1=1"), 2, "--blue-green says it all"),
    (("set", "m", "--weight", "1=-1"), 1, "weights: version 1 has -1"),
    (("set", "m", "--weight", "9=1"), 1, "version 9 of model 'm' is not found"),
    (("set", "m", "--weight", "1=1", "--generation", "5"), 1, "at generation 0, expected 5"),
    (("set", "nobody", "--weight", "1=1"), 1, "'nobody' is not found"),
    (("back", "m"), 1, "had no route before this one"),
    (("explain", "m", "--header", "x"), 2, "expected HEADER=VALUE"),
]


def test_bad_words_are_refused_in_one_line(route):
    for words, code, message in REFUSED:
        got, _, err = route(*words)
        assert got == code, words
        assert message in err, words
        assert err.count("\n") == 1, words
