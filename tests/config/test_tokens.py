"""Token files: who may call, under which name; and no message that repeats a secret."""

from pathlib import Path

import pytest

from fastserve.errors import InvalidConfig
from fastserve.tokens import Role, Token, read_tokens


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "tokens"
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_read_tokens_skips_comments_and_empty_lines(written):
    path = written("# of the canary\n\nfirst-token\n  # of the batch jobs\n  second-token  \n")
    assert read_tokens(path) == (
        Token("token-1", Role.ADMIN, "first-token"),
        Token("token-2", Role.ADMIN, "second-token"),
    )
    assert read_tokens(None) == ()


def test_read_tokens_takes_names_and_roles_beside_bare_tokens(written):
    path = written(
        "web infer web-token\nci operator ci-token-1\nplain-token\nanna@x admin anna-tkn"
    )
    assert [(token.name, token.role.word) for token in read_tokens(path)] == [
        ("web", "infer"),
        ("ci", "operator"),
        ("token-3", "admin"),
        ("anna@x", "admin"),
    ]


def test_token_shows_its_secret_nowhere():
    token = Token("web", Role.INFER, "web-secret")
    assert "web-secret" not in f"{token} {token!r} {(token,)}"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "holds no token"),
        ("# none\n", "holds no token"),
        ("short\n", "line 1: expected a token of 8 to 4096"),
        ("tök-en-token\n", "line 1: expected a token of 8 to 4096"),
        ("x" * 4097, "line 1: expected a token of 8 to 4096"),
        ("\nname secret-token\n", "line 2: has 2 words, expected TOKEN or NAME ROLE TOKEN"),
        ("web infer secret-token more\n", "has 4 words"),
        ("web root secret-token\n", "its second word is no role, expected one of infer, operator"),
        ("web INFER secret-token\n", "its second word is no role"),
        ("web infer short\n", "expected a token of 8"),
        ("-web infer secret-token\n", "the name has to start with a letter or digit"),
        ("anonymous infer secret-token\n", "may not be 'anonymous'"),
        (f"{'n' * 65} infer secret-token\n", "the name has to start"),
        ("web infer token-one\nweb admin token-two\n", "line 2: has the name of an earlier token"),
        ("token-1 infer secret-token\n\n", None),
        ("same-token\nweb infer same-token\n", "line 2: has the secret of an earlier token"),
    ],
)
def test_read_tokens_refuses_a_file_that_would_protect_nothing(written, content, expected):
    if expected is None:
        assert len(read_tokens(written(content))) == 1
        return
    with pytest.raises(InvalidConfig) as error:
        read_tokens(written(content))
    assert expected in error.value.message


@pytest.mark.parametrize(
    "line",
    [
        "hush-token infer web x",
        "hush-token web",
        "web hush-token infer",
        "hush\ttoken",
        "hush",
    ],
)
def test_read_tokens_never_repeats_a_word_of_the_file(written, line):
    with pytest.raises(InvalidConfig) as error:
        read_tokens(written(line))
    assert "hush" not in error.value.message


def test_read_tokens_refuses_a_device_without_reading_it():
    with pytest.raises(InvalidConfig, match="is not a regular file"):
        read_tokens(Path("/dev/zero"))


def test_roles_are_ordered():
    assert Role.INFER < Role.OPERATOR < Role.ADMIN
