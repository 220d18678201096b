#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout ccbc9b755aa532d4e44bfacfa4d8230765a1c6c1 -- tests/test_errors.py tests/test_template.py
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_errors.py b/tests/test_errors.py
index 23384b6..59a34ec 100644
--- a/tests/test_errors.py
+++ b/tests/test_errors.py
@@ -19,6 +19,9 @@ class ErrorLineTest(unittest.TestCase):
     def test_after_text(self):
         self.assertEqual(error_line("one\ntwo\n  {{ missing }}"), 3)
 
+    def test_after_swallowed_line_breaks(self):
+        self.assertEqual(error_line("one\n\n{{- a -}}\n\n{{ missing }}", a=1), 5)
+
     def test_unknown_tag(self):
         self.assertEqual(error_line("one\n{% unless a %}"), 2)
 
diff --git a/tests/test_template.py b/tests/test_template.py
index 6d6927d..e00b9f6 100644
--- a/tests/test_template.py
+++ b/tests/test_template.py
@@ -64,6 +64,31 @@ class ForTest(unittest.TestCase):
             render("{% for x in xs %}{% end %}")
 
 
+class WhiteSpaceTest(unittest.TestCase):
+    def test_loop_without_empty_lines(self):
+        source = "hosts:\n{%- for host in hosts %}\n  - {{ host }}\n{%- end %}"
+        self.assertEqual(render(source, hosts=["a", "b"]), "hosts:\n  - a\n  - b")
+
+    def test_before_a_tag(self):
+        self.assertEqual(render("a \n\t{%- if x %} b {% end %} c", x=1), "a b  c")
+
+    def test_after_a_tag(self):
+        self.assertEqual(render("a {% if x -%} \n b {% end -%}\n c", x=1), "a b c")
+
+    def test_around_values(self):
+        self.assertEqual(render("[ {{- x -}} ]", x=1), "[1]")
+        self.assertEqual(render("[ {{- x }} ]", x=1), "[1 ]")
+
+    def test_around_comments(self):
+        self.assertEqual(render("a {#- note -#} b"), "ab")
+
+    def test_values_keep_their_white_space(self):
+        self.assertEqual(render("{{ x }} {{- x -}} {{ x }}", x=" x "), " x  x  x ")
+
+    def test_tags_without_the_sign_keep_it(self):
+        self.assertEqual(render("a {% if x %} b {% end %} c", x=1), "a  b  c")
+
+
 class CommentTest(unittest.TestCase):
     def test_leaves_no_trace(self):
         self.assertEqual(render("a{# not {{ this }} #}b"), "ab")
EOF_114329324912
: '>>>>> Start Test Output'
python3 -m unittest -v tests.test_expressions tests.test_template tests.test_errors tests.test_cli
: '>>>>> End Test Output'
