"""Labels joined to predictions: every task, what is refused, segments, windows and alarms."""

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from feedback_seed import Scene, column, put_segmented, tensor

from fastserve.drift.feedback_figures import FeedbackFigures, PredictionFigures
from fastserve.drift.feedback_label import Label
from fastserve.drift.feedback_model import MAX_VERSIONS
from fastserve.drift.feedback_segment_input import segment_input
from fastserve.drift.quality_windows import LENGTHS
from fastserve.errors import InvalidConfig
from fastserve.model_config import FeedbackConfig

JOINED = ("joined", "")


def known(measures):
    """Without those that the rows cannot tell."""
    return {name: value for name, value in measures.items() if not np.isnan(value)}


def test_label_and_probabilities_of_a_classifier_are_found_by_themselves():
    scene = Scene()
    rng = np.random.default_rng(0)
    odds = rng.dirichlet([1, 1, 1], size=300)
    truth = rng.integers(0, 3, 300)
    for n in range(0, 300, 3):
        rows = odds[n : n + 3]
        scene.put(
            f"r{n}", tensor("label", rows.argmax(axis=1)), tensor("p", rows.astype(np.float32))
        )
        assert scene.send(Label(f"r{n}", truth[n : n + 3].tolist())) == [JOINED]
    found = known(scene.measures())
    assert found.keys() == {
        "accuracy", "precision_macro", "recall_macro", "log_loss", "calibration_error",
    }  # fmt: skip
    assert found["accuracy"] == metrics.accuracy_score(truth, odds.argmax(axis=1))
    assert found["log_loss"] == pytest.approx(metrics.log_loss(truth, odds), rel=1e-5)


def test_single_score_is_the_positive_class_from_the_threshold_on():
    scene = Scene(threshold=0.3, positive_class=1)
    for n, score in enumerate([0.1, 0.3, 0.29, 0.9]):
        scene.put(f"r{n}", tensor("score", column([score])))
    scene.send(*(Label(f"r{n}", [value]) for n, value in enumerate([0, 1, 1, 1])))
    found = scene.measures()
    assert found["accuracy"] == 0.75
    assert found["recall_positive"] == pytest.approx(2 / 3)
    assert found["auc"] == 1.0
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.3, 0.29, 0.9]).mean(), rel=1e-5)


def test_positive_class_may_be_the_first_column():
    scene = Scene(classes=("fraud", "fine"), positive_class="fraud")
    for n, score in enumerate([0.9, 0.2, 0.7]):
        scene.put(f"r{n}", tensor("p", np.array([[score, 1 - score]], np.float32)))
    scene.send(*(Label(f"r{n}", [v]) for n, v in enumerate(["fraud", "fine", "fine"])))
    found = scene.measures()
    assert found["auc"] == 1.0
    assert found["precision_positive"] == 0.5


def test_scores_that_are_no_probabilities_give_no_log_loss():
    scene = Scene(classes=("a", "b"))
    for n, logits in enumerate([[2.0, -1.0], [-3.0, 4.0], [0.5, 1.0]]):
        scene.put(f"r{n}", tensor("logits", np.array([logits], np.float32)))
    scene.send(*(Label(f"r{n}", [v]) for n, v in enumerate(["a", "b", "b"])))
    found = scene.measures()
    assert found["accuracy"] == 1.0
    assert found["auc"] == 1.0
    assert np.isnan(found["log_loss"])
    assert np.isnan(found["calibration_error"])


def test_classes_may_be_texts():
    scene = Scene()
    scene.put("r", tensor("label", ["cat", "dog"]))
    assert scene.send(Label("r", ["cat", "cat"])) == [JOINED]
    assert scene.measures()["accuracy"] == 0.5


def test_probabilities_without_names_tell_no_class_of_texts():
    """Which column is "cat" is anybody's guess: only the highest one is used."""
    scene = Scene()
    p = np.array([[0.8, 0.2]], np.float32)
    scene.put("r", tensor("label", ["cat"]), tensor("p", p))
    assert scene.send(Label("r", ["cat"])) == [JOINED]
    found = scene.measures()
    assert np.isnan(found["log_loss"])
    assert found["calibration_error"] == pytest.approx(0.2)


