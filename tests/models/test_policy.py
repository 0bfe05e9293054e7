"""Which versions are loaded, which one serves, which stay: pure decisions."""

from hypothesis import given, strategies as st

from fastserve.model_config import VersionsConfig
from fastserve.models.policy import choose_kept, choose_versions, describe_policy

NUMBERS = st.sets(st.integers(1, 9))
CONFIGS = st.one_of(
    st.builds(VersionsConfig, latest=st.integers(1, 4), keep_previous=st.integers(0, 3)),
    st.just(VersionsConfig(all=True)),
    st.builds(VersionsConfig, specific=st.sets(st.integers(1, 9), min_size=1).map(tuple)),
)


def test_policy_takes_the_newest_version_unless_told_otherwise():
    wanted = choose_versions({3, 10, 9}, VersionsConfig())
    assert (wanted.versions, wanted.serving) == ((10,), 10)


def test_policy_takes_so_many_of_the_newest():
    wanted = choose_versions({1, 2, 3, 4}, VersionsConfig(latest=3))
    assert (wanted.versions, wanted.serving) == ((2, 3, 4), 4)


def test_policy_takes_those_that_are_listed_and_there():
    wanted = choose_versions({1, 2, 4}, VersionsConfig(specific=(4, 1, 7)))
    assert (wanted.versions, wanted.serving) == ((1, 4), 4)


def test_policy_takes_all():
    wanted = choose_versions({1, 2, 4}, VersionsConfig(all=True))
    assert (wanted.versions, wanted.serving) == ((1, 2, 4), 4)


def test_policy_follows_an_operators_choice_as_long_as_it_is_there():
    config = VersionsConfig(latest=2)
    assert choose_versions({1, 2, 3}, config, pinned=2).serving == 2
    assert choose_versions({1, 2, 3}, config, pinned=2).versions == (1, 2)
    assert choose_versions({1, 3}, config, pinned=2).serving == 3


def test_policy_says_so_when_nothing_fits():
    wanted = choose_versions({1, 2}, VersionsConfig(specific=(5,)))
    assert (wanted.versions, wanted.serving) == ((), 0)


@given(NUMBERS, CONFIGS, st.integers(0, 9))
def test_policy_wants_only_what_is_there_and_serves_one_of_it(available, config, pinned):
    wanted = choose_versions(available, config, pinned=pinned)
    assert set(wanted.versions) <= available
    assert wanted.serving == 0 or wanted.serving in available
    assert list(wanted.versions) == sorted(wanted.versions)
    if pinned in available:
        assert wanted.serving == pinned


def kept(serving, served, **changes):
    arguments = {"keep_previous": 1, "standby": (), "labelled": ()} | changes
    wanted = choose_versions({serving}, VersionsConfig())
    return choose_kept(wanted, served=served, **arguments)


def test_kept_are_what_serves_and_the_version_that_served_last():
    assert kept(5, [2, 3, 4]) == {5, 4}
    assert kept(5, [2, 3, 4], keep_previous=0) == {5}
    assert kept(5, [2, 3, 4], keep_previous=2) == {5, 4, 3}


def test_kept_counts_a_version_that_served_twice_once():
    assert kept(5, [3, 4, 3, 4], keep_previous=2) == {5, 4, 3}


def test_kept_previous_versions_are_beside_those_kept_for_another_reason():
    assert kept(5, [2, 3, 4], standby={4}, labelled={1}) == {5, 4, 3, 1}


def test_kept_goes_both_ways_between_two_versions():
    assert kept(4, [3, 5]) == {4, 5}


def test_policy_is_described_in_words():
    assert describe_policy(VersionsConfig()) == (
        "the newest version, and 1 version that served before"
    )
    assert describe_policy(VersionsConfig(latest=3, keep_previous=0)) == "the newest 3 versions"
    assert describe_policy(VersionsConfig(specific=(3, 5), keep_previous=2)) == (
        "versions 3, 5, and 2 versions that served before"
    )
    assert describe_policy(VersionsConfig(all=True, keep_previous=0)) == "all versions"
