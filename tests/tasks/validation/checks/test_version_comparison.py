"""Rules across versions: a real version, and rows that come after it."""

import datetime as dt
import math
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from configs.validation import (
    CategoriesConfig,
    DistributionConfig,
    ExpectationConfig,
    FreshnessConfig,
    ValidationConfig,
    VersionComparisonConfig,
    VolumeConfig,
)
from configs.versioning import VersioningConfig
from infra.files import digest, whole_folder
from infra.home import Home
from tasks.records import LabelReport, RawRows, ValidationBaseline
from tasks.rows.parts import part_paths, record_of, write
from tasks.rows.versions import last_version
from tasks.validation.checks.distribution_distance import distance
from tasks.validation.checks.version_comparison import too_old
from tasks.validation.row_validation import validate
from tasks.validation.task import description
from tasks.versioning.repository import Repository
from tasks.versioning.statistics import statistics
from tasks.versioning.version import make_version

REGIONS = ["north", "south", "east", *(f"village {n}" for n in range(20))]
WHEN = pd.Timestamp("2024-03-01")


def rides(rows, seed=0, shift=0.0, regions=REGIONS):
    draw = np.random.default_rng(seed)
    share = np.array([30, 20, 10, *[2] * 20], float)[: len(regions)]
    frame = pd.DataFrame({"id": [f"r{n}" for n in range(rows)], "x": draw.normal(10 + shift, 2, rows)})
    frame["region"] = draw.choice(regions, rows, p=share / share.sum())
    frame["when"] = WHEN - pd.to_timedelta(range(rows), unit="h")
    frame["day"], frame["label"], frame["origin"] = (
        frame["when"].dt.strftime("%Y-%m-%dT%H:%M"),
        "a",
        "rides.csv",
    )
    frame["origin_content"] = draw.integers(2**64, size=rows, dtype=np.uint64)
    return frame


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """An installation with one version, rides/v1, of 2,000 rows in two parts."""
    home = tmp_path_factory.mktemp("home")
    with whole_folder(home / "first") as partial:
        write([rides(2000)[:900], rides(2000)[900:]], partial)
    nothing = {
        "agreement": 1.0,
        "annotators": (),
        "relabelled": 0,
        "suspects": None,
        "suspected": 0,
        "failures": (),
    }
    labels = LabelReport(uri=str(home / "first"), digest=digest(home / "first"), rows=2000, **nothing)
    repository = Repository(home / "data", str(home / "remote"))
    make_version(
        "rides",
        labels,
        ("x",),
        VersioningConfig(),
        repository,
        home / "datasets",
        origin={"raw": labels.digest},
    )
    return home


