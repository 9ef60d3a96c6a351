"""A report in a browser that has no network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium on this machine: apt-get install chromium"
)


@contextmanager
def opened(report: Path, **context: Any) -> Iterator[Any]:
    """The page in a browser without a network; fails if anything went wrong or was asked for."""
    from playwright.sync_api import expect, sync_playwright

    complaints: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        offline = browser.new_context(**context)
        offline.set_offline(True)
        page = offline.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("request", lambda request: complaints.append(request.url[:200]))
        page.goto(report.as_uri())
        drawn = page.locator(".chart:has(.scatterlayer path)")
        expect(drawn).to_have_count(page.locator(".chart").count(), timeout=30_000)
        yield page
        browser.close()
    own = (report.as_uri(), "data:image/webp")
    assert [complaint for complaint in complaints if not complaint.startswith(own)] == []
