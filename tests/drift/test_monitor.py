"""From rows to alarms, over time that the test moves: versions, profiles, restarts."""

import asyncio
import threading
import time

import numpy as np
import pytest

from fastserve._core import core
from fastserve.config import DriftSettings
from fastserve.drift.alarm import AlarmBook
from fastserve.drift.figures import DriftFigures, RowFigures
from fastserve.drift.monitor import DriftMonitor
from fastserve.drift.profile import Origin, encode_profile, make_profile
from fastserve.drift.profile_store import ProfileStore
from fastserve.drift.view import OTHER, Wanted, view
from fastserve.errors import ArtifactCorrupt, InvalidConfig, ModelNotFound, VersionNotFound
from fastserve.model_config import DriftConfig, FeatureConfig, ModelConfig
from tests.drift.conftest import SIGNATURE, FedVersion

NOON = 1_764_072_000.0
SETTINGS = DriftSettings(base_seconds=60, window_seconds=60, minimum_rows=500)


class Bench:
    """A monitor with its clock, and what it told."""

    def __init__(self, state_folder, settings=SETTINGS):
        self.now = NOON
        self.problems = []
        self.told = []
        self.book = AlarmBook(self.problems.append)
        self.book.listen(
            lambda alarm: self.told.append((alarm.kind, alarm.subject, alarm.is_raised))
        )
        store = ProfileStore(state_folder)
        self.monitor = DriftMonitor(
            settings, self.book, store, self.problems.append, lambda: self.now
        )
        self.versions = []

    async def serve(self, *versions):
        self.versions = list(versions)
        await self.monitor.follow(lambda: self.versions)

    async def minute(self, rows=None, version=None):
        """Sends the rows, then lets the minute end."""
        if rows is not None:
            (version or self.versions[-1]).send(rows)
        self.now += 60
        await self.monitor.tick()

    @property
    def watch(self):
        return self.monitor.watches[-1]

    def families(self):
        sources = (RowFigures(self.monitor), DriftFigures(self.monitor))
        return {family.name: family for source in sources for family in source.families()}


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


async def test_monitor_looks_after_the_end_of_a_window_though_timers_ring_early(tmp_path):
    began = time.monotonic()
    looks = []

    def slow_clock():
        """Half as fast as the loop's timers, which so ring before their time."""
        looks.append((monitor.changes, NOON + 59.98 + (time.monotonic() - began) / 2))
        return looks[-1][1]

    monitor = DriftMonitor(
        SETTINGS, AlarmBook(pytest.fail), ProfileStore(tmp_path), pytest.fail, slow_clock
    )
    running = asyncio.create_task(monitor.run())
    while not monitor.changes:  # noqa: ASYNC110 - the monitor has no event for its looks
        await asyncio.sleep(0)
    running.cancel()
    first_look = max(at for changes, at in looks if not changes)
    assert first_look >= NOON + 60


@pytest.fixture
def profile(normal_rows, sketch_of):
    sketch = sketch_of(normal_rows(20_000))
    return encode_profile(make_profile(SIGNATURE, sketch, Origin(kind="data", source="t.csv")))


@pytest.fixture
def version(profile):
    return FedVersion(profile=profile)


async def test_shift_raises_an_alarm_that_names_the_feature_and_its_end_clears_it(
    bench, version, normal_rows
):
    await bench.serve(version)
    await bench.minute(normal_rows(10_000))
    assert bench.told == []
    await bench.minute(normal_rows(10_000, {7: 0.25}))
    assert bench.told == [("drift", "x[7]", True)]
    (alarm,) = bench.book.standing
    assert (alarm.window.start, alarm.window.end) == (NOON + 60, NOON + 120)
    assert alarm.window.rows == 10_000
    assert alarm.score > alarm.threshold
    assert alarm.evidence["measure"] == "ks"
    assert alarm.evidence["p_value"] < 1e-9
    assert alarm.evidence["live_mean"] - alarm.evidence["reference_mean"] == pytest.approx(
        0.25, abs=0.05
    )
    await bench.minute(normal_rows(10_000))
    assert len(bench.told) == 1
    await bench.minute(normal_rows(10_000))
    assert bench.told[1:] == [("drift", "x[7]", False)]
    assert bench.book.standing == []
    assert bench.problems == []


