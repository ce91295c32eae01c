"""`Learner`: a `keras.Model` whose `update(data)` is the training step, written once for the three engines."""

import contextlib

import keras
from keras import ops

from kzoo import autodiff, backend
from kzoo.backend.state import compute_output_spec
from kzoo.optimizers.named import NamedOptimizers
from kzoo.seeding import seed_states


class Learner(keras.Model):
    """A model that says itself how it learns from one batch.

    ```python
    class GAN(kzoo.Learner):
        def update(self, images):
            def critic_loss(images): ...
            variables = self.critic.trainable_variables
            loss, gradients = kzoo.value_and_grad(critic_loss, variables)(images)
            self.optimizers["critic"].apply(gradients, variables)
            return {"critic_loss": loss}

    learner.compile(optimizers={"critic": keras.optimizers.Adam(1e-4), "generator": keras.optimizers.Adam(1e-4)})
    learner.fit(images, epochs=10)
    ```

    `fit`, `train_on_batch`, callbacks, mixed precision, `jit_compile`, saving with optimizer state and resuming work
    as in Keras. Where one loss and one optimizer suffice, a `keras.Model` with `compute_loss` is simpler.

    To write:
        update(data): one training step. `data` is what the data set yields: `x`, `(x, y)` or `(x, y, weights)`.
            Returns a dict of scalars for the logs (or one scalar, the loss): their means over the epoch are logged,
            except for results of the learner's own metrics, which average themselves.
        evaluate_step(data), optional: the same for `evaluate` and validation. Without it Keras's own step is run,
            which needs `compile(loss=…)` and `call`.
        optimizer_targets(name), optional: the variables of that optimizer.
        logs_compiled = True, optional: `update` returns `compiled_logs(…)`, the loss and metrics given to `compile`,
            where they are otherwise for Keras's own evaluation only.

    On TensorFlow and JAX `update` is traced: its Python side effects happen once, and a tensor kept on `self` is not a
    value. Choose what to train by the list of variables given to `value_and_grad`, not by setting `trainable`.
    """

    logs_compiled = False
    train_step = backend.train_step
    test_step = backend.test_step

    def __init__(self, **kwargs):
        if {"inputs", "outputs"} & set(kwargs):
            raise TypeError("a Learner is not a functional model: make that first and give it to the learner")
        super().__init__(**kwargs)

    def update(self, data):
        raise TypeError(f"{type(self).__name__} must define update(data), its training step")

    @property
    def has_evaluate_step(self):
        return hasattr(self, "evaluate_step")

    def optimizer_targets(self, name):
        """The variables that optimizer `name` trains, or `None` to find out by a rehearsal of `update`.

        By default those of the sub-layer of the same name, and all of them for a single optimizer.
        """
        if len(self.optimizers) == 1:
            return self.trainable_variables
        layer = getattr(self, name, None)
        return layer.trainable_variables if isinstance(layer, keras.Layer) else None

    @property
    def optimizers(self):
        """The named optimizers; `optimizers[name].apply(gradients, variables)` makes a step."""
        if not isinstance(getattr(self, "optimizer", None), NamedOptimizers):
            raise ValueError(f"{type(self).__name__} is not compiled: call compile(optimizers=…) first")
        return self.optimizer

    def minimize(self, fn, variables, optimizer=None, has_aux=False):
        """One step of an optimizer down the gradient of `fn()` with respect to the variables.

        Args:
            fn: a function without arguments that returns a scalar.
            variables: Keras variables.
            optimizer: its name; not needed where there is one.
            has_aux: whether `fn` returns a scalar and something else, such as logs.

        Returns:
            What `fn` returned before the step.
        """
        value, gradients = autodiff.value_and_grad(fn, variables, has_aux=has_aux)()
        (self.optimizers if optimizer is None else self.optimizers[optimizer]).apply(gradients, variables)
        return value

    def compiled_logs(self, loss, x, y, y_pred, sample_weight=None):
        """The logs of Keras's own step, for an `update` with `logs_compiled = True`.

        Args:
            loss: this batch's loss, a scalar.
            x, y, y_pred, sample_weight: what the compiled metrics are computed of.

        Returns:
            The epoch's mean loss so far and the results of the metrics given to `compile`.
        """
        self._loss_tracker.update_state(loss, sample_weight=ops.shape(keras.tree.flatten(x)[0])[0])
        return self.compute_metrics(x, y, y_pred, sample_weight)

    # ------------------------------------------------------------------ compiling

    def compile(self, optimizer=None, loss=None, *, optimizers=None, jit_compile="auto", **kwargs):
        """As `keras.Model.compile`, with one `optimizer` or a dict of `optimizers` by name."""
        if optimizer is not None and optimizers is not None:
            raise ValueError("give either optimizer or optimizers. Received: both")
        if optimizers is None:
            optimizers = {} if optimizer is None else {"default": optimizer}
        if isinstance(optimizer, NamedOptimizers):
            named = optimizer
        else:
            half = any(layer.compute_dtype == "float16" for layer in self._flatten_layers())
            named = NamedOptimizers(optimizers, loss_scale=half)
        kwargs.pop("auto_scale_loss", None)
        # A dict attribute would be wrapped for tracking; these means are reported by `metrics` instead.
        self.__dict__["_means"] = {"train": {}, "test": {}}
        self.__dict__["_mode"] = "train"
        self.__dict__["_rehearsed"] = set()  # the modes whose step has been rehearsed since
        super().compile(named, loss=loss, jit_compile=jit_compile, auto_scale_loss=False, **kwargs)
        sublayers = [layer for layer in self._flatten_layers(include_self=False)]
        if not self.built and sublayers and all(layer.built for layer in sublayers):
            self.built = True  # the learner itself needs no call
        if self.built:
            self._build_optimizers()

    def get_compile_config(self):
        config = super().get_compile_config()
        if config and self.compiled:
            positions = {id(variable): i for i, variable in enumerate(self.variables)}
            config["targets"] = {
                name: [positions[id(v)] for v in handle.variables] for name, handle in self.optimizers.items()
            }
        return config

    def compile_from_config(self, config):
        targets = config.pop("targets", {})
        self.compile(**keras.saving.deserialize_keras_object(config))
        for name, positions in targets.items():
            if self.built and positions:
                self.optimizers.build_part(name, [self.variables[i] for i in positions])

    def _build_optimizers(self):
        for name in self.optimizers:
            targets = self.optimizer_targets(name)
            if targets:
                self.optimizers.build_part(name, targets)

    # ------------------------------------------------------------------ the two steps

    def run_update(self, batch):
        """One training step and the running means of its logs. The engines' `train_step` calls this."""
        data = _unpack(batch)
        with autodiff.loss_scale(self.optimizers.scale if self.optimizers.loss_scale else None):
            logs = _as_logs(self.update(data), "update")
        return self._averaged(logs, data)

    def run_evaluate_step(self, batch):
        """The same for `evaluate_step`."""
        data = _unpack(batch)
        return self._averaged(_as_logs(self.evaluate_step(data), "evaluate_step"), data)

    def _averaged(self, logs, data):
        means = self._means[self._mode]
        leaves = [leaf for leaf in keras.tree.flatten(data) if len(getattr(leaf, "shape", ())) > 0]
        weight = ops.shape(leaves[0])[0] if leaves else 1
        for name, value in logs.items():
            if name in means:
                means[name].update_state(value, sample_weight=weight)
        return {name: means[name].result() if name in means else value for name, value in logs.items()}

    @property
    def metrics(self):
        metrics = super().metrics
        if not self.compiled:
            return metrics
        if not self.has_evaluate_step if self._mode == "test" else self.logs_compiled:
            return metrics
        # What compile() was given is for Keras's own evaluation; `update` has no part in it.
        compiled = (self._loss_tracker, self._compile_metrics)
        own = [metric for metric in metrics if not any(metric is other for other in compiled)]
        return own + list(self._means[self._mode].values())

    def _get_metrics_result_or_logs(self, logs):
        # Keras reports the last batch where the keys differ from its metrics'; a learner's logs are epoch means.
        results = self.get_metrics_result()
        return {name: results.get(name, value) for name, value in logs.items()}

    # ------------------------------------------------------------------ the rehearsal

    def _symbolic_build(self, iterator=None, data_batch=None):
        """Runs the step once without numbers: builds layers, finds the logs' names and each optimizer's variables."""
        testing = self._mode == "test"
        if testing and not self.has_evaluate_step:
            self._check_can_evaluate()
            return super()._symbolic_build(iterator=iterator, data_batch=data_batch)
        if self._mode in self._rehearsed and self.built:
            return None
        # Looking at a batch and rehearsing draw from PyTorch's generator: training must not notice.
        random_state = backend.get_random_state()
        try:
            self._rehearse_and_build(_first(iterator) if data_batch is None else data_batch, testing)
        finally:
            if random_state is not None:
                backend.set_random_state(random_state)
        self._rehearsed.add(self._mode)
        return None

    def _rehearse_and_build(self, data_batch, testing):
        specs = keras.tree.map_structure(
            lambda x: (
                None if x is None else keras.KerasTensor(x.shape, keras.backend.standardize_dtype(x.dtype))
            ),
            _unpack(data_batch),
        )
        step, name = (self.evaluate_step, "evaluate_step") if testing else (self.update, "update")
        logs = self._rehearse(step, name, specs)
        if not testing and not self.optimizers.built:
            found = self.optimizers.rehearsed()
            if any(not variables for variables in found.values()):
                # Its layers were built by the first rehearsal, after it had asked for their variables.
                self._rehearse(step, name, specs)
                found |= self.optimizers.rehearsed()
            for part, variables in found.items():
                self.optimizers.build_part(part, variables)
            # One that this learner never uses has nothing to build.
            self.optimizers.built = True
        if not testing and not self.trainable_variables:
            raise ValueError(f"{type(self).__name__} has no trainable variables: is everything frozen?")
        if not self.logs_compiled or testing:
            own = {metric.name for metric in self.metrics}
            self._means[self._mode].update(
                {key: keras.metrics.Mean(name=key) for key in logs if key not in own}
            )
        self.built = True

    def _rehearse(self, step, name, specs):
        logs = {}

        def run(data):
            logs.update(_as_logs(step(data), name))
            return [ops.convert_to_tensor(value) for value in logs.values()]

        with autodiff.rehearsal():
            outputs = compute_output_spec(run, specs)
        for key, output in zip(logs, outputs):
            if len(output.shape) != 0:
                raise ValueError(
                    f"{name} must return scalars for the logs. Received: {key!r} of shape {output.shape}"
                )
        return logs

    def _check_can_evaluate(self):
        if self._compile_loss is None:
            raise ValueError(
                f"{type(self).__name__} cannot be evaluated: define evaluate_step(data), or compile with loss="
            )
        if any(metric.name == "loss" for metric in self._metrics):
            raise ValueError("a metric named 'loss' would hide the compiled loss: give it another name")

    # ------------------------------------------------------------------ evaluating

    @contextlib.contextmanager
    def _testing(self):
        self._assert_compile_called("evaluate")
        self.__dict__["_mode"] = "test"
        try:
            yield
        finally:
            self.__dict__["_mode"] = "train"

    def evaluate(self, *args, **kwargs):
        with self._testing():
            return super().evaluate(*args, **kwargs)

    def test_on_batch(self, x, y=None, sample_weight=None, **kwargs):
        with self._testing():
            self._symbolic_build(data_batch=(x, y, sample_weight))
            return super().test_on_batch(x, y, sample_weight, **kwargs)

    # ------------------------------------------------------------------ saving

    def save_own_variables(self, store):
        super().save_own_variables(store)
        # Keras saves no seeds: a resumed run would draw other dropout masks than an uninterrupted one.
        for i, variable in enumerate(seed_states(self)):
            store[f"seed.{i}"] = variable.numpy()
        if (state := backend.get_random_state()) is not None:
            store[f"random.{backend.name}"] = state

    def load_own_variables(self, store):
        extra = {key for key in store.keys() if key.startswith(("seed.", "random."))}  # noqa: SIM118 (not a dict)
        super().load_own_variables({key: store[key] for key in store.keys() if key not in extra})  # noqa: SIM118
        for i, variable in enumerate(seed_states(self)):
            if f"seed.{i}" in extra:
                variable.assign(store[f"seed.{i}"][()])
        if f"random.{backend.name}" in extra:
            backend.set_random_state(store[f"random.{backend.name}"][()])


for _name, _method in backend.overrides.items():
    setattr(Learner, _name, _method)


def _unpack(batch):
    """What `update` sees of a batch: `x`, `(x, y)` or `(x, y, weights)`, as tensors."""
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    data = x if y is None and weights is None else (x, y) if weights is None else (x, y, weights)
    # train_on_batch hands NumPy arrays over as they are on PyTorch.
    return keras.tree.map_structure(
        lambda leaf: (
            leaf if leaf is None or isinstance(leaf, keras.KerasTensor) else ops.convert_to_tensor(leaf)
        ),
        data,
    )


def _first(iterator):
    for _, _, batches in iterator:
        return batches[0] if isinstance(batches, list | tuple) else next(batches)
    raise ValueError("the data set is empty")


def _as_logs(logs, name):
    if logs is None:
        raise ValueError(f"{name} must return a dict of scalars for the logs, or the loss. Received: None")
    return dict(logs) if isinstance(logs, dict) else {"loss": logs}
