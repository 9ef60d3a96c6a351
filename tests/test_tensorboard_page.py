"""TensorBoard in a browser: the pictures of runs on the real CIFAR-10 are there to be seen."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from src.runs.summary import read_summary

pytestmark = pytest.mark.slow

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NARROW = ["experiment=cpu", "model.width=8", "data.batch_size=128", "trainer.max_epochs=1"]
NARROW += ["trainer.limit_train_batches=60", "callbacks.misclassified.every_n_epochs=1"]
WANTED = ["test/misclassified", "test/grad_cam/1", "test/evidence/1", "test/confusion", "val/misclassified"]

# run -> natural width of every picture of a tag that the page shows, also inside web components. An
# image's address has a base64 key: ["", "images", run, tag, step, number]
WIDTHS = """(tag) => {
  const found = {};
  const look = (image) => {
    const key = new URL(image.src, document.baseURI).searchParams.get('blob_key');
    if (!key) return;
    const [, , run, itsTag] = JSON.parse(atob(key.replace(/-/g, '+').replace(/_/g, '/')));
    if (itsTag === tag) found[run] = image.naturalWidth;
  };
  const walk = (root) => {
    for (const e of root.querySelectorAll('*')) {
      if (e.tagName === 'IMG') look(e);
      if (e.shadowRoot) walk(e.shadowRoot);
    }
  };
  walk(document);
  return found;
}"""
ALL_DRAWN = (
    f"(tag) => {{ const w = Object.values(({WIDTHS})(tag)); return w.length === 3 && w.every(x => x); }}"
)


@contextmanager
def tensorboard(logdir: Path) -> Iterator[str]:
    """A TensorBoard server on a free port; yields its address."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", "0"]
    command += ["--bind_all", "--load_fast=false", "--reload_interval", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            port = next(m[1] for line in server.stderr if (m := re.search(r"http://\S+?:(\d+)/", line)))
            yield f"http://localhost:{port}"
        finally:
            server.kill()


def wait_for(address: str, what: Callable[[str], bool], seconds: float = 60) -> None:
    """Ask until the answer has what is wanted."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=10) as answer:
                if what(answer.read().decode()):
                    return
        except URLError:
            pass
        time.sleep(0.5)
    pytest.fail(f"{address} never said what was waited for")


needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"
)


@needs_browser
def test_the_pictures_are_seen(cifar10_root: str, run_tiny: Callable[..., Path]) -> None:
    from playwright.sync_api import sync_playwright

    for norm in ("bn", "ln", "gn"):
        logdir = run_tiny(*NARROW, f"norm={norm}", f"data.root='{cifar10_root}'").parent
    errors: list[str] = []
    with tensorboard(logdir) as address, sync_playwright() as play:
        wait_for(f"{address}/data/plugin/images/tags", lambda text: text.count('"test/confusion": {') == 3)
        browser = play.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1500, "height": 1000})
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/#images")
        for tag in WANTED:
            page.locator("paper-input input:visible").nth(1).fill(f"^{tag}$")
            # One picture for each of bn, ln and gn, drawn: its natural width is not 0
            page.wait_for_function(ALL_DRAWN, arg=tag, timeout=60_000)
            assert min(page.evaluate(WIDTHS, tag).values()) > 500, tag
            if folder := os.environ.get("SCREENSHOTS"):
                page.screenshot(path=Path(folder) / f"{tag.replace('/', '_')}.png")
        for name, words in {"text": "What is where", "custom_scalars": "accuracy"}.items():
            page.goto(f"{address}/#{name}")
            page.reload()
            page.get_by_text(words).first.wait_for(timeout=60_000)
            if folder := os.environ.get("SCREENSHOTS"):
                page.wait_for_timeout(3000)
                page.screenshot(path=Path(folder) / f"{name}.png")
        browser.close()
    assert errors == []


@needs_browser
def test_the_hparams_page_has_a_row_of_numbers_for_each_run(run_tiny: Callable[..., Path]) -> None:
    from playwright.sync_api import sync_playwright

    short = ["data=digits", "model.width=8", "trainer.max_epochs=1", "callbacks=training"]
    short += ["trainer.limit_train_batches=3", "trainer.limit_val_batches=4", "trainer.limit_test_batches=4"]
    runs = [run_tiny(*short, f"norm={n}", f"optimizer={o}") for n in ("ln", "bn") for o in ("sgd", "adam")]
    with tensorboard(runs[0].parent) as address, sync_playwright() as play:
        wait_for(
            f"{address}/data/plugin/scalars/tags", lambda text: text.count('"best/test_loss": {') == len(runs)
        )
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1800, "height": 1000})
        page.goto(f"{address}/#hparams")
        page.get_by_text("0.0010000", exact=True).first.wait_for(timeout=60_000)
        cells = {text: page.get_by_text(text, exact=True).count() for text in ("0.010000", "0.0010000")}
        assert cells == {"0.010000": 2, "0.0010000": 2}
        for run_dir in runs:
            shown = f"{read_summary(run_dir)['test/loss']:#.5g}"
            assert page.get_by_text(shown, exact=True).count() >= 1, f"no {shown} on the page"
        browser.close()
