"""A bundle becomes the champion, or does not: on a real server and a real registry."""

import shutil
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient
from onnx import helper

from configs.deployment import DeploymentConfig
from infra.files import digest, write_json
from tasks.deployment.registry import Registry, registered_versions
from tasks.deployment.release_health import champion_of
from tasks.deployment.rollout import retire, roll_back, roll_out
from tasks.deployment.sandbox import SandboxReport
from tasks.deployment.trial_report import picture, tables
from tasks.production.inference_client import InferenceError
from tasks.production.releases import ReleaseError, Releases, promote, rollback, stage_canary
from tasks.rows.raw import TensorSpec, rows_from
from tests.tasks.deployment.test_sandbox import add_slow_loop, add_text_output, rename

PROJECT = "spots"
PIXELS = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]], dtype=np.uint8).reshape(3, 2, 2, 1)
ROWS = rows_from([TensorSpec("image", "uint8", (2, 2, 1))], {"image": PIXELS})
QUICK = DeploymentConfig(canary_share=0.5, canary_requests=10, canary_seconds=20)


@pytest.fixture
def registry(with_mlflow):
    return MlflowClient(with_mlflow.tracking_uri, with_mlflow.tracking_uri)


@pytest.fixture
def trained(bundle, registry):
    run = registry.create_run(registry.create_experiment(PROJECT)).info.run_id
    return lambda turn, **options: bundle(turn, run_id=run, **options)


@pytest.fixture
def deploy(settings, registry, server):
    return lambda bundle, deployment=QUICK: roll_out(bundle, lambda count: ROWS[:count], deployment, settings)


def aliases(registry):
    return {alias: str(version) for alias, version in registry.get_registered_model(PROJECT).aliases.items()}


def serving(server):
    with server.client() as client:
        return client.infer(ROWS[:1], log=False)["model_version"]


def test_the_first_bundle_is_tried_out_and_promoted(deploy, trained, server, registry):
    made = trained(1)
    rollout = deploy(made)
    assert rollout.release.model_dump(exclude={"reason"}) == {
        "project": PROJECT,
        "version": 1,
        "digest": made.digest,
        "status": "promoted",
        "previous": None,
    }
    assert [(step.share, step.replayed, step.errors) for step in rollout.trial.steps] == [(0.0, 10, 0)]
    assert serving(server) == "1"
    assert aliases(registry) == {"champion": "1"}
    version = registry.get_model_version(PROJECT, "1")
    assert version.tags["gyre.digest"] == made.digest
    assert version.tags["gyre.dataset"] == "spots/v1"
    assert version.tags["gyre.status"] == "promoted"
    assert version.run_id == made.model.run_id


def test_the_bundle_that_serves_is_a_copy_of_its_own(deploy, trained, server, settings):
    made = trained(1)
    deploy(made)
    shutil.rmtree(made.uri)
    server.kill()
    server.start()
    assert serving(server) == "1"
    champion = Releases(settings.home / "releases").champion(PROJECT)
    assert champion.uri == str(settings.home / "bundles" / PROJECT / made.digest[:16])
    assert (digest(Path(champion.uri)), champion.dataset) == (made.digest, made.model.dataset)


def test_a_second_bundle_takes_over_and_the_champion_becomes_previous(deploy, trained, server, registry):
    deploy(trained(1))
    rollout = deploy(trained(2))
    assert (rollout.release.status, rollout.release.version, rollout.release.previous) == ("promoted", 2, 1)
    assert [step.share for step in rollout.trial.steps] == [0.5]
    assert serving(server) == "2"
    assert aliases(registry) == {"champion": "2"}


def test_live_requests_of_the_canary_are_counted(deploy, trained, server):
    deploy(trained(1))
    ended = threading.Event()

    def ask_on():
        with server.client() as client:
            while not ended.is_set():
                client.infer(ROWS[:1])

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        trial = deploy(
            trained(2), DeploymentConfig(canary_share=1.0, canary_requests=300, canary_seconds=20)
        ).trial
    finally:
        ended.set()
        asking.join()
    assert trial.replayed <= 300
    assert trial.live > 0
    assert trial.errors == 0


