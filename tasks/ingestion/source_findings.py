"""Findings about a source as a whole: what only the rows of all its partitions together show."""

import numpy as np

from configs.source import SourceConfig
from tasks.ingestion.lines import LINE
from tasks.ingestion.parsing.conversions import Conversions
from tasks.ingestion.parsing.row_ids import EVERY
from tasks.ingestion.parsing.totals_rows import totals_rows
from tasks.ingestion.parsing.undeclared_missing import undeclared_missing
from tasks.ingestion.partitions.deduplication import Repeats
from tasks.ingestion.partitions.join import unmatched_values
from tasks.ingestion.partitions.profile import Profile, merge_profiles, profile_of
from tasks.ingestion.partitions.store import KeptPartition
from tasks.records import Finding, SourceSnapshot


def judged_profiles(filled: list[KeptPartition], source: SourceConfig) -> tuple[Finding, ...]:
    """What the rows of whole files, and of all files together, show."""
    files: dict[str, list[Profile]] = {}
    for partition in filled:
        files.setdefault(partition.origin, []).append(profile_of(partition.profile))
    wholes = {origin: merge_profiles(profiles) for origin, profiles in files.items()}
    totals = [found for origin, whole in wholes.items() for found in totals_rows(origin, whole)]
    return (*totals, *undeclared_missing(merge_profiles(wholes.values()), source.columns))


def note_unwanted(found: list[KeptPartition], conversions: Conversions) -> None:
    """Notes the rows of joined tables that no partition has a row for."""
    for joined in found[0].joins if found else ():
        files = [partition.folder / f"{joined['file']}.npy" for partition in found]
        wanted = [np.load(file) for file in files if file.exists()]
        if wanted:
            matched = np.logical_or.reduce(wanted)
            examples = unmatched_values(found[0].folder.parent / joined["file"], joined["on"], matched)
            conversions.add(
                "unmatched_joined",
                f"{joined['name']} on {joined['on']}",
                int((~matched).sum()),
                len(matched),
                examples,
            )


def repeated_keys(source: SourceConfig, repeats: Repeats, total: int) -> tuple[Finding, ...]:
    """The finding about rows that were left out because a later one has the same key."""
    key = source.key if isinstance(source.key, str) else ", ".join(source.key)
    told = "rows are the same as a later row" if key == EVERY else "rows repeat the key of a later row"
    moved = f"; by that {repeats.moved.text}" if repeats.moved else ""
    found = Finding(
        stage="ingest",
        check="repeated_keys",
        about=f"source.key {key}",
        count=repeats.count,
        total=total,
        told=f"{told} and were left out{moved}",
        examples=tuple(
            f"{first if key == EVERY else repr(name)} {times:,} times"
            for name, times, first in repeats.examples
        ),
        advice=f"set source.key to columns that name a row, or to {LINE}, which keeps every row, if repeated rows are observations",
    )
    return (found,)


def split_anew(snapshot: SourceSnapshot, content: tuple[str, ...], rows: int) -> tuple[Finding, ...]:
    """The finding about rows that change sides because the columns that told their sides are gone."""
    gone = [name for name in snapshot.content if name not in content]
    if not gone:
        return ()
    found = Finding(
        stage="ingest",
        check="changed_splits",
        about=", ".join(gone),
        count=rows,
        total=rows,
        told="rows are split anew, because the source no longer has what told their sides: training rows become test rows",
        advice="bring the column back; or name columns that stay in versioning.split.columns",
    )
    return (found,)


def identical_files(filled: list[KeptPartition]) -> tuple[Finding, ...]:
    """The finding about files whose every byte is another's.

    A backup that a glob matches, or one file under two names.
    """
    first: dict[str, str] = {}
    again: dict[str, str] = {}
    for partition in filled:
        if partition.content in first:
            again[partition.origin] = first[partition.content]
        first.setdefault(partition.content, partition.origin)
    if not again:
        return ()
    found = Finding(
        stage="ingest",
        check="identical_files",
        count=len(again),
        total=len({partition.origin for partition in filled}),
        told="files hold the same bytes as another, so their rows are read twice",
        examples=tuple(f"{name} is {other}" for name, other in list(again.items())[:3]),
        advice="take them away, or let source.path match one of them alone",
    )
    return (found,)
