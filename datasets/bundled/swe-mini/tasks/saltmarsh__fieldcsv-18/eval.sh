#!/bin/bash
set -uxo pipefail
cd /testbed
git checkout ae409f325e0eb9ceb75400598148611493f61a54 -- tests/test_cut.c
git apply -v - <<'EOF_114329324912'
diff --git a/tests/test_cut.c b/tests/test_cut.c
index 69884e5..a590d9b 100644
--- a/tests/test_cut.c
+++ b/tests/test_cut.c
@@ -46,6 +46,44 @@ static void malformed_lists_are_errors(void)
     CHECK_TEXT(cut("1;2"), "bad columns");
 }
 
+static void ranges(void)
+{
+    CHECK_TEXT(cut("1-2"), "name,born\nAda,1815\nGrace,1906\n");
+}
+
+static void ranges_of_one_column(void)
+{
+    CHECK_TEXT(cut("2-2"), "born\n1815\n1906\n");
+}
+
+static void ranges_beyond_the_row_are_empty(void)
+{
+    CHECK_TEXT(cut("2-4"), "born,city,\n1815,London,\n1906,,\n");
+}
+
+static void open_ranges(void)
+{
+    CHECK_TEXT(cut("2-"), "born,city\n1815,London\n1906\n");
+}
+
+static void open_ranges_add_nothing_to_short_rows(void)
+{
+    CHECK_TEXT(cut("1,3-"), "name,city\nAda,London\nGrace\n");
+}
+
+static void ranges_and_numbers_mixed(void)
+{
+    CHECK_TEXT(cut("3-,1,1-2"), "city,name,name,born\nLondon,Ada,Ada,1815\nGrace,Grace,1906\n");
+}
+
+static void malformed_ranges_are_errors(void)
+{
+    static const char *const lists[] = {"3-1", "-3", "0-2", "1-0", "0-", "1-2-3",
+                                        "1--3", "1-x", "1-,", "1-99999999999", "-"};
+    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
+        CHECK_TEXT(cut(lists[i]), "bad columns");
+}
+
 static void other_delimiters(void)
 {
     csv_buffer out = {0};
@@ -61,6 +99,13 @@ const struct test cut_tests[] = {
     {"cut/missing_columns_are_empty", missing_columns_are_empty},
     {"cut/column_zero_is_an_error", column_zero_is_an_error},
     {"cut/malformed_lists_are_errors", malformed_lists_are_errors},
+    {"cut/ranges", ranges},
+    {"cut/ranges_of_one_column", ranges_of_one_column},
+    {"cut/ranges_beyond_the_row_are_empty", ranges_beyond_the_row_are_empty},
+    {"cut/open_ranges", open_ranges},
+    {"cut/open_ranges_add_nothing_to_short_rows", open_ranges_add_nothing_to_short_rows},
+    {"cut/ranges_and_numbers_mixed", ranges_and_numbers_mixed},
+    {"cut/malformed_ranges_are_errors", malformed_ranges_are_errors},
     {"cut/other_delimiters", other_delimiters},
     {NULL, NULL},
 };
EOF_114329324912
: '>>>>> Start Test Output'
make -s clean test
: '>>>>> End Test Output'
