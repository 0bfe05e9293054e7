"""Measures are those of scikit-learn on the same rows, also when sums were merged."""

import numpy as np
import pytest
from sklearn import metrics

from fastserve.drift.fairness import gaps
from fastserve.drift.quality_auc import ScoreHistograms
from fastserve.drift.quality_classification import ClassificationSums, JudgedRows
from fastserve.drift.quality_regression import RegressionSums


def classified(rng, rows, classes):
    logits = rng.normal(size=(rows, classes)) * 2
    odds = np.exp(logits)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(classes, p=row) for row in probabilities])
    return truth, probabilities


def judged(truth, probabilities, positive=1):
    return JudgedRows(
        truth,
        probabilities.argmax(axis=1),
        probabilities[np.arange(len(truth)), truth],
        probabilities.max(axis=1),
        probabilities[:, positive],
    )


def in_parts(make, rows, cuts):
    """Sums of the rows, added in pieces to several sums that are then merged."""
    whole = make()
    for places in np.array_split(np.arange(len(rows.truth)), cuts):
        part = make()
        for few in np.array_split(places, 3):
            part.add(rows.take(few))
        whole.merge(part)
    return whole


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("cuts", [1, 7])
def test_classification_measures_are_scikit_learns(classes, cuts):
    truth, probabilities = classified(np.random.default_rng(classes), 4000, classes)
    predicted = probabilities.argmax(axis=1)
    found = in_parts(lambda: ClassificationSums(1), judged(truth, probabilities), cuts).measures()
    zero = {"zero_division": 0}
    expected = {
        "accuracy": metrics.accuracy_score(truth, predicted),
        "precision_macro": metrics.precision_score(truth, predicted, average="macro", **zero),
        "recall_macro": metrics.recall_score(truth, predicted, average="macro", **zero),
        "precision_positive": metrics.precision_score(truth == 1, predicted == 1),
        "recall_positive": metrics.recall_score(truth == 1, predicted == 1),
        "log_loss": metrics.log_loss(truth, probabilities),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)
    area = metrics.roc_auc_score(truth == 1, probabilities[:, 1])
    assert abs(found["auc"] - area) <= found["auc_error"] < 0.004


def test_sums_of_many_classes_stay_small_and_exact():
    rng = np.random.default_rng(9)
    truth = rng.integers(0, 1000, 50_000)
    predicted = np.where(rng.random(50_000) < 0.7, truth, rng.integers(0, 1000, 50_000))
    sums = in_parts(lambda: ClassificationSums(7), JudgedRows(truth, predicted), 5)
    found = sums.measures()
    zero = {"average": "macro", "zero_division": 0}
    assert found["accuracy"] == metrics.accuracy_score(truth, predicted)
    assert found["precision_macro"] == pytest.approx(
        metrics.precision_score(truth, predicted, **zero)
    )
    assert found["recall_positive"] == pytest.approx(
        metrics.recall_score(truth == 7, predicted == 7)
    )
    assert sums.classes.nbytes == 24_000


def test_macro_measures_count_a_class_that_is_never_predicted_as_scikit_learn_does():
    truth, predicted = np.array([0, 1, 2, 2]), np.array([0, 0, 2, 1])
    sums = ClassificationSums(None)
    sums.add(JudgedRows(truth, predicted))
    found = sums.measures()
    zero = {"average": "macro", "zero_division": 0}
    assert found["precision_macro"] == pytest.approx(
        metrics.precision_score(truth, predicted, **zero)
    )
    assert found["recall_macro"] == pytest.approx(metrics.recall_score(truth, predicted, **zero))
    assert np.isnan(found["auc"])
    assert np.isnan(found["precision_positive"])


def test_log_loss_of_a_sure_and_wrong_answer_is_cut_off_as_in_scikit_learn():
    probabilities = np.array([[1.0, 0.0], [0.3, 0.7]])
    truth = np.array([1, 1])
    sums = ClassificationSums(1)
    sums.add(judged(truth, probabilities))
    assert sums.measures()["log_loss"] == pytest.approx(
        metrics.log_loss(truth, probabilities, labels=[0, 1])
    )


