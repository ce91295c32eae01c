"""U-Net for diffusion: what noise is in an image, given how far it has been noised.

Ho, Jain and Abbeel (2020), Denoising Diffusion Probabilistic Models, arXiv:2006.11239, appendix B. Classes are added to
the time's embedding, as in Dhariwal and Nichol (2021), arXiv:2105.05233. `kzoo.learners.Diffusion` trains it.

Shapes: b batch, h height, w width, c channels, f filters, d dim of the embedding.
"""

import functools

import keras
from keras import layers

from kzoo.layers import MultiHeadAttention, TimeEmbedding
from kzoo.layers.arguments import check_rate, check_whole

SIZES = {
    # Appendix B: CIFAR-10, attention at 16 x 16.
    "diffusion_unet": dict(
        filters=128, multipliers=(1, 2, 2, 2), depth=2, attention_levels=(1,), dropout=0.1
    ),
    # Ours, for gray images of about 30 pixels on a CPU: patches of 2 x 2 leave a quarter of the places.
    "diffusion_unet_small": dict(
        filters=32, multipliers=(1, 2), depth=1, attention_levels=(1,), groups=8, patch_size=2
    ),
}
IMAGE_SHAPE = {"diffusion_unet": (32, 32, 3), "diffusion_unet_small": (28, 28, 1)}
NUM_CLASSES = 0

CONV = functools.partial(layers.Conv2D, kernel_size=3, padding="same")


def activated(x, groups, name):
    """Normalised by groups of channels, then SiLU."""
    x = layers.GroupNormalization(groups, epsilon=1e-6, name=f"{name}_norm")(x)
    return layers.Activation("silu", name=f"{name}_silu")(x)


def block(x, condition, filters, *, groups, dropout, name):
    """Two convolutions, between them a shift by the time; added to the input. The second starts at zero."""
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = CONV(filters, kernel_size=1, name=f"{name}_shortcut")(x)
    x = CONV(filters, name=f"{name}_conv_1")(activated(x, groups, f"{name}_1"))
    shift = layers.Dense(filters, name=f"{name}_time")(condition)  # (b, f)
    shift = layers.Reshape((1, 1, filters), name=f"{name}_shift")(shift)
    x = activated(layers.Add(name=f"{name}_shifted")([x, shift]), groups, f"{name}_2")
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    x = CONV(filters, kernel_initializer="zeros", name=f"{name}_conv_2")(x)
    return layers.Add(name=name)([shortcut, x])


def attention(x, num_heads, groups, name):
    """Each place sees every other; added to the input. Its last map starts at zero."""
    h, w, f = x.shape[1:]
    y = layers.GroupNormalization(groups, epsilon=1e-6, name=f"{name}_norm")(x)
    y = layers.Reshape((h * w, f), name=f"{name}_places")(y)
    y = MultiHeadAttention(num_heads, output_initializer="zeros", name=f"{name}_heads")(y)
    y = layers.Reshape((h, w, f), name=f"{name}_maps")(y)
    return layers.Add(name=name)([x, y])


