"""From an item to its identifier: residual k-means and RQ-VAE, a uniqueness token, and how well the codes are used."""