async def test_window_of_few_rows_changes_nothing(bench, version, normal_rows):
    await bench.serve(version)
    await bench.minute(normal_rows(499, {3: 2.0}))
    assert bench.told == []
    await bench.minute(normal_rows(10_000, {3: 2.0}))
    assert ("drift", "x[3]", True) in bench.told
    for _ in range(3):
        await bench.minute(normal_rows(400))
    assert bench.book.stands(("drift", "m", 1, "x[3]"))


async def test_longer_windows_are_judged_when_they_end(tmp_path, version, normal_rows):
    bench = Bench(tmp_path, DriftSettings(window_seconds=300))
    await bench.serve(version)
    for _ in range(4):
        await bench.minute(normal_rows(2500, {7: 0.5}))
    assert bench.told == []
    await bench.minute(normal_rows(2500, {7: 0.5}))
    assert bench.told == [("drift", "x[7]", True)]
    assert bench.watch.verdict.window.rows == 12_500


async def test_alarms_end_with_their_version(bench, version, normal_rows):
    await bench.serve(version)
    await bench.minute(normal_rows(5000, {7: 1.0}))
    await bench.serve()
    assert bench.told[-1] == ("drift", "x[7]", False)
    assert bench.book.recent[-1].evidence["cleared_by"] == "the version is no longer loaded"
    assert bench.monitor.watches == []


async def test_version_that_is_loaded_anew_begins_anew(bench, version, profile, normal_rows):
    await bench.serve(version)
    await bench.minute(normal_rows(5000, {7: 1.0}))
    await bench.serve(FedVersion(profile=profile, digest="other"))
    assert bench.book.standing == []
    assert bench.watch.verdict is None
    await bench.minute(normal_rows(5000))
    assert bench.book.standing == []


async def test_first_rows_become_the_profile_and_survive_a_restart(bench, tmp_path, normal_rows):
    config = ModelConfig(drift=DriftConfig(freeze_rows=6000))
    await bench.serve(FedVersion(config=config))
    await bench.minute(normal_rows(4000))
    assert bench.watch.profile is None
    assert bench.watch.freeze.state == (4000, 6000)
    await bench.minute(normal_rows(4000))
    assert bench.watch.profile.rows == 8000
    assert bench.watch.profile.origin.kind == "freeze"
    assert bench.watch.freeze is None

    again = Bench(tmp_path)
    await again.serve(FedVersion(config=config))
    assert again.watch.profile.rows == 8000
    assert again.watch.freeze is None
    await again.minute(normal_rows(10_000, {2: 0.5}))
    assert ("drift", "x[2]", True) in again.told


async def test_kept_profile_is_passed_over_for_other_files(bench, tmp_path, normal_rows):
    await bench.serve(FedVersion())
    await bench.monitor.freeze("m", 1, 100)
    await bench.minute(normal_rows(200))
    again = Bench(tmp_path)
    await again.serve(FedVersion(digest="other"))
    assert again.watch.profile is None
    assert again.problems == []


async def test_damaged_kept_profile_is_reported_and_left_out(bench, tmp_path, version, normal_rows):
    await bench.serve(FedVersion())
    await bench.monitor.freeze("m", 1, 100)
    await bench.minute(normal_rows(200))
    (kept,) = tmp_path.rglob("*.profile")
    kept.write_bytes(kept.read_bytes()[:-1])
    again = Bench(tmp_path)
    await again.serve(version)
    assert again.watch.profile.origin.kind == "data"
    (problem,) = again.problems
    assert problem.startswith("m/1: the profile that the server kept is left out: ")
    assert again.watch.problem == problem


async def test_freeze_counts_rows_from_the_call_on(bench, normal_rows):
    await bench.serve(FedVersion())
    bench.versions[0].send(normal_rows(5000, {0: 9.0}))
    await bench.monitor.freeze("m", 0, 1000)
    await bench.minute(normal_rows(1000))
    assert bench.watch.profile.rows == 1000
    assert bench.watch.judge.reference[0].maximum < 9


async def test_freeze_clears_what_stood_against_the_profile_before(bench, version, normal_rows):
    await bench.serve(version)
    shifted = {7: 1.0}
    await bench.minute(normal_rows(5000, shifted))
    assert bench.book.standing
    await bench.monitor.freeze("m", 1, 5000)
    await bench.minute(normal_rows(5000, shifted))
    assert bench.book.standing == []
    await bench.minute(normal_rows(5000, shifted))
    assert bench.book.standing == []