@pytest.mark.parametrize("label", ["spam", "ham"])
def test_number_of_a_class_is_its_place_among_the_declared_names(label):
    scene = Scene(classes=("ham", "spam"))
    scene.put("r", tensor("label", np.array([1])))
    assert scene.send(Label("r", [label])) == [JOINED]
    assert scene.measures()["accuracy"] == float(label == "spam")


def test_numbers_are_judged_by_how_far_off_they_are():
    scene = Scene()
    scene.put("r", tensor("y", column([1.0, 4.0])))
    assert scene.send(Label("r", [2, 2.0])) == [JOINED]
    assert scene.measures() == {"mae": 1.5, "rmse": pytest.approx(np.sqrt(2.5)), "bias": 0.5}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "has no value: expected one for each row of the request"),
        ([float("nan"), 1], "row 0 is nan: expected a number"),
        ([1, float("inf")], "row 1 is inf: expected a number"),
        ([1], "has 1 value, the request had 2 rows"),
        ([1, 2, 3], "has 3 values, the request had 2 rows"),
        ([1] * 5000, "has 5000 values, no prediction that is kept has so many rows"),
        (["x" * 300, "y"], "row 0 has more than 256 characters"),
    ],
)
def test_bad_label_is_invalid_and_harms_no_other(values, reason):
    scene = Scene()
    for name in ("bad", "good"):
        scene.put(name, tensor("label", np.array([0, 1])))
    assert scene.send(Label("bad", values), Label("good", [0, 1])) == [("invalid", reason), JOINED]
    # The prediction still waits for a label that fits.
    assert scene.send(Label("bad", [0, 0])) == [JOINED]
    assert scene.measures()["accuracy"] == 0.75
    assert scene.feedback.counts == {("m", "invalid"): 1, ("m", "joined"): 2}


@pytest.mark.parametrize(
    ("config", "outputs", "values", "reason"),
    [
        ({"classes": ("a", "b")}, [("label", ["a"])], ["c"], "'c' is no class of this model"),
        ({"task": "regression"}, [("y", column([1.0]))], ["far"], "is a text"),
        ({"output": "z"}, [("y", column([1.0]))], [1], "no output 'z'"),
        ({}, [("a", column([1.0])), ("b", column([1.0]))], [1], "outputs a, b may each be"),
        ({"classes": ("a", "b")}, [("p", np.ones((1, 3), np.float32))], ["a"], "3 scores a row"),
        ({"task": "regression"}, [("label", ["a"])], [1], "no output with one number a row"),
    ],
)
def test_label_that_its_model_cannot_use_is_invalid_with_the_reason(
    config, outputs, values, reason
):
    scene = Scene(**config)
    scene.put("r", *(tensor(*output) for output in outputs))
    ((outcome, said),) = scene.send(Label("r", values))
    assert outcome == "invalid"
    assert reason in said


@pytest.mark.parametrize(
    "output",
    [
        ("label", "INT64", (2,), bytes(8)),
        ("label", "INT64", (2,), bytes(15)),
        ("label", "BYTES", (2,), b"\1\0\0\0a"),
        ("label", "BYTES", (2,), b"\1\0\0\0a\\9\0\0\0b"),
        ("p", "FP32", (2, 3), bytes(12)),
        ("p", "FP32", (2, 3), bytes(23)),
    ],
)
def test_prediction_that_was_put_and_cannot_be_harms_no_other(output):
    scene = Scene(task="classification")
    scene.put("bad", output)
    scene.put("good", tensor("label", np.array([1])), version=2)
    results = scene.send(Label("bad", [0, 1]), Label("good", [1]))
    assert [result.outcome for result in results] == ["invalid", "joined"]
    assert results[0].reason.startswith("the prediction's ")


@pytest.mark.parametrize(
    ("config", "name", "bad"),
    [
        ({}, "number", np.nan),
        ({}, "number", -np.inf),
        ({"positive_class": 1, "threshold": 0.3}, "score", np.nan),
        ({"positive_class": 1, "classes": ("0", "1")}, "score", [[np.nan, 0.5]]),
    ],
)
def test_prediction_that_is_no_number_is_invalid_and_stays_in_no_sum(config, name, bad):
    scene = Scene(**config)
    bad = np.array(bad, np.float32).reshape(1, -1)
    good = np.ones_like(bad)
    for request, values in (("before", good), ("bad", bad), ("after", good)):
        scene.put(request, tensor("y", values))
    ids = ("before", "bad", "after")
    reason = f"the prediction has values that are no {name}s: NaN, or an infinity"
    assert scene.send(*(Label(each, [1]) for each in ids)) == [JOINED, ("invalid", reason), JOINED]
    assert scene.feedback.counts == {("m", "joined"): 2, ("m", "invalid"): 1}
    assert scene.feedback.models[0].versions[0].labels == 2
    for measure in scene.measures().keys() & {"mae", "rmse", "bias"}:
        assert scene.measures()[measure] == 0


