"""The page in a real browser: it shows what the lab has, and what happens while one looks.

`VPC_LAB_SCREENSHOT=docs/page.png pytest tests/lab/test_page.py` renews the picture in the documentation.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.lab.conftest import LabUnderTest, StartLab

pytestmark = pytest.mark.lab

QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-extensions", "--window-size=1500,1240",
)  # fmt: skip
PATIENCE = 30.0


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*QUIET, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService("/usr/bin/chromedriver"))
    yield chrome
    chrome.quit()


def until(browser: Chrome, script: str, wanted: Any = True) -> Any:
    """Wait for what a script says of the page."""
    last: list[Any] = [None]

    def holds(chrome: Chrome) -> bool:
        last[0] = chrome.execute_script(f"return {script}")
        return bool(last[0] == wanted)

    WebDriverWait(browser, PATIENCE, poll_frequency=0.1).until(
        holds, f"{script}: {last[0]!r}, not {wanted!r}"
    )
    return last[0]


def drawn(browser: Chrome, lab: LabUnderTest) -> None:
    """The map has what the lab has."""
    status = lab.json("status")
    pods = sorted(f"{pod['namespace']}/{pod['name']}" for pod in status["pods"])
    until(browser, "[...document.querySelectorAll('[data-pod]')].map((one) => one.dataset.pod).sort()", pods)
    until(browser, "document.querySelectorAll('[data-subnet]').length", len(status["subnets"]))
    until(
        browser,
        "[...document.querySelectorAll('[data-machine]')].map((one) => one.dataset.machine).sort()",
        sorted(machine["name"] for machine in status["machines"]),
    )
    held = sum(len(eni["secondary"]) for machine in status["machines"] for eni in machine["enis"])
    until(browser, "document.querySelectorAll('.place[data-ip]').length", held)
    until(browser, "document.querySelectorAll('.place.p').length", len(pods))


def test_the_page_shows_the_lab_as_it_is_and_as_it_changes(
    start_lab: StartLab, browser: Chrome, tmp_path: Path
) -> None:
    lab = start_lab("--nodes", "3")
    lab("pod", "add", "web", "--count", "9")
    address = lab.json("status")["api"]
    browser.get(f"{address}/")
    drawn(browser, lab)
    until(browser, "document.getElementById('link').textContent", "live")

    # what happens while one looks
    lab("pod", "add", "later", "--node", "node2")
    lab("pod", "del", "web-1")
    drawn(browser, lab)
    until(browser, "document.querySelectorAll('.place.c').length", 1)
    lab("fault", "add", "error:CreateNetworkInterface=RequestLimitExceeded,count=1")
    lab("pod", "add", "burst", "--count", "4", "--node", "node3")
    until(browser, "document.querySelectorAll('#timeline .call.throttled').length > 0")
    until(browser, "document.querySelectorAll('#timeline .done').length > 0")

    # a pod: its counters, its rules, its way
    browser.find_element(By.CSS_SELECTOR, '[data-pod="default/later"]').click()
    until(
        browser,
        "document.querySelector('#drawer .verdict')?.textContent.startsWith('It arrives; the far end sees 203.0.113.')",
    )
    assert len(browser.find_elements(By.CSS_SELECTOR, ".way li")) > 5
    ip = next(pod["ip"] for pod in lab.json("status")["pods"] if pod["name"] == "later")
    until(browser, f"document.querySelector('#drawer pre').textContent.includes('{ip}')")
    before = browser.execute_script(
        "return Number(document.querySelectorAll('.counters span')[4].textContent.replaceAll(',', ''))"
    )
    lab("exec", "later", "--", "ping", "-c", "3", "-i", "0.2", "192.168.1.100", check=False)
    until(
        browser,
        f"Number(document.querySelectorAll('.counters span')[4].textContent.replaceAll(',', '')) >= {before + 3}",
    )

    target = Path(os.environ.get("VPC_LAB_SCREENSHOT", str(tmp_path / "page.png")))
    assert browser.save_screenshot(str(target))
    assert target.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    # an agent that ends is seen, and that the lab ends
    lab("agent", "kill", "node1")
    until(browser, "document.querySelector('[data-machine=\"node1\"]').classList.contains('silent')")
    elsewhere = browser.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name).filter((name) => !name.startsWith(location.origin))"
    )
    assert elsewhere == []
    logged = browser.get_log("browser")  # type: ignore[no-untyped-call]
    complaints = [line for line in logged if line["level"] == "SEVERE"]
    assert complaints == []
    lab("down")
    until(browser, "document.getElementById('link').className", "lost")
