"""Encoded pictures to a model's input, inside a TensorFlow graph: what `kzoo.data.Preprocessing` does to files.

A graph with this in it takes JPEG, PNG or GIF bytes. Against Pillow and NumPy: decoding, turning upright and
arithmetic are the same to the bit; resized pixels are the same or one grey level (of 255) apart, in less than
one of a hundred. Not done here: orientation written anywhere but in a JPEG's EXIF, BMP, WebP and TIFF files;
16-bit grey is cut to 8 bits, not rounded, which can be one level.
"""

import numpy as np
import tensorflow as tf

KERNELS = {"bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos3"}
ORIENTATION, EXIF = 0x0112, np.frombuffer(b"Exif\0\0", np.uint8)
HEAD = 1 << 18  # EXIF is the first or second segment of a JPEG, and a segment has at most 64 kB
SEGMENTS = 64  # looked at in search of it; a file could be made of thousands
AT_ONCE = 4  # pictures decoded side by side: a photo of 12 megapixels takes 200 MB on its way


def read_batch(pictures, preprocessing):
    """A float32 batch, `(n, h, w, c)`, for a string tensor of encoded pictures, `(n,)`.

    Formats and sizes may be mixed. Bytes that are no picture make the whole call fail with INVALID_ARGUMENT.
    """
    return tf.map_fn(
        lambda data: _normalise(read_picture(data, preprocessing), preprocessing),
        pictures,
        parallel_iterations=AT_ONCE,
        fn_output_signature=tf.TensorSpec(preprocessing.image_shape, tf.float32),
    )


def read_picture(data, preprocessing):
    """One encoded picture as `(h, w, c)` grey levels in float32, whole numbers from 0 to 255."""
    h, w, c = preprocessing.image_shape
    # Kept from Pillow's colours, and made grey as Pillow does it: a JPEG's own grey channel is rounded apart.
    pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE")  # and PNG and GIF
    pixels = _turned(pixels, _orientation(data))
    if c == 1:
        red, green, blue = tf.unstack(tf.cast(pixels, tf.int32), axis=-1)
        grey = tf.bitwise.right_shift(19595 * red + 38470 * green + 7471 * blue + 32768, 16)
        pixels = tf.cast(grey[..., None], tf.uint8)
    if preprocessing.resize is None:
        pixels = _resized(pixels, h, w, preprocessing.interpolation)
    else:
        sides = tf.shape(pixels)[:2]
        sides = preprocessing.resize * sides // tf.reduce_min(sides)
        pixels = _resized(pixels, sides[0], sides[1], preprocessing.interpolation)
        top, left = (
            tf.cast(tf.round(tf.cast(a - b, tf.float32) / 2), tf.int32)
            for a, b in ((sides[0], h), (sides[1], w))
        )
        pixels = pixels[top : top + h, left : left + w]
    return tf.ensure_shape(pixels, (h, w, c))


def _normalise(pixels, preprocessing):
    std = np.asarray(preprocessing.std)
    scale, offset = 1 / (255 * std), -np.asarray(preprocessing.mean) / std
    return pixels * scale.astype("float32") + offset.astype("float32")


def _resized(pixels, h, w, interpolation):
    """Pillow's resize: along the rows, rounded to whole levels, then along the columns, rounded again."""
    if interpolation == "nearest":
        rows, columns = (_nearest(tf.shape(pixels)[axis], size) for axis, size in ((0, h), (1, w)))
        return tf.cast(tf.gather(tf.gather(pixels, rows), columns, axis=1), tf.float32)
    kernel = KERNELS[interpolation]
    pixels = tf.image.resize(pixels, (tf.shape(pixels)[0], w), kernel, antialias=True)
    return _rounded(tf.image.resize(_rounded(pixels), (h, w), kernel, antialias=True))


def _rounded(pixels):
    return tf.clip_by_value(tf.floor(pixels + 0.5), 0.0, 255.0)


def _nearest(size, wanted):
    step = tf.cast(size, tf.float64) / tf.cast(wanted, tf.float64)
    places = tf.cast((tf.cast(tf.range(wanted), tf.float64) + 0.5) * step, tf.int32)
    return tf.minimum(places, size - 1)


def _turned(pixels, orientation):
    """Turns and mirrors as the eight EXIF orientations ask for."""
    pixels = tf.cond(orientation >= 5, lambda: tf.transpose(pixels, (1, 0, 2)), lambda: pixels)
    for axis, mirrored in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
        wanted = tf.reduce_any(tf.equal(orientation, mirrored))
        pixels = tf.cond(wanted, lambda p=pixels, a=axis: tf.reverse(p, [a]), lambda p=pixels: p)
    return pixels


def _orientation(data):
    """The EXIF orientation of a JPEG, 1 to 8; 1, which is upright, where there is none."""
    head = tf.io.decode_raw(tf.strings.substr(data, 0, HEAD), tf.uint8)
    size = tf.size(head)
    head = tf.concat([tf.cast(head, tf.int32), [0]], 0)

    def byte(at):  # 0 beyond the end
        return tf.gather(head, tf.clip_by_value(at, 0, size))

    def go_on(place, found):
        marker = byte(place + 1)
        return (found < 0) & (place < size) & (byte(place) == 0xFF) & (marker != 0xDA) & (marker != 0xD9)

    def next_segment(place, found):
        length = 256 * byte(place + 2) + byte(place + 3)
        exif = (byte(place + 1) == 0xE1) & tf.reduce_all(
            byte(place + 4 + tf.range(6)) == EXIF.astype("int32")
        )
        return place + 2 + length, tf.where(exif, place + 10, found)

    start = tf.where((byte(0) == 0xFF) & (byte(1) == 0xD8), 2, size)
    _, tiff = tf.while_loop(
        go_on, next_segment, (start, -1), parallel_iterations=1, maximum_iterations=SEGMENTS
    )
    return tf.cond(tiff < 0, lambda: 1, lambda: _orientation_tag(byte, tiff))


def _orientation_tag(byte, tiff):
    """Looks the tag up in the first directory of a TIFF header: 12 bytes an entry, the value in the ninth."""
    little = byte(tiff) == ord("I")

    def number(at, count):
        places = range(count) if count == 2 else range(4)
        digits = [byte(at + place) for place in places]
        forward = sum(digit * 256**place for place, digit in enumerate(digits))
        backward = sum(digit * 256**place for place, digit in enumerate(reversed(digits)))
        return tf.where(little, forward, backward)

    directory = tiff + tf.clip_by_value(number(tiff + 4, 4), 0, HEAD)
    entries = directory + 2 + 12 * tf.range(tf.minimum(number(directory, 2), 1000))
    values = tf.boolean_mask(number(entries + 8, 2), number(entries, 2) == ORIENTATION)
    value = tf.concat([values, [1]], 0)[0]
    return tf.where((value >= 1) & (value <= 8), value, 1)
