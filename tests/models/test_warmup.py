"""Warm-up: doubling rows within a cap, and the largest batch that is worth it."""

import pytest

from fastserve.errors import ExecutionFailed
from fastserve.models.warmup import Cost, choose_max_rows, measure_costs

MS = 1_000_000


class Model:
    """Runs that move a clock of their own."""

    def __init__(self, cost, *, refuses_above=1 << 30):
        self.now = 0
        self.runs = []
        self._cost = cost
        self._refuses_above = refuses_above

    def run(self, rows):
        if rows > self._refuses_above:
            raise ExecutionFailed("no such size")
        self.runs.append(rows)
        self.now += self._cost(rows)
        return self._cost(rows)

    def clock(self):
        return self.now


def measure(model, max_rows=256, cap=500 * MS):
    return measure_costs(model.run, max_rows=max_rows, clock=model.clock, time_cap_ns=cap)


def test_measure_costs_doubles_rows_up_to_the_most():
    costs = measure(Model(lambda rows: rows * 1000), max_rows=16)
    assert [cost.rows for cost in costs] == [1, 2, 4, 8, 16]


def test_measure_costs_keeps_the_better_of_two_runs():
    times = iter([9, 4, 5, 8])
    costs = measure_costs(lambda _rows: next(times), max_rows=2, clock=lambda: 0)
    assert costs == [Cost(1, 4), Cost(2, 5)]


@pytest.mark.parametrize("row_ms", [1, 10, 40, 120])
def test_measure_costs_stays_within_the_cap(row_ms):
    model = Model(lambda rows: rows * row_ms * MS)
    assert measure(model)
    assert model.now <= 500 * MS


def test_measure_costs_runs_a_slow_model_once():
    model = Model(lambda _rows: 2_000 * MS)
    assert measure(model) == [Cost(1, 2_000 * MS)]
    assert model.runs == [1]


def test_measure_costs_ends_where_the_model_refuses_a_size():
    costs = measure(Model(lambda _rows: 1000, refuses_above=4))
    assert [cost.rows for cost in costs] == [1, 2, 4]


def test_measure_costs_raises_when_not_even_one_row_runs():
    with pytest.raises(ExecutionFailed):
        measure(Model(lambda _rows: 1000, refuses_above=0))


def doubling(*run_ns):
    return [Cost(1 << place, ns) for place, ns in enumerate(run_ns)]


def test_choose_max_rows_takes_all_when_rows_keep_getting_cheaper():
    costs = doubling(*(50_000 + rows * 500 for rows in (1, 2, 4, 8, 16, 32, 64, 128, 256)))
    assert choose_max_rows(costs, None).max_rows == 256


def test_choose_max_rows_stops_where_a_row_gets_hardly_cheaper():
    choice = choose_max_rows(doubling(10 * MS, 12 * MS, 23 * MS, 40 * MS), None)
    assert choice.max_rows == 2
    assert choice.reason == "4 rows at once make a row 4% cheaper, less than 10%"


def test_choose_max_rows_takes_short_runs_that_make_a_row_no_dearer():
    assert choose_max_rows(doubling(100_000, 200_000, 395_000, 790_000), None).max_rows == 8


def test_choose_max_rows_stops_where_joining_rows_costs_more_than_it_saves():
    choice = choose_max_rows(doubling(50_000, 250_000), None)
    assert (choice.max_rows, choice.reason) == (1, "2 rows at once make a row 150% dearer")


def test_choose_max_rows_stops_where_a_run_takes_too_long():
    choice = choose_max_rows(doubling(30 * MS, 40 * MS, 60 * MS), None)
    assert choice.max_rows == 2
    assert choice.reason == "a run of 4 rows takes 60 ms, more than 50 ms"


def test_choose_max_rows_takes_one_when_a_single_row_is_slow():
    assert choose_max_rows(doubling(80 * MS, 150 * MS), None).max_rows == 1


def test_choose_max_rows_obeys_model_toml():
    choice = choose_max_rows(doubling(80 * MS), 64)
    assert (choice.max_rows, choice.reason) == (64, "model.toml says so")


def test_choose_max_rows_takes_one_when_nothing_is_known():
    assert choose_max_rows([], None).max_rows == 1
