"""The tree of errors: codes as documented, and a class for every status."""

import pytest

from fastserve import errors

DOCUMENTED = {
    "InvalidTensor": 3,
    "InvalidRoute": 3,
    "InvalidConfig": 3,
    "ModelNotFound": 5,
    "VersionNotFound": 5,
    "VersionAlreadyLoaded": 6,
    "VersionFailed": 9,
    "LastReadyVersion": 9,
    "RoutedVersion": 9,
    "RolloutConflict": 9,
    "StaleRouteTable": 10,
    "NotKept": 14,
    "QueueFull": 8,
    "Overloaded": 8,
    "VersionNotReady": 14,
    "ServerDraining": 14,
    "DeadlineExceeded": 4,
    "RequestCancelled": 1,
    "Unauthenticated": 16,
    "Forbidden": 7,
    "ArtifactCorrupt": 15,
    "Unsupported": 12,
    "ExecutionFailed": 13,
}


def tree():
    # The client adds classes of its own; imported by another test, they are subclasses here too.
    kinds = errors.FastserveError.__subclasses__()
    return {kind.__name__: kind for kind in kinds if kind.__module__ == errors.__name__}


def test_tree_has_the_documented_codes():
    assert {name: kind.code for name, kind in tree().items()} == DOCUMENTED


def test_every_class_also_is_a_builtin_that_fits():
    for kind in tree().values():
        builtins = [base for base in kind.__mro__ if base.__module__ == "builtins"]
        assert builtins[0] not in (Exception, BaseException, object), kind


@pytest.mark.parametrize("code", range(1, 40))
def test_from_status_is_total(code):
    error = errors.from_status(code, "text", retry_after_ns=5)
    assert isinstance(error, errors.FastserveError)
    assert (error.message, error.retry_after_ns) == ("text", 5)
    if code in DOCUMENTED.values():
        assert error.code == code


def test_from_core_keeps_code_message_and_advice():
    class CoreError(Exception):
        code = 8
        retry_after_ns = 7

    error = errors.from_core(CoreError("queue of model 'm' is full"))
    assert isinstance(error, errors.Overloaded)
    assert error.message == "queue of model 'm' is full"
    assert error.retry_after_ns == 7


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mlp", "'mlp'"),
        ("a\r\nb\x1b[31m\x7f", "'a??b?[31m?'"),
        ("x" * 129, "'" + "x" * 128 + "...'"),
        ("\ud800", "'?'"),
    ],
)
def test_quoted_is_one_bounded_line(text, expected):
    assert errors.quoted(text) == expected
