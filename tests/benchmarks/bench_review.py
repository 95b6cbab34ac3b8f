"""The review page in Chromium: how fast it shows the next item, how large it may be, and that nothing is lost."""

import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from review_room import item, write_media, write_room

from browser import CHROMIUM, chromium, opened, served
from tessera.records.decisions import read_decisions
from tessera.records.tables.review import CLIPS

CLIPS_SHOWN = 1_000
MANY = 100_000
KILLS = 200
WAIT = 0.05  # seconds between an item that is shown and the next key: far less than a person needs
WATCH = """
() => {
  window.waits = [];
  let pressed = 0;
  let before = document.querySelector('section.one').ariaLabel;
  document.addEventListener('keydown', () => { pressed = performance.now(); }, { capture: true });
  const look = () => {
    const one = document.querySelector('section.one');
    const video = document.querySelector('.stage video');
    if (one && one.ariaLabel !== before && video && video.readyState >= 2) {
      before = one.ariaLabel;
      window.waits.push(performance.now() - pressed);
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}
"""
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="NOT MEASURED: this machine has no Chromium")


@needs_browser
def test_the_next_clip_is_shown_at_once(tmp_path: Path) -> None:
    media = write_media(tmp_path, frames=48)
    rows = []
    for number in range(CLIPS_SHOWN):
        paths = {
            column: f"{Path(media[column]).with_suffix('')}{number}{Path(media[column]).suffix}" for column in ("clip", "mask")
        }
        for column, path in paths.items():
            shutil.copy(media[column], path)
        rows.append(item(CLIPS, f"film-{100 * number:07}-1", 1 - number / CLIPS_SHOWN, **paths))
    write_room(tmp_path, rows)
    with chromium() as browser, served(tmp_path) as (address, _), opened(browser, address) as page:
        page.wait_for_function("() => document.querySelector('.stage video').readyState >= 2")
        page.evaluate(WATCH)
        start = time.monotonic()
        for number in range(CLIPS_SHOWN - 1):
            page.keyboard.press("kd"[number % 2])
            page.wait_for_function("(number) => window.waits.length > number", arg=number)
            time.sleep(WAIT)
        minutes = (time.monotonic() - start) / 60
        waits = sorted(page.evaluate("() => window.waits"))
    decided = read_decisions(tmp_path / "config" / "decisions.tsv", {})
    assert len(decided) == CLIPS_SHOWN - 1
    rate, late = len(decided) / minutes, waits[int(0.95 * len(waits))]
    print(
        f"\n{len(decided):,} clips: {rate:.0f} decisions a minute (floor: 60); the next after {late:.0f} ms (95th percentile)"
    )
    assert rate >= 60 and late <= 100


@needs_browser
def test_a_hundred_thousand_items_are_shown_in_a_second(tmp_path: Path) -> None:
    media = write_media(tmp_path)
    rows = [
        item(CLIPS, f"film {number % 300}-{number:07}-1", number / MANY, source=f"film {number % 300}", clip=media["clip"])
        for number in range(MANY)
    ]
    write_room(tmp_path, rows)
    with chromium() as browser, served(tmp_path) as (address, process):
        with opened(browser, address):
            pass
        start = time.monotonic()
        with opened(browser, address) as page:
            took = time.monotonic() - start
            page.get_by_label("source").select_option("film 7")
            page.locator("#count", has_text="334").wait_for()
        memory = psutil.Process(process.pid).memory_info().rss / 1e6
    print(f"\n{MANY:,} items: the first page is shown after {took:.2f} s; the server uses {memory:.0f} MB")
    assert took <= 1 and memory <= 300


def post(address: str, path: str, body: dict[str, object]) -> bool:
    """Return whether the server acknowledged `body`."""
    request = urllib.request.Request(f"{address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status == 200
    except OSError:
        return False


def test_no_acknowledged_decision_is_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    write_room(tmp_path, [item(CLIPS, f"film-{number:07}-1") for number in range(2_000)])
    table = tmp_path / "config" / "decisions.tsv"
    acknowledged: dict[str, str] = {}
    draws = random.Random(0)
    # The server is forked from a process that has imported it, so that a kill and a start take no seconds.
    program = (
        "import os, sys; from pathlib import Path; from tessera.pipeline.review.serve import serve\n"
        "for _ in sys.stdin:\n"
        "    pid = os.fork()\n"
        "    if pid == 0: serve(Path(sys.argv[1]), 0, 'Ada')\n"
        "    print(pid, flush=True); os.waitpid(pid, 0)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "results" / "review" / "items.parquet")]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    number = 0
    for _ in range(KILLS):
        print("start", file=parent.stdin, flush=True)
        lines = [parent.stdout.readline() for _ in range(3)]
        pid = int(next(line for line in lines if line.strip().isdigit()))
        address = re.search(r"http://\S+", "".join(lines))[0]
        with urllib.request.urlopen(f"{address}api/state") as answer:
            version = json.load(answer)["version"]
        killer = subprocess.Popen(
            [sys.executable, "-c", f"import os, time; time.sleep({draws.uniform(0, 0.05)}); os.kill({pid}, {signal.SIGKILL:d})"]
        )
        while True:
            key, action = f"film-{number % 2_000:07}-1", draws.choice(["keep", "drop"])
            if not post(address, "api/decide", {"version": version, "id": number % 2_000, "action": action}):
                break
            acknowledged[key] = action
            number += 1
        killer.wait()
        found = {each.key: each.decision for each in read_decisions(table, {})} if table.exists() else {}
        # What was pressed last may be saved although nobody heard of it.
        lost = {each: said for each, said in acknowledged.items() if found.get(each) != said and each != key}
        assert not lost, lost
        acknowledged = {**acknowledged, **({key: found[key]} if key in found else {})}
        number += 1
    parent.kill()
    print(f"\n{KILLS} kills: all of {len(acknowledged):,} acknowledged decisions are in the table, which was valid each time")
