"""Xception in timm and keras.applications."""

from oracle import Case


def timm():
    from timm.models.xception import Xception

    return Xception(num_classes=5)


SIZES = ((71, 71), (75, 90))  # their poolings meet odd and even maps
CASES = [
    Case(
        *("xception", "timm", timm, {}),
        {"stem": "act2", "stage_1": "block1", "stage_2": "block2", "stage_3": "block11", "stage_4": "act4"},
        sizes=SIZES,
    ),
    Case(
        *("xception", "keras", "Xception", {}),
        {"stem": "block1_conv2_act", "stage_4": "block14_sepconv2_act"},
        sizes=SIZES,
    ),
]
PARAMETERS = {"xception": 22_855_952}  # timm 1.0.31
TINY = {
    "xception": dict(image_shape=(24, 17, 3), width=1 / 16, depth=1, stem="small", padding="symmetric"),
}