def calibration_error(confidence, is_right):
    """Straight from the definition of Guo et al."""
    total = 0.0
    for m in range(15):
        inside = (confidence > m / 15) & (confidence <= (m + 1) / 15)
        if inside.any():
            total += inside.sum() * abs(is_right[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


def test_calibration_error_is_that_of_the_definition():
    truth, probabilities = classified(np.random.default_rng(3), 3000, 4)
    blunt = probabilities**0.5 / (probabilities**0.5).sum(axis=1, keepdims=True)
    for given in (probabilities, blunt):
        sums = in_parts(lambda: ClassificationSums(None), judged(truth, given), 4)
        expected = calibration_error(given.max(axis=1), given.argmax(axis=1) == truth)
        assert sums.measures()["calibration_error"] == pytest.approx(expected)
    assert expected > 0.1


@pytest.mark.parametrize(
    ("scores", "most"),
    [
        (lambda rng, truth: rng.beta(2 + 3 * truth, 3), 0.006),
        # A third of them below 1.5e-8, which is one bin.
        (lambda rng, truth: rng.beta(0.05 + 0.1 * truth, 20), 0.04),
        (lambda rng, truth: rng.normal(truth), 0.01),
        # Half of the pairs that are tied in truth: the value is exact all the same.
        (lambda rng, truth: np.round(rng.beta(2 + truth, 2), 1), 0.07),
        (lambda rng, truth: np.where(truth, 1.0, 0.0), 0.0),
    ],
    ids=["even", "crowded", "logits", "ties", "perfect"],
)
def test_auc_is_within_the_error_that_it_states(scores, most):
    rng = np.random.default_rng(11)
    truth = rng.random(20_000) < 0.2
    given = scores(rng, truth)
    histograms = ScoreHistograms()
    histograms.add(given, truth)
    area, error = histograms.area()
    assert abs(area - metrics.roc_auc_score(truth, given)) <= error + 1e-12
    assert error <= most


def test_merged_histograms_are_those_of_all_rows():
    rng = np.random.default_rng(5)
    scores, truth = rng.random(9000), rng.random(9000) < 0.5
    whole, merged = ScoreHistograms(), ScoreHistograms()
    whole.add(scores, truth)
    for places in np.array_split(np.arange(9000), 13):
        part = ScoreHistograms()
        part.add(scores[places], truth[places])
        merged.merge(part)
    assert merged.area() == whole.area()


def test_regression_measures_are_scikit_learns():
    rng = np.random.default_rng(2)
    truth = rng.normal(50, 10, 5000)
    predicted = truth + rng.normal(1, 3, 5000)
    whole = RegressionSums()
    for places in np.array_split(np.arange(5000), 6):
        part = RegressionSums()
        part.add((predicted - truth)[places])
        whole.merge(part)
    assert whole.measures() == pytest.approx(
        {
            "mae": metrics.mean_absolute_error(truth, predicted),
            "rmse": metrics.root_mean_squared_error(truth, predicted),
            "bias": (predicted - truth).mean(),
        }
    )


def group(truth, predicted):
    sums = ClassificationSums(1)
    sums.add(JudgedRows(np.array(truth), np.array(predicted)))
    return sums


def test_fairness_gaps_are_the_largest_rate_minus_the_smallest():
    groups = {
        "a": group([1, 1, 0, 0], [1, 1, 1, 0]),
        "b": group([1, 1, 0, 0], [1, 0, 0, 0]),
        "few": group([1], [0]),
    }
    assert gaps(groups, minimum=4) == {
        "selection_rate_gap": 0.5,
        "true_positive_rate_gap": 0.5,
        "false_positive_rate_gap": 0.5,
    }
    assert gaps(groups, minimum=5) == {}


def test_fairness_says_nothing_of_a_rate_that_one_group_lacks():
    groups = {"a": group([1, 0], [1, 0]), "b": group([0, 0], [1, 0])}
    assert gaps(groups, minimum=1) == {"selection_rate_gap": 0.0, "false_positive_rate_gap": 0.5}
