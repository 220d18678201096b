import unittest

import words


class Words(unittest.TestCase):
    def test_a_slug_has_no_blanks(self):
        self.assertEqual(words.slug("Two  Words"), "two-words")

    def test_a_tally_counts(self):
        self.assertEqual(words.tally("a b a"), {"a": 2, "b": 1})

    def test_initials_survive_two_blanks(self):
        self.assertEqual(words.initials("Ada  Lovelace"), "AL")

    def test_what_was_shortened_is_no_longer_than_asked(self):
        self.assertEqual(words.shorten("abcdefghij", 6), "abc...")


if __name__ == "__main__":
    unittest.main()
