import os
import tempfile
import unittest

from todo import Todo


class TodoTest(unittest.TestCase):
    def test_entries_are_numbered_from_one(self):
        todo = Todo()
        todo.add("bread")
        todo.add("milk")
        todo.finish(1)
        self.assertEqual(todo.open(), ["milk"])

    def test_what_was_saved_is_loaded(self):
        todo, again = Todo(), Todo()
        todo.add("bread")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "todo.json")
            todo.save(path)
            again.load(path)
        self.assertEqual(again.open(), ["bread"])


if __name__ == "__main__":
    unittest.main()
