"""What the essay in fastserve.drift.judgement claims, measured on simulated windows."""

import numpy as np
import pytest

from fastserve._core import core
from fastserve.config import DriftSettings
from fastserve.drift.judgement import Finding, Hysteresis, Judge, top
from fastserve.drift.signature import Tensor, schema_of
from tests.drift.conftest import FEATURES, SIGNATURE

RULES = DriftSettings()
SHIFTED = 7


def judge_of(reference, rules=RULES, signature=SIGNATURE):
    return Judge(rules, schema_of(signature).features, reference)


def over(findings):
    return [finding.feature for finding in findings if finding.is_over]


def test_quarter_of_a_deviation_in_one_feature_of_thirty_is_found_and_named(normal_rows, sketch_of):
    judge = judge_of(sketch_of(normal_rows(20_000)))
    for _ in range(100):
        findings = judge.judge(sketch_of(normal_rows(10_000, {SHIFTED: 0.25})))
        assert over(findings) == [SHIFTED]
        assert top(findings, 1)[0].feature == SHIFTED
        assert findings[SHIFTED].measure == "ks"


@pytest.mark.parametrize(("rows", "windows"), [(10_000, 100), (500, 400)])
def test_windows_without_a_shift_raise_nothing(normal_rows, sketch_of, rows, windows):
    judge = judge_of(sketch_of(normal_rows(20_000)))
    for _ in range(windows):
        assert over(judge.judge(sketch_of(normal_rows(rows)))) == []


def test_large_score_of_few_rows_is_not_enough(normal_rows, sketch_of):
    judge = judge_of(sketch_of(normal_rows(20_000)))
    findings = judge.judge(sketch_of(normal_rows(40)))
    assert max(finding.severity for finding in findings) > 1
    assert over(findings) == []


def test_certain_difference_of_no_size_is_not_enough(normal_rows, sketch_of):
    judge = judge_of(sketch_of(normal_rows(200_000)))
    findings = judge.judge(sketch_of(normal_rows(200_000, {SHIFTED: 0.12})))
    assert findings[SHIFTED].p_value < RULES.significance
    assert over(findings) == []


def categories(values, signature):
    sketch = core.TableSketch(schema_of(signature))
    values = np.asarray(values, np.int64)
    sketch.add(0, len(values), values.tobytes())
    return sketch


ONE_CATEGORY = (Tensor("kind", is_input=True, datatype="INT64", elements=1),)


def test_new_share_of_a_category_is_found(source):
    usual = source.choice(4, 20_000, p=[0.4, 0.3, 0.2, 0.1])
    judge = judge_of(categories(usual, ONE_CATEGORY), signature=ONE_CATEGORY)
    moved = source.choice(4, 5000, p=[0.25, 0.3, 0.2, 0.25])
    (finding,) = judge.judge(categories(moved, ONE_CATEGORY))
    assert finding.is_over
    assert finding.measure in {"cramers_v", "psi"}


def test_same_shares_of_categories_raise_nothing(source):
    shares = [0.4, 0.3, 0.2, 0.1]
    judge = judge_of(
        categories(source.choice(4, 20_000, p=shares), ONE_CATEGORY), signature=ONE_CATEGORY
    )
    for _ in range(200):
        (finding,) = judge.judge(categories(source.choice(4, 1000, p=shares), ONE_CATEGORY))
        assert not finding.is_over


def test_identifiers_raise_nothing_though_each_window_has_others(source):
    judge = judge_of(
        categories(source.integers(0, 10**6, 20_000), ONE_CATEGORY), signature=ONE_CATEGORY
    )
    for _ in range(20):
        (finding,) = judge.judge(categories(source.integers(0, 10**6, 5000), ONE_CATEGORY))
        assert not finding.is_over
        assert finding.is_under


def test_values_that_go_missing_are_found(normal_rows, sketch_of):
    judge = judge_of(sketch_of(normal_rows(20_000)))
    rows = normal_rows(5000)
    rows[:400, SHIFTED] = np.nan
    findings = judge.judge(sketch_of(rows))
    assert over(findings) == [SHIFTED]
    assert findings[SHIFTED].measure == "missing_change"
    assert findings[SHIFTED].score == pytest.approx(0.08)


def test_feature_without_a_reference_is_not_judged(normal_rows, sketch_of):
    reference = core.TableSketch(schema_of(SIGNATURE))
    rows = normal_rows(5000)
    reference.add(0, len(rows), rows.tobytes())
    findings = judge_of(reference).judge(sketch_of(normal_rows(5000)))
    output = findings[FEATURES]
    assert (output.measure, output.severity, output.is_over) == ("", 0, False)
    assert over(findings) == []


def finding(feature=0, *, is_over=False, is_under=False):
    return Finding(feature, None, "ks", 0.1, 0.07, 1.4, 0.0, is_over, is_under)


OVER, UNDER, BETWEEN = {"is_over": True}, {"is_under": True}, {}


@pytest.mark.parametrize(
    ("windows", "stands"),
    [
        ([OVER], [False]),
        ([OVER, OVER], [False, True]),
        ([OVER, BETWEEN, OVER], [False, False, False]),
        ([OVER, OVER, UNDER, UNDER], [False, True, True, True]),
        ([OVER, OVER, UNDER, UNDER, UNDER], [False, True, True, True, False]),
        ([OVER, OVER, UNDER, BETWEEN, UNDER, UNDER], [False, True, True, True, True, True]),
        ([OVER, OVER, BETWEEN, BETWEEN], [False, True, True, True]),
    ],
)
def test_hysteresis_asks_for_windows_in_a_row(windows, stands):
    rules = DriftSettings(raise_windows=2, clear_windows=3)
    hysteresis = Hysteresis(rules, 1)
    found = []
    for window in windows:
        hysteresis.take([finding(**window)])
        found.append(hysteresis.is_raised[0])
    assert found == stands


def test_hysteresis_tells_of_what_stands_and_what_fell():
    hysteresis = Hysteresis(DriftSettings(clear_windows=1), 2)
    assert hysteresis.take([finding(0, is_over=True), finding(1)]) == [
        (finding(0, is_over=True), True)
    ]
    assert hysteresis.take([finding(0), finding(1)]) == [(finding(0), True)]
    assert hysteresis.take([finding(0, is_under=True), finding(1, is_under=True)]) == [
        (finding(0, is_under=True), False)
    ]
    assert hysteresis.take([finding(0, is_under=True), finding(1)]) == []
