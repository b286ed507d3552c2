"""Real graphs before the gate, and the card of what came out."""

import numpy as np
import pandas as pd
import pytest

from configs.checks import ChecksConfig
from configs.evaluation import EvaluationConfig
from configs.gate import GateConfig
from configs.intake import ImageIntakeConfig
from configs.labeling import LabelingConfig
from configs.result import ClassificationResultConfig
from infra.files import read_json
from tasks.compilation.gate_report import judge
from tasks.compilation.model_card import facts_of, write_card
from tasks.compilation.plots import pictures
from tasks.intake import build_intake
from tasks.pipeline.findings import judge as judge_findings
from tasks.records import Champion, DatasetVersion, SliceScore
from tasks.result import build_result
from tasks.rows.parts import record_of, write

CLASSES = ["left", "middle", "right"]
INTAKE = build_intake(ImageIntakeConfig(kind="image", height=2, width=2))
RESULT = build_result(ClassificationResultConfig(kind="classification", classes=tuple(CLASSES)))
GATE = GateConfig(min_score=0.5, max_slice_drop=0.1)
CAMERAS = {"old|er": 120, "new": 80}


@pytest.fixture
def dataset(tmp_path):
    """Spots by two cameras.

    A graph with turn 0 is right about the old one's, with turn 1 about the new one's; an annotator always is.
    """
    rows = tmp_path / "test"
    rows.mkdir()
    places = np.arange(sum(CAMERAS.values())) % 3
    images = np.full((len(places), 4), 10, np.uint8)
    images[np.arange(len(places)), places] = 200
    camera = np.repeat(list(CAMERAS), list(CAMERAS.values()))
    labels = [CLASSES[(place + (name == "new")) % 3] for place, name in zip(places, camera, strict=True)]
    columns = {"image": list(images), "label": labels, "camera": camera, "anna": labels, "split": "test"}
    write([pd.DataFrame({"id": map(str, range(len(places)))} | columns)], rows)
    facts = {
        "project": "spots",
        "version": 2,
        "tag": "spots/v2",
        "commit": "c" * 40,
        "rows": len(places),
        "splits": {"test": len(places)},
    }
    return DatasetVersion(**record_of(rows).model_dump(), **facts)


@pytest.fixture
def judged(bundle, dataset):
    """The verdict on the graph of turn 0, against the one of turn 1."""

    mine, other = bundle(0), bundle(1)

    def judge_against(champion=True, **evaluation):
        serving = Champion(
            uri=other.uri,
            digest=other.digest,
            project="spots",
            version=7,
            graph_digest=other.candidates[0].graph.digest,
            dataset=other.model.dataset,
        )
        section, labeling = EvaluationConfig(**evaluation), LabelingConfig(annotators=("anna",))
        graphs = [mine.candidates[0].graph]
        return judge(
            graphs, serving if champion else None, dataset, INTAKE, RESULT, labeling, section, GATE
        ), mine.model

    return judge_against


def test_a_better_graph_that_fell_on_a_declared_slice_is_refused(judged):
    verdict, _ = judged(slices=["camera"])
    assert verdict.comparison.challenger_score > verdict.comparison.champion_score
    old, new = verdict.slices
    assert [(part.name, part.rows, part.score, part.champion) for part in (old, new)] == [
        ("camera = old|er", 120, 1.0, 0.0),
        ("camera = new", 80, 0.0, 1.0),
    ]
    (reason,) = verdict.failures
    assert reason.startswith(
        "slice camera = new: score 0.0000 against 1.0000 of champion v7 on 80 rows: the difference is -"
    )


def test_a_slice_that_nobody_named_is_found_and_refuses_nothing(judged):
    verdict, _ = judged()
    assert [(part.name, part.declared) for part in verdict.slices] == [("camera = new", False)]
    assert verdict.failures == ()


def test_the_card_shows_the_slices_and_keeps_them_as_json(judged, tmp_path):
    verdict, model = judged(slices=["camera", {"column": "brightness"}])
    facts, drawn = facts_of(model, verdict, INTAKE, RESULT, GATE), pictures(verdict, "accuracy", GATE)
    write_card(facts, drawn, verdict.slices, tmp_path / "card")
    card = (tmp_path / "card" / "card.md").read_text()
    assert "| slice | rows | score | to the whole | to champion v7 | verdict |" in card
    assert "| camera = old\\|er | 120 | 1.000 (1.000 to 1.000) | +0.400 | +1.000 (" in card
    assert "- Weaker on the 80 rows of camera = new: score 0.000 instead of 0.600." in card
    assert [SliceScore(**each) for each in read_json(tmp_path / "card" / "slices.json")] == list(
        verdict.slices
    )
    assert "Score of each slice" in (tmp_path / "card" / "card.html").read_text()
    assert (tmp_path / "card" / "slices.png").read_bytes().startswith(b"\x89PNG")


def test_a_first_model_has_slices_without_a_comparison(judged, tmp_path):
    verdict, model = judged(champion=False, slices=["camera"])
    facts = facts_of(model, verdict, INTAKE, RESULT, GATE)
    assert list(facts["slices"][0]) == ["slice", "rows", "score", "to the whole"]
    verdict, model = judged(champion=False, max_discovered=0)
    facts, drawn = facts_of(model, verdict, INTAKE, RESULT, GATE), pictures(verdict, "accuracy", GATE)
    assert list(drawn) == ["candidates", "samples", "errors"]
    write_card(facts, drawn, verdict.slices, tmp_path / "card")
    assert (
        "None is declared, and none is worse than chance could make it."
        in (tmp_path / "card" / "card.md").read_text()
    )


