#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout ea50230b4dc8629e98edeba96d8ce7108b3d7313 -- tests/test_writer.c
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_writer.c b/tests/test_writer.c
index c7676df..89c983d 100644
--- a/tests/test_writer.c
+++ b/tests/test_writer.c
@@ -34,11 +34,41 @@ static void other_delimiters(void)
     CHECK_TEXT(write2("a", "b", ';'), "a;b\n");
 }
 
+static void delimiters_in_fields_are_quoted(void)
+{
+    CHECK_TEXT(write2("Meyer; Sons", "12", ';'), "\"Meyer; Sons\";12\n");
+}
+
+static void any_delimiter_is_quoted(void)
+{
+    CHECK_TEXT(write2("a\tb", "c", '\t'), "\"a\tb\"\tc\n");
+}
+
+static void unusual_delimiters_are_quoted(void)
+{
+    CHECK_TEXT(write2("a|b", "c d", '|'), "\"a|b\"|c d\n");
+}
+
+static void other_delimiters_in_fields_are_plain(void)
+{
+    CHECK_TEXT(write2("1,5", "a|b\t", ';'), "1,5;a|b\t\n");
+}
+
+static void semicolons_between_commas_are_plain(void)
+{
+    CHECK_TEXT(write2("a;b", "c", ','), "a;b,c\n");
+}
+
 const struct test writer_tests[] = {
     {"writer/plain_fields", plain_fields},
     {"writer/fields_with_commas", fields_with_commas},
     {"writer/fields_with_line_breaks", fields_with_line_breaks},
     {"writer/fields_with_quotes", fields_with_quotes},
     {"writer/other_delimiters", other_delimiters},
+    {"writer/delimiters_in_fields_are_quoted", delimiters_in_fields_are_quoted},
+    {"writer/any_delimiter_is_quoted", any_delimiter_is_quoted},
+    {"writer/unusual_delimiters_are_quoted", unusual_delimiters_are_quoted},
+    {"writer/other_delimiters_in_fields_are_plain", other_delimiters_in_fields_are_plain},
+    {"writer/semicolons_between_commas_are_plain", semicolons_between_commas_are_plain},
     {NULL, NULL},
 };
EOF_114329324912
: '>>>>> Start Test Output'
make -s clean test
: '>>>>> End Test Output'
