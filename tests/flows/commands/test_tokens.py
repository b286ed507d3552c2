"""`gyre token`, as a person types it."""

import json

import pytest
from typer.testing import CliRunner

from flows.commands.tokens import app, duration
from infra.tokens import TokenError, TokenFile

RUNNER = CliRunner()


@pytest.mark.usefixtures("settings")
def test_a_token_is_shown_once_listed_without_it_and_revoked(settings):
    made = RUNNER.invoke(
        app, ["create", "shop", "--scope", "predict", "--project", "churn", "--expires", "30d"]
    )
    secret = made.stdout.strip()
    assert TokenFile(settings.home.tokens).find(f"Bearer {secret}".encode()).projects == ("churn",)
    listed = RUNNER.invoke(app, ["list", "--json"]).stdout
    assert [(each["name"], each["scopes"]) for each in json.loads(listed)] == [("shop", ["predict"])]
    assert secret not in listed
    assert "digest" not in listed
    assert RUNNER.invoke(app, ["revoke", "shop"]).stdout == "shop (predict) is revoked.\n"
    assert RUNNER.invoke(app, ["list", "--json"]).stdout == "[]\n"


@pytest.mark.parametrize("text", ["30", "d", "0d", "1y", "-1h", "999999d"])
def test_a_duration_that_is_none_is_refused_with_what_is_wanted(text):
    with pytest.raises(TokenError, match=r"such as 90m, 12h or 30d"):
        duration(text)


@pytest.mark.usefixtures("settings")
def test_a_scope_that_is_none_is_refused_with_those_there_are():
    refused = RUNNER.invoke(app, ["create", "shop", "--scope", "read"])
    assert str(refused.exception) == "--scope read: want one of predict, label, operate"
