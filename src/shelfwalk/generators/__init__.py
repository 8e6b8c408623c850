"""From a query to identifiers: the decoder, its training, its export, and the one beam search."""
