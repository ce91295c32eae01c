"""Vector quantisation: each vector is replaced by the nearest of a learned codebook.

Van den Oord et al. (2017), Neural Discrete Representation Learning, arXiv:1711.00937.
Shapes: n vectors, k codes, d dim.
"""

import keras
from keras import ops

from kzoo.layers.arguments import check_positive, check_rate, check_whole


def nearest(vectors, codebook):
    """Indices of the nearest codes by Euclidean distance: `(n, d)` and `(k, d)` to `(n,)`, int32."""
    # ‖x‖² is the same for all codes.
    distances = ops.sum(ops.square(codebook), axis=-1) - 2.0 * ops.matmul(vectors, ops.transpose(codebook))
    # Keras's argmin of floats looks at the signs of zeros, bit by bit, for which ONNX and TFLite have no operator.
    smallest = ops.equal(distances, ops.min(distances, axis=-1, keepdims=True))
    return ops.cast(ops.argmax(ops.cast(smallest, "int32"), axis=-1), "int32")


def perplexity(counts):
    """The number of codes that are effectively in use: the exponential of the entropy of their counts, `(k,)`."""
    shares = counts / ops.maximum(ops.sum(counts), 1.0)
    return ops.exp(-ops.sum(shares * ops.log(ops.maximum(shares, 1e-10))))


@keras.saving.register_keras_serializable("kzoo")
class VectorQuantizer(keras.Layer):
    """Replaces each vector z by the nearest code e: `(..., d)` to the same shape; the gradient passes straight through.

    Adds `mean((sg[z] − e)²) + commitment · mean((z − sg[e])²)` to `losses`: the first term moves codes to the vectors,
    the second keeps the vectors near their codes (equation 3). The mean is over all numbers, so that the weight does
    not depend on the image's size. `layer.indices(z)` gives the codes' numbers, `layer.look_up(indices)` the codes.
    `layer.perplexity`, a variable, is how many codes were effectively in use in the last batch of training.

    Args:
        num_codes: k.
        commitment: β of the paper.
        initializer: of the codes, by default uniform in ±1/k.
    """

    def __init__(self, num_codes=512, commitment=0.25, initializer=None, **kwargs):
        super().__init__(**kwargs)
        check_whole(num_codes=num_codes)
        check_positive(commitment=commitment)
        self.num_codes = num_codes
        self.commitment = commitment
        if initializer is None:
            initializer = keras.initializers.RandomUniform(-1.0 / num_codes, 1.0 / num_codes)
        self.initializer = keras.initializers.get(initializer)

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(f"the vectors' dim must be known. Received: input_shape={tuple(input_shape)}")
        # Half precision cannot tell near codes apart: distances are computed as the codes are stored.
        self.codebook = self.add_weight(
            (self.num_codes, input_shape[-1]), self.initializer, autocast=False, name="codebook"
        )
        # Not a metric: on JAX Keras's own training step knows no metric that is updated in a call.
        self.perplexity = self.add_weight((), "zeros", trainable=False, autocast=False, name="perplexity")
        self.built = True

    def call(self, inputs, training=None):
        vectors = ops.cast(ops.reshape(inputs, (-1, inputs.shape[-1])), self.codebook.dtype)
        codebook = self.codebook.value
        indices = nearest(ops.stop_gradient(vectors), ops.stop_gradient(codebook))
        codes = ops.take(codebook, indices, axis=0)  # (n, d)
        self.add_loss(self._loss(vectors, codes))
        if training:
            self._learn(ops.stop_gradient(vectors), indices)
        # The difference is exactly zero: the output is the code to the last bit.
        outputs = ops.stop_gradient(codes) + (vectors - ops.stop_gradient(vectors))
        return ops.cast(ops.reshape(outputs, ops.shape(inputs)), inputs.dtype)

    def _loss(self, vectors, codes):
        codebook_loss = ops.mean(ops.square(ops.stop_gradient(vectors) - codes))
        return codebook_loss + self.commitment * ops.mean(ops.square(vectors - ops.stop_gradient(codes)))

    def _learn(self, vectors, indices):
        """What training changes without a gradient; returns how often each code was chosen, `(k,)`."""
        counts = ops.segment_sum(ops.ones_like(vectors[:, 0]), indices, num_segments=self.num_codes)
        self.perplexity.assign(perplexity(counts))
        return counts

    def indices(self, inputs):
        """Numbers of the nearest codes: `(..., d)` to `(...)`, int32."""
        inputs = ops.convert_to_tensor(inputs)
        vectors = ops.cast(ops.reshape(inputs, (-1, inputs.shape[-1])), self.codebook.dtype)
        return ops.reshape(nearest(vectors, self.codebook.value), ops.shape(inputs)[:-1])

    def look_up(self, indices):
        """The codes of these numbers: `(...)` to `(..., d)`."""
        return ops.take(self.codebook.value, indices, axis=0)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        initializer = keras.initializers.serialize(self.initializer)
        own = {"num_codes": self.num_codes, "commitment": self.commitment, "initializer": initializer}
        return super().get_config() | own


