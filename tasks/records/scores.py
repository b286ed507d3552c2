"""The record of a batch scoring."""

from tasks.records.base import Finding, Record


class InputNotice(Record):
    """How one input of the scored rows differs from what training rows had."""

    name: str
    missing: int = 0
    """Rows without a value."""
    missing_in_training: float | None = None
    """Share of training rows without a value; None where the bundle does not tell."""
    unseen: int = 0
    """Rows with a category that training rows did not have; they are answered as if it were missing."""
    examples: tuple[str, ...] = ()
    absent: bool = False
    """Whether the source does not have the column at all."""

    def sentences(self, rows: int) -> list[str]:
        """What is odd about it among so many rows.

        Nothing where fewer values are missing than might be in training.
        """
        if self.absent:
            return [f"{self.name}: the source has no such column; it counts as missing in every row"]
        found = []
        if self.unseen:
            few = ", ".join(map(repr, self.examples))
            unseen = f"{self.unseen:,} of {rows:,} rows ({self.unseen / max(1, rows):.2%})"
            found.append(
                f"{self.name}: {unseen} have a category that training rows did not have, which counts as missing, such as {few}"
            )
        usual, share = self.missing_in_training, self.missing / max(1, rows)
        if usual is not None and share > 2 * usual + 0.01:
            found.append(
                f"{self.name}: {self.missing:,} of {rows:,} rows ({share:.2%}) have no value; of training rows {usual:.2%} had none"
            )
        return found


class ScoreReport(Record):
    """What a batch scoring did."""

    project: str
    version: int | None
    source: str
    target: str
    rows: int
    """Scored, by this run and those before it that it went on from."""
    refused: int
    """Rows that could not be read or answered; each is in the side file with its reason."""
    refused_at: str
    """The side file or table."""
    reasons: tuple[tuple[str, int], ...] = ()
    """Why rows were refused, the most frequent first."""
    shares: tuple[tuple[str, int], ...] = ()
    """Rows by class, the most frequent first; empty where answers are numbers."""
    mean: float | None = None
    """Of numbers as answers."""
    least: float | None = None
    greatest: float | None = None
    inputs: tuple[InputNotice, ...] = ()
    notices: tuple[str, ...] = ()
    """What else a person should know, a sentence each."""
    partitions: int
    reused: int
    """Partitions that an earlier run had finished."""
    seconds: float
    rate: float
    """Rows a second of this run; 0 where nothing was left to do."""

    @property
    def summary(self) -> str:
        """What came out, in two lines: what was scored, and what was not."""
        by = f"version {self.version}" if self.version is not None else "the bundle"
        speed = f", {self.rate:,.0f} rows/s" if self.rate else ""
        again = f"; {self.reused} of {self.partitions} partitions were finished before" if self.reused else ""
        told = f"{self.source} scored by {by} into {self.target}{speed}{again}"
        return f"{told}\n{self.rows:,} rows scored, {self.refusals}"

    @property
    def refusals(self) -> str:
        """How many rows were refused, why and where they are."""
        if not self.refused:
            return "none refused"
        first, count = self.reasons[0]
        others = len(self.reasons) - 1
        more = f", {others} more reason{'s' if others > 1 else ''}" if others else ""
        return f"{self.refused:,} refused ({count:,}: {first}{more}): {self.refused_at}"

    @property
    def differences(self) -> tuple[str, ...]:
        """How the rows differ from training rows, and what else is odd about them, a sentence each."""
        return (*(sentence for each in self.inputs for sentence in each.sentences(self.rows)), *self.notices)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the project's `checks` decide about.

        Rows without a score, and categories that count as missing.
        """
        found = []
        if self.refused:
            found.append(
                Finding(
                    stage="score",
                    check="refused_rows",
                    about=self.source,
                    count=self.refused,
                    total=self.rows + self.refused,
                    told=f"rows could not be read or answered and have no score; the others are in {self.target}",
                    examples=tuple(f"{reason} ({count:,})" for reason, count in self.reasons[:3]),
                    advice=f"look at {self.refused_at}, mend the rows and score them again with --replace",
                )
            )
        found += [
            Finding(
                stage="score",
                check="unseen_categories",
                about=each.name,
                count=each.unseen,
                total=max(1, self.rows),
                told="rows have a category that training rows did not have, which counts as missing",
                examples=each.examples,
                advice="see whether it is written as in training, or train on newer rows",
            )
            for each in self.inputs
            if each.unseen
        ]
        return tuple(found)
