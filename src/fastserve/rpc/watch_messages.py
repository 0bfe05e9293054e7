"""What is known of drift as messages of fastserve.v1.Watch."""

import msgspec

from fastserve._proto import fastserve_watch_pb2 as pb
from fastserve.drift.alarm import Alarm, Window
from fastserve.drift.version_watch import VersionWatch
from fastserve.drift.view import FeatureView, Shape, VersionView


def version_message(shown: VersionView) -> pb.VersionDrift:
    """One version with its features."""
    watch = shown.watch
    stats = watch.version.version.watch_stats()
    return pb.VersionDrift(
        model=watch.version.model,
        version=watch.version.number,
        profile=profile_message(watch),
        window=None if shown.window is None else _window(shown.window),
        is_judged=shown.is_judged,
        features=[_feature(each) for each in shown.features],
        feature_count=len(watch.features),
        rows_seen=stats.rows_seen,
        rows_skipped=stats.rows_skipped,
        history_ends=[entry.end for entry in watch.history],
        window_lengths=watch.ladder.lengths,
        problem=watch.problem,
        judged_seconds=watch.rules.window_seconds,
        minimum_rows=watch.rules.minimum_rows,
        has_rows_axis=watch.version.batching.has_rows_axis,
        tensors=[
            pb.WatchTensor(
                name=each.name,
                is_input=each.is_input,
                datatype=each.datatype,
                elements=each.elements,
            )
            for each in watch.signature
        ],
    )


def profile_message(watch: VersionWatch) -> pb.ProfileState:
    """The profile in force, and the one that is being made."""
    message = pb.ProfileState(model=watch.version.model, version=watch.version.number)
    if watch.profile is not None:
        origin = watch.profile.origin
        message.rows = watch.profile.rows
        message.origin, message.source, message.made = origin.kind, origin.source, origin.made
        message.has_outputs = origin.has_outputs
    if watch.freeze is not None:
        message.freeze_rows, message.freeze_wanted_rows = watch.freeze.state
    return message


def alarm_message(alarm: Alarm) -> pb.WatchAlarm:
    """An alarm, whoever judged it."""
    return pb.WatchAlarm(
        kind=alarm.kind,
        model=alarm.model,
        version=alarm.version,
        subject=alarm.subject,
        is_raised=alarm.is_raised,
        score=alarm.score,
        threshold=alarm.threshold,
        window=_window(alarm.window),
        evidence=msgspec.json.encode(alarm.evidence).decode(),
        time=alarm.time,
    )


def _window(window: Window) -> pb.WatchWindow:
    return pb.WatchWindow(start=window.start, end=window.end, rows=window.rows)


def _feature(shown: FeatureView) -> pb.FeatureDrift:
    message = pb.FeatureDrift(
        name=shown.name,
        label=shown.label,
        unit=shown.unit,
        kind=shown.kind,
        is_input=shown.is_input,
        scores=shown.scores,
        has_alarm=shown.has_alarm,
        history=shown.history,
        reference=_shape(shown.reference),
        live=_shape(shown.live),
        edges=shown.edges,
        categories=shown.categories,
    )
    finding = shown.finding
    if finding is not None and finding.measure:
        message.measure, message.score = finding.measure, finding.score
        message.threshold, message.severity = finding.threshold, finding.severity
        message.p_value = finding.p_value
    return message


def _shape(shape: Shape | None) -> pb.FeatureShape | None:
    return None if shape is None else pb.FeatureShape(**msgspec.structs.asdict(shape))