def test_the_same_bundle_again_changes_nothing_and_mends_the_aliases(deploy, trained, server, registry):
    made = trained(1)
    deploy(made)
    registry.delete_registered_model_alias(PROJECT, "champion")
    registry.set_registered_model_alias(PROJECT, "challenger", "1")
    before = server.releases.read(PROJECT)
    release = deploy(made).release
    assert (release.status, release.version) == ("unchanged", 1)
    assert server.releases.read(PROJECT) == before
    assert aliases(registry) == {"champion": "1"}
    assert len(registry.search_model_versions(f"name='{PROJECT}'")) == 1


def test_a_deployment_that_was_killed_on_trial_is_finished_by_the_next(
    deploy, trained, server, registry, settings
):
    deploy(trained(1))
    made = trained(2)
    version = Registry(settings.tracking_uri).register(made, Path(made.uri), made.candidates[0].graph.digest)
    champion = server.releases.read(PROJECT).champion
    left = champion.model_copy(update={"version": version, "uri": made.uri, "digest": made.digest})
    server.releases.change(PROJECT, lambda manifest: stage_canary(manifest, left, 0.5))
    release = deploy(made).release
    assert (release.status, release.version, release.previous) == ("promoted", 2, 1)
    assert server.releases.read(PROJECT).canary is None
    assert len(registry.search_model_versions(f"name='{PROJECT}'")) == 2


def test_a_challenger_that_answers_otherwise_than_its_graph_is_rolled_back(
    deploy, trained, server, registry, monkeypatch
):
    deploy(trained(1))
    # What it answered in the sandbox is changed, as where the server's machine computes otherwise.
    moved = SandboxReport(answers={"class": np.array([9, 9, 9])})
    monkeypatch.setattr("tasks.deployment.rollout.try_in_sandbox", lambda *_: moved)
    release = deploy(trained(2)).release
    assert (release.status, release.version, release.previous) == ("rolled-back", 2, 1)
    assert "1 of 1 requests failed (1 replayed test rows, 0 live" in release.reason
    assert "deployment.max_errors allows 0.0%; the last: it answers" in release.reason
    assert serving(server) == "1"
    assert server.releases.read(PROJECT).canary is None
    assert aliases(registry) == {"champion": "1"}
    tags = registry.get_model_version(PROJECT, "2").tags
    assert (tags["gyre.status"], tags["gyre.reason"]) == ("rolled-back", release.reason)


def test_live_requests_that_the_canary_cannot_answer_roll_it_back(deploy, trained, server):
    deploy(trained(1))
    ended = threading.Event()
    unbearable = ROWS[:1].copy()
    unbearable["image"][0, 1, 1, 0] = 5

    def ask_on():
        with server.client(patience_s=0) as client:
            while not ended.is_set():
                with suppress(InferenceError):
                    client.infer(unbearable)

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        rollout = deploy(
            trained(2, broken_at=5),
            DeploymentConfig(canary_share=1.0, canary_requests=300, canary_seconds=20),
        )
    finally:
        ended.set()
        asking.join()
    assert (rollout.release.status, rollout.release.previous) == ("rolled-back", 1)
    assert rollout.trial.live >= rollout.trial.errors > 0


def test_a_canary_that_a_person_rolls_away_is_not_promoted(deploy, trained, server):
    deploy(trained(1))
    deploy(trained(2))

    def rows_while_a_person_rolls_back():
        server.wait(lambda: server.releases.read(PROJECT).canary)
        server.releases.change(PROJECT, rollback)

    person = threading.Thread(target=rows_while_a_person_rolls_back)
    person.start()
    release = deploy(
        trained(3), DeploymentConfig(canary_share=0.5, canary_requests=2000, canary_seconds=60)
    ).release
    person.join()
    assert (release.status, release.version, release.previous) == ("rolled-back", 3, 1)
    assert release.reason == "spots: version 3 is not on trial (canary: none); deploy it again"


def test_a_damaged_bundle_is_not_kept(deploy, trained, server):
    made = trained(1)
    Path(made.uri, "model.onnx").write_bytes(b"no graph")
    with pytest.raises(RuntimeError, match="restore it, or remove it to have it made again"):
        deploy(made)
    assert server.releases.read(PROJECT).champion is None


