import pytest

from fastserve.bench.sweep import Target99, find_knee, judge


@pytest.mark.parametrize("knee", [3.0, 100.0, 777.0, 12_345.0])
def test_find_knee_comes_within_five_percent_of_it(result_of, knee):
    def probe(rate):
        return result_of(1.0 if rate <= knee else 50.0, rate=rate)

    sweep = find_knee(probe, Target99(10.0), first=100, last=1e6)
    assert knee * 0.94 <= sweep.knee_per_second <= knee
    assert len(sweep.steps) < 25


def test_find_knee_stops_at_the_last_rate_when_all_hold(result_of):
    sweep = find_knee(lambda rate: result_of(1.0, rate=rate), Target99(10.0), first=100, last=450)
    assert [step.offered_per_second for step in sweep.steps] == [100, 200, 400, 450]
    assert sweep.knee_per_second == 450


def test_find_knee_is_zero_when_no_rate_holds(result_of):
    sweep = find_knee(lambda rate: result_of(50.0, rate=rate), Target99(10.0), first=100, last=1e6)
    assert sweep.knee_per_second == 0
    assert "p99 is 50 ms" in sweep.steps[-1].problem


def test_find_knee_asks_again_before_it_believes_a_miss(result_of):
    asked = []

    def probe(rate):
        asked.append(rate)
        return result_of(50.0 if len(asked) == 2 else 1.0, rate=rate)

    sweep = find_knee(probe, Target99(10.0), first=100, last=400)
    assert asked == [100, 200, 200, 400]
    assert sweep.knee_per_second == 400


def test_find_knee_ends_when_the_load_breaks_off(result_of):
    sweep = find_knee(
        lambda rate: result_of(1.0, rate=rate, failure="gone"), Target99(10), first=1, last=9
    )
    assert [step.problem for step in sweep.steps] == ["gone"]


def test_judge_takes_an_empty_step_for_no_success(result_of):
    assert "nothing was measured" in judge(1, result_of(1.0, rate=0.0), Target99(10.0))


def test_judge_sees_errors_and_a_server_that_falls_behind(result_of):
    target = Target99(10.0, max_error_rate=0.01)
    assert judge(1000, result_of(1.0, errors=10), target) == ""
    assert "failed" in judge(1000, result_of(1.0, errors=100), target)
    assert "only 800" in judge(1000, result_of(1.0, rate=800), target)


def test_find_knee_keeps_the_steps_before_an_interrupt(result_of):
    asked = []

    def probe(rate):
        asked.append(rate)
        return result_of(1.0, rate=rate, interrupted=rate == 400)

    sweep = find_knee(probe, Target99(10.0), first=100, last=1e6)
    assert asked == [100, 200, 400]
    assert [step.offered_per_second for step in sweep.steps] == [100, 200]
    assert sweep.is_interrupted
    assert sweep.knee_per_second == 200


def test_find_knee_does_not_ask_again_after_an_interrupt(result_of):
    probes = iter([result_of(50.0, interrupted=True)])
    sweep = find_knee(lambda _: next(probes), Target99(10.0), first=100, last=1e6)
    assert sweep.is_interrupted
    assert sweep.steps == []