async def test_profile_of_another_versions_live_rows(bench, normal_rows):
    old, new = FedVersion(1), FedVersion(2)
    await bench.serve(old, new)
    await bench.minute(normal_rows(8000), old)
    await bench.monitor.freeze_from("m", 2, 1)
    assert bench.watch.profile.rows == 8000
    assert (bench.watch.profile.origin.kind, bench.watch.profile.origin.source) == (
        "version",
        "m/1",
    )
    await bench.minute(normal_rows(5000, {4: 0.6}), new)
    assert bench.told == [("drift", "x[4]", True)]


async def test_freeze_from_a_version_that_saw_nothing_is_refused(bench):
    await bench.serve(FedVersion(1), FedVersion(2))
    with pytest.raises(InvalidConfig, match="version 1 has seen no row"):
        await bench.monitor.freeze_from("m", 2, 1)


async def test_profile_that_is_put_is_used_and_kept(bench, tmp_path, profile, normal_rows):
    await bench.serve(FedVersion())
    await bench.monitor.put("m", 0, profile)
    await bench.minute(normal_rows(5000, {7: 1.0}))
    assert bench.told == [("drift", "x[7]", True)]
    again = Bench(tmp_path)
    await again.serve(FedVersion())
    assert again.watch.profile.rows == 20_000


async def test_profile_of_other_tensors_is_refused_and_nothing_changes(bench, version, profile):
    wide = (core.TensorSpec("x", "FP32", (-1, 31), ("N", "")),)
    await bench.serve(FedVersion(1, inputs=wide))
    with pytest.raises(InvalidConfig, match="30 a row, expected FP32, 31 a row"):
        await bench.monitor.put("m", 1, profile)
    with pytest.raises(ArtifactCorrupt):
        await bench.monitor.put("m", 1, profile[:-1])
    assert bench.watch.profile is None


async def test_forget_goes_back_to_the_profile_of_the_folder(bench, version, normal_rows, tmp_path):
    await bench.serve(version)
    await bench.monitor.freeze("m", 1, 600)
    await bench.minute(normal_rows(600))
    assert bench.watch.profile.origin.kind == "freeze"
    await bench.monitor.forget("m", 1)
    assert bench.watch.profile.origin.kind == "data"
    assert list(tmp_path.rglob("*.profile")) == []


async def test_server_without_a_state_folder_keeps_the_profile_while_it_runs(normal_rows):
    bench = Bench(None)
    await bench.serve(FedVersion())
    await bench.monitor.freeze("m", 1, 600)
    await bench.minute(normal_rows(600))
    assert bench.watch.profile.rows == 600


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ModelConfig(features={"x[30]": FeatureConfig(min=0)}),
            "features.x[30]: no such feature; did you mean 'x[3]'?",
        ),
        (
            ModelConfig(drift=DriftConfig(window_seconds=90)),
            (
                "model.toml with the server's settings: drift.window_seconds is 90, expected a "
                "multiple of drift.base_seconds, which is 60"
            ),
        ),
        (
            ModelConfig(drift=DriftConfig(ks_raise=0.01)),
            (
                "model.toml with the server's settings: drift.ks_clear is 0.05, expected at most "
                "drift.ks_raise, which is 0.01"
            ),
        ),
    ],
)
def test_version_whose_configuration_cannot_be_is_refused(bench, config, message):
    with pytest.raises(InvalidConfig) as error:
        bench.monitor.plan(FedVersion(config=config))
    assert error.value.message == message


def test_version_with_a_profile_that_does_not_fit_is_refused(bench, profile):
    assert bench.monitor.plan(FedVersion(profile=profile)).profile.rows == 20_000
    wide = (core.TensorSpec("x", "FP64", (-1, 30), ("N", "")),)
    with pytest.raises(InvalidConfig, match="another signature"):
        bench.monitor.plan(FedVersion(profile=profile, inputs=wide))


async def test_model_that_is_not_to_be_watched_is_not(bench, profile):
    config = ModelConfig(drift=DriftConfig(enabled=False))
    version = FedVersion(config=config, profile=profile)
    assert not bench.monitor.plan(version).rules.enabled
    await bench.serve(version)
    assert bench.monitor.watches == []
    with pytest.raises(ModelNotFound):
        await bench.monitor.freeze("m", 1, 10)


