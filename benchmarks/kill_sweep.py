"""A sweep of eight short jobs, killed (kill -9) five times at random moments and typed again until done.

    python -m benchmarks.kill_sweep [seed]

Prints where each kill struck, and whether the eight jobs end as those of a sweep that nothing disturbed.
Exits with 1 if they do not. Takes some minutes on two cores; writes below a temporary folder.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NUM_JOBS, NUM_KILLS = 8, 5
COMMAND = [
    *(sys.executable, "-m", "src.train", "-m", "norm=bn,ln", "optimizer=sgd,adamw", "seed=0,1"),
    *("data=digits", "data.batch_size=32", "data.num_workers=0", "model.width=4", "model.strides=[2,2,2,2]"),
    *("callbacks=training", "~callbacks.samples", "trainer.accelerator=cpu", "trainer.max_epochs=6"),
    "trainer.limit_train_batches=8",
]
SAME = ("epochs", "best_epoch", "val/acc", "val/loss", "test/acc", "test/loss", "train_images")


def main(seed: int) -> int:
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        run(Path(folder) / "whole")
        seconds = time.monotonic() - began
        want = summaries(Path(folder) / "whole")
        print(f"undisturbed: {len(want)} jobs in {seconds:.0f} s\n")
        print("kill  epochs  + s   jobs done  struck                    checkpoint on disk")
        killed, in_training = Path(folder) / "killed", 0
        for number in range(1, NUM_KILLS + 1):
            epochs, then = rng.randint(3, 8), rng.uniform(0, 2)  # of the 48 that there are
            if run(killed, epochs=epochs, then=then) is not None:
                print(f"{number:4d}  the sweep was done before the kill")
                break
            status = [facts["status"] for facts in summaries(killed).values()]
            where, checkpoint = struck(killed)
            in_training += checkpoint
            print(
                f"{number:4d}  {epochs:6d}  {then:4.2f}  {status.count('completed'):9d}  {where:<24}  "
                f"{'yes' if checkpoint else 'no'}"
            )
        code = run(killed)
        got = summaries(killed)
        print(f"\nthen undisturbed to the end: exit code {code}, {len(got)} jobs")
        print(f"kills inside a training with a checkpoint on disk: {in_training}\n")
        print("job                            test acc  epochs  same as undisturbed")
        for name, facts in want.items():
            other = got.get(name, {})
            same = [other.get(key) for key in SAME] == [facts[key] for key in SAME]
            print(f"{name:<30} {facts['test/acc']:9.4f}  {facts['epochs']:6d}  {'yes' if same else 'NO'}")
        once = len(list(killed.glob("*/multiruns/*/*/summary.json"))) == NUM_JOBS
        equal = all([got[name][key] for key in SAME] == [want[name][key] for key in SAME] for name in want)
        completed = all(facts["status"] == "completed" for facts in got.values())
        good = once and equal and completed and code == 0 and in_training > 0
        print("\nall eight complete, none twice, all the same" if good else "\nNOT as it should be")
        return 0 if good else 1


def run(out: Path, *, epochs: int | None = None, then: float = 0.0) -> int | None:
    """Type the command; its exit code, or None where it was killed: `then` seconds after so many epochs."""
    process = subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=os.environ | {"OUTPUT_DIR": str(out), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if epochs is not None and line.startswith("epoch "):
            epochs -= 1
            if epochs == 0:
                time.sleep(then)
                process.kill()
    code = process.wait()
    return None if code == -signal.SIGKILL else code


def summaries(out: Path) -> dict[str, dict[str, Any]]:
    """`norm=bn optimizer=sgd seed=0` -> summary; the last folder wins where two hold the same job."""
    found = {}
    for path in sorted(out.glob("*/multiruns/*/*/summary.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        options = facts["options"]
        found[f"{options['norm']} {options['optimizer']} seed={facts['seed']}"] = facts
    return found


def struck(out: Path) -> tuple[str, bool]:
    """Where a kill struck, and whether the job that it struck had a checkpoint to continue from."""
    for path in sorted(out.glob("*/multiruns/*/*/summary.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["status"] == "running":
            checkpoint = (path.parent / "checkpoints" / "last.ckpt").is_file()
            return (
                f"job {path.parent.name.partition('_')[0]}, after epoch {facts.get('epochs', 0)}",
                checkpoint,
            )
    return "between jobs", False


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 0))
