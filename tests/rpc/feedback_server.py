"""A server of nothing but Feedback."""

from thread_server import ThreadServer

from fastserve.config import FeedbackSettings
from fastserve.drift.alarm import AlarmBook
from fastserve.feedback_hosting import FeedbackHosting
from fastserve.rpc.feedback import FeedbackServicer


class FeedbackServer(ThreadServer):
    """Takes labels for `models`; `store` is where their predictions are put."""

    def __init__(self, root, transport="native", *, models=("m",), tokens=(), **settings):
        super().__init__(root, transport, tokens=tokens)
        self._feedback_settings = FeedbackSettings(**settings)
        self._models = models

    @property
    def store(self):
        return self._feedback_hosting.store

    def counts(self):
        """How many labels came to what."""

        async def read():
            return {
                outcome: n for (_, outcome), n in self._feedback_hosting.feedback.counts.items()
            }

        return self.run(read())

    def measures(self):
        """Of all rows of the first version of the first model."""

        async def read():
            (quality, *_) = self._feedback_hosting.feedback.models[0].versions
            return quality.shown.sums["all"].measures()

        return self.run(read())

    def open(self, catalog, _readiness):
        for name in self._models:
            catalog.add(name)
        hosting = FeedbackHosting(self._feedback_settings, catalog, AlarmBook(print))
        self._feedback_hosting = hosting
        hosting.start()
        is_on = self._feedback_settings.enabled
        return FeedbackServicer(hosting.feedback if is_on else None, catalog).methods()

    async def close(self):
        await self._feedback_hosting.stop()
