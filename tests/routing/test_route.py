"""What a route may say: everything else is refused, naming the field."""

import math

import msgspec
import pytest
from hypothesis import given, strategies as st

from fastserve.errors import InvalidConfig, InvalidRoute
from fastserve.model_config import parse_model_config
from fastserve.rollout_spec import Rollout
from fastserve.route_spec import MAX_ENTRIES, Bandit, Entry, Rule, Shadow
from fastserve.routing.explanation import explain
from fastserve.routing.route import (
    Route,
    blue_green,
    configured_route,
    default_seed,
    switched,
)

HALVES = (Entry(1, 1.0), Entry(2, 1.0))


def route(**fields):
    return Route(**({"model": "m", "entries": HALVES} | fields))


REFUSED = {
    "no entries": ({"entries": ()}, "weights: got 0 versions, expected 1 to 64"),
    "too many entries": (
        {"entries": tuple(Entry(n, 1.0) for n in range(1, MAX_ENTRIES + 2))},
        "weights: got 65 versions, expected 1 to 64",
    ),
    "version 0": ({"entries": (Entry(0, 1.0),)}, "weights: version 0, expected a positive number"),
    "a version twice": (
        {"entries": (Entry(1, 1.0), Entry(1, 2.0))},
        "weights: version 1 is there twice: keep one",
    ),
    "a negative weight": (
        {"entries": (Entry(1, 1.0), Entry(2, -0.5))},
        "weights: version 2 has -0.5, expected a finite number of 0 or more",
    ),
    "not a number": (
        {"entries": (Entry(1, math.nan),)},
        "weights: version 1 has nan, expected a finite number of 0 or more",
    ),
    "an infinite weight": (
        {"entries": (Entry(1, math.inf),)},
        "weights: version 1 has inf, expected a finite number of 0 or more",
    ),
    "an infinite sum": (
        {"entries": (Entry(1, 1.7e308), Entry(2, 1.7e308))},
        "weights: their sum is not finite: give smaller ones",
    ),
    "all weights 0": (
        {"entries": (Entry(1, 0.0), Entry(2, 0.0))},
        "weights: all are 0, expected at least one above",
    ),
    "a header in capitals": (
        {"rules": (Rule(header="X-Tenant", value="a", version=1),)},
        (
            "rules: rule 1: header 'X-Tenant', expected 1 to 256 lower-case letters, digits, '-', "
            "'_' and '.'"
        ),
    ),
    "a rule without value": (
        {"rules": (Rule(header="x", version=1),)},
        "rules: rule 1: match equals needs a value, which header 'x' is held against",
    ),
    "a rule with a value too many": (
        {"rules": (Rule(header="x", match="present", value="a", version=1),)},
        "rules: rule 1: match present looks at no value, got 'a': leave it out, or match equals",
    ),
    "a rule's value that no header has": (
        {"rules": (Rule(header="x", value="größer", version=1),)},
        "rules: rule 1: value: expected at most 1024 printable ASCII characters",
    ),
    "too many rules": (
        {"rules": (Rule(header="x", value="a", version=1),) * 65},
        "rules: got 65, expected at most 64",
    ),
    "a sticky key of nothing": (
        {"sticky": "x-user"},
        "sticky: got 'x-user', expected header:NAME or parameter:NAME",
    ),
    "a sticky header in capitals": (
        {"sticky": "header:X"},
        "sticky: header 'X', expected 1 to 256 lower-case letters, digits, '-', '_' and '.'",
    ),
    "a seed that is too great": (
        {"seed": 1 << 64},
        "seed: got 18446744073709551616, expected at most 18446744073709551615",
    ),
    "a canary of one": (
        {"strategy": "canary", "entries": (Entry(1, 1.0),)},
        "strategy: canary has two versions, the second on trial, got 1",
    ),
    "A and B without a key": (
        {"strategy": "ab"},
        "strategy: ab needs a sticky key, or the same caller would meet both arms",
    ),
    "A without B": (
        {"strategy": "ab", "sticky": "header:x", "entries": (Entry(1, 1.0), Entry(2, 0.0))},
        "strategy: ab needs at least two versions, each with a weight above 0",
    ),
    "two colours at once": (
        {"strategy": "blue_green"},
        (
            "strategy: blue_green sends everything to one of at most two versions, got 2 "
            "versions, 2 with a weight above 0"
        ),
    ),
    "no share for the shadow": (
        {"shadow": Shadow(version=3, share=0.0)},
        "shadow: share 0, expected more than 0 and at most 1",
    ),
    "a shadow of itself": (
        {"shadow": Shadow(version=1, share=0.5)},
        (
            "shadow: version 1 has the greatest weight, and so is what a shadow is held against: "
            "expected another version"
        ),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_route_is_refused_with_the_field_and_what_was_expected(case):
    fields, message = REFUSED[case]
    with pytest.raises(InvalidRoute) as caught:
        route(**fields)
    assert caught.value.message == message


WEIGHT = st.floats(allow_nan=True, allow_infinity=True)
ENTRIES = st.lists(st.tuples(st.integers(-2, 70), WEIGHT), max_size=70)


@given(ENTRIES)
def test_route_is_made_exactly_when_the_core_takes_it(entries):
    """One rule on both sides of the seam: what is accepted here the engine never refuses."""
    versions = [version for version, _ in entries]
    weights = [weight for _, weight in entries]
    is_sound = (
        1 <= len(entries) <= MAX_ENTRIES
        and min(versions, default=0) >= 1
        and len(set(versions)) == len(versions)
        and all(math.isfinite(weight) and weight >= 0 for weight in weights)
        and 0 < sum(weights) < math.inf
    )
    try:
        made = route(entries=tuple(Entry(*entry) for entry in entries))
    except InvalidRoute:
        assert not is_sound
        return
    assert is_sound
    assert math.isclose(math.fsum(made.table().shares), 1, rel_tol=1e-9)


@given(st.text(max_size=20), st.text(max_size=20))
def test_sticky_key_and_rules_are_what_a_header_can_carry_or_are_refused(name, value):
    rule = Rule(header=name, value=value, version=2)
    try:
        made = route(sticky=f"header:{name}", rules=(rule,))
    except InvalidRoute:
        return
    found = explain(made, key="", headers={name: value})
    assert (found.version, found.reason, found.rule) == (2, "rule", 0)


@given(st.dictionaries(st.integers(1, 9), st.floats(0, 1e6), min_size=1).filter(
    lambda weights: sum(weights.values()) > 0
))  # fmt: skip
def test_route_outlives_the_disk(weights):
    made = route(entries=tuple(Entry(*each) for each in weights.items()), seed=(1 << 64) - 1)
    assert msgspec.json.decode(msgspec.json.encode(made), type=Route) == made


def test_blue_green_switches_there_and_back():
    blue = blue_green("m", 2, 1, seed=7)
    green = switched(blue)
    assert (blue.main, green.main) == (2, 1)
    assert switched(green) == blue
    assert blue.versions == green.versions == {1, 2}
    with pytest.raises(InvalidRoute, match="no other version to go back to"):
        switched(blue_green("m", 2, 0, seed=7))


def moved_keys(before, after, count=100_000):
    """Part of the keys whose version is another one."""
    old, new = before.table(), after.table()
    keys = [f"user-{number}" for number in range(count)]
    return sum(old.choose_key(key) != new.choose_key(key) for key in keys) / count


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ({1: 90, 2: 10}, {1: 80, 2: 20}, 0.10),
        ({1: 99, 2: 1}, {1: 50, 2: 50}, 0.49),
        ({1: 50, 2: 30, 3: 20}, {1: 50, 2: 30, 3: 40}, 0.3334 - 0.2),
        # Two change at once: what each of them would move alone, one after the other.
        ({1: 50, 2: 30, 3: 20}, {1: 50, 2: 20, 3: 30}, 2 * (0.3 - 2 / 9)),
        ({1: 1, 2: 1}, {1: 1, 2: 1, 3: 1}, 1 / 3),
        ({1: 90, 2: 10}, {2: 10, 1: 90}, 0.0),
        ({1: 90, 2: 10}, {1: 9, 2: 1}, 0.0),
    ],
)
def test_no_more_keys_move_than_the_shares_ask_for(before, after, share):
    standing = route(sticky="header:x", seed=default_seed("m")).with_weights(before)
    assert moved_keys(standing, standing.with_weights(after)) <= share + 0.005


