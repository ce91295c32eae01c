"""From noise to images: the steps of DDPM or DDIM with a trained network, as one compiled loop.

Shapes: b images, s steps, `(h, w, c)` an image or a code.
"""

import keras
import numpy as np
from keras import ops

from kzoo import backend
from kzoo.layers.arguments import check_choice, check_whole
from kzoo.ops import diffusion

SAMPLERS = ("ddim", "ddpm")
NOISE_AT_ONCE = 2**24  # numbers drawn before the loop goes on, 64 MB


class Denoiser:
    """Draws with a network that sees noise or velocity.

    Args:
        network: of `{"images", "times"}` and, if it knows classes, `"labels"`.
        signal: ᾱ by time, as `kzoo.ops.diffusion.signal_of` gives it.
        target: what the network says: `"noise"` or `"velocity"`.
        none: the label that stands for no class, or `None` if it knows none.
        clip: whether images lie between -1 and 1, so that what the network takes them for is cut to that.
    """

    def __init__(self, network, signal, target, none=None, clip=True):
        self.network, self.signal, self.none, self.clip = network, signal, none, clip
        noise = target == "noise"
        self._image_from = diffusion.image_from_noise if noise else diffusion.image_from_velocity
        self._loops = {}

    def draw(self, count, labels, frames, *, steps, sampler, eta, guidance, seed, batch_size):
        """What images are at some moments of the way: NumPy `(frames, count, h, w, c)`, the last ones finished.

        The arguments are those of `kzoo.learners.Diffusion.sample`; frames are evenly spaced.
        """
        check_whole(count=count, frames=frames, batch_size=batch_size)
        check_choice(SAMPLERS, sampler=sampler)
        if not 0 <= eta <= 1 or guidance < 0:
            raise ValueError(
                f"eta is from 0 to 1, guidance not below 0. Received: eta={eta}, guidance={guidance}"
            )
        labels = self._wanted(labels, count, guidance)
        times = diffusion.spaced_times(len(self.signal), steps)
        if frames > steps:
            raise ValueError(f"there are only {steps} steps. Received: frames={frames}")
        loop = self._loop(sampler, guided=guidance not in (0, 1) and labels is not None)
        signal = self.signal[times]
        state = {"times": times, "signal": signal, "before": np.append(signal[1:], 1.0), "guidance": guidance}
        state["eta"] = 1.0 if sampler == "ddpm" else eta
        stops = np.round(np.linspace(0, steps, frames + 1)[1:]).astype(int)
        films, size = [], min(batch_size, count)
        for first in range(0, count, size):
            # The last batch is filled up, so that it needs no program of its own, and cut below.
            rows = np.arange(first, first + size)
            chosen = {} if labels is None else {"labels": labels[np.minimum(rows, count - 1)]}
            films.append(np.stack(list(self._run(loop, state | chosen, rows, stops, seed))))
        return np.concatenate(films, axis=1)[:, :count]

    def _wanted(self, labels, count, guidance):
        """The label of each image, or `None` if there are no classes."""
        if self.none is None:
            if labels is not None:
                raise ValueError(f"{self.network.name} has no classes. Received: labels={labels!r}")
            return None
        if labels is None or guidance == 0:
            return np.full(count, self.none, "int32")
        wanted = np.asarray(labels)
        if wanted.shape not in ((), (count,)) or wanted.dtype.kind not in "iu":
            raise ValueError(f"labels must be one class or {count} of them. Received: labels={labels!r}")
        if wanted.min() < 0 or wanted.max() > self.none:
            raise ValueError(f"labels are below {self.none}, which is none. Received: labels={labels!r}")
        return np.broadcast_to(wanted, (count,)).astype("int32")

    def _run(self, loop, state, rows, stops, seed):
        """What the images are at the stops, noise still in them."""
        draws = [np.random.default_rng([seed, row]) for row in rows]
        shape = self.network.input["images"].shape[1:]

        def noise(*ahead):
            drawn = [draw.standard_normal((*ahead, *shape), "float32") for draw in draws]
            return np.stack(drawn, axis=len(ahead))

        drawing = state["eta"] > 0
        at_once = max(1, min(stops[-1], NOISE_AT_ONCE // (len(rows) * int(np.prod(shape)))))
        state = {name: _tensor(value) for name, value in (state | {"x": noise()}).items()}
        index = 0
        for stop in map(int, stops):
            while index < stop:
                until = min(stop, index + at_once) if drawing else stop
                if drawing:
                    drawn = np.zeros((at_once, len(rows), *shape), "float32")
                    drawn[: until - index] = noise(until - index)
                    state |= {"noise": _tensor(drawn), "first": _tensor(index)}
                index, state = loop.advance(state, index, until)
            yield ops.convert_to_numpy(state["x"])

    def _loop(self, sampler, guided):
        """The compiled loop, made once for each kind."""
        if (sampler, guided) not in self._loops:

            def step(state, index, _):
                names = ("times", "signal", "before")
                time, signal, before = (ops.take(state[name], index, axis=0) for name in names)
                x = state["x"]
                image = self._image(state, x, time, signal, guided)
                noise = ops.take(state["noise"], index - state["first"], axis=0) if "noise" in state else 0.0
                if sampler == "ddpm":
                    x = diffusion.ddpm_step(x, image, noise, signal, before)
                else:
                    x = diffusion.ddim_step(x, image, noise, signal, before, state["eta"])
                return state | {"x": x}

            self._loops[sampler, guided] = backend.Decoder(step, self.network.variables)
        return self._loops[sampler, guided]

    def _image(self, state, x, time, signal, guided):
        """What the network takes the image for: `(b, h, w, c)`."""
        inputs = {"images": x, "times": ops.broadcast_to(time, (x.shape[0],))}
        if "labels" in state:
            inputs["labels"] = state["labels"]
        if guided:  # with and without classes at once
            none = inputs | {"labels": ops.full_like(state["labels"], self.none)}
            inputs = {name: ops.concatenate([inputs[name], none[name]]) for name in inputs}
        guess = ops.cast(self.network(inputs, training=False), x.dtype)
        if guided:
            of_class, of_none = ops.split(guess, 2)
            guess = of_none + state["guidance"] * (of_class - of_none)
        image = self._image_from(x, guess, signal)
        return ops.clip(image, -1.0, 1.0) if self.clip else image


def _tensor(a):
    return ops.convert_to_tensor(a, "int32" if np.asarray(a).dtype.kind == "i" else keras.config.floatx())
