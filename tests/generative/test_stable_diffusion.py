"""What the documentation says of Stable Diffusion in keras-hub: its tiny random model paints."""

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "generative.md"


@pytest.mark.once
def test_a_tiny_stable_diffusion_of_random_weights_paints_what_its_seed_says():
    pytest.importorskip("keras_hub", reason="keras-hub is not installed")
    blocks = re.findall(r"```py\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (block,) = (block for block in blocks if "import keras_hub" in block)
    scope = {"__name__": "docs"}
    exec(block, scope)
    image = scope["image"]
    assert image.shape == (1, 64, 64, 3) and image.dtype == np.uint8 and np.ptp(image) > 0
    inputs = {"prompts": scope["prompt"], "negative_prompts": scope["nothing"]}
    again = scope["painter"].generate(dict(inputs), num_steps=2, guidance_scale=7.0, seed=0)
    np.testing.assert_array_equal(again, image)
    other = scope["painter"].generate(dict(inputs), num_steps=2, guidance_scale=7.0, seed=1)
    assert np.any(other != image)
