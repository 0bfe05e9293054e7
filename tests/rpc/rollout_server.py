"""A server of nothing but Rollouts, over a world of its own."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "routing"))  # test folders are not packages

from arms import World
from thread_server import ThreadServer

from fastserve.rpc.rollout import RolloutServicer


class RolloutServer(ThreadServer):
    """Has rollouts of model `m`; `pass_seconds` is that of the world."""

    def __init__(self, root, transport="native", *, tokens=()):
        super().__init__(root, transport, tokens=tokens)
        self.world = World()

    def pass_seconds(self, seconds, **counts):
        self.run(self.world.pass_seconds(seconds, **counts))

    def open(self, _catalog, _readiness):
        return RolloutServicer(self.world.controller).methods()
