"""What polder-loadgen keeps, read by the HdrHistogram project's Python package."""

import json
import os
import subprocess
import tempfile

from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

import servers

NS_MAX = 3600 * 10**9
QUANTILES = {"p50": 50, "p90": 90, "p99": 99, "p999": 99.9, "max": 100}


def loadgen(*arguments):
    done = subprocess.run(
        [servers.loadgen(), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def by_tag(path):
    """The sum of a log's intervals for each tag, and how many there are."""
    reader = HistogramLogReader(path, HdrHistogram(1, NS_MAX, 3))
    sums, counts = {}, {}
    while True:
        interval = reader.get_next_interval_histogram()
        if interval is None:
            reader.input_file.close()
            return sums, counts
        tag = interval.get_tag()
        sums.setdefault(tag, HdrHistogram(1, NS_MAX, 3)).add(interval)
        counts[tag] = counts.get(tag, 0) + 1


def between(histogram, percentile, value):
    """Whether the package finds the value there: give or take one rank, which it rounds, and one bucket, of
    which it takes either end."""
    rank = 150 / histogram.get_total_count()
    low = histogram.get_value_at_percentile(max(0, percentile - rank))
    high = histogram.get_value_at_percentile(min(100, percentile + rank))
    assert 0.9989 * low <= value <= 1.0011 * high, (percentile, low, value, high)


def agree(histogram, summary):
    for name, percentile in QUANTILES.items():
        between(histogram, percentile, summary[name] * 1000)


def test_results_are_read_elsewhere(server):
    with tempfile.TemporaryDirectory() as directory:
        log, result, merged = (os.path.join(directory, name) for name in ("a.hlog", "a.json", "merged.hlog"))
        loadgen(
            "-p", str(server.port), "-t", "set,get", "-r", "1000", "-c", "5", "--seconds", "1.5",
            "--hdr-log", log, "--json", result, "-q",
        )
        with open(result, encoding="utf-8") as file:
            runs = {run["name"]: run for run in json.load(file)["runs"]}
        assert list(runs) == ["SET", "GET"]
        sums, counts = by_tag(log)
        assert set(sums) == {None, "SET", "GET"}
        assert counts[None] == counts["SET"] + counts["GET"] >= 4, counts
        for name, run in runs.items():
            service = run["total"]["service"]
            whole = HdrHistogram.decode(service["hdr"])
            assert whole.get_total_count() == sums[name].get_total_count() == run["requests"] > 100
            agree(whole, service["us"])
            agree(sums[name], service["us"])
        # A log and itself: the same percentiles, twice as many requests.
        loadgen("merge", log, log, "-o", merged)
        twice, _ = by_tag(merged)
        for tag, histogram in sums.items():
            assert twice[tag].get_total_count() == 2 * histogram.get_total_count()
            for percentile in QUANTILES.values():
                between(histogram, percentile, twice[tag].get_value_at_percentile(percentile))