def test_a_challenger_that_cannot_be_loaded_is_refused(deploy, trained, server, registry, settings):
    deploy(trained(1))
    made = trained(2)

    def rows_and_damage(count):
        # Asked for when the bundle is kept and not yet on trial.
        (settings.home / "bundles" / PROJECT / made.digest[:16] / "model.onnx").write_bytes(b"no graph")
        return ROWS[:count]

    release = roll_out(
        made, rows_and_damage, DeploymentConfig(canary_requests=10, canary_seconds=3), settings
    ).release
    assert (release.status, release.previous) == ("refused", 1)
    assert release.reason.startswith("DigestError: ")
    assert release.summary.startswith("version 2 is refused before it saw traffic, version 1 serves: ")
    assert serving(server) == "1"
    tags = registry.get_model_version(PROJECT, "2").tags
    assert (tags["gyre.status"], tags["gyre.reason"]) == ("refused", release.reason)


def test_a_refused_version_shows_in_metadata_and_readiness_until_another_serves(deploy, trained, server):
    deploy(trained(1))
    deploy(trained(2, change=add_text_output))
    told = "output 'words' is a text; the server answers numbers, which `classes` turn into words"
    server.wait(lambda: "refused" in server.roles())
    ready = server.get("/v2/health/ready")
    assert (ready.status_code, ready.json()["ready"]) == (200, True)
    for shown in (server.roles()["refused"], ready.json()["refused"][PROJECT]):
        assert shown.startswith("version 2 was refused at ")
        assert told in shown
    newest, before = server.releases.read(PROJECT).decisions
    assert (newest.version, newest.outcome, before.outcome) == (2, "refused", "promoted")
    assert told in newest.reason
    assert newest.evidence["sandbox"]["megabytes"] > 0
    assert serving(server) == "1"
    deploy(trained(0))
    server.wait(lambda: "refused" not in server.roles())
    assert server.get("/v2/health/ready").json() == {"ready": True}


def test_an_interrupted_trial_leaves_no_canary(deploy, trained, server, monkeypatch):
    deploy(trained(1))

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("tasks.deployment.canary.wrong", interrupted)
    with pytest.raises(KeyboardInterrupt):
        deploy(trained(2))
    assert server.releases.read(PROJECT).canary is None


def test_a_server_that_is_away_is_named_with_the_command_that_starts_it(trained, registry, settings):
    with pytest.raises(InferenceError, match=r"no answer .*; start the model server with `gyre up`"):
        roll_out(trained(1), lambda count: ROWS[:count], QUICK, settings, server_s=0.5)
    assert registry.search_registered_models() == []
    assert not Releases(settings.home / "releases").path(PROJECT).exists()


def test_a_rollback_serves_the_previous_version_and_can_be_taken_back(deploy, trained, server, registry):
    deploy(trained(1))
    with pytest.raises(
        ReleaseError, match="spots: there is no version to go back to, only version 1 has served"
    ):
        roll_back(PROJECT)
    deploy(trained(2))
    release = roll_back(PROJECT)
    assert (release.status, release.version, release.previous) == ("rolled-back", 1, 2)
    server.wait(lambda: serving(server) == "1")
    assert aliases(registry) == {"champion": "1"}
    assert registry.get_model_version(PROJECT, "2").tags["gyre.reason"] == "version 2 was rolled back by hand"
    assert roll_back(PROJECT).version == 2
    server.wait(lambda: serving(server) == "2")


def test_the_models_of_an_installation_are_listed(deploy, trained, server):
    deploy(trained(1))
    deploy(trained(2))
    found = [(row["model"], row["version"], row["serves"], row["status"]) for row in registered_versions()]
    assert found == [(PROJECT, 2, "yes", "promoted"), (PROJECT, 1, "", "promoted")]


def test_a_run_does_not_bring_back_what_a_person_rolled_back(deploy, trained, server, settings):
    deploy(trained(1))
    second = trained(2)
    deploy(second)
    roll_back(PROJECT)
    again = deploy(second).release
    assert (again.status, again.version) == ("unchanged", 1)
    assert (
        again.reason
        == "the same graph as version 2, which was rolled back by hand; `gyre rollback` takes that back"
    )
    assert deploy(trained(0)).release.status == "promoted"


