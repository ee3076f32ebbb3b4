"""wgan: a library of GAN training, for reading how each way to hold the Lipschitz constraint is done right."""
