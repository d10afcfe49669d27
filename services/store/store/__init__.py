"""A small shop: catalogue, cart, orders, and the shopkeeper's pages."""
