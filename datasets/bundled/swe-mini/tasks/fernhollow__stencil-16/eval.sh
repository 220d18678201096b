#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout 1ad70fac6fc9a3dd8cb7abd6225656583afec34d -- tests/test_errors.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_errors.py b/tests/test_errors.py
index 23384b6..51b36e9 100644
--- a/tests/test_errors.py
+++ b/tests/test_errors.py
@@ -19,6 +19,22 @@ class ErrorLineTest(unittest.TestCase):
     def test_after_text(self):
         self.assertEqual(error_line("one\ntwo\n  {{ missing }}"), 3)
 
+    def test_after_a_comment(self):
+        self.assertEqual(error_line("{# one\ntwo\nthree #}\n{{ missing }}"), 4)
+
+    def test_after_a_comment_in_one_line(self):
+        self.assertEqual(error_line("{# one #}\n{{ missing }}"), 2)
+
+    def test_after_a_tag_over_several_lines(self):
+        source = "{% if a\n  |default('')\n  |trim %}\n{% end %}\n{{ missing }}"
+        self.assertEqual(error_line(source, a="x"), 5)
+
+    def test_after_a_value_over_several_lines(self):
+        self.assertEqual(error_line("{{ a\n|trim }}{{ missing }}", a="x"), 2)
+
+    def test_names_the_line_in_which_the_tag_begins(self):
+        self.assertEqual(error_line("\n{{ missing\n  |trim\n}}"), 2)
+
     def test_unknown_tag(self):
         self.assertEqual(error_line("one\n{% unless a %}"), 2)
 
EOF_114329324912
: '>>>>> Start Test Output'
python3 -m unittest -v tests.test_expressions tests.test_template tests.test_errors
: '>>>>> End Test Output'
