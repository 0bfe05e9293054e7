"""RepositoryModelLoad with files: the event loop neither copies nor hashes them."""

import asyncio
import json
import threading

import pytest

from fastserve._proto import open_inference_grpc_pb2 as pb
from fastserve.errors import InvalidConfig
from fastserve.models.load_pool import LoadPool
from fastserve.rpc.repository import RepositoryServicer


async def test_files_are_read_and_hashed_by_the_load_threads():
    pool = LoadPool(1)
    is_free = threading.Event()
    # The only thread is taken: what is for it cannot begin.
    taken = asyncio.create_task(pool.run(is_free.wait))
    request = pb.RepositoryModelLoadRequest(model_name="m")
    request.parameters["config"].string_param = json.dumps({"platform": "onnxruntime_onnx"})
    request.parameters["file:1/model.onnx"].bytes_param = b""
    servicer = RepositoryServicer(None, None, pool, is_following=False)
    load = asyncio.create_task(servicer.load(request, None))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not load.done()
    is_free.set()
    await taken
    with pytest.raises(InvalidConfig, match=r"upload/model\.onnx: is empty"):
        await load
    pool.close()
