"""A simulated shop: catalogue, shoppers, their log, and the truth behind them. Always labelled simulated."""
