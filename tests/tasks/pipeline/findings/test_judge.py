"""What the `checks` section makes of findings."""

import pytest

from configs.checks import ChecksConfig
from tasks.pipeline.findings import judge
from tasks.records import Finding


def repeated(count):
    return Finding(
        stage="ingest",
        check="repeated_keys",
        about="source.key id",
        count=count,
        total=1000,
        told="rows repeat the key of a later row and were left out",
        advice="set source.key to columns that name a row",
    )


def action(finding, **checks):
    return judge([finding], ChecksConfig(**checks))[0].action


def test_a_share_refuses_what_lies_above_it_and_warns_of_the_rest():
    assert action(repeated(10)) == "warn"
    assert action(repeated(11)) == "refuse"
    assert action(repeated(11), repeated_keys=0.5) == "warn"


@pytest.mark.parametrize("word", ["refuse", "warn", "allow"])
def test_a_word_decides_whatever_the_share(word):
    assert action(repeated(1), repeated_keys=word) == word


def test_the_refused_come_first():
    judged = judge([repeated(1), repeated(900)], ChecksConfig())
    assert [each.action for each in judged] == ["refuse", "warn"]


def test_a_refusal_says_what_was_found_the_limit_and_both_ways_to_go_on():
    (judged,) = judge([repeated(470)], ChecksConfig())
    assert judged.reason == (
        "source.key id: 470 of 1,000 rows repeat the key of a later row and were left out (47.00%) "
        "(checks.repeated_keys refuses more than 0.01). To go on: set source.key to columns that name a row; or, where it is meant, "
        "set `checks: {repeated_keys: allow}` in the YAML"
    )