def test_other_inputs_are_a_new_major_and_the_version_before_answers_who_fits_it(
    settings, registry, server, trained
):
    roll_out(trained(1), lambda count: ROWS[:count], QUICK, settings)
    large = rows_from(
        [TensorSpec("image", "uint8", (3, 3, 1))],
        {"image": np.eye(9, dtype=np.uint8)[:3].reshape(3, 3, 3, 1)},
    )
    rollout = roll_out(trained(2, side=3), lambda count: large[:count], QUICK, settings)
    assert rollout.release.status == "promoted"
    assert rollout.release.reason.endswith(
        "; it is major version 2, which takes other inputs: version 1 goes on answering the requests that fit it, "
        "until `gyre retire spots 1`"
    )
    assert serving(server) == "1"
    roll_out(trained(0, side=3), lambda count: large[:count], QUICK, settings)
    manifest = Releases(settings.home / "releases").read(PROJECT)
    assert [
        (each.version, each.major) for each in (manifest.champion, manifest.previous, *manifest.majors)
    ] == [(3, 2), (2, 2), (1, 1)]
    assert serving(server) == "1"
    retire(PROJECT, 1)
    assert Releases(settings.home / "releases").read(PROJECT).majors == ()


def spoil(bundle):
    """Changes a released bundle's graph."""
    path = Path(bundle.uri, "model.onnx")
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def test_the_same_bundle_again_restores_a_damaged_champion_and_says_so(deploy, trained, server):
    made = trained(1)
    deploy(made)
    champion = server.releases.read(PROJECT).champion
    spoil(champion)
    release = deploy(made).release
    assert (release.status, release.version) == ("unchanged", 1)
    told = "version 1 serves the same graph already; its files were damaged and are restored (DigestError: "
    assert release.reason.startswith(told)
    assert digest(Path(champion.uri)) == champion.digest


def test_another_bundle_of_a_damaged_champions_graph_takes_its_place(deploy, trained, server):
    made = trained(1)
    deploy(made)
    spoil(server.releases.read(PROJECT).champion)
    write_json(Path(made.uri, "lineage.json"), {"turn": 1, "dataset": "newer"})
    release = deploy(made.model_copy(update={"digest": digest(Path(made.uri))})).release
    assert (release.status, release.version, release.previous) == ("promoted", 2, 1)
    assert serving(server) == "2"


def test_a_damaged_champion_is_known_with_the_newest_whole_version_that_nobody_rolled_back(settings, served):
    releases = Releases(settings.home / "releases")
    versions = {number: served(number) for number in (1, 2, 3)}
    for number, version in versions.items():
        releases.change(PROJECT, lambda manifest, version=version: stage_canary(manifest, version, 0.0))
        releases.change(PROJECT, lambda manifest, number=number: promote(manifest, number))
    whole = champion_of(PROJECT, releases)
    assert (whole.version, whole.damage, whole.whole) == (3, "", whole)
    spoil(versions[3])
    damaged = champion_of(PROJECT, releases)
    assert (damaged.version, damaged.whole.version) == (3, 2)
    assert damaged.damage.startswith("DigestError: ")
    shutil.rmtree(versions[2].uri)
    assert champion_of(PROJECT, releases).whole.version == 1
    spoil(versions[1])
    assert champion_of(PROJECT, releases).whole is None
    assert champion_of("nothing", releases) is None


STEPS = DeploymentConfig(canary_steps=(0.1, 0.5, 1.0), canary_requests=5, canary_seconds=60)


def test_a_share_rises_step_by_step_and_the_evidence_is_kept_in_the_manifest(deploy, trained, server):
    deploy(trained(1))
    rollout = deploy(trained(2), STEPS)
    assert rollout.release.status == "promoted"
    assert [(step.share, step.replayed, step.ended) for step in rollout.trial.steps] == [
        (0.1, 5, "5 requests"),
        (0.5, 5, "5 requests"),
        (1.0, 5, "5 requests"),
    ]
    kept = server.releases.read(PROJECT).decisions[0]
    assert (kept.version, kept.outcome, kept.reason) == (2, "promoted", rollout.release.reason)
    steps = kept.evidence["trial"]["steps"]
    assert [step["share"] for step in steps] == [0.1, 0.5, 1.0]
    assert steps[-1]["pairs"]["agreement"] == 0
    told = {each["measure"]: each["seen"] for each in kept.evidence["trial"]["measures"]}
    assert told["errors"] == "0 of 15 requests failed"
    texts = [text for text, _ in tables(rollout, STEPS)]
    assert texts[1:] == [
        "On trial beside what serves, step by step:",
        "What it was judged by. The evidence is what a stake of 1 became that was bet on it; 600 to 1 against it in "
        "one measure ends the trial, at whichever look:",
    ]
    assert picture(rollout.trial).startswith(b"\x89PNG")


