#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout e102af66b8677c4b0ab34b2ec91b2b4a1f3c5a1f -- tests/test_cli.py tests/test_journal.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_cli.py b/tests/test_cli.py
index 24c637c..04e6d1f 100644
--- a/tests/test_cli.py
+++ b/tests/test_cli.py
@@ -61,6 +61,21 @@ class CommandLineTest(unittest.TestCase):
         _, out, _ = self.run_main("balance")
         self.assertEqual(out, " 5.00 EUR  Assets:Cash\n-5.00 EUR  Income:Other\n")
 
+    def test_balance_of_two_commodities(self):
+        self.journal.write_text(
+            "2024-05-11 Kiosk\n  Expenses:Travel  18.00 EUR\n"
+            "  Expenses:Food  950 JPY\n  Assets:Wallet\n",
+            encoding="utf-8",
+        )
+        _, out, _ = self.run_main("balance")
+        self.assertEqual(
+            out,
+            "-18.00 EUR  Assets:Wallet\n"
+            "  -950 JPY  Assets:Wallet\n"
+            "   950 JPY  Expenses:Food\n"
+            " 18.00 EUR  Expenses:Travel\n",
+        )
+
     def test_malformed_journal(self):
         self.journal.write_text("tomorrow Baker\n", encoding="utf-8")
         status, out, err = self.run_main("balance")
diff --git a/tests/test_journal.py b/tests/test_journal.py
index 69dd919..b341314 100644
--- a/tests/test_journal.py
+++ b/tests/test_journal.py
@@ -64,6 +64,35 @@ class ElidedAmountTest(unittest.TestCase):
         text = "2024-03-02 Baker\n  Assets:Cash\n  Expenses:Food  3.20 EUR\n"
         self.assertEqual(postings(text)[0], ("Assets:Cash", "-3.20 EUR"))
 
+    def test_one_posting_per_commodity(self):
+        text = (
+            "2024-05-11 Ferry kiosk\n"
+            "  Expenses:Travel  18.00 EUR\n"
+            "  Expenses:Food  950 JPY\n"
+            "  Assets:Wallet\n"
+        )
+        self.assertEqual(
+            postings(text)[2:],
+            [("Assets:Wallet", "-18.00 EUR"), ("Assets:Wallet", "-950 JPY")],
+        )
+
+    def test_several_commodities_keep_their_place(self):
+        text = "2024-05-11 Kiosk\n  Assets:Wallet\n  Expenses:A  1 EUR\n  Expenses:B  2 USD\n"
+        self.assertEqual(
+            [account for account, _ in postings(text)],
+            ["Assets:Wallet", "Assets:Wallet", "Expenses:A", "Expenses:B"],
+        )
+
+    def test_balanced_commodities_get_no_posting(self):
+        text = (
+            "2024-05-12 Exchange office\n"
+            "  Expenses:Fees  100 JPY\n"
+            "  Assets:Bank  -20.00 EUR\n"
+            "  Assets:Wallet  20.00 EUR\n"
+            "  Assets:Wallet\n"
+        )
+        self.assertEqual(postings(text)[3:], [("Assets:Wallet", "-100 JPY")])
+
     def test_only_once_per_transaction(self):
         text = "2024-03-02 Baker\n  Expenses:Food\n  Assets:Cash\n"
         with self.assertRaisesRegex(JournalError, "only one posting"):
EOF_114329324912
: '>>>>> Start Test Output'
python3 -m unittest -v tests.test_amounts tests.test_journal tests.test_cli
: '>>>>> End Test Output'
