"""Which of a model's loaded versions answer: taking one up, taking others out, in one step each.

Nothing here waits: what is said to serve does so when the call returns.

Thread: the event loop's.
"""

from collections.abc import Collection, Iterable

from fastserve.models.catalog import Catalog
from fastserve.models.drain import Drain
from fastserve.models.operator_choices import OperatorChoices
from fastserve.models.policy import Wanted, choose_kept, choose_versions
from fastserve.models.record import ModelRecord, VersionRecord


class Traffic:
    """Moves versions in and out of traffic."""

    def __init__(self, catalog: Catalog, drain: Drain, choices: OperatorChoices) -> None:
        self._catalog = catalog
        self._drain = drain
        self._choices = choices

    def wanted(self, model: ModelRecord, among: Collection[int] | None = None) -> Wanted:
        """What the policy asks for, of the versions that can be loaded or answer already.

        `among`: of those on disk, only these can be loaded now.
        """
        available = [
            record.number
            for record in model.versions.values()
            if record.is_ready
            or (record.path is not None and (among is None or record.number in among))
        ]
        newest = max(available, default=0)
        if newest > model.newest_seen:
            # A version newer than any before ends an operator's choice of an older one.
            if model.newest_seen:
                model.pinned = 0
            model.newest_seen = newest
        return choose_versions(
            available,
            model.config.versions,
            pinned=model.pinned,
            routed=self._catalog.routes.kept_versions(model.name),
        )

    def choose(self, model: ModelRecord, record: VersionRecord) -> None:
        """An operator named `record`: it serves until a version newer than any now there comes."""
        model.pinned = record.number
        model.newest_seen = max(model.newest_seen, *model.versions)
        self.serve(model, record)

    def serve(self, model: ModelRecord, record: VersionRecord) -> None:
        """From here on `record` answers requests without a version; what is not kept drains."""
        number = record.number
        if model.serving and model.serving != number:
            model.served = [each for each in model.served if each not in (model.serving, number)]
            model.served.append(model.serving)
        model.serving = number
        if model.pinned != number:
            model.pinned = 0
        model.standby.discard(number)
        self._settle(model)

    def stand_by(self, model: ModelRecord, record: VersionRecord) -> None:
        """`record` answers requests that name it, and stays until it is unloaded."""
        model.standby.add(record.number)
        self._settle(model)

    def point(self, model: ModelRecord, labels: dict[str, int]) -> None:
        """The model's labels are these from now on."""
        model.labels = labels
        self._settle(model)

    def follow_route(self, name: str) -> None:
        """The model's route has changed: requests follow it; what nobody needs any more drains."""
        model = self._catalog.get(name)
        if model is not None:
            self._settle(model)

    def take_out(self, model: ModelRecord, records: Iterable[VersionRecord], reason: str) -> None:
        """The records answer no new request from now on; they drain and give their memory back.

        When what serves is among them, the version that served before it takes over, if loaded.
        """
        records = list(records)
        numbers = {record.number for record in records}
        if model.serving in numbers:
            left = [each.number for each in model.ready if each.number not in numbers]
            previous = [number for number in reversed(model.served) if number in left]
            model.serving = (previous or left[-1:] or [0])[0]
        for record in records:
            self._drain.begin(record, reason)
        self._catalog.publish(model)

    def evict(self, record: VersionRecord, reason: str) -> None:
        """Gives a version's memory back; it is loaded again when a request asks for it."""
        record.is_on_demand = True
        self._drain.begin(record, reason)
        self._catalog.publish(self._catalog.model(record.model))

    def remember(self, model: ModelRecord) -> None:
        """Notes what operators chose, for the next start."""
        self._choices.remember(model)

    def _settle(self, model: ModelRecord) -> None:
        self._catalog.publish(model)
        self._choices.remember(model)
        if not model.serving:
            return
        kept = choose_kept(
            self.wanted(model),
            served=model.served,
            keep_previous=model.config.versions.keep_previous,
            standby=model.standby,
            labelled=model.labels.values(),
        )
        gone = [
            record
            for record in model.versions.values()
            if record.is_ready and record.number not in kept and record.number != model.serving
        ]
        if gone:
            self.take_out(model, gone, "out of the version policy")