async def test_unknown_version_is_named_with_those_that_are_there(bench, version):
    await bench.serve(version)
    with pytest.raises(VersionNotFound, match="version 3 of model 'm' is not watched, expected 1"):
        await bench.monitor.freeze("m", 3, 10)
    with pytest.raises(InvalidConfig, match="rows is 0, expected at least 1"):
        await bench.monitor.freeze("m", 1, 0)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (core.CoreError(13, "no memory"), "no memory"),
        # What nobody thought of must not end the watch of all versions.
        (MemoryError("of Python"), "MemoryError: of Python"),
    ],
)
async def test_one_versions_trouble_is_not_anothers(
    bench, profile, normal_rows, monkeypatch, *, error, reason
):
    broken, sound = FedVersion(1), FedVersion(2, profile=profile)
    await bench.serve(broken, sound)

    def fail():
        raise error

    monkeypatch.setattr(broken.version, "take_window", fail)
    await bench.minute(normal_rows(5000, {7: 1.0}), sound)
    assert bench.told == [("drift", "x[7]", True)]
    assert bench.problems == [f"m/1: a window is lost: {reason}"]


async def test_look_under_way_ends_with_the_version_that_it_is_at(bench, normal_rows, monkeypatch):
    first, second = FedVersion(1), FedVersion(2)
    await bench.serve(first, second)
    second.send(normal_rows(10))
    is_looking, may_end = threading.Event(), threading.Event()
    monkeypatch.setattr(
        first.version, "take_window", lambda: is_looking.set() or (may_end.wait(30) and None)
    )
    looking = asyncio.create_task(bench.monitor.tick())
    assert await asyncio.to_thread(is_looking.wait, 30)
    closing = asyncio.create_task(bench.monitor.close())
    await asyncio.sleep(0)
    assert not closing.done()
    may_end.set()
    await closing
    assert second.version.sketch.rows == 10
    await looking


async def test_profiles_that_wait_for_the_disk_do_not_hold_up_the_end(
    bench, tmp_path, normal_rows, monkeypatch
):
    first, second = FedVersion(1), FedVersion(2)
    await bench.serve(first, second)
    is_writing, may_end = threading.Event(), threading.Event()
    write = bench.monitor._store.write

    def write_slowly(*arguments):
        is_writing.set()
        may_end.wait(30)
        write(*arguments)

    monkeypatch.setattr(bench.monitor._store, "write", write_slowly)
    for version in (first, second):
        await bench.monitor.freeze("m", version.number, 10)
        version.send(normal_rows(10))
    looking = asyncio.create_task(bench.monitor.tick())
    assert await asyncio.to_thread(is_writing.wait, 30)
    closing = asyncio.create_task(bench.monitor.close())
    await asyncio.sleep(0)
    may_end.set()
    await closing
    await looking
    assert bench.problems == ["m/2: its new profile is not kept: the server ends"]
    assert [path.name for path in (tmp_path / "drift" / "m").iterdir()] == ["1.profile"]


async def test_broken_rule_raises_a_contract_alarm_and_clears(bench, normal_rows):
    rules = {
        "x[2]": FeatureConfig(min=-20, max=20, missing=0.1),
        "y": FeatureConfig(max=50),
    }
    version = FedVersion(config=ModelConfig(features=rules))
    await bench.serve(version)
    assert [(row.feature, row.rule) for row in bench.watch.contract.core_table()] == [(2, "range")]
    version.version.violations = [0]
    rows = normal_rows(50)
    rows[:10, 2] = np.nan
    rows[:3, 0] = 99
    version.version.violations = [4]
    await bench.minute(rows)
    assert sorted(bench.told) == [
        ("contract", "x[2]:missing", True),
        ("contract", "x[2]:range", True),
        ("contract", "y:range", True),
    ]
    samples = bench.families()["fastserve_contract_violations_total"].samples
    assert {(s["feature"], s["rule"], rows) for s, rows in samples} == {
        ("x[2]", "missing", 10),
        ("x[2]", "range", 4),
        ("y", "range", 3),
    }
    await bench.minute(normal_rows(50))
    assert {(subject, is_raised) for _, subject, is_raised in bench.told[3:]} == {
        ("x[2]:missing", False),
        ("x[2]:range", False),
        ("y:range", False),
    }


