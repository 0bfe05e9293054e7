"""A real server takes labels."""

import pytest

from fastserve.client import Client
from fastserve.errors import ModelNotFound, Unsupported


@pytest.mark.parametrize("transport", ["native", "grpcio"])
def test_label_waits_for_a_prediction_that_was_not_made(demo_models, start_server, transport):
    server = start_server(demo_models.repository, "--transport", transport)
    with Client(server.grpc, timeout=30) as client:
        assert client.feedback("digits", {"r": 1, "bad": []}).outcomes == ["early", "invalid"]
        assert client.feedback_many("digits", {"r": 1}).duplicate == 1
        with pytest.raises(ModelNotFound):
            client.feedback("absent", {"r": 1})


def test_server_told_to_keep_nothing_takes_no_labels(demo_models, start_server):
    server = start_server(demo_models.repository, env={"FASTSERVE_FEEDBACK__ENABLED": "false"})
    with Client(server.grpc, timeout=30) as client, pytest.raises(Unsupported):
        client.feedback("digits", {"r": 1})
