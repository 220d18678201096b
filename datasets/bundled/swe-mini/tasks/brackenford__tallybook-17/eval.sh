#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout 4c9e726f20da2f203ae0c04e0dfe71c2bc885f83 -- tests/test_amounts.py tests/test_cli.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_amounts.py b/tests/test_amounts.py
index 4ec86d6..2602b38 100644
--- a/tests/test_amounts.py
+++ b/tests/test_amounts.py
@@ -30,6 +30,15 @@ class FormatQuantityTest(unittest.TestCase):
     def test_negative_quantities(self):
         self.assertEqual(format_quantity(Decimal("-1234.56"), "USD"), "-1,234.56 USD")
 
+    def test_negative_quantities_below_one(self):
+        self.assertEqual(format_quantity(Decimal("-0.40"), "EUR"), "-0.40 EUR")
+        self.assertEqual(format_quantity(Decimal("-0.995"), "EUR"), "-1.00 EUR")
+        self.assertEqual(format_quantity(Decimal("-0.005"), "USD"), "-0.01 USD")
+
+    def test_quantities_that_round_to_zero_have_no_sign(self):
+        self.assertEqual(format_quantity(Decimal("-0.004"), "EUR"), "0.00 EUR")
+        self.assertEqual(format_quantity(Decimal("-0.4"), "JPY"), "0 JPY")
+
     def test_rounds_half_up(self):
         self.assertEqual(format_quantity(Decimal("2.345"), "EUR"), "2.35 EUR")
 
diff --git a/tests/test_cli.py b/tests/test_cli.py
index 7ad8049..6d4d8d8 100644
--- a/tests/test_cli.py
+++ b/tests/test_cli.py
@@ -72,5 +72,13 @@ class CommandLineTest(unittest.TestCase):
         totals = [line.split()[-2] for line in out.splitlines()]
         self.assertEqual(totals, ["2,400.00", "2,335.10", "1,485.10", "1,185.10"])
 
+    def test_register_of_small_negative_amounts(self):
+        self.journal.write_text(
+            "2024-04-30 Bank fee\n  Expenses:Fees  0.40 EUR\n  Assets:Cash\n",
+            encoding="utf-8",
+        )
+        _, out, _ = self.run_main("register", "Assets:Cash")
+        self.assertEqual(out.split()[-4:], ["-0.40", "EUR", "-0.40", "EUR"])
+
     def test_register_of_an_unknown_account_is_empty(self):
         self.assertEqual(self.run_main("register", "Assets:Boat"), (0, "", ""))
EOF_114329324912
: '>>>>> Start Test Output'
python3 -m unittest -v tests.test_amounts tests.test_journal tests.test_cli
: '>>>>> End Test Output'