async def test_figures_are_of_the_last_judged_window(bench, version, normal_rows):
    figures = DriftFigures(bench.monitor)
    await bench.serve(version)
    await bench.minute(normal_rows(5000, {7: 1.0}))
    before = figures.stamp
    found = bench.families()
    scores = {
        (labels["feature"], labels["score"]): value
        for labels, value in found["fastserve_drift_score"].samples
    }
    assert scores["x[7]", "ks"] > 0.3
    assert scores["x[6]", "psi"] < 0.1
    alarms = {s[0]["feature"]: s[1] for s in found["fastserve_drift_alarm"].samples}
    assert [name for name, value in alarms.items() if value] == ["x[7]"]
    assert found["fastserve_sketch_rows_total"].samples == [({"model": "m", "version": "1"}, 5000)]
    assert found["fastserve_alarms_total"].samples == [({"model": "m", "kind": "drift"}, 1)]
    assert figures.stamp == before
    await bench.minute()
    assert figures.stamp != before


async def test_figures_show_so_many_features_and_no_more(tmp_path, version, normal_rows):
    settings = DriftSettings(window_seconds=60, metric_features=3)
    bench = Bench(tmp_path, settings)
    await bench.serve(version)
    await bench.minute(normal_rows(5000, {7: 1.0}))
    samples = bench.families()["fastserve_drift_alarm"].samples
    # The most severe, in the version's own order.
    names = [labels["feature"] for labels, _ in samples]
    assert "x[7]" in names
    assert len(names) == 3
    order = [feature.name for feature in bench.watch.features]
    assert names == sorted(names, key=order.index)


async def test_many_versions_share_the_room_on_the_page(bench, version, normal_rows, monkeypatch):
    await bench.serve(version)
    await bench.minute(normal_rows(5000, {7: 1.0}))
    monkeypatch.setattr("fastserve.drift.figures._MOST_FEATURES", 1)
    (sample,) = bench.families()["fastserve_drift_alarm"].samples
    assert sample[0]["feature"] == "x[7]"


async def test_look_is_up_to_date_without_waiting_for_the_minute(bench, version, normal_rows):
    await bench.serve(version)
    version.send(normal_rows(700))
    bench.now += 5
    (shown,) = await bench.monitor.look(
        "m", 0, lambda watch: view(watch, Wanted(count=3, has_histograms=True))
    )
    assert shown.window.rows == 700
    assert not shown.is_judged
    assert len(shown.features) == 3
    first = shown.features[0]
    assert sum(first.live.shares) == pytest.approx(1)
    assert sum(first.reference.shares) == pytest.approx(1)
    assert len(first.edges) == len(first.live.shares) + 1


async def test_view_lays_categories_over_each_other(bench, source):
    inputs = (core.TensorSpec("kind", "INT64", (-1, 1), ("N", "")),)
    version = FedVersion(inputs=inputs)
    await bench.serve(version)

    def send(values):
        sketch = core.TableSketch(version.version.schema)
        values = np.asarray(values, np.int64)
        sketch.add(0, len(values), values.tobytes())
        version.version.sketch = sketch

    send(source.integers(0, 40, 4000))
    await bench.monitor.freeze("m", 1, 100)
    send(source.integers(0, 40, 4000))
    bench.now += 60
    await bench.monitor.tick()
    send([5] * 1000)
    (shown,) = await bench.monitor.look(
        "", 0, lambda watch: view(watch, Wanted(("kind",), has_histograms=True))
    )
    (feature,) = shown.features
    assert feature.categories[0] == "5"
    assert feature.categories[-1] == OTHER
    assert sum(feature.reference.shares) == pytest.approx(1)
    assert sum(feature.live.shares) == pytest.approx(1)


async def test_view_of_what_is_not_there_is_refused(bench, version):
    await bench.serve(version)
    with pytest.raises(InvalidConfig, match="feature 'z' of m/1: no such feature; "):
        await bench.monitor.look("m", 1, lambda watch: view(watch, Wanted(("z",))))
    with pytest.raises(InvalidConfig, match=r"window 61 s is not kept, expected one of 60, 300"):
        await bench.monitor.look("m", 1, lambda watch: view(watch, Wanted(window_seconds=61)))
