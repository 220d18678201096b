#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout 52667950ca57b441ca9afe2c8a22d5c864f97742 -- tests/test_cli.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_cli.py b/tests/test_cli.py
index 2c15d38..3b6c6db 100644
--- a/tests/test_cli.py
+++ b/tests/test_cli.py
@@ -85,6 +85,40 @@ class CommandLineTest(unittest.TestCase):
             out, "850.00 EUR  Expenses:Home:Rent\n 64.90 EUR  Expenses:Home:Repairs\n"
         )
 
+    def test_balance_to_a_depth(self):
+        _, out, _ = self.run_main("balance", "--depth", "2")
+        self.assertEqual(
+            out,
+            " 1,485.10 EUR  Assets:Bank\n"
+            "   914.90 EUR  Expenses:Home\n"
+            "-2,400.00 EUR  Income:Salary\n",
+        )
+
+    def test_balance_to_the_first_level(self):
+        _, out, _ = self.run_main("balance", "--depth", "1")
+        self.assertEqual(
+            out, " 1,485.10 EUR  Assets\n   914.90 EUR  Expenses\n-2,400.00 EUR  Income\n"
+        )
+
+    def test_depth_beyond_every_account_changes_nothing(self):
+        self.assertEqual(self.run_main("balance", "--depth", "9"), self.run_main("balance"))
+
+    def test_depth_counts_from_the_top(self):
+        _, out, _ = self.run_main("balance", "--account", "Assets:Bank:Savings", "--depth", "1")
+        self.assertEqual(out, "300.00 EUR  Assets\n")
+
+    def test_sums_that_become_zero_are_left_out(self):
+        self.journal.write_text(
+            "2024-07-01 Move\n  Assets:A  5 EUR\n  Assets:B  -5 EUR\n", encoding="utf-8"
+        )
+        self.assertEqual(self.run_main("balance", "--depth", "1"), (0, "", ""))
+
+    def test_depth_is_a_positive_number(self):
+        for depth in ("0", "-1", "two"):
+            with self.subTest(depth=depth), self.assertRaises(SystemExit) as stop:
+                self.run_main("balance", f"--depth={depth}")
+            self.assertEqual(stop.exception.code, 2)
+
     def test_account_names_match_whole_parts(self):
         _, out, _ = self.run_main("balance", "--account", "Assets:Ba")
         self.assertEqual(out, "")
EOF_114329324912
: '>>>>> Start Test Output'
python3 -m unittest -v tests.test_amounts tests.test_journal tests.test_cli
: '>>>>> End Test Output'
