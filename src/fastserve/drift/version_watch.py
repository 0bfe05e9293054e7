"""One version under watch: its windows, its profile, what the last windows said of each feature."""

import math
from array import array
from collections import deque
from typing import Final, NamedTuple

import msgspec

from fastserve._core import core
from fastserve.config import DriftSettings
from fastserve.drift.alarm import Alarm, Window
from fastserve.drift.contract import Contract, ContractRow, Violation, merged_rules
from fastserve.drift.freeze import Freeze
from fastserve.drift.judgement import Finding, Hysteresis, Judge
from fastserve.drift.profile import Origin, ReferenceProfile, decode_profile, make_profile
from fastserve.drift.signature import schema_of
from fastserve.drift.watched import CheckedVersion, WatchedVersion, signature_of_version
from fastserve.drift.windows import SeenWindow, WindowLadder, lengths_for

# Judged windows whose severities are kept, for sparklines.
HISTORY: Final = 48


class HistoryEntry(NamedTuple):
    """A judged window: when it ended, and how far each feature was along to its threshold."""

    end: float
    severities: "array[float]"


class Verdict(NamedTuple):
    """What the last judged window said, whole: it is read while the next one is judged."""

    window: SeenWindow
    findings: tuple[Finding, ...]
    # By feature: its alarm stands.
    is_raised: tuple[bool, ...]


class Plan(NamedTuple):
    """What a version's watch starts with: all that could be refused, refused already."""

    rules: DriftSettings
    schema: core.TableSchema
    contract: Contract
    profile: ReferenceProfile | None


class Taken(msgspec.Struct):
    """What a look at a version brought."""

    alarms: list[Alarm] = []
    # Made now, and in use: what stood against the one before is to be cleared, and this one kept.
    frozen: ReferenceProfile | None = None


def plan_watch(version: CheckedVersion, rules: DriftSettings) -> Plan:
    """Checks configuration and profile against the version's tensors.

    Errors: InvalidConfig for a feature that does not exist (the nearest is named), a rule that it
    cannot have, a profile of other tensors; ArtifactCorrupt for a damaged profile; CoreError.
    Thread: any.
    """
    signature = signature_of_version(version)
    schema = schema_of(signature)
    data = version.profile
    profile = None if data is None else decode_profile(data, signature)
    return Plan(rules, schema, _contract(schema, version, profile), profile)


