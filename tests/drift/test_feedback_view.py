"""One window of a version's live quality, as it is shown, and the labels' times."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # test folders are not packages

from feedback_seed import Scene, column, put_segmented, tensor

from fastserve.drift.feedback_label import Label
from fastserve.drift.feedback_view import view
from fastserve.errors import InvalidConfig


def test_view_has_segments_gaps_and_the_measures_of_judged_windows():
    scene = Scene(segment="country", window_seconds=60, minimum_labels=4, positive_class=1)
    rows = [("de", n % 2, 1) for n in range(4)] + [("fr", 1, 1)] * 4 + [("it", 1, 1)]
    put_segmented(scene, rows)
    (quality,) = scene.feedback.models[0].versions
    shown = view(quality)
    assert (shown.window.rows, shown.is_over) == (9, False)
    everything, *segments = shown.segments
    assert (everything.name, everything.rows) == ("all", 9)
    assert everything.measures["accuracy"] == pytest.approx(7 / 9)
    # No scores: neither AUC nor log loss.
    assert "auc" not in everything.measures
    found = {each.name: (each.rows, each.measures.get("accuracy")) for each in segments}
    assert found == {"de": (4, 0.5), "fr": (4, 1.0), "it": (1, None)}
    assert shown.gaps == {"selection_rate_gap": 0.5, "true_positive_rate_gap": 0.5}
    assert list(quality.history) == []
    scene.clock.now += 60
    scene.feedback.tick()
    assert view(quality).is_over
    assert not view(quality, 3600).is_over
    assert [each["selection_rate_gap"] for each in quality.history] == [0.5]
    with pytest.raises(InvalidConfig, match="window 7 s is not kept, expected one of 60, 300"):
        view(quality, 7)


def test_window_with_few_labels_has_no_place_in_the_history():
    scene = Scene(window_seconds=60, minimum_labels=2)
    scene.put("r", tensor("y", column([3.0])))
    scene.send(Label("r", [0]))
    scene.clock.now += 60
    scene.feedback.tick()
    (quality,) = scene.feedback.models[0].versions
    assert (view(quality).is_over, list(quality.history)) == (True, [])


@pytest.mark.parametrize("time_ns", [-1, 1_700_000_000, 2**63 - 1, int(1_000_086_500e9)])
def test_label_of_an_absurd_time_is_invalid_and_counted_as_such(time_ns):
    scene = Scene()
    scene.put("r", tensor("y", column([3.0])))
    (result,) = scene.send(Label("r", [0], time_ns))
    assert result.outcome == "invalid"
    assert result.reason.startswith(f"became known at {time_ns}: expected nanoseconds")
    assert scene.feedback.counts == {("m", "invalid"): 1}
    # The prediction waits for a label that fits.
    assert scene.send(Label("r", [0]))[0].outcome == "joined"


@pytest.mark.parametrize(("ahead", "delay"), [(-50, 0), (-10, 30), (0, 40), (3600, 40)])
def test_delay_of_a_label_is_never_longer_than_the_time_since_its_request(ahead, delay):
    scene = Scene()
    scene.put("r", tensor("y", column([3.0])))
    scene.clock.now += 40
    scene.send(Label("r", [0], int((scene.clock.now + ahead) * 1e9)))
    assert scene.feedback.models[0].delay_seconds == pytest.approx(delay)
