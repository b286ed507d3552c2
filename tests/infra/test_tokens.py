"""Tokens in their file: made, found, revoked, and never readable from it."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from infra.tokens import Bucket, TokenError, TokenFile

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def tokens(tmp_path):
    return TokenFile(tmp_path / "home" / "tokens.json")


def bearer(secret):
    return f"Bearer {secret}".encode()


def test_a_token_is_found_by_what_its_bearer_sends_and_the_file_does_not_hold_it(tokens):
    secret = tokens.make("shop", ("predict", "label"))
    assert tokens.find(bearer(secret)).name == "shop"
    assert tokens.find(bearer(secret[:-1])) is None
    assert tokens.find(secret.encode()) is None
    assert secret not in tokens.path.read_text()
    assert tokens.path.stat().st_mode & 0o077 == 0


def test_a_name_is_taken_once_and_what_is_not_there_cannot_be_revoked(tokens):
    tokens.make("shop", ("predict",))
    with pytest.raises(TokenError, match="there is a token 'shop' already; revoke it first"):
        tokens.make("shop", ("label",))
    with pytest.raises(TokenError, match="there is no token 'shpo'; there are: shop"):
        tokens.revoke("shpo")
    with pytest.raises(TokenError, match="'a b' is no name of a token"):
        tokens.make("a b", ("predict",))


def test_tokens_that_are_made_at_once_are_all_kept(tokens):
    makers = [threading.Thread(target=tokens.make, args=(f"t{n}", ("predict",))) for n in range(12)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert {token.name for token in tokens.read()} == {f"t{n}" for n in range(12)}


def test_what_a_token_does_not_allow_is_named(tokens):
    tokens.make("shop", ("predict",), projects=("churn",), lasts=timedelta(days=1))
    (token,) = tokens.read()
    now = token.made
    assert token.objection("predict", "churn", now) is None
    assert token.objection(None, None, now) is None
    assert token.objection("label", "churn", now) == "token shop is for predict; this needs label"
    assert token.objection("predict", "digits", now) == "token shop is for churn, not for digits"
    assert "expired" in token.objection("predict", "churn", now + timedelta(days=1))


def test_a_damaged_file_lets_nobody_in_and_is_named(tokens, caplog):
    secret = tokens.make("shop", ("predict",))
    tokens.path.write_text('[{"name": "shop"}]')
    assert tokens.find(bearer(secret)) is None
    assert "no token counts" in caplog.text
    with pytest.raises(
        TokenError, match=r"tokens.json: is no list of tokens \(0.digest: Field required\); restore it"
    ):
        tokens.read()


def test_a_limit_lets_a_seconds_worth_through_at_once_and_refills_by_time():
    bucket = Bucket(per_second=2, left=2, at=0.0)
    assert [bucket.wait_s(0.0) for _ in range(3)] == [0, 0, 0.5]
    assert bucket.wait_s(0.5) == 0
    assert bucket.wait_s(100.0) == 0
    assert bucket.left == 1
