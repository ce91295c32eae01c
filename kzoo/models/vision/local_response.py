"""Local response normalisation, of the years before batch normalisation."""

from keras import ops


def local_response_norm(x, size=5, alpha=1e-4, beta=0.75, k=2.0):
    """Each channel is divided by a power of its neighbours' energy: `(b, h, w, c)` to the same.

    `x / (k + alpha * (sum of squares of size channels around)) ** beta`. Krizhevsky et al. (2012), ImageNet
    Classification with Deep Convolutional Neural Networks, section 3.3. Made of plain operations, so that a saved file
    loads without kzoo.
    """
    channels = x.shape[-1]
    before = size // 2
    squares = ops.pad(ops.square(x), ((0, 0), (0, 0), (0, 0), (before, size - 1 - before)))
    energy = squares[..., :channels]
    for i in range(1, size):
        energy = energy + squares[..., i : i + channels]
    return x / ops.power(k + alpha * energy, beta)
