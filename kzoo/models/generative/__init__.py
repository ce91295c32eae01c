"""Generators of images."""

from kzoo.models.generative.autoencoder import autoencoder
from kzoo.models.generative.dcgan import dcgan
from kzoo.models.generative.diffusion_unet import diffusion_unet
from kzoo.models.generative.vae import vae
from kzoo.models.generative.vq_vae import vq_vae

__all__ = ["autoencoder", "dcgan", "diffusion_unet", "vae", "vq_vae"]