def test_infinite_scores_of_a_classifier_keep_their_order():
    scene = Scene(classes=("a", "b"))
    scene.put("r", tensor("logits", np.array([[-np.inf, 2.0]], np.float32)))
    assert scene.send(Label("r", ["b"])) == [JOINED]
    assert scene.measures()["accuracy"] == 1.0


def test_output_is_taken_by_name_where_several_would_fit():
    scene = Scene(output="b")
    scene.put("r", tensor("a", column([9.0])), tensor("b", column([1.0])))
    assert scene.send(Label("r", [1])) == [JOINED]
    assert scene.measures()["mae"] == 0.0


def test_id_is_needed_and_bounded():
    scene = Scene()
    assert scene.send(Label("", [1]), Label("é" * 600, [1])) == [
        ("invalid", "has no request id"),
        ("invalid", "its id has more than 1024 bytes"),
    ]


def test_label_before_its_prediction_is_joined_when_that_comes():
    scene = Scene()
    assert scene.send(Label("r", [1.0])) == [("early", "")]
    scene.put("r", tensor("y", column([3.0])))
    scene.feedback.tick()
    assert scene.measures()["mae"] == 2.0
    assert scene.feedback.counts == {("m", "early"): 1, ("m", "joined"): 1}
    assert scene.send(Label("r", [1.0]))[0].outcome == "duplicate"


def test_label_whose_prediction_never_comes_is_unknown_in_the_end():
    scene = Scene()
    scene.send(Label("r", [1.0]))
    scene.clock.now += 11
    scene.feedback.tick()
    assert scene.feedback.counts == {("m", "early"): 1, ("m", "unknown"): 1}
    assert scene.store.stats().waiting == 0


def test_values_of_labels_that_wait_are_bounded(monkeypatch):
    monkeypatch.setattr("fastserve.drift.feedback.MAX_WAITING_VALUES", 5)
    scene = Scene()
    for name in ("a", "b"):
        assert scene.send(Label(name, [1, 2, 3]))[0].outcome == "early"
    assert scene.send(Label("c", [1]))[0].outcome == "unknown"
    scene.put("a", tensor("y", column([1, 2, 3])))
    scene.feedback.tick()
    assert scene.send(Label("c", [1]))[0].outcome == "early"


def test_label_is_late_when_its_prediction_has_left():
    scene = Scene()
    scene.put("r", tensor("y", column([3.0])))
    scene.clock.now += 10_001
    assert scene.send(Label("r", [1.0]))[0].outcome == "late"


def test_outputs_that_are_too_large_are_said_to_be():
    scene = Scene()
    scene.put("r", tensor("y", np.zeros((1, 2000), np.float32)))
    ((outcome, reason),) = scene.send(Label("r", [1]))
    assert outcome == "unknown"
    assert "feedback.max_record_bytes" in reason


def test_versions_are_told_apart():
    scene = Scene()
    for version in (1, 2):
        scene.put(f"v{version}", tensor("y", column([float(version)])), version=version)
    scene.send(Label("v1", [0]), Label("v2", [0]))
    assert scene.measures(version=1)["mae"] == 1.0
    assert scene.measures(version=2)["mae"] == 2.0


def test_versions_are_bounded_and_the_one_labelled_last_stays():
    scene = Scene()
    for version in (*range(1, MAX_VERSIONS + 1), 1, MAX_VERSIONS + 1):
        name = f"{version}-{scene.store.stats().kept}"
        scene.put(name, tensor("y", column([1.0])), version=version)
        scene.send(Label(name, [0]))
    numbers = {quality.version for quality in scene.feedback.models[0].versions}
    assert len(numbers) == MAX_VERSIONS
    assert numbers >= {1, MAX_VERSIONS + 1}
    assert 2 not in numbers


