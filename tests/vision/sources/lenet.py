"""LeNet is in none of the libraries."""

CASES = []
# By hand, for the ten digits: 61,706, of which the paper's table of connections leaves out 900.
PARAMETERS = {
    "lenet1": (25 * 4 + 4) + (25 * 4 * 12 + 12) + (16 * 12 * 10 + 10),
    "lenet4": (25 * 4 + 4) + (25 * 4 * 16 + 16) + (25 * 16 * 120 + 120) + (120 * 10 + 10),
    "lenet5": (25 * 6 + 6) + (25 * 6 * 16 + 16) + (25 * 16 * 120 + 120) + (120 * 84 + 84) + (84 * 10 + 10),
}
TINY = {
    "lenet1": dict(image_shape=(28, 27, 1), filters=(2, 3)),
    "lenet5": dict(image_shape=(28, 28, 1), filters=(2, 4), hidden_dims=(16, 12)),
}
