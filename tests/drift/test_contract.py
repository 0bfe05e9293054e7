"""Rules are checked against the features that there are, and windows against the rules."""

import math

import numpy as np
import pytest

from fastserve._core import core
from fastserve.drift.contract import Contract, ContractRow, merged_rules
from fastserve.drift.rule_finder import rules_of
from fastserve.drift.signature import Tensor, schema_of
from fastserve.errors import InvalidConfig
from fastserve.model_config import FeatureConfig

SIGNATURE = (
    Tensor("age", is_input=True, datatype="FP32", elements=1),
    Tensor("kind", is_input=True, datatype="INT64", elements=1),
    Tensor("city", is_input=True, datatype="BYTES", elements=1),
    Tensor("y", is_input=False, datatype="FP32", elements=2),
)
SCHEMA = schema_of(SIGNATURE)


def contract(**rules):
    return Contract(SCHEMA.features, rules)


def seen(ages=(), kinds=(), cities=()):
    sketch = core.TableSketch(SCHEMA)
    sketch.add(0, len(ages), np.array(ages, np.float32).tobytes())
    sketch.add(1, len(kinds), np.array(kinds, np.int64).tobytes())
    texts = [text.encode() for text in cities]
    sketch.add(2, len(cities), b"".join(len(t).to_bytes(4, "little") + t for t in texts))
    return sketch


def test_table_has_a_row_for_each_rule_by_feature():
    rules = {
        "city": FeatureConfig(categories=("Oslo", "Rome"), missing=0.5),
        "age": FeatureConfig(min=0),
        "y[1]": FeatureConfig(unit="EUR"),
    }
    assert contract(**rules).table() == (
        ContractRow(0, "range", 0, math.inf, ()),
        ContractRow(2, "category", -math.inf, math.inf, ("Oslo", "Rome")),
        ContractRow(2, "missing", 0, 0.5, ()),
    )


@pytest.mark.parametrize(
    ("name", "rule", "message"),
    [
        ("agee", FeatureConfig(min=0), "features.agee: no such feature; did you mean 'age'?"),
        ("y[2]", FeatureConfig(), "features.y[2]: no such feature; did you mean 'y[1]'?"),
        (
            "zzzzzzz",
            FeatureConfig(),
            (
                "features.zzzzzzz: no such feature; the model has one of 'age', 'kind', 'city', "
                "'y[0]', 'y[1]'"
            ),
        ),
        (
            "age",
            FeatureConfig(categories=(1,)),
            "features.age: categories: the feature is a number, which has a min and a max",
        ),
        (
            "kind",
            FeatureConfig(max=3),
            (
                "features.kind: min and max: the feature is a category (integers, booleans and "
                "texts are), which has categories"
            ),
        ),
    ],
)
def test_rule_that_cannot_be_is_refused_with_the_fix(name, rule, message):
    with pytest.raises(InvalidConfig) as error:
        Contract(SCHEMA.features, {name: rule})
    assert error.value.message == message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"min": 2, "max": 1}, "min: 2 lies above max, 1"),
        ({"min": math.nan}, "min: expected a finite number; leave it out for none"),
        ({"min": 0, "categories": ("a",)}, "categories: excludes min and max: keep one"),
        ({"categories": ("1", 1)}, "categories: has '1' twice"),
    ],
)
def test_rule_that_contradicts_itself_is_refused(keys, message):
    with pytest.raises(InvalidConfig) as error:
        FeatureConfig(**keys)
    assert error.value.message == message


def test_rows_that_keep_to_the_rules_break_none():
    rules = contract(
        age=FeatureConfig(min=0, max=120, missing=0),
        kind=FeatureConfig(categories=(1, 2)),
        city=FeatureConfig(categories=("Oslo",), missing=0.25),
    )
    window = seen([0, 120, 30], [1, 2, 1], ["Oslo", "Oslo", "Oslo", ""])
    assert rules.check(window, {}) == []


def test_range_is_broken_by_the_extremes_and_rows_are_at_least_one():
    (low,) = contract(age=FeatureConfig(min=0, max=120)).check(seen([-3, 4, 5, 6]), {})
    assert (low.row.rule, low.rows, low.is_exact) == ("range", 1, False)
    assert low.text == "has -3, expected 0 to 120"
    (high,) = contract(age=FeatureConfig(max=120)).check(seen([121] * 3 + [5] * 7), {})
    assert (high.rows, high.text) == (3, "has 121, expected at most 120")


def test_infinity_breaks_every_range():
    (found,) = contract(age=FeatureConfig(min=0)).check(seen([1, math.inf, -math.inf]), {})
    assert (found.rows, found.text) == (2, "has an infinity, expected at least 0")


def test_missing_is_counted_exactly():
    (found,) = contract(age=FeatureConfig(missing=0.25)).check(seen([1, math.nan, math.nan, 2]), {})
    assert (found.row.rule, found.rows, found.is_exact) == ("missing", 2, True)
    assert found.text == "50.00% of the rows lack it, at most 25.00% may"


def test_stranger_among_categories_is_named():
    rules = contract(kind=FeatureConfig(categories=(1, 2)), city=FeatureConfig(categories=("a",)))
    kind, city = rules.check(seen(kinds=[1, 2, 3, 3], cities=["a", "Bonn"]), {})
    assert (kind.rows, kind.text) == (2, "has '3', expected one of '1', '2'")
    assert (city.rows, city.text) == (1, "has 'Bonn', expected one of 'a'")


def test_rules_of_the_model_go_over_those_of_the_profile_key_by_key():
    profiled = {
        "age": FeatureConfig(unit="years", min=0, max=90, missing=0),
        "city": FeatureConfig(categories=("a", "b")),
    }
    configured = {"age": FeatureConfig(max=120), "kind": FeatureConfig(label="sort")}
    assert merged_rules(configured, profiled) == {
        "age": FeatureConfig(unit="years", max=120, missing=0),
        "city": FeatureConfig(categories=("a", "b")),
        "kind": FeatureConfig(label="sort"),
    }


def test_rules_of_training_rows_hold_for_every_one_of_them():
    window = seen([1, 2.5, 7], [4, 4, 5], ["a", "", "b"])
    rules = rules_of(window, {"age": FeatureConfig(unit="years")})
    assert rules == {
        "age": FeatureConfig(unit="years", min=1, max=7, missing=0),
        "kind": FeatureConfig(categories=("4", "5"), missing=0),
        "city": FeatureConfig(categories=("a", "b")),
    }
    assert Contract(SCHEMA.features, rules).check(window, {}) == []


def test_column_of_many_values_is_no_enumeration():
    rules = rules_of(seen(kinds=range(60)), {})
    assert rules["kind"] == FeatureConfig(missing=0)


def test_core_holds_inputs_and_what_may_never_be_missing():
    rules = {
        "age": FeatureConfig(min=0, missing=0),
        "kind": FeatureConfig(missing=0.5),
        "y[1]": FeatureConfig(min=0),
    }
    assert [(row.feature, row.rule) for row in contract(**rules).core_table()] == [
        (0, "missing"),
        (0, "range"),
    ]


def test_what_the_core_counted_goes_over_what_summaries_show():
    rules = contract(age=FeatureConfig(min=0, max=120))
    (row,) = rules.table()
    (found,) = rules.check(seen([-3, 4]), {row: 7})
    assert (found.row, found.rows, found.is_exact) == (row, 7, True)
    assert found.text == "expected 0 to 120"
    assert rules.check(seen([-3, 4]), {row: 0}) == []
