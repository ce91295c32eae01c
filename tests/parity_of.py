"""How far the engines are apart in some cases of the parity gate: `python tests/parity_of.py losses.Tversky`.

For work on a case: `test_parity.py` runs all of them.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
# Operation by operation JAX compiles each of them: without optimisation in a third of the time.
XLA = "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"


def arrays(folder, engine, precision, only=""):
    """The arrays of the cases, computed in a process of their own."""
    path = Path(folder) / f"{engine}-{precision}.npz"
    settings = {"KERAS_BACKEND": engine, "JAX_ENABLE_X64": str(int(precision == "float64")), "XLA_FLAGS": XLA}
    command = [sys.executable, "-W", "ignore", HERE / "checks.py", path, precision, only]
    subprocess.run(command, check=True, env=os.environ | settings)
    with np.load(path) as loaded:
        return dict(loaded)


def distance(a, b):
    """||a - b|| over ||b||."""
    return float(np.linalg.norm(a - b) / (np.linalg.norm(b) + 1e-12))


if __name__ == "__main__":
    for precision in ("float64", "float32"):
        with tempfile.TemporaryDirectory() as folder:
            found = {e: arrays(folder, e, precision, sys.argv[1]) for e in ("tensorflow", "torch", "jax")}
        first = found["tensorflow"]
        for engine in ("torch", "jax"):
            apart = {name: distance(found[engine][name], b) for name, b in first.items()}
            worst = max(apart, key=apart.get)
            print(f"{precision} {engine}: {len(apart)} arrays, worst {apart[worst]:.1e} at {worst}")