MODEL_TOML = b"""
[routing]
strategy = "canary"
weights = { 1 = 95, 2 = 5 }
sticky = "parameter:user"
fallback = 1
[[routing.rules]]
header = "x-tenant"
value = "acme"
version = 2
[routing.shadow]
version = 3
share = 0.5
"""
BANDIT = 'weights = { 1 = 1, 2 = 1 }\nstrategy = "bandit"\n'
ROLLOUT = "[routing.rollout]\nbaseline = 1\ncandidate = 2\n"


def test_model_toml_says_the_whole_route():
    config = parse_model_config(MODEL_TOML, name="model.toml").routing
    assert configured_route("m", config) == Route(
        model="m",
        strategy="canary",
        entries=(Entry(1, 95.0), Entry(2, 5.0)),
        rules=(Rule(header="x-tenant", value="acme", version=2),),
        sticky="parameter:user",
        seed=default_seed("m"),
        fallback=1,
        shadow=Shadow(version=3, share=0.5),
    )
    assert configured_route("m", parse_model_config(b"", name="model.toml").routing) is None


def test_model_toml_says_a_bandit_and_a_rollout():
    config = parse_model_config(
        f"[routing]\n{BANDIT}[routing.bandit]\nmin_share = 0.2".encode(), name="model.toml"
    )
    route = configured_route("m", config.routing)
    assert (route.strategy, route.bandit) == ("bandit", Bandit(min_share=0.2))
    config = parse_model_config(
        f"[routing]\nweights = {{ 1 = 1 }}\n{ROLLOUT}".encode(), name="model.toml"
    )
    assert config.routing.rollout == Rollout(baseline=1, candidate=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights = { one = 1 }", "routing.weights: 'one' is no version, expected a positive"),
        ("weights = { 1 = nan }", "routing.weights: version 1 has nan, expected a finite"),
        ("weights = { 1 = 0 }", "routing.weights: all are 0, expected at least one above"),
        ('sticky = "header:x"', "routing.weights: a route needs them"),
        ("weight = { 1 = 1 }", "routing.weight: no such key; did you mean 'weights'?"),
        ('weights = { 1 = 1 }\nstrategy = "ab"', "routing.strategy: ab needs a sticky key"),
        ('strategy = "bandit"', "routing.weights: a route needs them"),
        (f"{BANDIT}bandit = {{ min_share = 0.6 }}", "routing.bandit.min_share: 0.6 for each of 2"),
        (f"{BANDIT}bandit = {{ min_shar = 0.1 }}", "routing.bandit.min_shar: no such key; did you"),
        ("weights = { 1 = 1 }\nbandit = {}", "routing.bandit: goes with strategy bandit, got"),
        (ROLLOUT, "routing.weights: a rollout begins from a route, or the newest version had"),
        (f"{BANDIT}{ROLLOUT}", "routing.rollout: a bandit moves the weights by itself: keep one"),
        (f"weights = {{ 1 = 1 }}\n{ROLLOUT}step = 1", "routing.rollout.step: no such key; did you"),
        (
            f"weights = {{ 1 = 1 }}\n{ROLLOUT}steps = [{{ weight = 2 }}]",
            "routing.rollout.steps.0.weight: expected `float` < 1.0 (value 2)",
        ),
        (
            f"weights = {{ 1 = 1 }}\n{ROLLOUT}guards = {{ latency = {{ max_ratio = nan }} }}",
            "routing.rollout.guards.latency.max_ratio: expected `float` > 1.0 (value nan)",
        ),
        (
            f"weights = {{ 1 = 1 }}\n{ROLLOUT}steps = [{{ weight = 0.2 }}, {{ weight = 0.1 }}]",
            "routing.rollout.steps: weight 0.1 of step 2 is not above that of the step before",
        ),
    ],
)
def test_model_toml_is_refused_with_the_key(text, message):
    with pytest.raises(InvalidConfig) as caught:
        parse_model_config(f"[routing]\n{text}".encode(), name="model.toml")
    assert f"model.toml: {message}" in caught.value.message
