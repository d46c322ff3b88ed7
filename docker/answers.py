"""The health check of a service: ends with 0 where a URL answers with a status below 400, else with 1.

python answers.py URL
"""

from __future__ import annotations

import sys
import urllib.request

SECONDS = 5


def main(url: str) -> int:
    """Ask once; what is wrong goes to standard error."""
    try:
        urllib.request.urlopen(url, timeout=SECONDS).close()
    except OSError as error:  # Also URLError and HTTPError.
        print(f"{url}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
