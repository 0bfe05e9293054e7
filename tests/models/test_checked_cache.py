"""A passed check counts for the same bytes, options and library, and for nothing else."""

import msgspec

from fastserve._core import core
from fastserve.models.checked_cache import CheckedCache
from fastserve.models.checker import CheckReport

OPTIONS = {"intra_op_threads": 1, "providers": [("CPU", {"a": "1"})], "config_entries": {}}


def report(seconds=1.0):
    return CheckReport(
        inputs=(),
        outputs=(),
        metadata=core.ModelMetadata("", "", "", "", 0, {}),
        are_rows_independent=True,
        rows_verdict="",
        run_problem="",
        memory_bytes=0,
        seconds=seconds,
    )


def test_cache_finds_what_was_kept_for_the_same_bytes_options_and_library():
    cache = CheckedCache()
    cache.keep("d1", OPTIONS, "1.31", report())
    assert cache.find("d1", dict(reversed(OPTIONS.items())), "1.31") == report()
    assert cache.find("d2", OPTIONS, "1.31") is None
    assert cache.find("d1", OPTIONS, "1.32") is None
    assert cache.find("d1", OPTIONS | {"intra_op_threads": 2}, "1.31") is None


def test_cache_forgets_the_least_recently_used():
    cache = CheckedCache(max_reports=2)
    for digest in ("a", "b"):
        cache.keep(digest, OPTIONS, "1.31", report())
    cache.find("a", OPTIONS, "1.31")
    cache.keep("c", OPTIONS, "1.31", report())
    found = [cache.find(digest, OPTIONS, "1.31") for digest in "abc"]
    assert found == [report(), None, report()]


def test_cache_is_there_again_after_a_restart_and_damage_only_empties_it(tmp_path):
    path = tmp_path / "checked.state"
    cache = CheckedCache(path)
    spec = core.TensorSpec("x", "FP32", (-1, 2), ("N", ""))
    kept = msgspec.structs.replace(report(), inputs=(spec,))
    cache.keep("d1", OPTIONS, "1.31", kept)
    cache.save()
    assert CheckedCache(path).find("d1", OPTIONS, "1.31") == kept
    path.write_bytes(path.read_bytes()[:-5])
    assert len(CheckedCache(path)) == 0
    cache.keep("d2", OPTIONS, "1.31", report())
    cache.save()
    assert len(CheckedCache(path)) == 2
