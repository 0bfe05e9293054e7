"""fastserve.client and tritonclient.grpc in one process, whichever is imported first."""

import subprocess
import sys
import textwrap

import pytest

BOTH = textwrap.dedent(
    """
    import sys
    import numpy as np

    def ours(address):
        from fastserve.client import Client
        with Client(address) as client:
            return client.infer("linear", {"x": np.ones((1, 3), np.float32)})["y"]

    def theirs(address):
        import tritonclient.grpc as triton
        with triton.InferenceServerClient(address) as client:
            tensor = triton.InferInput("x", [1, 3], "FP32")
            tensor.set_data_from_numpy(np.ones((1, 3), np.float32))
            return client.infer("linear", [tensor]).as_numpy("y")

    order = {"ours": (ours, theirs), "theirs": (theirs, ours)}[sys.argv[2]]
    first, second = (ask(sys.argv[1]) for ask in order)
    np.testing.assert_array_equal(first, second)
    assert ours(sys.argv[1]).tolist() == [[9.0, 12.0]]
    """
)
HEAVY = ("uvloop", "starlette", "uvicorn", "structlog", "msgspec", "rich", "click", "onnxruntime")


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_both_clients_work_in_one_process(peer, first):
    pytest.importorskip("tritonclient.grpc")
    done = subprocess.run(
        [sys.executable, "-c", BOTH, peer.address, first],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_client_imports_nothing_of_the_server():
    code = textwrap.dedent(
        f"""
        import sys
        import fastserve.client
        loaded = [name for name in {HEAVY!r} if name in sys.modules]
        ours = [name for name in sys.modules if name.startswith("fastserve.")]
        allowed = ("fastserve.client", "fastserve.errors", "fastserve._proto")
        loaded += [name for name in ours if not name.startswith(allowed)]
        sys.exit(", ".join(loaded) or None)
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
