"""A version's counters as the protocol's ModelStatistics, from which perf_analyzer prints.

The core's phases stand for the protocol's: queue is queue, gather is compute_input, compute is
compute_infer, reply is compute_output. A duration's count is exactly the observations in its sum.
"""

import time

from fastserve._core import core
from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.models.loader import LoadedVersion


def model_statistics(loaded: LoadedVersion) -> pb.ModelStatistics:
    """The statistics of one version since it was loaded."""
    stats = loaded.version.stats()
    age_ns = stats.last_inference_age_ns
    return pb.ModelStatistics(
        name=loaded.model,
        version=str(loaded.number),
        last_inference=0 if age_ns < 0 else (time.time_ns() - age_ns) // 1_000_000,
        inference_count=stats.rows,
        execution_count=stats.executions,
        inference_stats=pb.InferStatistics(
            success=_duration(stats, "total"),
            fail=pb.StatisticDuration(count=sum(stats.failures.values()), ns=stats.failure_ns),
            queue=_duration(stats, "queue"),
            compute_input=_duration(stats, "gather"),
            compute_infer=_duration(stats, "compute"),
            compute_output=_duration(stats, "reply"),
        ),
        batch_stats=[_batch(batch) for batch in stats.batches],
    )


def _duration(stats: core.VersionStats, phase: str) -> pb.StatisticDuration:
    counts, sum_ns = stats.phases[phase]
    return pb.StatisticDuration(count=sum(counts), ns=sum_ns)


def _batch(batch: core.BatchStats) -> pb.InferBatchStatistics:
    def duration(ns: int) -> pb.StatisticDuration:
        return pb.StatisticDuration(count=batch.executions, ns=ns)

    return pb.InferBatchStatistics(
        batch_size=batch.rows,
        compute_input=duration(batch.compute_input_ns),
        compute_infer=duration(batch.compute_infer_ns),
        compute_output=duration(batch.compute_output_ns),
    )
