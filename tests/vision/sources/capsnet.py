"""Capsule networks: no library has them. Their parts are held to NumPy transcriptions, their size to the paper."""

CASES = []
PARAMETERS = {}  # the paper's are for 28 x 28 and 10 classes: test_capsnet.py
# The gate's small networks: image shape, then arguments.
SIZES = dict(filters=3, kernel_size=3, primary_capsules=2, primary_dim=4, dim=4)
TINY = {
    "capsnet": dict(image_shape=(8, 7, 3), **SIZES),
    "capsnet_small": dict(image_shape=(9, 9, 1), **SIZES, routing=1),
}
