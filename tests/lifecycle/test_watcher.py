"""When the repository is looked at; the clock is the test's own."""

import asyncio

import pytest

from fastserve.models.watcher import RESCAN_SECONDS, Watcher

NEWS_SECONDS = 0.1


class SteadyNews:
    """A repository in which one model changes all the time: each look is followed by news of it."""

    def __init__(self, looks):
        self.now = 1000.0
        self.watcher = None
        self.looked_at = []
        self.is_over = asyncio.Event()
        self._looks = looks

    async def look(self, only=None):
        self.looked_at.append((self.now, only))
        self.now += NEWS_SECONDS
        if len(self.looked_at) == self._looks:
            self.is_over.set()
            await asyncio.Event().wait()
        self.watcher.tell({"busy"})
        # Nothing of it ever settles.
        return 2 * NEWS_SECONDS


@pytest.fixture
def watch(tmp_path):
    """A function `(looks) -> (looked_at)`: what was looked at, and when."""

    async def watch(looks):
        news = SteadyNews(looks)
        # Following by polling listens to no kernel, so all news is the test's.
        news.watcher = Watcher(
            news, tmp_path, print, poll_seconds=RESCAN_SECONDS, clock=lambda: news.now
        )
        news.watcher.tell({"busy"})
        task = asyncio.create_task(news.watcher.run(None))
        await news.is_over.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return news.looked_at

    return watch


async def test_steady_news_of_one_model_does_not_put_the_full_look_off(watch):
    looked_at = await watch(350)
    full = [at for at, only in looked_at if only is None]
    assert len(full) == 3
    between = [later - earlier for earlier, later in zip([1000.0, *full], full, strict=False)]
    assert all(each == pytest.approx(RESCAN_SECONDS, abs=2 * NEWS_SECONDS) for each in between)


async def test_between_full_looks_only_models_with_news_are_looked_at(watch):
    looked_at = await watch(50)
    assert {tuple(only) for _, only in looked_at} == {("busy",)}
