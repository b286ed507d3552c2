"""The release manifest: transitions, and writers side by side."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from tasks.production.releases import (
    Manifest,
    ReleaseError,
    Releases,
    Served,
    drop_canary,
    fallbacks,
    find_version,
    promote,
    retire,
    rollback,
    stage_canary,
    withdrawal,
)
from tasks.records import DatasetVersion

DATASET = DatasetVersion(
    uri="/rows", digest="d", project="spots", version=1, tag="spots/v1", commit="c", rows=1, splits={}
)


def version(number):
    return Served(
        uri=f"/bundles/{number}",
        digest=str(number),
        version=number,
        graph_digest=f"g{number}",
        dataset=DATASET,
    )


def released(*numbers):
    manifest = Manifest(project="spots")
    for number in numbers:
        manifest = promote(stage_canary(manifest, version(number), 0.5), number)
    return manifest


def test_a_promoted_canary_is_champion_and_the_champion_before_is_previous():
    manifest = released(1, 2)
    assert (manifest.champion, manifest.canary, manifest.previous) == (version(2), None, version(1))
    assert (datetime.now(UTC) - datetime.fromisoformat(manifest.released_at)).total_seconds() < 60


def test_a_version_is_found_wherever_the_manifest_remembers_it():
    manifest = Manifest(project="spots", champion=version(5), previous=version(4), earlier=(version(2),))
    assert find_version(manifest, None, "to export").version == 5
    assert find_version(manifest, 2, "to export").version == 2
    with pytest.raises(ReleaseError, match="spots: there is no version 3 to export; released: 2, 4, 5"):
        find_version(manifest, 3, "to export")
    nothing = "spots: no version serves to score with; released: none; `gyre run spots` makes one"
    with pytest.raises(ReleaseError, match=nothing):
        find_version(Manifest(project="spots"), None, "to score with")


def test_a_transition_made_twice_equals_made_once():
    manifest = released(1, 2)
    assert promote(manifest, 2) == manifest
    assert drop_canary(manifest, 2) == manifest


def test_only_what_is_on_trial_can_be_promoted():
    with pytest.raises(
        ReleaseError, match=r"spots: version 3 is not on trial \(canary: none\); deploy it again"
    ):
        promote(released(1), 3)
    with pytest.raises(ReleaseError, match=r"canary: version 2"):
        promote(stage_canary(released(1), version(2), 0.5), 3)


def test_a_rollback_swaps_champion_and_previous_and_ends_a_trial():
    manifest = rollback(stage_canary(released(1, 2), version(3), 0.5))
    assert (manifest.champion, manifest.canary, manifest.previous) == (version(1), None, version(2))
    with pytest.raises(ReleaseError, match="nothing serves"):
        rollback(Manifest(project="spots"))


def test_what_a_person_rolled_back_is_withdrawn_until_it_is_taken_back():
    manifest = rollback(released(1, 2))
    assert withdrawal(manifest, "g2") == version(2)
    assert withdrawal(manifest, "g1") is None
    assert rollback(manifest).withdrawn == (version(1),)


def majors(*numbers):
    """The manifest after versions of these majors, one after the other."""
    manifest = Manifest(project="spots")
    for number, major in enumerate(numbers, 1):
        served = version(number).model_copy(update={"major": major})
        manifest = promote(stage_canary(manifest, served, 0.5), number)
    return manifest


def test_the_last_version_of_each_older_major_is_kept_until_it_is_retired():
    manifest = majors(1, 1, 2, 3, 3, 3)
    assert [(each.version, each.major) for each in manifest.majors] == [(3, 2), (2, 1)]
    assert [each.version for each in retire(manifest, 2).majors] == [3]
    with pytest.raises(
        ReleaseError, match="spots: version 5 is no older major version that still serves; there are: 3, 2"
    ):
        retire(manifest, 5)


def test_a_rollback_across_majors_and_back_loses_no_major():
    manifest = majors(1, 2)
    assert rollback(manifest).majors == ()
    assert rollback(rollback(manifest)).majors == manifest.majors


def test_dropping_one_canary_leaves_another():
    manifest = stage_canary(released(1), version(3), 0.5)
    assert drop_canary(manifest, 2) == manifest
    assert drop_canary(manifest, 3).canary is None


def test_writers_side_by_side_lose_no_change(tmp_path):
    def write(number):
        Releases(tmp_path).change("spots", lambda manifest: stage_canary(manifest, version(number), 0.1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(40)))
    assert Releases(tmp_path).read("spots").sequence == 40


def test_a_change_that_changes_nothing_writes_nothing(tmp_path):
    releases = Releases(tmp_path)
    releases.change("spots", lambda manifest: drop_canary(manifest, 1))
    assert not releases.path("spots").exists()
    assert releases.champion("spots") is None


def test_a_manifest_remembers_champions_of_the_past_newest_first():
    manifest = released(*range(1, 10))
    assert (manifest.previous, manifest.earlier) == (version(8), tuple(map(version, (7, 6, 5, 4, 3))))
    again = promote(stage_canary(manifest, version(7), 0.5), 7)
    assert (again.champion, again.previous, again.earlier) == (
        version(7),
        version(9),
        tuple(map(version, (8, 6, 5, 4, 3))),
    )


def test_what_a_person_rolled_back_is_no_fallback():
    assert fallbacks(released(1, 2, 3)) == (version(2), version(1))
    assert fallbacks(rollback(released(1, 2, 3))) == (version(1),)
