"""Sparklines and histograms say with blocks what the numbers say."""

import pytest

from fastserve.cli.drift_screen import histogram_lines, print_drift, profile_text, sparkline

PROFILE = {
    "rows": 20000,
    "origin": "data",
    "source": "train.parquet",
    "has_outputs": True,
    "freeze_rows": 0,
    "freeze_wanted_rows": 0,
}


def test_sparkline_rises_with_the_values_and_ends_at_the_threshold():
    assert sparkline([0, 0.25, 0.5, 0.75, 1, 7]) == "▁▃▅▆██"
    assert sparkline([]) == ""


def test_sparkline_shows_the_last_windows():
    assert sparkline([1.0] * 30 + [0.0]) == "█" * 23 + "▁"


@pytest.mark.parametrize("lines", [1, 2, 4])
def test_histogram_fills_all_lines_at_the_top_and_none_at_nothing(lines):
    drawn = histogram_lines([0, 0.5, 1.0], 1.0, lines)
    assert len(drawn) == lines
    assert [line[0] for line in drawn] == [" "] * lines
    assert [line[2] for line in drawn] == ["█"] * lines
    blocks = sum(" ▁▂▃▄▅▆▇█".index(line[1]) for line in drawn)
    assert blocks == 4 * lines


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "profile of 20000 rows, from train.parquet"),
        (
            {"origin": "freeze", "source": "m/3"},
            "profile of 20000 rows, frozen from live rows of m/3",
        ),
        ({"has_outputs": False}, "profile of 20000 rows, from train.parquet, inputs only"),
        ({"rows": 0}, "no profile"),
        (
            {"rows": 0, "freeze_rows": 40, "freeze_wanted_rows": 100},
            "no profile; freezing 40 of 100 rows",
        ),
    ],
)
def test_profile_is_described_by_where_it_comes_from(change, text):
    assert profile_text(PROFILE | change) == text


def test_control_characters_of_a_server_never_reach_the_terminal(capsys):
    print_drift(
        [
            {
                "model": "m\x1b[2J",
                "version": 1,
                "profile": PROFILE | {"source": "a\nb"},
                "problem": "\x07",
                "is_judged": False,
                "judged_seconds": 300,
                "minimum_rows": 500,
                "rows_seen": 0,
                "rows_skipped": 0,
                "features": [],
                "feature_count": 0,
            }
        ]
    )
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert out.splitlines()[0] == "m?[2J/1: profile of 20000 rows, from a?b"
