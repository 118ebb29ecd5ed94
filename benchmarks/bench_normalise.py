"""Compare the normaliser's cache of line shapes with masking each line.

The lines are those of the HDFS log if it is available, else generated ones. Each repetition of a
line has other digits, as in the log of another day. Both variants run in this process on the same
lines, and the cache is empty at the start. Exits with 1 if the ratio is below the target, or if the
templates differ.

    python -I benchmarks/bench_normalise.py [LINES]
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from vigie.anomaly.scoring.normalise import Normaliser, mask

ROOT = Path(__file__).resolve().parents[1]
HDFS = ROOT.parent / "shared" / "data" / "hdfs" / "HDFS_AD_5k.log"
TARGET = 20.0


def base_lines() -> list[bytes]:
    """Return the lines of the HDFS log, or generated lines of the same form."""
    if HDFS.is_file():
        return HDFS.read_bytes().splitlines()
    block = b"081109 203518 143 INFO dfs.DataNode$PacketResponder: PacketResponder 1 for block"
    source = b"081109 203519 145 INFO dfs.DataNode$DataXceiver: Receiving block"
    return [
        block + b" blk_-1608999687919862906 terminating",
        source + b" blk_-1608999687919862906 src: /10.250.10.6:40524 dest: /10.250.10.6:50010",
    ] * 2000


def other_digits(line: bytes, draw: random.Random) -> bytes:
    """Return the line with its digits permuted."""
    digits = bytes(draw.sample(b"0123456789", 10))
    return line.translate(bytes.maketrans(b"0123456789", digits))


def main(wanted: int) -> int:
    """Print both rates, then the ratio."""
    draw = random.Random(0)
    base = base_lines()
    lines = [other_digits(base[n % len(base)], draw) for n in range(wanted)]
    started = time.process_time()
    expected = [mask(line) for line in lines]
    one_by_one_s = time.process_time() - started
    normaliser = Normaliser()
    started = time.process_time()
    found = normaliser.templates(lines)
    cached_s = time.process_time() - started
    if found != expected:
        print("the templates differ")
        return 1
    ratio = one_by_one_s / cached_s
    print(f"{wanted} lines, {len(set(found))} templates, {normaliser.n_misses} shapes")
    print(f"line by line: {wanted / one_by_one_s:12,.0f} lines/s")
    print(f"shape cache:  {wanted / cached_s:12,.0f} lines/s")
    print(f"ratio {ratio:.1f} (target {TARGET:g})")
    return 0 if ratio >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40_000))
