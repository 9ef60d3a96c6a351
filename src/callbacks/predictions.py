"""Keeps what the network said about each test image."""

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from src.callbacks.evaluation import Evaluation, View
from src.metrics.triage import Triage
from src.runs.predictions import NAME, write_predictions

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class PredictionsFile(View):
    """`predictions.csv` in the run's folder; its `triage` column is filled where `triage` was given files."""

    folder: str
    triage: Triage

    def __call__(self, seen: Evaluation) -> None:
        buckets = None
        try:
            if self.triage.given:
                buckets = self.triage(seen.indices, seen.labels, seen.predicted)
        except ValueError as error:  # files of another dataset: only now are the test's labels known
            log.error("error: %s The mistakes stay unsorted.", error)
        write_predictions(Path(self.folder) / NAME, seen, seen.class_names, buckets)
        if buckets is not None:
            log.info("mistakes by cause: %s", ", ".join(f"{n} {b}" for b, n in counts(buckets)))
            seen.add_text("triage", _triage_table(buckets))


def counts(buckets: list[str]) -> list[tuple[str, int]]:
    """(bucket, mistakes), the fullest first."""
    return Counter(bucket for bucket in buckets if bucket).most_common()


def _triage_table(buckets: list[str]) -> str:
    """Markdown, a row a bucket."""
    total = sum(n for _, n in counts(buckets))
    rows = ["| bucket | mistakes | share |", "|---|---:|---:|"]
    return "\n".join(rows + [f"| {b} | {n} | {n / total:.1%} |" for b, n in counts(buckets)])
