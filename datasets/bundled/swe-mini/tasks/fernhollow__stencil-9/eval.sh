#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout 1d408be9ab618a89dc35d1ce2d4db426d3fc1868 -- tests/test_expressions.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_expressions.py b/tests/test_expressions.py
index 827becc..8d8f5ea 100644
--- a/tests/test_expressions.py
+++ b/tests/test_expressions.py
@@ -34,6 +34,23 @@ class FilterTest(unittest.TestCase):
     def test_text_argument(self):
         self.assertEqual(render("{{ tags|join('; ') }}", tags=["a", "b"]), "a; b")
 
+    def test_pipe_in_double_quotes(self):
+        self.assertEqual(render('{{ tags|join(" | ") }}', tags=["a", "b"]), "a | b")
+
+    def test_pipe_in_single_quotes(self):
+        self.assertEqual(render("{{ tags|join(' | ')|upper }}", tags=["a", "b"]), "A | B")
+
+    def test_comma_in_quotes(self):
+        self.assertEqual(render('{{ tags|join(", ") }}', tags=["a", "b"]), "a, b")
+        self.assertEqual(render("{{ a|replace(',', ';') }}", a="1,2"), "1;2")
+
+    def test_other_quote_in_quotes(self):
+        self.assertEqual(render("""{{ tags|join("' | '") }}""", tags=["a", "b"]), "a' | 'b")
+        self.assertEqual(render("""{{ a|replace('"', ',')|trim }}""", a='1"2'), "1,2")
+
+    def test_quotes_in_an_if(self):
+        self.assertEqual(render('{% if a|replace("|", "") %}yes{% else %}no{% end %}', a="|"), "no")
+
     def test_name_argument(self):
         self.assertEqual(render("{{ tags|join(glue) }}", tags=["a", "b"], glue="-"), "a-b")
 
EOF_114329324912
: '>>>>> Start Test Output'
python3 -m unittest -v tests.test_expressions tests.test_template tests.test_errors
: '>>>>> End Test Output'