def test_segments_are_told_apart_up_to_the_bound():
    scene = Scene(max_segments=2, segment="country")
    put_segmented(scene, [("de", 1, 1), ("fr", 0, 1), ("it", 1, 1), ("es", 1, 0), ("de", 0, 1)])
    sums = scene.feedback.models[0].versions[0].shown.sums
    assert {name: each.rows for name, each in sums.items()} == {
        "all": 5, "de": 2, "fr": 1, "other": 2,
    }  # fmt: skip
    assert scene.measures("de")["accuracy"] == 0.5


def test_declared_segments_alone_are_told_apart():
    scene = Scene(segment="country", segments=("fr",))
    put_segmented(scene, [("de", 1, 1), ("fr", 1, 1), ("all", 1, 1)])
    sums = scene.feedback.models[0].versions[0].shown.sums
    assert {name: each.rows for name, each in sums.items()} == {"all": 3, "other": 2, "fr": 1}


def test_segment_may_be_one_feature_of_an_input():
    scene = Scene(segment="x[1]")
    put_segmented(
        scene, [(3, 1, 1), (4, 1, 1)], lambda v: tensor("x", np.array([[7, v, 9]], np.float32))
    )
    assert {*scene.feedback.models[0].versions[0].shown.sums} == {"all", "3", "4"}


@pytest.mark.parametrize(
    ("segment", "place"), [("", None), ("country", 1), ("x[3]", 0), ("odd[0]", 2)]
)
def test_input_of_the_segment_is_found(segment, place):
    config = FeedbackConfig(segment=segment)
    assert segment_input(config, ["x", "country", "odd[0]"]) == place


def test_segment_that_is_no_input_is_refused():
    with pytest.raises(InvalidConfig, match=r"'countri' is no input of the model.* has x, country"):
        segment_input(FeedbackConfig(segment="countri"), ["x", "country"])


def test_input_whose_own_name_looks_like_a_feature_is_taken_whole():
    scene = Scene(segment="x[1]")
    put_segmented(scene, [("de", 1, 1)], lambda v: tensor("x[1]", [v]))
    assert {*scene.feedback.models[0].versions[0].shown.sums} == {"all", "de"}


def test_segment_that_is_named_like_ours_is_kept_apart():
    scene = Scene(segment="country")
    put_segmented(scene, [("all", 1, 1), ("other", 1, 1), ("", 1, 1)])
    sums = scene.feedback.models[0].versions[0].shown.sums
    assert {name: each.rows for name, each in sums.items()} == {
        "all": 3, "=all": 1, "=other": 1, "(empty)": 1,
    }  # fmt: skip


def test_rows_without_a_segment_are_other():
    scene = Scene(segment="country")
    scene.put("r", tensor("label", np.array([1])))
    assert scene.send(Label("r", [1])) == [JOINED]
    assert {*scene.feedback.models[0].versions[0].shown.sums} == {"all", "other"}


def send_rows(scene, count, is_right):
    for n in range(count):
        name = f"w{scene.store.stats().kept}"
        scene.put(name, tensor("label", np.array([1])))
        scene.send(Label(name, [1 if is_right(n) else 0]))


def test_longer_windows_hold_what_their_minutes_held():
    scene = Scene(window_seconds=300)
    start = scene.clock.now = 3600.0 * 10
    windows = None
    for minute in range(61):
        scene.clock.now = start + 60 * minute
        scene.feedback.tick()
        send_rows(scene, minute % 7 + 1, lambda n: n % 2 == 0)
        windows = scene.feedback.models[0].versions[0].windows
    counts = [minute % 7 + 1 for minute in range(60)]
    assert windows.shown(60).rows == counts[-1]
    assert windows.shown(300).rows == sum(counts[-5:])
    assert windows.shown(3600).rows == sum(counts)
    assert windows.shown(3600).start == start
    # The day still runs; the open minute counts.
    assert windows.running(86_400).rows == sum(counts) + 60 % 7 + 1
    assert {60, 300, 3600, 86_400} == set(LENGTHS)