@keras.saving.register_keras_serializable("kzoo")
class VectorQuantizerEMA(VectorQuantizer):
    """As `VectorQuantizer`, but the codes are moving averages of the vectors assigned to them, not trained by gradient.

    Appendix A.1 of the paper: with n_i vectors assigned to code i,
    N_i ← γ N_i + (1 − γ) n_i, m_i ← γ m_i + (1 − γ) Σ z, e_i = m_i / N_i, where N is smoothed (Laplace) so that no
    code is divided by nothing. Only the commitment loss is added to `losses`.

    Args:
        num_codes: k.
        commitment: β of the paper.
        decay: γ.
        epsilon: of the smoothing.
        restart_below: if given, a code whose N_i falls below it is put onto a vector of the batch, drawn at random
            (Dhariwal et al. 2020, Jukebox, arXiv:2005.00341, with 1.0), and counts as chosen once.
        initializer: of the codes, by default uniform in ±1/k.
        seed: of the restarts.
    """

    def __init__(
        self,
        num_codes=512,
        commitment=0.25,
        decay=0.99,
        epsilon=1e-5,
        restart_below=None,
        initializer=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(num_codes, commitment, initializer, **kwargs)
        check_rate(decay=decay)
        check_positive(epsilon=epsilon)
        if restart_below is not None:
            check_positive(restart_below=restart_below)
        self.decay = decay
        self.epsilon = epsilon
        self.restart_below = restart_below
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape):
        super().build(input_shape)
        self.codebook.trainable = False
        options = {"trainable": False, "autocast": False}
        # One each, with the code as its sum: a code that is never chosen stays where it began.
        self.counts = self.add_weight((self.num_codes,), "ones", name="counts", **options)
        self.sums = self.add_weight(
            self.codebook.shape,
            # A copy: the engines may give the codebook's own memory.
            lambda shape, dtype: ops.cast(ops.copy(self.codebook.value), dtype),
            name="sums",
            **options,
        )

    def _loss(self, vectors, codes):
        return self.commitment * ops.mean(ops.square(vectors - ops.stop_gradient(codes)))

    def _learn(self, vectors, indices):
        chosen = super()._learn(vectors, indices)
        # Not `ops.segment_sum`, which computes in float32 on PyTorch: good for whole numbers only.
        matches = ops.one_hot(indices, self.num_codes, dtype=vectors.dtype)  # (n, k)
        summed = ops.matmul(ops.transpose(matches), vectors)
        counts = self.decay * self.counts.value + (1.0 - self.decay) * chosen
        sums = self.decay * self.sums.value + (1.0 - self.decay) * summed
        if self.restart_below is not None:
            n = ops.shape(vectors)[0]
            draws = keras.random.uniform((self.num_codes,), dtype="float32", seed=self.seed_generator)
            drawn = ops.minimum(ops.cast(draws * ops.cast(n, "float32"), "int32"), n - 1)
            dead = counts < self.restart_below
            counts = ops.where(dead, ops.ones_like(counts), counts)
            sums = ops.where(ops.expand_dims(dead, -1), ops.take(vectors, drawn, axis=0), sums)
        total = ops.sum(counts)
        smoothed = (counts + self.epsilon) / (total + self.num_codes * self.epsilon) * total
        self.counts.assign(counts)
        self.sums.assign(sums)
        self.codebook.assign(sums / ops.expand_dims(smoothed, -1))
        return chosen

    def get_config(self):
        names = ("decay", "epsilon", "restart_below", "seed")
        return super().get_config() | {name: getattr(self, name) for name in names}