def test_the_card_shows_rows_of_every_class_where_it_errs_and_how_each_class_fares(judged, tmp_path):
    verdict, model = judged(champion=False)
    facts, drawn = facts_of(model, verdict, INTAKE, RESULT, GATE), pictures(verdict, "accuracy", GATE)
    write_card(facts, drawn, verdict.slices, tmp_path / "card")
    plain, page = ((tmp_path / "card" / name).read_text() for name in ("card.md", "card.html"))
    lines = [line for line in plain.splitlines() if line.startswith(tuple(f"| {name} |" for name in CLASSES))]
    assert plain.count("| class | test rows | recall | precision |") == 1
    assert sum(int(line.split(" | ")[1]) for line in lines) == verdict.judgement.rows
    assert 'alt="Test rows with truth and answer" src="data:image/png;base64,' in page


def test_a_column_outside_the_intake_that_nearly_is_the_label_is_searched_for_no_slices(bundle, tmp_path):
    draw = np.random.default_rng(0)
    places = draw.integers(0, 3, 600)
    images = np.full((600, 4), 10, np.uint8)
    images[np.arange(600), places] = 200
    wrong = (places == 1) & (draw.random(600) < 0.4)
    labels = np.array(CLASSES)[(places + wrong) % 3]
    code = np.where(draw.random(600) < 0.95, np.char.add("code ", labels), "code ?")
    amount = (places + wrong) % 3 * 100 + draw.normal(0, 5, 600)
    (tmp_path / "told").mkdir()
    columns = {
        "image": list(images),
        "label": labels,
        "code": code,
        "amount": amount,
        "city": draw.choice(["Oslo", "Rome"], 600),
    }
    write(
        [pd.DataFrame({"id": map(str, range(600))} | columns | {"origin": "a", "split": "test"})],
        tmp_path / "told",
    )
    dataset = DatasetVersion(
        **record_of(tmp_path / "told").model_dump(),
        project="spots",
        version=2,
        tag="v",
        commit="c",
        rows=600,
        splits={},
    )
    graph = bundle(0).candidates[0].graph
    verdict = judge([graph], None, dataset, INTAKE, RESULT, LabelingConfig(), EvaluationConfig(), GATE)
    assert [(each.check, each.about) for each in verdict.findings] == [
        ("label_proxies", "code"),
        ("label_proxies", "amount"),
    ]
    assert verdict.findings[0].told.startswith("column is no input and nearly is the label (9")
    assert not [part.name for part in verdict.slices if "code" in part.name or "amount" in part.name]


@pytest.fixture
def judged_against_damage(bundle, dataset):
    """The verdict on the graph of turn 0 against a champion whose files are damaged.

    The same graph, or that of turn 1.
    """

    def released(turn, version):
        made = bundle(turn)
        graph = made.candidates[0].graph.digest
        return Champion(
            uri=made.uri,
            digest=made.digest,
            project="spots",
            version=version,
            graph_digest=graph,
            dataset=made.model.dataset,
        )

    def judge_against(fallback=True, same=False):
        mine, before = bundle(0), released(1, 6)
        damaged = released(2, 7).model_copy(
            update={"damage": "DigestError: changed", "fallback": before if fallback else None}
        )
        graph = mine.candidates[0].graph
        if same:
            damaged = damaged.model_copy(update={"graph_digest": graph.digest})
        return judge(
            [graph],
            damaged,
            dataset,
            INTAKE,
            RESULT,
            LabelingConfig(),
            EvaluationConfig(max_discovered=0),
            GATE,
        )

    return judge_against


def refused(verdict):
    return [
        each.finding.check
        for each in judge_findings(verdict.findings, ChecksConfig())
        if each.action == "refuse"
    ]


def test_while_the_champion_is_damaged_the_newest_whole_version_is_compared_with_and_a_finding_says_so(
    judged_against_damage,
):
    verdict = judged_against_damage()
    assert (verdict.comparison.champion_version, verdict.comparison.champion_score) == (6, 0.4)
    (finding,) = verdict.findings
    assert (finding.check, finding.about) == ("damaged_champion", "champion v7")
    assert finding.told == (
        "released version has damaged files, so the challenger is compared with v6, the newest whole one before it (DigestError: changed)"
    )
    assert refused(verdict) == []


def test_where_no_version_is_whole_nothing_is_compared_and_that_refuses(judged_against_damage):
    verdict = judged_against_damage(fallback=False)
    assert verdict.comparison is None
    assert [each.check for each in verdict.findings] == ["damaged_champion", "not_compared"]
    assert refused(verdict) == ["not_compared"]
    assert verdict.findings[1].advice.startswith("restore ")


@pytest.mark.parametrize("fallback", [True, False])
def test_the_damaged_champions_own_graph_made_again_passes(judged_against_damage, fallback):
    verdict = judged_against_damage(fallback, same=True)
    assert (verdict.comparison, verdict.failures, refused(verdict)) == (None, (), [])
    (finding,) = verdict.findings
    assert "the challenger is its very graph, made again, and compared with nothing" in finding.told