def test_quality_alarm_is_raised_and_cleared_by_closed_windows():
    scene = Scene(window_seconds=60, minimum_labels=10, bounds={"accuracy": 0.9})
    scene.clock.now = 6000.0
    for share_right in (10, 8, 10):
        send_rows(scene, 10, lambda n, right=share_right: n < right)
        scene.clock.now += 60
        scene.feedback.tick()
    said = [(a.kind, a.subject, a.is_raised, a.score, a.threshold) for a in scene.alarms]
    assert said == [
        ("quality", "accuracy", True, 0.8, 0.9),
        ("quality", "accuracy", False, 1.0, 0.9),
    ]
    assert (scene.alarms[0].window.start, scene.alarms[0].window.rows) == (6060.0, 10)
    assert (scene.alarms[0].model, scene.alarms[0].version) == ("m", 1)


def test_window_with_few_labels_is_not_judged():
    scene = Scene(window_seconds=60, minimum_labels=10, bounds={"accuracy": 0.9})
    send_rows(scene, 9, lambda n: False)
    scene.clock.now += 60
    scene.feedback.tick()
    assert scene.alarms == []


def test_error_has_an_upper_bound():
    scene = Scene(window_seconds=60, minimum_labels=1, bounds={"mae": 1.0})
    scene.put("r", tensor("y", column([3.0])))
    scene.send(Label("r", [0]))
    scene.clock.now += 60
    scene.feedback.tick()
    assert [(a.subject, a.is_raised, a.score) for a in scene.alarms] == [("mae", True, 3.0)]


def test_gap_between_segments_raises_an_alarm():
    scene = Scene(
        segment="country", window_seconds=60, minimum_labels=4, positive_class=1,
        bounds={"selection_rate_gap": 0.2},
    )  # fmt: skip
    put_segmented(scene, [("de", n % 2, 1) for n in range(4)] + [("fr", 1, 1)] * 4)
    scene.clock.now += 60
    scene.feedback.tick()
    assert [(a.subject, a.is_raised, a.score) for a in scene.alarms] == [
        ("selection_rate_gap", True, 0.5)
    ]


def test_label_shift_raises_the_concept_alarm():
    """The answers stay as they are; after 5,000 labels other ones are right."""
    scene = Scene()
    rng = np.random.default_rng(0)
    for n in range(0, 7000, 100):
        is_wrong = rng.random(100) < (0.1 if n < 5000 else 0.3)
        scene.put(f"r{n}", tensor("label", np.ones(100, np.int64)))
        scene.send(Label(f"r{n}", (~is_wrong).astype(int).tolist()))
        if n < 4900:
            assert scene.alarms == []
    assert {(a.kind, a.subject, a.is_raised) for a in scene.alarms} == {
        ("concept", "adwin", True), ("concept", "page_hinkley", True),
    }  # fmt: skip
    assert scene.alarms[0].evidence["mean_error_before"] == pytest.approx(0.1, abs=0.03)


def with_alarm():
    """A scene whose version 1 has an alarm that stands."""
    scene = Scene(window_seconds=60, minimum_labels=1, bounds={"mae": 1.0})
    scene.put("first", tensor("y", column([3.0])))
    scene.send(Label("first", [0]))
    scene.clock.now += 60
    scene.feedback.tick()
    assert [alarm.is_raised for alarm in scene.book.standing] == [True]
    return scene


def test_alarms_of_a_model_that_is_gone_are_cleared():
    scene = with_alarm()
    scene.feedback.forget("m")
    assert scene.book.standing == []
    assert scene.alarms[-1].evidence["cleared_by"] == "the model is gone"


def test_alarms_of_a_version_that_makes_room_are_cleared():
    scene = with_alarm()
    for version in range(2, MAX_VERSIONS + 2):
        scene.put(f"v{version}", tensor("y", column([0.0])), version=version)
        scene.send(Label(f"v{version}", [0]))
    assert scene.book.standing == []


def test_alarms_of_another_configuration_are_cleared():
    scene = with_alarm()
    scene.config = Scene().config
    scene.put("r", tensor("y", column([0.0])))
    scene.send(Label("r", [0]))
    assert scene.book.standing == []


def test_version_whose_outputs_change_begins_anew():
    """As a version of that number does that was replaced in the repository."""
    scene = with_alarm()
    scene.put("r", tensor("z", column([0.0])))
    scene.send(Label("r", [0]))
    assert scene.book.standing == []
    assert scene.measures()["mae"] == 0.0


