"""What a figure was measured on."""

import os
import platform
import sys
from pathlib import Path


def processor():
    """The processor's name, as well as the operating system knows it."""
    name = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return name


def machine():
    """The processor and its cores, as people write them beside a figure."""
    return f"{processor()}, {os.cpu_count()} cores"
