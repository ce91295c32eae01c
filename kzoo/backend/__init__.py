"""The few functions that differ between engines, each written once per engine in a module of the engine's name.

`detach`, `no_grad`, `gradients_of_variables`, `gradients_of_inputs`, `differentiated`  differentiation
`train_step`, `test_step`, `prepare`, `get_state`                                      `Learner` under Keras's trainer
`set_seed`, `get_random_state`, `set_random_state`, `peak_memory`                       the process
`fused_attention`, `written_at`                                                        kernels that Keras does not reach
`lean_call`, `Decoder`                                                                 writing symbol by symbol
`Program`                                                                              an agent's steps, compiled
"""

import importlib

import keras

name = keras.config.backend()
_engine = importlib.import_module(f"kzoo.backend.{name}")

detach = _engine.detach
no_grad = _engine.no_grad
gradients_of_variables = _engine.gradients_of_variables
gradients_of_inputs = _engine.gradients_of_inputs
differentiated = _engine.differentiated
train_step = _engine.train_step
test_step = _engine.test_step
overrides = _engine.overrides
set_seed = _engine.set_seed
get_random_state = _engine.get_random_state
set_random_state = _engine.set_random_state
peak_memory = _engine.peak_memory
fused_attention = _engine.fused_attention
written_at = _engine.written_at
lean_call = _engine.lean_call
Decoder = _engine.Decoder
Program = _engine.Program
