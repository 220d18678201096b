import unittest

import cart


class Shop(unittest.TestCase):
    def test_a_small_order_pays_for_shipping(self):
        self.assertEqual(cart.total([cart.Item("pen", 100, 2)]), 240 + 490)

    def test_a_large_order_does_not(self):
        self.assertEqual(cart.total([cart.Item("desk", 10000)], 10), 10800)

    def test_the_summary_has_a_line_an_item(self):
        items = [cart.Item("pen", 100, 2), cart.Item("desk", 10000)]
        self.assertEqual(cart.summary(items), "2 x pen: 100\n1 x desk: 10000")


if __name__ == "__main__":
    unittest.main()