def test_a_challenger_that_takes_much_longer_is_rolled_back_at_its_first_step(deploy, trained, server):
    deploy(trained(1))
    steps = DeploymentConfig(canary_steps=(0.1, 1.0), canary_requests=500, canary_seconds=120)
    rollout = deploy(trained(2, change=add_slow_loop), steps)
    assert (rollout.release.status, rollout.release.previous) == ("rolled-back", 1)
    assert "latency is worse than it may be (evidence " in rollout.release.reason
    assert [step.share for step in rollout.trial.steps] == [0.1]
    assert rollout.trial.replayed < 500
    server.wait(lambda: "refused" in server.roles())
    assert server.roles()["refused"].startswith("version 2 was rolled back at ")
    assert serving(server) == "1"


def test_a_challenger_that_answers_otherwise_than_it_may_is_rolled_back(deploy, trained, server):
    deploy(trained(1))
    limit = DeploymentConfig(canary_requests=100, canary_seconds=60, max_disagreement=0.1)
    release = deploy(trained(2), limit).release
    assert release.status == "rolled-back"
    assert release.reason.startswith("disagreement is worse than it may be (evidence ")
    assert "100.0% of " in release.reason


def test_a_step_is_held_and_labels_that_come_meanwhile_are_judged(deploy, trained, server):
    deploy(trained(1))
    ended = threading.Event()

    def ask_and_label():
        """Version 1 is right and version 2 is not."""
        with server.client() as client:
            while not ended.is_set():
                response = client.infer(ROWS[:1])
                client.label({response["id"]: "middle"})

    asking = threading.Thread(target=ask_and_label)
    asking.start()
    hold = DeploymentConfig(canary_share=0.5, canary_hold_seconds=60, canary_seconds=120)
    try:
        rollout = deploy(trained(2), hold)
    finally:
        ended.set()
        asking.join()
    assert rollout.release.status == "rolled-back"
    assert rollout.release.reason.startswith("late labels is worse than it may be")


def asked_meanwhile(server, deploy, rows):
    """What deploying gives, and the versions that answered the clients that asked these rows all the while."""
    ended, versions = threading.Event(), set()

    def ask_on():
        with server.client(patience_s=0) as client:
            while not ended.is_set():
                versions.add(client.infer(rows)["model_version"])

    asking = threading.Thread(target=ask_on)
    asking.start()
    try:
        return deploy(), versions
    finally:
        ended.set()
        asking.join()


def test_a_shadow_is_judged_by_live_rows_and_its_answers_are_given_to_nobody(deploy, trained, server):
    deploy(trained(1))
    # One replayed row is no evidence yet.
    held = {"canary_requests": 1, "canary_hold_seconds": 60, "canary_seconds": 120}
    shadow = DeploymentConfig(mode="shadow", canary_share=1.0, max_disagreement=0.5, **held)
    rollout, versions = asked_meanwhile(server, lambda: deploy(trained(2), shadow), ROWS[:1])
    assert versions == {"1"}
    assert rollout.release.status == "rolled-back"
    assert rollout.release.reason.startswith("disagreement is worse than it may be")
    step = rollout.trial.steps[-1]
    assert step.live == step.pairs["live compared"] > 0
    assert tables(rollout, shadow)[1][0].startswith(
        "As a shadow, whose answers nobody got, beside what serves"
    )


def test_a_shadow_that_fails_on_live_rows_is_rolled_back_and_no_client_sees_it(deploy, trained, server):
    deploy(trained(1))
    unbearable = ROWS[:1].copy()
    unbearable["image"][0, 1, 1, 0] = 5
    shadow = DeploymentConfig(mode="shadow", canary_share=1.0, canary_hold_seconds=60, canary_seconds=120)
    challenger = trained(2, broken_at=5)
    rollout, versions = asked_meanwhile(server, lambda: deploy(challenger, shadow), unbearable)
    assert (rollout.release.status, versions) == ("rolled-back", {"1"})
    assert rollout.trial.live >= rollout.trial.errors > 0


def add_one_more_node(graph, signature):
    rename(graph, "class", "found")
    graph.node.append(helper.make_node("Identity", ["found"], ["class"]))


def test_a_shadow_that_is_good_is_promoted(deploy, trained, server):
    deploy(trained(1))
    shadow = DeploymentConfig(mode="shadow", canary_seconds=60, max_disagreement=0.1)
    release = deploy(trained(1, change=add_one_more_node), shadow).release
    assert (release.status, release.version) == ("promoted", 2)
    assert serving(server) == "2"
