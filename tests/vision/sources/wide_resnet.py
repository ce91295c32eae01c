"""Wide residual networks: no library at hand has those for small images."""

CASES = []
PARAMETERS = {}
# Zagoruyko and Komodakis (2016), table 4, with 10 classes, in millions.
MILLIONS = {
    "wide_resnet40_1": 0.6,
    "wide_resnet40_2": 2.2,
    "wide_resnet40_4": 8.9,
    "wide_resnet40_8": 35.7,
    "wide_resnet28_10": 36.5,
    "wide_resnet28_12": 52.5,
    "wide_resnet22_8": 17.2,
    "wide_resnet22_10": 26.8,
    "wide_resnet16_8": 11.0,
    "wide_resnet16_10": 17.1,
}
# One small network for each thing that the family can do: the gate's cases. Image shape, then arguments.
TINY = {
    "wide_resnet16_8": dict(image_shape=(8, 8, 3), width=2, filters=(4, 4, 8), depth=10),
    "wide_resnet40_1": dict(image_shape=(9, 9, 1), filters=(4, 4), depth=8),
}
