"""A cart: items with a name, a cost and a count."""

from pricing import discount, shipping, with_tax


class Item:
    def __init__(self, name, cost, count=1):
        self.name = name
        self.cost = cost
        self.count = count


def total(items, percent=0):
    """What a customer pays for some items."""
    goods = sum(item.cost * item.count for item in items)
    goods = with_tax(discount(goods, percent))
    return goods + shipping(goods)


def summary(items):
    """One line an item."""
    return "\n".join(f"{item.count} x {item.name}: {item.cost}" for item in items)
