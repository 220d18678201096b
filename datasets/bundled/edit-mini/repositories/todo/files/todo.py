"""A list of things to do, kept in a JSON file."""

import json


class Todo:
    def __init__(self):
        self.entries = []

    def add(self, what):
        self.entries.append({"what": what, "done": False})

    def finish(self, number):
        """Marks the entry of this number, from 1, as done."""
        self.entries[number]["done"] = True

    def open(self):
        return [entry["what"] for entry in self.entries if not entry["done"]]

    def save(self, path):
        with open(path, "w") as file:
            json.dump(self.entries, file)

    def load(self, path):
        with open(path) as file:
            self.entries = json.load(file)
