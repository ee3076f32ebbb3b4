"""wgan: GAN training, to read how each way to hold the Lipschitz constraint is done right."""
