"""The first twenty losses of diffusion on this process's engine: `python diffusion_losses.py OUT.npy`."""

import sys
from pathlib import Path

import keras
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from cases.diffusion import of_noise
from checks import set_weights

if __name__ == "__main__":
    learner, (x, y) = of_noise(keras.optimizers.Adam(0.003))
    set_weights(learner)
    losses = []
    for step in range(20):
        rows = np.random.default_rng(step).permutation(12)[:6]
        batch = {name: a[rows].astype("float32" if a.dtype.kind == "f" else "int32") for name, a in x.items()}
        losses.append(float(learner.train_on_batch(batch, y[rows], return_dict=True)["loss"]))
        learner.reset_metrics()
    np.save(sys.argv[1], losses)
