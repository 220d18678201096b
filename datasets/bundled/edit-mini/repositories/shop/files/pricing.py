"""Prices of a small shop, in cents."""

VAT = 20
FREE_SHIPPING = 5000


def discount(cost, percent):
    """The cost less a discount."""
    return cost - cost * percent // 100


def with_tax(cost):
    """The cost with value added tax."""
    return cost + cost * VAT // 100


def shipping(cost):
    """What sending an order costs."""
    if cost > FREE_SHIPPING:
        return 0
    return 490
