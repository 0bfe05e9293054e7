"""Threads that give way, in a server that was itself started to give way."""

import os
import threading

import pytest

from fastserve.thread_priority import lower_priority


@pytest.mark.parametrize(("before", "after"), [(0, 10), (10, 10), (15, 15)])
def test_priority_is_lowered_and_never_raised(before, after):
    found = []

    def run():
        os.setpriority(os.PRIO_PROCESS, 0, before)
        lower_priority()
        found.append(os.getpriority(os.PRIO_PROCESS, 0))

    inherited = os.getpriority(os.PRIO_PROCESS, 0)
    if before < inherited:
        pytest.skip(f"the tests themselves run at {inherited}")
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert found == [after]
    assert os.getpriority(os.PRIO_PROCESS, 0) == inherited
