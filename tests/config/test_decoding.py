"""Types that several threads decode for the first time at the same moment."""

import subprocess
import sys

# A process of its own: it is the process that dies. Types are new in each round.
PROGRAM = """
import sys, threading
from typing import Annotated
import msgspec
from fastserve.decoding import convert_plain, decoder

sys.setswitchinterval(1e-6)

def decode_at_once():
    of_each = [(f"a{i}", Annotated[int, msgspec.Meta(ge=i)], i) for i in range(60)]
    inner = msgspec.defstruct("Inner", of_each)
    kind = msgspec.defstruct("Kind", [(f"f{i}", inner | None, None) for i in range(60)])
    found, start = [], threading.Barrier(4)

    def run(place):
        start.wait()
        value = (
            decoder(kind).decode(b'{"f59":{"a59":70}}') if place % 2
            else convert_plain({"f59": {"a59": 70}}, kind)
        )
        found.append(value.f59.a59)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [70] * 4

for _ in range(100):
    decode_at_once()
"""


def test_types_may_be_new_to_several_threads():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
