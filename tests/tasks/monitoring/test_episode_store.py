"""The ledger under real concurrency, on a real SQLite file."""

import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from configs.monitoring import MonitoringConfig, RetrainingConfig
from tasks.monitoring.episode_store import EpisodeStore
from tasks.monitoring.episodes import ClaimRequested, Observed, Released, RetrainingEnded
from tasks.records import DriftReport

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/gyre.db"


def drifted(project="digits", version=1, newest="2026-01-01T00:00:00.000000+00:00"):
    return DriftReport(
        project=project,
        version=version,
        verdict="drifted",
        rows=200,
        labels=200,
        share=0.7,
        descriptors=(),
        newest=newest,
        report=None,
    )


def announce(url, project="digits", version=1):
    """A ledger with one announced episode."""
    ledger = EpisodeStore(url)
    history, _ = ledger.apply(
        project,
        Observed(drifted(project, version), NOW, MonitoringConfig(), RetrainingConfig(cooldown_seconds=0)),
    )
    assert history.current.state == "open"
    return ledger


def granted(ledger, episode, run, project="digits"):
    _, (answer,) = ledger.apply(project, ClaimRequested(episode, run))
    return answer.kind == "grant"


def claim_in_process(arguments):
    url, runs = arguments
    ledger = EpisodeStore(url)
    return [granted(ledger, "digits-1", run) for run in runs]


def test_of_100_claims_at_once_from_four_processes_one_wins(url):
    announce(url)
    batches = [(url, [f"run-{batch}-{number}" for number in range(25)]) for batch in range(4)]
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        answers = pool.map(claim_in_process, batches)
    assert sum(map(sum, answers)) == 1
    assert len(EpisodeStore(url).claims("digits-1")) == 1


def test_of_100_claims_at_once_from_threads_one_wins(url):
    ledger = announce(url)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: granted(ledger, "digits-1", f"run-{number}"), range(100)))
    assert sum(answers) == 1
    assert ledger.history("digits").current.attempts == 1


def test_the_first_look_of_many_processes_at_once_opens_one_episode(url):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: announce(url), range(16)))
    assert EpisodeStore(url).history("digits").opened == 1


def test_forged_unannounced_and_closed_episodes_are_not_claimed(url):
    ledger = EpisodeStore(url)
    assert not granted(ledger, "digits-1", "run-1")
    announce(url)
    assert not granted(ledger, "digits-2", "run-1")
    ledger.apply("digits", Released(2, NOW))
    assert not granted(ledger, "digits-1", "run-1")
    assert ledger.claims("digits-1") == []


def test_a_claim_outlives_its_process_and_the_same_run_gets_it_again(url):
    assert granted(announce(url), "digits-1", "run-1")
    assert granted(EpisodeStore(url), "digits-1", "run-1")
    assert not granted(EpisodeStore(url), "digits-1", "run-2")


def test_every_attempt_is_kept_for_lineage(url):
    ledger = announce(url)
    for run in ("run-1", "run-2"):
        assert granted(ledger, "digits-1", run)
        ledger.apply("digits", RetrainingEnded(run))
        ledger.apply("digits", Observed(drifted(), NOW, MonitoringConfig(), RetrainingConfig()))
    assert ledger.claims("digits-1") == ["run-1", "run-2"]


def test_an_old_episode_can_be_read_after_the_next_has_opened(url):
    ledger = announce(url)
    ledger.apply("digits", Released(2, NOW))
    announce(url, version=2)
    assert [ledger.episode(f"digits-{number}").state for number in (1, 2)] == ["closed", "open"]


def test_projects_do_not_meet(url):
    announce(url, "digits")
    ledger = announce(url, "letters")
    assert not granted(ledger, "digits-1", "run-1", project="letters")
    assert granted(ledger, "letters-1", "run-1", project="letters")


KILLED = """
import os, signal, sys
from sqlalchemy import event
from tasks.monitoring.episodes import ClaimRequested
from tasks.monitoring.episode_store import EpisodeStore
ledger = EpisodeStore(sys.argv[1])
event.listen(ledger._engine, "commit", lambda connection: os.kill(os.getpid(), signal.SIGKILL))
ledger.apply("digits", ClaimRequested("digits-1", "run-killed"))
"""


def test_a_kill_just_before_the_commit_leaves_the_episode_to_the_next_run(url):
    announce(url)
    assert subprocess.run([sys.executable, "-c", KILLED, url], check=False, timeout=60).returncode == -9
    ledger = EpisodeStore(url)
    assert ledger.history("digits").current.state == "open"
    assert granted(ledger, "digits-1", "run-2")
    assert ledger.claims("digits-1") == ["run-2"]
