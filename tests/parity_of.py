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
# Largest ||a - b|| over ||b||, by what an array's name starts with.
TOLERANCES = {
    "float64": {"forward": 1e-9, "gradient": 1e-9, "loss": 1e-9, "step": 1e-9},
    "float32": {"forward": 1e-5, "gradient": 1e-3, "loss": 1e-5, "step": 1e-3},
}
# Keras's optimizers with slots differ between TensorFlow and the other two also in float64 (Adam by 2e-6, momentum by
# 7e-9); plain SGD steps are held to 1e-9.
SLOTS = ("optimizers.", "learner/")
# JAX compiles much here and runs little: without optimisation, with the plain emitters and in one module, in a fifth
# of the time.
XLA = (
    "--xla_cpu_multi_thread_eigen=false --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
)


def arrays(folder, engine, precision, only=""):
    """The arrays of the cases, computed in a process of their own."""
    path = Path(folder) / f"{engine}-{precision}.npz"
    settings = {"KERAS_BACKEND": engine, "JAX_ENABLE_X64": str(int(precision == "float64")), "XLA_FLAGS": XLA}
    command = [sys.executable, "-W", "ignore", HERE / "checks.py", path, precision, only]
    subprocess.run(command, check=True, env=os.environ | settings)
    with np.load(path) as loaded:
        return dict(loaded)


# Of a model's largest gradient: smaller ones are held to this size. What a normalisation takes out again, such as a
# shift before it, has no gradient in theory and rounding in practice.
NOTHING = {"float64": 1e-6, "float32": 1e-3}


def apart(ours, theirs, precision, exact=None):
    """What is further apart than allowed: array name to how many times the tolerance.

    `exact` has the arrays of `theirs` in float64: where a deep network multiplies rounding, two engines may differ by
    ten times what float32 costs one of them. Forward passes are held to the tolerance all the same.
    """
    assert set(ours) == set(theirs) and ours
    found, largest = {}, {}
    for name, b in theirs.items():
        case, _, array = name.partition("/")
        if array.startswith("gradient.") and case.startswith("models."):
            largest[case] = max(largest.get(case, 0.0), float(np.linalg.norm(b)))
    for name, b in theirs.items():
        a, kind = ours[name], name.partition("/")[2].partition(".")[0]
        assert a.dtype == b.dtype and a.shape == b.shape, name
        assert np.isfinite(a).all(), name
        slots = precision == "float64" and name.startswith(SLOTS)
        least = NOTHING[precision] * largest.get(name.partition("/")[0], 0.0) if kind == "gradient" else 0.0
        allowed = 1e-5 if slots else TOLERANCES[precision][kind]
        if exact is not None and kind != "forward":
            allowed = max(allowed, 10 * distance(b, exact[name], least))
        found[name] = distance(a, b, least) / allowed
    return {name: f"{value:.1f} times the tolerance" for name, value in found.items() if not value <= 1}


def distance(a, b, least=0.0):
    """||a - b|| over ||b||, or over `least` if that is more."""
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b) + 1e-12, least))


if __name__ == "__main__":
    for precision in ("float64", "float32"):
        with tempfile.TemporaryDirectory() as folder:
            found = {e: arrays(folder, e, precision, sys.argv[1]) for e in ("tensorflow", "torch", "jax")}
        first = found["tensorflow"]
        for engine in ("torch", "jax"):
            apart = {name: distance(found[engine][name], b) for name, b in first.items()}
            worst = max(apart, key=apart.get)
            print(f"{precision} {engine}: {len(apart)} arrays, worst {apart[worst]:.1e} at {worst}")
