"""Draw the time and the memory that jobs took."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tessera.core.messages import pluralize
from tessera.imaging.figures import BLUE, GREEN, Bar, draw_bars, new_figure


def draw_timings(benchmarks: Path, rules: Mapping[str, bool], shards: Sequence[str], path: Path) -> None:
    """Draw the seconds and the memory that the jobs of `rules` took, as SVG.

    `benchmarks`: the folder of the measurements, `RULE/JOB.jsonl` or `RULE.jsonl`. `rules`: for each rule, whether it has a job
    per shard. Files of shards that are not in `shards` are left out, because their footage was withdrawn.
    """
    jobs = {rule: _benchmarks(benchmarks, rule, shards if by_shard else None) for rule, by_shard in rules.items()}
    jobs = {rule: records for rule, records in jobs.items() if records}
    seconds, memory = [], []
    for rule, records in jobs.items():
        total = sum(record["s"] for record in records)
        # There is no number if the job ended before the first measurement.
        largest = max((record["max_rss"] for record in records if isinstance(record["max_rss"], int | float)), default=0)
        count = pluralize(len(records), "jobs")
        seconds.append(Bar(rule, [(total, BLUE)], f"{duration(total)}, {count}"))
        memory.append(Bar(rule, [(largest, GREEN)], f"{largest:,.0f} MB" if largest else ""))
    with new_figure(path, 9.5, 1.3 + 0.3 * max(len(jobs), 2)) as figure:
        left, right = figure.subplots(1, 2, sharey=True, gridspec_kw={"width_ratios": [3, 2]})
        for axes, title, bars in ((left, "time of all jobs", seconds), (right, "memory of the largest job", memory)):
            axes.set_title(title)
            draw_bars(axes, bars or [Bar("nothing was measured", [], "")], 1.4)


def measure_run(benchmarks: Path, rules: Mapping[str, bool], shards: Sequence[str], path: Path) -> None:
    """Write when the jobs ran that made what is there now to `path`, JSON. `draw_timings` describes the other parameters.

    `began`, `ended`: of the first and the last of them, in UTC. `wall`: seconds in which at least one ran, also if they ran on
    several days. `worked`: the sum of the seconds of all `jobs`. A measurement is written at the end of its job.
    """
    spans = []
    for rule, by_shard in rules.items():
        for file in _files(benchmarks, rule, shards if by_shard else None):
            seconds = sum(json.loads(line)["s"] for line in file.read_text(encoding="utf-8").splitlines())
            spans.append((file.stat().st_mtime - seconds, file.stat().st_mtime))
    wall, until = 0.0, -math.inf
    for began, ended in sorted(spans):
        wall += max(ended - max(began, until), 0)
        until = max(until, ended)
    times = {"began": min(began for began, _ in spans), "ended": until} if spans else {}
    content = {
        **{name: datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M") for name, time in times.items()},
        "wall": duration(wall),
        "worked": duration(sum(ended - began for began, ended in spans)),
        "jobs": len(spans),
    }
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _files(folder: Path, rule: str, names: Sequence[str] | None) -> list[Path]:
    """Return the measurements of each job of `rule`, or only of the jobs `names` if they are given."""
    single = Path(folder) / f"{rule}.jsonl"
    files = [single] if single.exists() else sorted((Path(folder) / rule).rglob("*.jsonl"))
    return [file for file in files if names is None or file.stem in names]


def _benchmarks(folder: Path, rule: str, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return what was measured of each job; see `_files`."""
    return [json.loads(line) for file in _files(folder, rule, names) for line in file.read_text(encoding="utf-8").splitlines()]


def duration(seconds: float) -> str:
    """Return `seconds` as people read them."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h" if minutes >= 60 else f"{minutes}:{rest:02} min"