def test_another_configuration_begins_anew():
    scene = Scene()
    scene.put("a", tensor("y", column([1.0])))
    scene.put("b", tensor("y", column([1.0])))
    scene.send(Label("a", [0]))
    scene.config = Scene(positive_class=1).config
    scene.send(Label("b", [1]))
    assert scene.measures()["accuracy"] == 1.0


def test_every_label_has_one_outcome():
    scene = Scene()
    rng = np.random.default_rng(8)
    sent = 0
    for _ in range(400):
        for n in rng.integers(0, 2000, 5):
            scene.put(f"r{n}", tensor("label", rng.integers(0, 2, rng.integers(1, 3))))
        labels = [
            Label(f"r{n}", rng.integers(0, 2, rng.integers(0, 3)).tolist())
            for n in rng.integers(0, 2000, 7)
        ]
        assert len(scene.send(*labels)) == len(labels)
        sent += len(labels)
        scene.clock.now += 3
    scene.clock.now += 100
    scene.feedback.tick()
    counts = {outcome: count for (_, outcome), count in scene.feedback.counts.items()}
    # Those that waited had a second outcome, which is the one that counts.
    assert sum(counts.values()) - counts["early"] == sent
    assert counts["joined"] == scene.store.stats().joined
    assert counts["duplicate"] == scene.store.stats().duplicate


def samples(scene):
    sources = (PredictionFigures(scene.store), FeedbackFigures(scene.feedback))
    families = [family for source in sources for family in source.families()]
    assert len({family.name for family in families}) == len(families)
    for family in families:
        assert family.name.startswith("fastserve_")
        assert family.name.endswith("_total") == (family.type == "counter")
        labels = [tuple(sorted(sample[0].items())) for sample in family.samples]
        assert len(set(labels)) == len(labels)
    return {family.name: list(family.samples) for family in families}


def test_figures_tell_quality_labels_and_gaps():
    scene = Scene(segment="country", minimum_labels=2, positive_class=1)
    put_segmented(scene, [("de", 1, 1), ("de", 0, 1), ("fr", 1, 1), ("fr", 1, 1), ("it", 1, 0)])
    scene.send(Label("nobody", [1]), Label("bad", []))
    found = samples(scene)
    where = {"model": "m", "version": "1"}
    assert (where | {"segment": "all", "measure": "accuracy"}, 0.6) in found["fastserve_quality"]
    assert (where | {"segment": "de", "measure": "accuracy"}, 0.5) in found["fastserve_quality"]
    # Too few to say anything.
    assert not [s for s in found["fastserve_quality"] if s[0]["segment"] == "it"]
    assert (where | {"segment": "it"}, 1.0) in found["fastserve_quality_labels"]
    gap = where | {"segment": "country", "measure": "true_positive_rate_gap"}
    assert (gap, 0.5) in found["fastserve_fairness_gap"]
    labels = {s[0]["outcome"]: s[1] for s in found["fastserve_feedback_labels_total"]}
    assert labels == {
        "joined": 5, "early": 1, "late": 0, "unknown": 0, "duplicate": 0, "invalid": 1,
    }  # fmt: skip
    assert found["fastserve_feedback_predictions_total"] == [({}, 5.0)]
    assert found["fastserve_concept_drift_alarm"] == [
        (where | {"detector": "adwin"}, 0.0), (where | {"detector": "page_hinkley"}, 0.0),
    ]  # fmt: skip


def test_stamp_differs_when_something_changed():
    scene = Scene()
    figures = PredictionFigures(scene.store)
    before = figures.stamp
    assert figures.stamp == before
    scene.put("r", tensor("y", column([1.0])))
    assert figures.stamp != before


def test_stamp_of_labels_differs_with_a_label_or_a_new_minute_alone():
    scene = Scene()
    figures = FeedbackFigures(scene.feedback)
    scene.feedback.tick()
    before = figures.stamp
    scene.put("r", tensor("y", column([1.0])))
    scene.feedback.tick()
    assert figures.stamp == before
    scene.send(Label("r", [1.0]))
    labelled = figures.stamp
    assert labelled != before
    scene.feedback.tick()
    assert figures.stamp == labelled
    scene.clock.now += 60
    scene.feedback.tick()
    assert figures.stamp != labelled
