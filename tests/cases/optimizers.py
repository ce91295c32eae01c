"""Optimizers and schedules for the parity gate: name to a function that makes one."""

import keras

import kzoo

OPTIMIZERS = {
    "NamedOptimizers": lambda: kzoo.optimizers.NamedOptimizers(
        {"first": keras.optimizers.Adam(0.1, clipnorm=1.0), "second": keras.optimizers.SGD(0.1, momentum=0.9)}
    ),
}
SCHEDULES = {}
