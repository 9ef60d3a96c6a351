"""An estimate as lines that one reads before waiting."""

from collections.abc import Sequence
from statistics import median, quantiles
from typing import TYPE_CHECKING

from src.estimate.probes import LEAST
from src.runs.table import duration

if TYPE_CHECKING:
    from src.estimate.measure import Estimate, Pass
    from src.estimate.probes import PeakMemory

_UNEVEN = 1.5  # slow batches over fast ones, from which on that is worth a word


def estimate_table(found: "Estimate") -> str:
    """What is trained, what was measured, and what follows, a row each."""
    length, batch = found.length, short(found.batch_seconds)
    together = f"{length.batches:,} batches of {found.batch_size} x {batch}"
    rows = [
        ("network", f"{found.num_params:,} parameters, {found.macs:,} MACs an image"),
        ("training", f"{length.images:,} images, {length.steps:,} steps, {found.pflop:.3g} PFLOP"),
        ("machine", f"{found.device}, precision {found.precision}"),
        ("measured", measured(found)),
        ("loading", f"{duration(found.load_seconds)} for all training batches, if nothing else is done"),
        ("peak memory", _memory_words(found.memory)),
        ("", ""),
        ("start", f"{duration(found.start_seconds):<9} data, network, first batch"),
        ("training", f"{duration(found.train_seconds):<9} {together}"),
        ("validation", passes(found.val)),
        ("test", passes(found.test)),
        ("together", duration(found.seconds)),
    ]
    return "\n".join(f"{name:<12} {text}".rstrip() for name, text in rows)


def measured(found: "Estimate") -> str:
    """The step's time, how sure it is, and the speed."""
    batch = short(found.batch_seconds)
    speed = f"{found.batch_size / found.batch_seconds:,.0f} images/s"
    if len(found.phases) > 1:
        parts = (f"{short(median(phase.timed))} in {phase.share:.0%}" for phase in found.phases)
        return f"{batch} a batch ({speed}), by the images' size: {', '.join(parts)} of training"
    (phase,) = found.phases
    if not phase.warm:
        return f"{batch} a batch ({speed}), from the very first one alone: a warm one may be faster"
    low, high = spread(phase.timed)
    busy = "; uneven: is the machine busy?" if high > _UNEVEN * low else ""
    return f"{batch} a batch ({speed}), median of {len(phase.timed)}: {short(low)} to {short(high)}{busy}"


def spread(seconds: Sequence[float]) -> tuple[float, float]:
    """Tenth and ninetieth percentile; the extremes of fewer than ten."""
    if len(seconds) < 10:
        return min(seconds), max(seconds)
    tenths = quantiles(seconds, n=10)
    return tenths[0], tenths[-1]


def passes(which: "Pass") -> str:
    """How long the passes over validation or test images take, and how that comes."""
    if not which.passes * which.batches:
        return "none"
    each = f"{which.batches} batches x {short(which.batch_seconds)}"
    return f"{duration(which.seconds):<9} {f'{which.passes} x ' if which.passes > 1 else ''}{each}"


def _memory_words(memory: "PeakMemory") -> str:
    if memory.added is None or memory.whole is None:
        return "not known on this system"
    few = f" (after {memory.batches} batches; more may raise it)" if memory.batches < LEAST else ""
    return f"{_mebibytes(memory.added)} for training; {memory.kind} {_mebibytes(memory.whole)}{few}"


def short(seconds: float) -> str:
    """`212 ms` or `4.71 s`."""
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _mebibytes(num_bytes: int) -> str:
    return f"{num_bytes / 2**20:,.0f} MiB"


def jobs_table(names: Sequence[str], found: Sequence["Estimate"]) -> str:
    """A line a job of a sweep, and their sum, one after the other."""
    width = max(len("together"), *map(len, names))
    lines = [f"{'job':<{width}}  {'a batch':>8}  {'PFLOP':>7}  {'training':>9}  {'in all':>9}"]
    for name, one in zip(names, found, strict=True):
        lines.append(
            f"{name:<{width}}  {short(one.batch_seconds):>8}  {one.pflop:>7.3g}  "
            f"{duration(one.train_seconds):>9}  {duration(one.seconds):>9}"
        )
    pflop, train, whole = (
        sum(values)
        for values in zip(*((one.pflop, one.train_seconds, one.seconds) for one in found), strict=True)
    )
    lines.append(f"{'together':<{width}}  {'':>8}  {pflop:>7.3g}  {duration(train):>9}  {duration(whole):>9}")
    return "\n".join(lines)
