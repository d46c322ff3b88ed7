"""Runs ``sweeps`` as the command does and writes down what its process took:   driven.py OUT.json run SPEC"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

BEGIN = time.time()

from sweeps.cli import main  # noqa: E402

if __name__ == "__main__":
    out, sys.argv = Path(sys.argv[1]), ["sweeps", *sys.argv[2:]]
    try:
        main()
    finally:
        out.write_text(json.dumps({"begin": BEGIN, "end": time.time(), "cpu": time.process_time()}))
