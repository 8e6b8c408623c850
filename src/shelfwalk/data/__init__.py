"""The data room: tables with contracts, readers, dataset adapters, derived categories, leak check."""