class VersionWatch:
    """Thread: one at a time."""

    def __init__(self, version: WatchedVersion, plan: Plan, now: float) -> None:
        self.version = version
        self.rules = plan.rules
        self.schema = plan.schema
        self.features = plan.schema.features
        self.signature = signature_of_version(version)
        self.contract = plan.contract
        # As the core was given it; a profile that comes later changes nothing there.
        self._core_table = plan.contract.core_table()
        self._counted: list[int] = []
        self.ladder = WindowLadder(
            lengths_for(plan.rules.base_seconds, plan.rules.window_seconds),
            lambda: core.TableSketch(plan.schema),
            now,
        )
        self.freeze: Freeze | None = None
        # Why there is no profile although there should be one; for people.
        self.problem = ""
        self.profile: ReferenceProfile | None = None
        self.judge: Judge | None = None
        self._hysteresis = Hysteresis(self.rules, len(self.features))
        self.verdict: Verdict | None = None
        self.violations: list[Violation] = []
        self.history: deque[HistoryEntry] = deque(maxlen=HISTORY)
        # Rows that broke rules which the core does not count. Replaced, never changed.
        self._estimated: dict[tuple[int, str], int] = {}
        self._broken: set[tuple[int, str]] = set()
        self._taken = now
        self.use_profile(plan.profile)

    @property
    def violated_rows(self) -> dict[tuple[int, str], int]:
        """By (feature, rule), since the version was loaded: rows that broke it, at least."""
        counts = zip(self._core_table, self.version.version.watch_stats().violations, strict=False)
        return self._estimated | {(row.feature, str(row.rule)): count for row, count in counts}

    @property
    def name(self) -> str:
        return f"{self.version.model}/{self.version.number}"

    def use_profile(self, profile: ReferenceProfile | None) -> None:
        """Compares with this one from the next window on; what was found with another is dropped.

        Errors: InvalidConfig for rules of the profile that its features cannot have.
        """
        self.contract = _contract(self.schema, self.version, profile)
        self.profile, self.freeze, self.problem = profile, None, ""
        self.judge = None if profile is None else Judge(self.rules, self.features, profile.sketch)
        self._hysteresis = Hysteresis(self.rules, len(self.features))
        self.verdict = None
        self.history.clear()

    def start_freeze(self, rows: int) -> None:
        """The next `rows` rows become the profile."""
        self.freeze = Freeze(core.TableSketch(self.schema), rows, self.name)

    def take(self, now: float) -> Taken:
        """Takes what came since the last call, and judges the windows that are over by now."""
        began, self._taken = self._taken, now
        sketch = self.version.version.take_window()
        taken = Taken()
        for window in self.ladder.add(now, sketch):
            if window.length == self.rules.window_seconds:
                taken.alarms += self._judge(window, now)
        if self.freeze is not None and sketch is not None and sketch.rows:
            parts = self.freeze.add(sketch, began, now)
            if parts is not None:
                taken.frozen = self.profile_of(*parts, now)
                self.use_profile(taken.frozen)
        return taken

    def profile_of(self, sketch: core.TableSketch, origin: Origin, now: float) -> ReferenceProfile:
        """A profile of this version's own files. Errors: InvalidConfig without a row."""
        return make_profile(
            self.signature,
            sketch,
            origin,
            features={} if self.profile is None else self.profile.header.features,
            digest=self.version.digest,
            now=now,
        )

    def compare(self, window: SeenWindow) -> list[Finding]:
        """Findings of any window, judged now; nothing is remembered. Empty without a profile."""
        return [] if self.judge is None else self.judge.judge(window.sketch)

    def _judge(self, window: SeenWindow, now: float) -> list[Alarm]:
        alarms = self._check_contract(window, now)
        if self.judge is None or window.rows < self.rules.minimum_rows:
            return alarms
        findings = tuple(self.judge.judge(window.sketch))
        severities = array("f", (finding.severity for finding in findings))
        self.history.append(HistoryEntry(window.end, severities))
        alarms += [
            self._alarm(finding, window, now, is_raised=is_raised)
            for finding, is_raised in self._hysteresis.take(findings)
        ]
        self.verdict = Verdict(window, findings, tuple(self._hysteresis.is_raised))
        return alarms

    def _check_contract(self, window: SeenWindow, now: float) -> list[Alarm]:
        """Raised where a rule is broken in this window, cleared where it is not any more."""
        counted = self._count()
        self.violations = self.contract.check(window.sketch, counted)
        broken = {(each.row.feature, str(each.row.rule)) for each in self.violations}
        alarms = []
        for each in self.violations:
            key = (each.row.feature, str(each.row.rule))
            if each.row not in counted:
                rows = self._estimated.get(key, 0) + each.rows
                self._estimated = {**self._estimated, key: rows}
            evidence: dict[str, float | int | str] = {
                "rule": each.row.rule,
                "rows": each.rows,
                "is_exact": int(each.is_exact),
                "text": each.text,
            }
            alarms.append(self._contract_alarm(key, window, now, each.rows, evidence))
        alarms += [
            self._contract_alarm(key, window, now, 0, {"rule": key[1]})
            for key in sorted(self._broken - broken)
        ]
        self._broken = broken
        return alarms

    def _count(self) -> dict[ContractRow, int]:
        """What the core has counted since the last judged window, by rule."""
        counted = self.version.version.watch_stats().violations
        before = self._counted or [0] * len(counted)
        self._counted = counted
        return {
            row: now - then
            for row, now, then in zip(self._core_table, counted, before, strict=False)
        }

    def _contract_alarm(
        self,
        key: tuple[int, str],
        window: SeenWindow,
        now: float,
        rows: int,
        evidence: dict[str, float | int | str],
    ) -> Alarm:
        feature, rule = key
        return Alarm(
            kind="contract",
            model=self.version.model,
            version=self.version.number,
            subject=f"{self.features[feature].name}:{rule}",
            is_raised=rows > 0,
            score=rows / window.rows,
            threshold=0.0,
            window=Window(window.start, window.end, window.rows),
            evidence=evidence,
            time=now,
        )

    def _alarm(self, finding: Finding, window: SeenWindow, now: float, *, is_raised: bool) -> Alarm:
        return Alarm(
            kind="drift",
            model=self.version.model,
            version=self.version.number,
            subject=self.features[finding.feature].name,
            is_raised=is_raised,
            score=finding.score,
            threshold=finding.threshold,
            window=Window(window.start, window.end, window.rows),
            evidence=self._evidence(finding, window),
            time=now,
        )

    def _evidence(self, finding: Finding, window: SeenWindow) -> dict[str, float | int | str]:
        """The measure, how sure it is, every score that applies, and what moved."""
        found: dict[str, float | int | str] = {
            "measure": finding.measure,
            "p_value": finding.p_value,
            "reference_rows": 0 if self.profile is None else self.profile.rows,
        }
        scores = {name: getattr(finding.scores, name) for name in finding.scores._fields}
        found |= {name: score for name, score in scores.items() if not math.isnan(score)}
        if self.judge is not None:
            before, now = (
                self.judge.reference[finding.feature],
                window.sketch.summary(finding.feature),
            )
            for name in ("mean", "deviation", "minimum", "maximum"):
                for when, summary in (("reference", before), ("live", now)):
                    value = getattr(summary, name)
                    if math.isfinite(value):
                        found[f"{when}_{name}"] = value
        return found


def _contract(
    schema: core.TableSchema, version: CheckedVersion, profile: ReferenceProfile | None
) -> Contract:
    profiled = {} if profile is None else profile.header.features
    return Contract(schema.features, merged_rules(version.config.features, profiled))
