"""Pictures of pages, as a browser shows them.

    python tools/screenshots.py BUILD DOCS

BUILD holds a demo, `shown/`, a `timeline.json` for Perfetto, and the documentation, `docs/`. The pictures of
the documentation go to DOCS/page.png and DOCS/shots/; BUILD/looks/ gets pages wide and narrow, light and
dark, to be looked at. It takes a Chromium: the system's, or that of `playwright install chromium`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

WIDE, NARROW = 1200, 400
"""Widths of a page on a desk and on a telephone, in pixels."""

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"

PORT = 9117
"""Where Perfetto's viewer is served meanwhile."""


class Shot(NamedTuple):
    """A picture for the documentation."""

    name: str
    width: int
    height: int
    scheme: str
    only: str = ""
    """The part of the page that is shown, as a CSS selector."""


SHOTS = (
    Shot("page.png", WIDE, 1130, "light"),
    Shot("shots/page_dark.png", WIDE, 1130, "dark"),
    Shot("shots/page_narrow.png", NARROW, 900, "light"),
    Shot("shots/timeline.png", WIDE, 1000, "light", "figure.wide"),
)

PAGES = (
    "index", "tutorial", "datapath", "proof", "reference", "results", "fields/machine", "made/commands",
    *(f"made/{path.stem}" for path in sorted(NOTEBOOKS.glob("*.ipynb"))),
)  # fmt: skip
"""Pages of the documentation to be looked at."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without a window."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def picture(browser: Browser, url: str, shot: Shot, target: Path, whole: bool = False) -> None:
    """What is seen of a page on opening it, or one part of it, or all of its length."""
    page = browser.new_page(viewport={"width": shot.width, "height": shot.height}, color_scheme=shot.scheme)
    page.goto(url)
    page.wait_for_timeout(500)
    target.parent.mkdir(parents=True, exist_ok=True)
    if shot.only:
        page.locator(shot.only).first.screenshot(path=target)
    else:
        page.screenshot(path=target, full_page=whole)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    page.close()
    print(target, f"WIDER THAN ITS WINDOW by {wider}" if wider > 0 else "")


@contextmanager
def perfetto(timeline: Path) -> Iterator[str]:
    """Perfetto's viewer, with a timeline in it."""
    viewer = Path(sys.executable).parent / "vizviewer"
    command = [viewer, "--server_only", "--port", str(PORT), timeline]
    served = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{PORT}/"
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(url).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        served.terminate()


def main(build: Path, docs: Path) -> None:
    """Take all of them."""
    report = (build / "shown" / "report.html").resolve().as_uri()
    with chromium() as browser:
        for shot in SHOTS:
            picture(browser, report, shot, docs / shot.name)
        with perfetto(build / "timeline.json") as viewer:
            page = browser.new_page(viewport={"width": WIDE, "height": 700})
            page.goto(viewer)
            page.wait_for_timeout(15_000)
            page.screenshot(path=docs / "shots" / "perfetto.png")
        pages = {name: (build / "docs" / f"{name}.html").resolve().as_uri() for name in PAGES}
        for name, url in {"report": report, **pages}.items():
            for width in (WIDE, NARROW):
                for scheme in ("light", "dark"):
                    shot = Shot(f"{name.split('/')[-1]}_{width}_{scheme}.png", width, 900, scheme)
                    picture(browser, url, shot, build / "looks" / shot.name, whole=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
