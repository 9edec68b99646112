"""What is measured in `benchmarks/` is tested here in short form, by the same code."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