def diffusion_unet(
    image_shape,
    num_classes,
    *,
    filters,
    multipliers,
    depth=2,
    attention_levels=(),
    num_heads=1,
    groups=32,
    dim=None,
    dropout=0.0,
    patch_size=1,
    name="diffusion_unet",
):
    """U-Net: `{"images": (b, h, w, c), "times": (b,)}`, with classes also `"labels": (b,)`, to `(b, h, w, c)`.

    Times and labels are whole numbers. The label `num_classes` stands for no class in particular.

    Args:
        image_shape: `(h, w, c)`, fixed; each level but the first halves height and width.
        num_classes: of the labels; 0 for a model without.
        filters: f of the first level.
        multipliers: of `filters`, one for each level.
        depth: residual blocks of each level on the way down; on the way up there is one more.
        attention_levels: the levels, from 0, whose blocks are followed by attention; so is the middle.
        num_heads: of the attention.
        groups: of the normalisation; it must divide the filters of all levels.
        dim: d; by default four times the filters.
        dropout: rate in each block.
        patch_size: p; the first level works on patches of p x p pixels, as in Hoogeboom et al. (2023),
            arXiv:2301.11093.
        name: of the model.

    Raises:
        ValueError: for an image without fixed sizes or that cannot be halved so often, or for numbers that do not fit.
    """
    widths = _checked(
        image_shape, num_classes, filters, multipliers, depth, attention_levels, groups, patch_size
    )
    check_rate(dropout=dropout)
    check_whole(num_heads=num_heads)
    dim = dim or 4 * filters
    inputs = {
        "images": keras.Input(tuple(image_shape), name="images"),
        "times": keras.Input((), dtype="int32", name="times"),
    }
    condition = TimeEmbedding(filters, name="time_waves")(inputs["times"])
    condition = layers.Dense(dim, "silu", name="time_1")(condition)
    condition = layers.Dense(dim, name="time_2")(condition)
    if num_classes:
        inputs["labels"] = keras.Input((), dtype="int32", name="labels")
        label = layers.Embedding(num_classes + 1, dim, name="label_embedding")(inputs["labels"])
        condition = layers.Add(name="condition")([condition, label])
    condition = layers.Activation("silu", name="condition_silu")(condition)  # (b, d)
    residual = functools.partial(block, groups=groups, dropout=dropout)

    patches = dict(kernel_size=patch_size, strides=patch_size) if patch_size > 1 else {}
    x = CONV(widths[0], **patches, name="stem")(inputs["images"])
    skips = [x]
    for level, width in enumerate(widths):
        if level:
            x = CONV(x.shape[-1], strides=2, name=f"down_{level}")(x)
            skips.append(x)
        for i in range(1, depth + 1):
            x = residual(x, condition, width, name=f"down_{level}_block_{i}")
            if level in attention_levels:
                x = attention(x, num_heads, groups, f"down_{level}_attention_{i}")
            skips.append(x)
    x = residual(x, condition, widths[-1], name="middle_block_1")
    x = attention(x, num_heads, groups, "middle_attention")
    x = residual(x, condition, widths[-1], name="middle_block_2")
    for level, width in reversed(list(enumerate(widths))):
        for i in range(1, depth + 2):
            x = layers.Concatenate(name=f"up_{level}_join_{i}")([x, skips.pop()])
            x = residual(x, condition, width, name=f"up_{level}_block_{i}")
            if level in attention_levels:
                x = attention(x, num_heads, groups, f"up_{level}_attention_{i}")
        if level:
            x = layers.UpSampling2D(name=f"up_{level}_larger")(x)
            x = CONV(width, name=f"up_{level}")(x)
    last = functools.partial(layers.Conv2DTranspose, **patches) if patches else CONV
    x = last(image_shape[-1], kernel_initializer="zeros", name="head")(activated(x, groups, "head"))
    return keras.Model(inputs, x, name=name)


def _checked(image_shape, num_classes, filters, multipliers, depth, attention_levels, groups, patch_size):
    """The filters of each level, once all numbers are found to fit."""
    check_whole(filters=filters, depth=depth, groups=groups, patch_size=patch_size)
    shape, factor = tuple(image_shape), patch_size * 2 ** (len(multipliers) - 1)
    if len(shape) != 3 or None in shape or any(size % factor or not size for size in shape[:2]):
        raise ValueError(
            f"a U-Net needs (height, width, channels) with sizes that {factor} divides: pad or resize the images, or "
            f"give fewer multipliers. Received: image_shape={image_shape}"
        )
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 0:
        raise ValueError(f"num_classes must be a whole number or 0. Received: num_classes={num_classes!r}")
    if not set(attention_levels) <= set(range(len(multipliers))):
        raise ValueError(
            f"attention_levels are from 0 to {len(multipliers) - 1}. Received: attention_levels={attention_levels}"
        )
    widths = [filters * factor for factor in multipliers]
    if any(width % groups for width in widths):
        raise ValueError(f"groups must divide the filters of each level, {widths}. Received: groups={groups}")
    return widths