@pytest.fixture
def check(home, tmp_path):
    """Validates a frame against rides/v1; gives the report."""

    def checked(frame, rules, project="rides", expectations=(), parts=1, **before):
        raw = tmp_path / f"raw-{len(list(tmp_path.iterdir()))}"
        raw.mkdir()
        write(
            [frame[part * len(frame) // parts : (part + 1) * len(frame) // parts] for part in range(parts)],
            raw,
        )
        rows = RawRows(**record_of(raw).model_dump(), rows=len(frame), feedback_rows=0)
        precedents = ValidationBaseline(last=last_version(project, rows.digest, Home(home)), **before)
        validation = ValidationConfig(expectations=expectations, against_last=rules, max_quarantined=1.0)
        return validate(
            rows, validation, tmp_path / f"{raw.name}-out", tmp_path / "reports", precedents, Home(home)
        )

    return checked


def outcomes(report):
    return {rule.rule: (rule.success, rule.observed) for rule in report.rules}


EVERYTHING = VersionComparisonConfig(
    volume=VolumeConfig(),
    freshness=FreshnessConfig(column="when"),
    distribution=DistributionConfig(),
    categories=CategoriesConfig(columns=("region",)),
)


def test_rows_like_the_last_versions_pass_every_rule(check):
    report = check(rides(2100, seed=1), EVERYTHING)
    assert report.failures == ()
    found = outcomes(report)
    assert found["rows_against_last"] == (
        True,
        "2100 rows, rides/v1 has 2000: 5.0% more; at most 10.0% fewer",
    )
    assert found["newest_against_last(when)"] == (
        True,
        "newest 2024-03-01 00:00:00, rides/v1 has 2024-03-01 00:00:00",
    )
    assert found["categories_against_last(region)"] == (
        True,
        "0 new, at most 0; 0 vanished, at most 0; against rides/v1",
    )
    compared = {name for name in found if name.startswith("distribution")}
    assert compared == {
        "distribution_against_last(x)",
        "distribution_against_last(region)",
        "distribution_against_last(label)",
    }
    assert found["distribution_against_last(x)"][0]


def test_a_first_version_has_nothing_to_compare_and_says_so(check):
    report = check(rides(10), EVERYTHING, project="other")
    assert report.failures == ()
    assert set(outcomes(report).values()) == {
        (True, "nothing to compare: no version of other rows comes before")
    }
    assert len(report.rules) == 4


def test_too_few_rows_stop_the_run_with_both_numbers(check):
    report = check(rides(1000), VersionComparisonConfig(volume=VolumeConfig(shrink=0.2)))
    assert report.failures == (
        "rows_against_last does not hold: 1000 rows, rides/v1 has 2000: 50.0% fewer; at most 20.0% fewer",
    )


def test_rows_in_quarantine_do_not_count_as_rows(check):
    rule = ExpectationConfig(
        type="expect_column_values_to_not_be_in_set", kwargs={"column": "region", "value_set": ["north"]}
    )
    report = check(rides(2000), VersionComparisonConfig(volume=VolumeConfig()), expectations=(rule,))
    assert "2000 rows" not in report.rules[-1].observed.split(",")[0]
    assert not report.rules[-1].success


def test_too_many_rows_only_warn_where_that_is_asked(check):
    report = check(rides(5000), VersionComparisonConfig(volume=VolumeConfig(grow=1.0, severity="warn")))
    assert (report.failures, report.rules[0].success) == ((), False)
    assert (
        report.rules[0].observed
        == "5000 rows, rides/v1 has 2000: 150.0% more; at most 10.0% fewer or 100.0% more"
    )


@pytest.mark.parametrize("column", ["when", "day"])
def test_rows_older_than_the_last_versions_stop_the_run(check, column):
    report = check(rides(2000)[100:], VersionComparisonConfig(freshness=FreshnessConfig(column=column)))
    told = "newest 2024-02-25 20:00:00, rides/v1 has 2024-03-01 00:00:00"
    assert report.failures == (f"newest_against_last({column}) does not hold: {told}",)


def test_rows_may_be_so_old_and_no_older_when_the_run_starts(check, tmp_path):
    write([rides(10)], tmp_path)
    rule, start = FreshnessConfig(column="when", hours=24), WHEN.to_pydatetime().replace(tzinfo=dt.UTC)
    assert too_old(part_paths(tmp_path), rule, start + dt.timedelta(hours=24)) == ""
    stale = too_old(part_paths(tmp_path), rule, start + dt.timedelta(hours=25))
    report = check(rides(2000), VersionComparisonConfig(freshness=rule), stale=stale)
    told = "newest 2024-03-01 00:00:00 is more than 24 hours old"
    assert report.failures == (f"newest_at_most_hours_old(when) does not hold: {told}",)


def far(check, frame, column, **rule):
    report = check(frame, VersionComparisonConfig(distribution=DistributionConfig(columns=(column,), **rule)))
    [found] = report.rules
    return found.success, float(found.observed.split()[1])


def test_a_shifted_column_is_told_by_its_distance(check):
    assert far(check, rides(2000, seed=3), "x") == (True, pytest.approx(0.0, abs=0.06))
    shifted = far(check, rides(2000, seed=3, shift=2.0), "x")
    assert shifted == (False, pytest.approx(0.33, abs=0.05))
    assert far(check, rides(2000, seed=3, shift=2.0), "x", max_distance=0.5)[0]


def test_a_change_of_unit_and_missing_values_are_far(check):
    assert far(check, rides(2000).assign(x=lambda rows: rows["x"] * 1000), "x") == (
        False,
        pytest.approx(0.83, abs=0.01),
    )
    empty = rides(2000).astype({"x": "float64"})
    empty.loc[::2, "x"] = np.nan
    assert far(check, empty, "x")[0] is False


@pytest.fixture
def apart(tmp_path):
    """The distance of values from those of a version."""

    def measured(before, now):
        write(
            [pd.DataFrame({"id": [f"r{n}" for n in range(len(before))], "x": before, "split": "train"})],
            tmp_path,
        )
        facts = statistics(part_paths(tmp_path), "label")["columns"]["x"]
        with duckdb.connect() as connection:
            connection.register("rows", pd.DataFrame({"x": now}))
            return distance(connection, "x", facts, 1.0)

    return measured


def test_a_far_outlier_does_not_hide_where_the_others_went(apart):
    normal = np.random.default_rng(0).normal(10, 2, 2000)
    far = np.append(normal, [1e12, -1e12])
    assert apart(far, far) == 0
    assert apart(far, far + 2) == pytest.approx(0.33, abs=0.05)
    assert apart(far, normal) < 0.05


def test_the_least_and_the_only_value_are_told_from_those_below(apart):
    assert apart([0, 1] * 500, [-999, 1] * 500) == pytest.approx(math.sqrt(math.log(2) / 2), abs=0.01)
    assert apart([5] * 1000, [5] * 1000) == 0
    assert apart([5] * 1000, [4] * 1000) > 0.8
    assert apart([5] * 1000, [6] * 1000) > 0.8


def test_moments_are_compared_by_their_distribution(apart):
    moments = WHEN + pd.to_timedelta(range(1000), unit="min")
    assert apart(moments, moments) == 0
    assert apart(moments, moments + pd.Timedelta(days=1)) > 0.8


def test_chance_alone_is_no_distance_however_few_rows_there_are(check):
    distances = [far(check, rides(60, seed=seed), "x")[1] for seed in range(8)]
    assert np.mean(distances) < 0.1
    assert max(distances) < 0.2


def test_other_shares_of_the_same_texts_are_far(check):
    frame = rides(2000)
    frame["region"] = "village 19"
    assert far(check, frame, "region")[0] is False


def test_a_column_that_is_gone_breaks_the_rule(check):
    report = check(
        rides(2000).drop(columns="x"),
        VersionComparisonConfig(distribution=DistributionConfig(severity="fail")),
    )
    assert report.failures == (
        "distribution_against_last(x) does not hold: the column is gone, rides/v1 has it",
    )


def test_numbers_that_became_texts_break_the_rule(check):
    report = check(
        rides(2000).assign(x="ten"), VersionComparisonConfig(distribution=DistributionConfig(severity="fail"))
    )
    told = "distribution_against_last(x) does not hold: holds texts that are no numbers, rides/v1 has numbers"
    assert report.failures == (told,)


def test_a_label_that_is_empty_until_labeling_is_not_compared(check):
    frame = rides(2000).assign(label=None)
    assert (
        outcomes(check(frame, VersionComparisonConfig(distribution=DistributionConfig())))[
            "distribution_against_last(label)"
        ][0]
        is False
    )
    assert "distribution_against_last(label)" not in outcomes(
        check(frame, VersionComparisonConfig(distribution=DistributionConfig()), unlabelled="label")
    )


def test_new_and_vanished_values_are_named(check):
    frame = rides(2000)
    frame["region"] = frame["region"].replace(
        {"village 3": "Village 3", "village 4": "Village 4", "village 5": None}
    )
    report = check(
        frame,
        VersionComparisonConfig(
            categories=CategoriesConfig(columns=("region",), vanished=2, severity="fail")
        ),
    )
    told = "2 new (Village 3, Village 4), at most 0; 3 vanished (village 3, village 4, village 5), at most 2; against rides/v1"
    assert report.failures == (f"categories_against_last(region) does not hold: {told}",)


def test_a_column_that_rows_do_not_have_is_an_error_that_names_it(check):
    with pytest.raises(
        ValueError,
        match=r"against_last\.freshness: the rows have no column 'wen'; they have id, x, region, when",
    ):
        check(rides(10), VersionComparisonConfig(freshness=FreshnessConfig(column="wen")))
    with pytest.raises(
        ValueError, match=r"against_last\.freshness\.column: 'x' is double; name a column of moments"
    ):
        check(rides(10), VersionComparisonConfig(freshness=FreshnessConfig(column="x")))


def test_the_same_rows_give_the_same_outcomes_however_they_are_cut(check, home):
    one, other = (check(rides(1500, seed=4), EVERYTHING, parts=parts) for parts in (1, 3))
    assert one.rules == other.rules


def test_a_repeated_run_compares_with_the_same_version_after_its_own_was_made(home):
    made = last_version("rides", None, Home(home))
    first = Path(home / "first")
    assert last_version("rides", digest(first), Home(home)) is None
    assert made is not None


def test_people_see_the_rules_where_they_see_every_other(check):
    report = check(rides(1000), EVERYTHING)
    line = "| `rows_against_last` | fail | **no** | 1000 rows, rides/v1 has 2000: 50.0% fewer; at most 10.0% fewer |"
    assert line in description(report)
    page = Path(report.report).read_text()
    assert "Against the last version" in page
    assert "1000 rows, rides/v1 has 2000" in page
