"""What every benchmark says: the ratio of two contenders, and what it was measured on."""

import datetime
import os
import platform
import statistics
from importlib import metadata

from kzoo.machine import processor


def ratio(numerator, denominator):
    """Median and quartiles of the ratios of two contenders, taken round by round."""
    ratios = [a / b for a, b in zip(numerator, denominator)]
    quartiles = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    return statistics.median(ratios), quartiles[0], quartiles[2]


def machine():
    """What was measured on, with what and when."""
    names = ("keras", "tensorflow", "torch", "jax", "numpy")
    versions = {name: metadata.version(name) for name in names}
    date = datetime.date.today().isoformat()
    return {
        "cpu": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "date": date,
        **versions,
    }
